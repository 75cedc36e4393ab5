"""Cut text into sentences that keep their place: used for passages, for quotes, and for checking answers."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate

import sentencex

_LANGUAGE = "en"
# A list item or a table row is a unit of its own even where no full stop ends it.
_LINE_START = re.compile(r"\n(?=[ \t]*(?:[-*+]|\d{1,3}[.)])[ \t]|[ \t]*\|)|\n[ \t]*\n")
_CLOSING_MARKS = re.compile(r"[*_\"'”’)\]]+(?=\s|$)")
_ITEM_NUMBER = re.compile(r"\d{1,3}[.)]")
_ODD_BLANK = re.compile(r"[^\S\n]")  # the library breaks on blanks of other kinds
_TABLE_RULE = re.compile(r"[\s|:\-]*")


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of text: `text` is exactly what stands from `start` to `end`."""

    text: str
    start: int
    end: int


def split_sentences(text: str) -> list[Span]:
    """The sentences of `text` in order, without the blanks around them; list items and table rows stand alone."""
    spans: list[Span] = []
    position = 0
    for line_break in [*_LINE_START.finditer(text), None]:
        end = line_break.start() if line_break else len(text)
        block = text[position:end]
        if block.lstrip().startswith("|"):
            spans += _trimmed(block, position)
        else:
            start = position
            for piece in _joined(_segment(block)):
                spans += _trimmed(piece, start)
                start += len(piece)
        position = line_break.end() if line_break else end
    return spans


def _segment(block: str) -> list[str]:
    try:
        lengths = [len(piece) for piece in sentencex.segment(_LANGUAGE, _ODD_BLANK.sub(" ", block))]
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # how the library's Rust core fails on rare texts
            raise
        return [block]
    ends = list(accumulate(lengths))
    return [block[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def _joined(pieces: Iterable[str]) -> list[str]:
    """Marks that close a sentence, such as the end of bold, go with it; the number of a list item goes with its text."""
    joined: list[str] = []
    for piece in pieces:
        marks = _CLOSING_MARKS.match(piece)
        if joined and marks:
            joined[-1] += marks.group()
            piece = piece[marks.end() :]
        if joined and _ITEM_NUMBER.fullmatch(joined[-1].strip()):
            joined[-1] += piece
        elif piece:
            joined.append(piece)
    return joined


def _trimmed(piece: str, start: int) -> list[Span]:
    stripped = piece.strip()
    if not stripped or _TABLE_RULE.fullmatch(stripped):
        return []
    start += len(piece) - len(piece.lstrip())
    return [Span(stripped, start, start + len(stripped))]
