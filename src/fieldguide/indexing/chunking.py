"""Cut a document into passages along its structure.

A passage stays inside one section and within the embedder's limit (beyond it text would be ignored without a word). It
ends between sentences, list items or table rows; a table that needs several passages repeats its header rows in each.
Only a single sentence longer than the limit is cut, between words.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from fieldguide.indexing.structure import Section, Unit, markdown_sections
from fieldguide.types import Chunk, Document

CHUNKER_VERSION = 1
_CHARACTERS_A_TOKEN = 50  # more than any text has that can be read
CountTokens = Callable[[str], int]


def chunk_document(
    document: Document, count_tokens: CountTokens, max_tokens: int, sections: Sequence[Section] | None = None
) -> list[Chunk]:
    """The passages of a document in reading order; it is Markdown, unless its sections are given.

    A passage with its title and headings has at most `max_tokens` tokens of the embedder's, unless the headings alone
    take more than two thirds of them: the text then keeps a third, and the embedder cuts the end off.
    """
    chunks: list[Chunk] = []
    for section in markdown_sections(document.text, document.title) if sections is None else sections:
        heading = Chunk("", document.name, document.title, section.heading_path, "", 0, 0)
        longest = replace(heading, heading_path=(*section.heading_path, f"{section.counted} 100000-100000"))
        spent = count_tokens((longest if section.counted else heading).embedded_text)
        room = max(max_tokens - spent, max_tokens // 3)
        for first, last, text in _pack(document.text, section.units, count_tokens, room):
            chunk = replace(heading, text=text, start=first.start, end=last.end)
            if section.counted:
                one = first.number == last.number
                place = f"{section.counted[:-1]} {first.number}" if one else f"{section.counted} {first.number}-{last.number}"
                chunk = replace(chunk, heading_path=(*section.heading_path, place))
            chunks.append(replace(chunk, id=chunk.content_id))
    return _with_unique_ids(chunks)


def _with_unique_ids(chunks: Sequence[Chunk]) -> list[Chunk]:
    seen: dict[str, int] = {}
    unique = []
    for chunk in chunks:
        repeat = seen.get(chunk.id, 0)
        seen[chunk.id] = repeat + 1
        unique.append(replace(chunk, id=f"{chunk.id}-{repeat}") if repeat else chunk)
    return unique


def _pack(text: str, units: Sequence[Unit], count_tokens: CountTokens, room: int) -> Iterator[tuple[Unit, Unit, str]]:
    """Fill passages with consecutive units for as long as they fit; yields first unit, last unit and text of each."""
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
        yield fitting[first], fitting[last], content
        first = last + 1


def _without_headers(units: Sequence[Unit], wide: set[str]) -> Iterator[Unit]:
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


def _content(text: str, units: Sequence[Unit]) -> str:
    stretch = text[units[0].start : units[-1].end]
    return f"{units[0].header}\n{stretch}" if units[0].header and not units[0].is_header else stretch


def _fit(text: str, unit: Unit, count_tokens: CountTokens, room: int) -> Iterator[Unit]:
    """The unit itself, or, where it alone is too long, its pieces cut between words."""
    longest = room * _CHARACTERS_A_TOKEN  # a line of many megabytes is not counted as a whole
    if unit.end - unit.start <= longest and count_tokens(_content(text, [unit])) <= room:
        yield unit
        return
    start = unit.start
    while start < unit.end:
        low, high = start + 1, min(unit.end, start + longest)
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
