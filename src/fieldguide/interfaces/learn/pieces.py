"""Small pieces of HTML that every stage is made of. Text is escaped here, and nowhere else."""

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from fieldguide.words import ordinal

# Colours that mean the same on every picture, by their names in learn.css.
FOLLOWED, READ, OTHER = "--fl-a", "--fl-b", "--fl-grey"
_ACROSS = 8  # numbers of a vector in a line of its table


def text(content: object) -> str:
    """Any text, safe to stand in HTML."""
    return escape(str(content))


def paragraph(content: str, kind: str = "") -> str:
    """A sentence or two of our own; may hold HTML."""
    return f"<p class='{kind}'>{content}</p>" if kind else f"<p>{content}</p>"


def answer_to(question: str, identifier: str, content: str) -> str:
    """A question that a learner may have, and its answer on this very run; `identifier` is where links and tests find it."""
    return f"<div class='fl-answers' id='{identifier}'><h4>{text(question)}</h4><p>{content}</p></div>"


def table(caption: str, heads: Sequence[str], rows: Iterable[Sequence[object]], *, folded: bool = True) -> str:
    """The numbers behind a picture, for screen readers and for whoever wants them; cells are escaped."""
    head = "".join(f"<th scope='col'>{text(name)}</th>" for name in heads)
    body = "".join("<tr>" + "".join(f"<td>{text(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    content = (
        "<div class='fl-table' tabindex='0' role='region' "
        f"aria-label='{text(caption)}'><table><caption>{text(caption)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )
    return f"<details class='fl-numbers'><summary>The same as a table</summary>{content}</details>" if folded else content


def plot(kind: str, caption: str, content: Mapping[str, object], behind: str, hint: str = "") -> str:
    """A picture that plots.js draws, what is said of the point that is looked at, and the numbers behind it as a table.

    `kind` is columns, rows, strip or map; colours in `content` are names of the stylesheet's.
    """
    return (
        f"<figure class='fl-plot' data-plot='{kind}' data-content='{text(json.dumps(content, ensure_ascii=False))}' "
        f"tabindex='0' aria-label='{text(caption)}'><div class='fl-canvas' aria-hidden='true'></div>"
        f"<p class='fl-readout' role='status'>{text(hint)}</p></figure>{behind}"
    )


def bars(caption: str, content: Sequence[tuple[str, float, str]], largest: float, colours: Sequence[str] = ()) -> str:
    """Horizontal bars, one for each label, with the number said in words; the same as a table behind them."""
    drawn = {
        "labels": [label for label, _, _ in content],
        "series": [{"name": "", "values": [value for _, value, _ in content], "colours": list(colours) or [READ]}],
        "told": [told for _, _, told in content],
        "largest": largest,
    }
    return plot("rows", caption, drawn, table(caption, ("of what", "how much"), [(label, told) for label, _, told in content]))


def strip(numbers: Sequence[float], caption: str) -> str:
    """A vector as coloured cells: green above zero, violet below, stronger where the number is larger."""
    lines = [
        (f"{start + 1} to {min(start + _ACROSS, len(numbers))}", *(f"{n:.3f}" for n in numbers[start : start + _ACROSS]))
        for start in range(0, len(numbers), _ACROSS)
    ]
    behind = table(caption, ("numbers", *(ordinal(n) for n in range(1, _ACROSS + 1))), lines)
    return plot(
        "strip", caption, {"values": list(numbers)}, behind, "Point at a cell, or use the arrow keys, to read its number."
    )


def letter(name: str, kind: str = "") -> str:
    """The name of a passage, in its colour."""
    return f"<b class='fl-letter {kind}'>{text(name)}</b>" if name else ""


def button(does: str, label: str, kind: str = "fg-button", **data: object) -> str:
    """A button that learn.js knows what to do with."""
    told = "".join(f" data-{name.replace('_', '-')}='{text(value)}'" for name, value in data.items())
    return f"<button type='button' class='{kind}' data-learn='{does}'{told}>{text(label)}</button>"


def marked(content: str, spans: Iterable[tuple[int, int, str]]) -> str:
    """The text with stretches marked: from, to, and the attributes of the mark (HTML). Overlapping ones are left out."""
    pieces, position = [], 0
    for start, end, attributes in sorted(spans, key=lambda span: span[:2]):
        if start < position or end > len(content):
            continue
        pieces.append(f"{text(content[position:start])}<mark {attributes}>{text(content[start:end])}</mark>")
        position = end
    return "".join(pieces) + text(content[position:])
