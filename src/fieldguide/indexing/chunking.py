"""Cut a document into passages along its structure.

A passage stays inside one section and within the embedder's limit (beyond it text would be ignored without a word). It
ends between sentences, list items or table rows; a table that needs several passages repeats its header rows in each.
Only a single sentence longer than the limit is cut, between words.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from fieldguide.indexing.documents import body_start
from fieldguide.markdown import Token, blocks
from fieldguide.sentences import split_sentences
from fieldguide.types import Chunk, Document

CHUNKER_VERSION = 1
CountTokens = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class _Unit:
    """What is never parted: a sentence, list item, table row or line of code; `header` is its table's header rows."""

    start: int
    end: int
    header: str = ""
    is_header: bool = False
    names: "_Unit | None" = None  # the row of names, where it is in no unit of its own


@dataclass(frozen=True, slots=True)
class _Section:
    heading_path: tuple[str, ...]
    units: tuple[_Unit, ...]


def chunk_document(document: Document, count_tokens: CountTokens, max_tokens: int) -> list[Chunk]:
    """The passages of a document in reading order.

    A passage with its title and headings has at most `max_tokens` tokens of the embedder's, unless the headings alone
    take more than two thirds of them: the text then keeps a third, and the embedder cuts the end off.
    """
    chunks: list[Chunk] = []
    for section in _sections(document):
        heading = Chunk("", document.name, document.title, section.heading_path, "", 0, 0)
        room = max(max_tokens - count_tokens(heading.embedded_text), max_tokens // 3)
        for start, end, text in _pack(document.text, section.units, count_tokens, room):
            chunk = replace(heading, text=text, start=start, end=end)
            chunks.append(replace(chunk, id=_identity(chunk)))
    return _with_unique_ids(chunks)


def _identity(chunk: Chunk) -> str:
    """The same passage under the same heading keeps its id when other parts of its document change."""
    content = "\0".join([chunk.document, chunk.title, chunk.section, chunk.text])
    return hashlib.sha256(content.encode()).hexdigest()[:20]


def _with_unique_ids(chunks: Sequence[Chunk]) -> list[Chunk]:
    seen: dict[str, int] = {}
    unique = []
    for chunk in chunks:
        repeat = seen.get(chunk.id, 0)
        seen[chunk.id] = repeat + 1
        unique.append(replace(chunk, id=f"{chunk.id}-{repeat}") if repeat else chunk)
    return unique


def _pack(text: str, units: Sequence[_Unit], count_tokens: CountTokens, room: int) -> Iterator[tuple[int, int, str]]:
    """Fill passages with consecutive units for as long as they fit; yields start, end and text of each."""
    # A header that takes most of a passage is not repeated: the rows have to speak for themselves.
    wide = {header for header in {unit.header for unit in units} if count_tokens(header) > room * 3 // 4}
    units = list(_without_headers(units, wide))
    fitting = [piece for unit in units for piece in _fit(text, unit, count_tokens, room)]
    first = 0
    while first < len(fitting):
        last, content = first, _content(text, fitting[first : first + 1])
        while last + 1 < len(fitting):
            longer = _content(text, fitting[first : last + 2])
            if count_tokens(longer) > room:
                break
            last, content = last + 1, longer
        # A table's header rows alone say nothing: they go with the first row.
        while last > first and last + 1 < len(fitting) and fitting[last].is_header:
            last -= 1
            content = _content(text, fitting[first : last + 1])
        yield fitting[first].start, fitting[last].end, content
        first = last + 1


def _without_headers(units: Sequence[_Unit], wide: set[str]) -> Iterator[_Unit]:
    """Units of tables with these headers on their own feet; a row of names that was only in the header comes first."""
    last_names = None
    for unit in units:
        if unit.header not in wide:
            yield unit
            continue
        if unit.names and unit.names != last_names:
            last_names = unit.names
            yield unit.names
        yield replace(unit, header="", is_header=False, names=None)


def _content(text: str, units: Sequence[_Unit]) -> str:
    stretch = text[units[0].start : units[-1].end]
    return f"{units[0].header}\n{stretch}" if units[0].header and not units[0].is_header else stretch


def _fit(text: str, unit: _Unit, count_tokens: CountTokens, room: int) -> Iterator[_Unit]:
    """The unit itself, or, where it alone is too long, its pieces cut between words."""
    if count_tokens(_content(text, [unit])) <= room:
        yield unit
        return
    start = unit.start
    while start < unit.end:
        low, high = start + 1, unit.end
        while low < high:  # the longest stretch that fits
            middle = (low + high + 1) // 2
            if count_tokens(_content(text, [replace(unit, start=start, end=middle)])) <= room:
                low = middle
            else:
                high = middle - 1
        end = low
        if end < unit.end:
            blank = text.rfind(" ", start + 1, end)
            end = blank if blank > start else end
        yield replace(unit, start=start, end=end)
        start = end
        while start < unit.end and text[start].isspace():
            start += 1


def _sections(document: Document) -> Iterator[_Section]:
    """Sections in order. The first heading of level one is the title and stands in no path, unless others follow it."""
    offset = body_start(document.text)
    body = document.text[offset:]
    line_starts = [0]
    for line in body.split("\n"):  # as the Markdown parser counts: other line separators are text to it
        line_starts.append(line_starts[-1] + len(line) + 1)
    line_starts[-1] = len(body)
    tokens = [token for token in blocks(body) if token.map]
    titles = [i for i, token in enumerate(tokens) if token.type == "heading_open" and token.tag == "h1"]
    title_is_only_h1 = len(titles) == 1

    path: list[tuple[int, str]] = []
    units: list[_Unit] = []
    covered = 0  # lines already inside a block that was taken whole
    for index, token in enumerate(tokens):
        first, last = token.map or (0, 0)
        if first < covered:
            continue
        if token.type == "heading_open":
            if units:
                yield _Section(_path(path, document), tuple(units))
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
        yield _Section(_path(path, document), tuple(units))


def _path(path: Sequence[tuple[int, str]], document: Document) -> tuple[str, ...]:
    return tuple(name for _, name in path) or (document.title,)


def _units(token: Token, text: str) -> list[_Unit]:
    if token.type == "table_open":
        return _table_rows(text)
    if token.type in {"fence", "code_block", "html_block"}:
        return _lines(text)
    if token.type in {"paragraph_open", "bullet_list_open", "ordered_list_open", "blockquote_open"}:
        return [_Unit(span.start, span.end) for span in split_sentences(text)]
    return []


def _lines(text: str) -> list[_Unit]:
    units, start = [], 0
    for line in text.split("\n"):
        if line.strip():
            units.append(_Unit(start, start + len(line)))
        start += len(line) + 1
    return units


def _table_rows(text: str) -> list[_Unit]:
    names, rule, *rows = _lines(text)
    header_row = text[names.start : names.end]
    columns = len(header_row.strip().strip("|").split("|"))
    header = f"{header_row}\n|{'---|' * columns}"
    if rows and rule.end - rule.start > 2 * len(f"|{'---|' * columns}"):
        # A rule of many dashes would eat the embedder's tokens: the short form stands in for it everywhere.
        return [replace(row, header=header, names=names) for row in rows]
    return [_Unit(names.start, rule.end, header, is_header=True), *(replace(row, header=header) for row in rows)]
