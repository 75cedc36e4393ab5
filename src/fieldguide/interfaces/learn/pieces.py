"""Small pieces of HTML that every stage is made of. Text is escaped here, and nowhere else."""

from collections.abc import Iterable, Sequence
from html import escape


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


def bars(rows: Iterable[tuple[str, float, str]], largest: float, *, kinds: Sequence[str] = ()) -> str:
    """Horizontal bars: a label, a length, and the number said in words. Labels may hold HTML."""
    drawn = []
    for place, (label, value, said) in enumerate(rows):
        share = 100 * max(0.0, value) / largest if largest > 0 else 0
        kind = kinds[place] if place < len(kinds) else ""
        drawn.append(
            f"<li class='fl-bar {kind}'><span class='fl-bar-label'>{label}</span><span class='fl-bar-track' aria-hidden='true'>"
            f"<span style='width:{share:.1f}%'></span></span><span class='fl-bar-said'>{text(said)}</span></li>"
        )
    return f"<ul class='fl-bars'>{''.join(drawn)}</ul>"


def strip(numbers: Sequence[float], caption: str) -> str:
    """A vector as coloured cells: green above zero, orange below, stronger where the number is larger."""
    largest = max((abs(number) for number in numbers), default=1.0) or 1.0
    cells = "".join(
        f"<i class='{'fl-plus' if number >= 0 else 'fl-minus'}' style='opacity:{0.08 + 0.92 * abs(number) / largest:.2f}'></i>"
        for number in numbers
    )
    return f"<div class='fl-strip' role='img' aria-label='{text(caption)}'>{cells}</div>"


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
