"""The structure of a text: sections under their headings, and in them the units that are never parted."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from fieldguide.indexing.documents import body_start
from fieldguide.markdown import Token, blocks
from fieldguide.sentences import split_sentences


@dataclass(frozen=True, slots=True)
class Unit:
    """What is never parted: a sentence, list item, table row or line of code; `header` is its table's header rows."""

    start: int
    end: int
    header: str = ""
    is_header: bool = False
    names: "Unit | None" = None  # the row of names, where it is in no unit of its own
    number: int = 0  # of its row or line, where those are counted


@dataclass(frozen=True, slots=True)
class Section:
    """The units under one heading path; `counted` names what their numbers count: "rows" or "lines"."""

    heading_path: tuple[str, ...]
    units: tuple[Unit, ...]
    counted: str = ""


def markdown_sections(text: str, title: str, place: tuple[str, ...] = (), offset: int | None = None) -> Iterator[Section]:
    """Sections of Markdown in order. The first heading of level one is the title and stands in no path, unless others follow.

    `place` (a page, a slide) stands before each path. The text begins after its front matter, or at `offset`.
    """
    offset = body_start(text) if offset is None else offset
    body = text[offset:]
    line_starts = [0]
    for line in body.split("\n"):  # as the Markdown parser counts: other line separators are text to it
        line_starts.append(line_starts[-1] + len(line) + 1)
    line_starts[-1] = len(body)
    tokens = [token for token in blocks(body) if token.map]
    titles = [i for i, token in enumerate(tokens) if token.type == "heading_open" and token.tag == "h1"]
    title_is_only_h1 = len(titles) == 1

    path: list[tuple[int, str]] = []
    units: list[Unit] = []
    covered = 0  # lines already inside a block that was taken whole
    for index, token in enumerate(tokens):
        first, last = token.map or (0, 0)
        if first < covered:
            continue
        if token.type == "heading_open":
            if units:
                yield Section(_path(place, path, title), tuple(units))
                units = []
            level = int(token.tag[1])
            path = [step for step in path if step[0] < level]
            if not (level == 1 and title_is_only_h1):
                path.append((level, tokens[index + 1].content.strip()))
            covered = last
        else:
            start, end = line_starts[first], line_starts[min(last, len(line_starts) - 1)]
            found = _units(token, body[start:end])
            if found:
                units += [replace(u, start=u.start + offset + start, end=u.end + offset + start) for u in found]
                covered = last
    if units:
        yield Section(_path(place, path, title), tuple(units))


def plain_section(text: str, path: tuple[str, ...], start: int, end: int) -> Section:
    """A stretch of running text."""
    spans = split_sentences(text[start:end])
    return Section(path, tuple(Unit(start + span.start, start + span.end) for span in spans))


def line_section(text: str, path: tuple[str, ...]) -> Section:
    """Source code, line by line."""
    return Section(path, tuple(_lines(text)), "lines")


def table_section(text: str, path: tuple[str, ...], start: int, end: int, numbers: Sequence[int]) -> Section:
    """A stretch that is one table of Markdown; `numbers` are those of its rows, without the two rows of its header."""
    header, *rows = _table_rows(text[start:end])
    if not header.is_header:  # a rule of many dashes: the header is in no unit
        rows = [header, *rows]
    numbered = [replace(row, number=number) for row, number in zip(rows, numbers, strict=True)]
    units = [replace(header, number=numbers[0]), *numbered] if header.is_header and numbers else numbered
    return Section(path, tuple(replace(u, start=u.start + start, end=u.end + start) for u in units), "rows")


def _path(place: tuple[str, ...], path: Sequence[tuple[int, str]], title: str) -> tuple[str, ...]:
    return (*place, *(name for _, name in path)) or (title,)


def _units(token: Token, text: str) -> list[Unit]:
    if token.type == "table_open":
        return _table_rows(text)
    if token.type in {"fence", "code_block", "html_block", "definition"}:
        return _lines(text)
    if token.type in {"paragraph_open", "bullet_list_open", "ordered_list_open", "blockquote_open"}:
        return [Unit(span.start, span.end) for span in split_sentences(text)]
    return []


def _lines(text: str) -> list[Unit]:
    units, start = [], 0
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            units.append(Unit(start, start + len(line), number=number))
        start += len(line) + 1
    return units


def _table_rows(text: str) -> list[Unit]:
    names, rule, *rows = _lines(text)
    header_row = text[names.start : names.end]
    columns = len(header_row.strip().strip("|").split("|"))
    header = f"{header_row}\n|{'---|' * columns}"
    if rows and rule.end - rule.start > 2 * len(f"|{'---|' * columns}"):
        # A rule of many dashes would eat the embedder's tokens: the short form stands in for it everywhere.
        return [replace(row, header=header, names=names) for row in rows]
    return [Unit(names.start, rule.end, header, is_header=True), *(replace(row, header=header) for row in rows)]
