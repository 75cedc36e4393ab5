"""Markdown as structure, as HTML and as plain text. What a document says can only ever become text in the HTML: its own
tags are escaped, images are not shown, and a link stays its text with the address beside it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from markdown_it import MarkdownIt
from markdown_it.token import Token

__all__ = ["Token", "as_html", "as_plain_text", "blocks", "headings"]

_STRUCTURE = MarkdownIt("commonmark", {"inline_definitions": True}).enable("table")
_SHOWN = MarkdownIt("commonmark", {"html": False}).enable("table").disable(["image", "html_block", "html_inline"])
_SHOWN.add_render_rule("text", lambda _, tokens, index, *__: escape(tokens[index].content))
_CODE = {"fence", "code_block"}
_ADDRESSES = ("http://", "https://")


def blocks(text: str) -> list[Token]:
    """The blocks of the text, as CommonMark with tables has them."""
    return _STRUCTURE.parse(text)


def headings(text: str) -> list[str]:
    """The headings in order; where one alone is of level one, it is the title and left out."""
    tokens = blocks(text)
    opened = [index for index, token in enumerate(tokens) if token.type == "heading_open"]
    titles = [index for index in opened if tokens[index].tag == "h1"]
    return [as_plain_text(tokens[index + 1].content) for index in opened if [index] != titles]


def as_plain_text(text: str) -> str:
    """The text in one line without its marks; cells of a table stand between dots."""
    if text.lstrip().startswith("|"):
        return " · ".join(as_plain_text(cell) for cell in text.strip().strip("|").split("|"))
    return " ".join("".join(_said(token) + " " for token in _SHOWN.parse(text)).split())


def as_html(text: str, start: int = 0, end: int = 0, mark_id: str = "") -> str:
    """The text as HTML, with the stretch from `start` to `end` marked; the first mark gets the id."""
    tokens = _SHOWN.parse(text)
    if end > start:
        _mark(tokens, text[start:end], text.count("\n", 0, start), mark_id)
    for token in tokens:
        token.children = token.children and list(_without_links(token.children))
    html: str = _SHOWN.renderer.render(list(_with_boxes(tokens)), _SHOWN.options, {})
    return html


@dataclass(slots=True)
class _Said:
    """A piece of text as it will be shown, and where in its block it is; code has no pieces within its block."""

    block: Token
    piece: Token | None
    text: str


def _mark(tokens: Sequence[Token], stretch: str, line: int, mark_id: str) -> None:
    """Mark what the stretch says, from this line on.

    The parser does not tell where in a line a word stands, so the stretch is found by its letters and digits: the marks
    of Markdown, which may be cut through at its ends, are neither.
    """
    said = [piece for token in tokens if token.map is None or token.map[1] > line for piece in _pieces(token)]
    characters = [(number, at) for number, piece in enumerate(said) for at, c in enumerate(piece.text) if c.isalnum()]
    wanted = "".join(c for token in _SHOWN.parse(stretch) for c in _said(token) if c.isalnum())
    found = "".join(said[number].text[at] for number, at in characters).find(wanted)
    if found < 0 or not wanted:
        return
    (first, begin), (last, finish) = characters[found], characters[found + len(wanted) - 1]
    for number in range(first, last + 1):
        piece = said[number]
        from_, to = begin if number == first else 0, finish + 1 if number == last else len(piece.text)
        while number == last and to < len(piece.text) and not (piece.text[to].isalnum() or piece.text[to].isspace()):
            to += 1  # the full stop belongs to it
        attributes: dict[str, str | int | float] = {"id": mark_id, "tabindex": -1} if mark_id and number == first else {}
        if piece.piece is None:
            piece.block.attrs = {"class": "fg-marked", **attributes}
        elif from_ < to:
            _split(piece.block, piece.piece, from_, to, attributes)


def _split(block: Token, piece: Token, start: int, end: int, attributes: dict[str, str | int | float]) -> None:
    """Put a mark around part of a piece of text; code and line breaks are marked whole."""
    assert block.children is not None
    position = next(index for index, child in enumerate(block.children) if child is piece)
    opened, closed = Token("mark_open", "mark", 1, attrs=attributes), Token("mark_close", "mark", -1)
    if piece.type != "text":
        block.children[position : position + 1] = [opened, piece, closed]
        return
    before, within, after = (Token("text", "", 0, content=part) for part in _cut(piece.content, start, end))
    block.children[position : position + 1] = [before, opened, within, closed, after]


def _cut(text: str, start: int, end: int) -> tuple[str, str, str]:
    return text[:start], text[start:end], text[end:]


def _pieces(token: Token) -> Iterator[_Said]:
    if token.type in _CODE:
        yield _Said(token, None, token.content)
    for child in token.children or ():
        if child.type in {"text", "code_inline"}:
            yield _Said(token, child, child.content)
        elif child.type in {"softbreak", "hardbreak"}:
            yield _Said(token, child, "\n")


def _said(token: Token) -> str:
    return "".join(piece.text for piece in _pieces(token))


def _without_links(children: Sequence[Token]) -> Iterator[Token]:
    """Links that lead nowhere: a browser looks up the hosts of real ones before anybody clicks."""
    addresses: list[str] = []
    for child in children:
        if child.type == "link_open":
            addresses.append(str(child.attrs.get("href", "")))
            yield Token("span_open", "span", 1, attrs={"class": "fg-inert"})
        elif child.type == "link_close":
            yield Token("span_close", "span", -1)
            address = addresses.pop()
            if address.startswith(_ADDRESSES) and child.info != "auto":
                yield Token("text", "", 0, content=f" ({address})")
        else:
            yield child


def _with_boxes(tokens: Sequence[Token]) -> Iterator[Token]:
    """Each table in a box of its own, in which a wide one scrolls; who has no mouse must be able to get into it."""
    box: dict[str, str | int | float] = {"class": "fg-table", "tabindex": 0, "role": "region", "aria-label": "Table"}
    for token in tokens:
        if token.type == "table_open":
            yield Token("box_open", "div", 1, attrs=dict(box))
        yield token
        if token.type == "table_close":
            yield Token("box_close", "div", -1)
