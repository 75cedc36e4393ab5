"""The stages of the first lane, which happen once, ahead of time: file, passages, vectors, map."""

from fieldguide.interfaces.learn.pieces import answer_to, bars, marked, paragraph, strip, table, text
from fieldguide.interfaces.learn.view import View
from fieldguide.types import Document

_SHOWN_AROUND = 2500  # characters of a guide on either side of the passage that is followed
_NEAR_ON_THE_MAP = 8
_MAP = 100  # the map's width in its own units; its height is three fifths of that


def file_stage(view: View) -> str:
    """The guides as files."""
    documents = view.documents
    if not documents:
        return paragraph("The guides on this machine are not those that this run searched, so they are not shown here.")
    rows = [(d.name, d.title, f"{len(d.text):,}", f"{len(d.text.split()):,}") for d in documents]
    return paragraph(
        "It begins with plain text: Markdown files in a folder. Nothing about them was learnt by the language model; "
        "they are read anew whenever they change."
    ) + table("The guides", ("file", "title", "characters", "words"), rows, folded=False)


def passages_stage(view: View) -> str:
    """A guide with its passages in alternating colours, and a place to cut it otherwise."""
    search = view.trace.search
    if search is None:
        return paragraph("This run asked the model alone: no passage was looked at.")
    sizes = [p.tokens for p in search.passages]
    said = answer_to(
        "What is a passage?",
        "what-a-passage-is",
        f"A piece of one section of a guide, whole sentences only, small enough to be compared as one thing. Here there are "
        f"<b>{len(sizes)}</b> passages of {min(sizes)} to {max(sizes)} tokens (the pieces of words that models count in), "
        "each with the headings it stands under. A search finds passages, not files; and the model reads passages, not guides.",
    )
    return said + _guide(view) + _recut(view)


def _guide(view: View) -> str:
    followed, search = view.followed, view.trace.search
    document = next((d for d in view.documents if followed and d.name == followed.chunk.document), None)
    if document is None or followed is None or search is None:
        return paragraph("The guide itself is not the one that this run searched, so its text is not shown here.")
    start = max(0, document.text.rfind("\n", 0, max(0, followed.chunk.start - _SHOWN_AROUND)) + 1)
    end = min(len(document.text), followed.chunk.end + _SHOWN_AROUND)
    mine = [p for p in search.passages if p.document == document.name and p.start >= start and p.end <= end]
    spans = []
    for number, passage in enumerate(sorted(mine, key=lambda p: p.start)):
        kind = "fl-followed" if passage.id == followed.chunk.id else f"fl-cut-{number % 2}"
        told = f"passage of {passage.tokens} tokens, under: {passage.section}"
        spans.append((passage.start - start, passage.end - start, f"class='{kind}' title='{text(told)}'"))
    return (
        f"<h4>{text(document.name)}, cut into passages</h4>"
        + paragraph(
            f"Each colour is one passage; {view.named(followed.chunk.id)} is the one that you follow through all stages. "
            f"The headings it stands under travel with it: <i>{text(followed.chunk.section)}</i>. What is not coloured is "
            "structure: it is told by the headings."
        )
        + f"<div class='fl-guide' tabindex='0' role='region' aria-label='The guide with its passages'>"
        f"{marked(document.text[start:end], spans)}</div>"
    )


def _recut(view: View) -> str:
    return (
        "<h4>Cut it otherwise</h4>"
        + paragraph(
            "The plainest way to cut counts words and ignores what they say. Choose a size and how much neighbours share, "
            "and see which of three questions lose their answer: its parts no longer stand in one passage."
        )
        + "<form class='fl-form' data-learn-form='recut'>"
        "<label>Words in a passage <input type='range' name='size' min='10' max='200' step='5' "
        "value='120'><output>120</output></label><label>Words shared with the next <input type='range' name='overlap' "
        "min='0' max='60' step='5' value='0'><output>0</output></label></form><div class='fl-recut' "
        "aria-live='polite'></div>"
    )


def vectors_stage(view: View) -> str:
    """The question and the followed passage as numbers, and two texts of one's own."""
    search = view.trace.search
    if search is None:
        return paragraph("This run asked the model alone: nothing was compared.")
    drawn = paragraph(
        f"A small model (not the one that writes) turns any text into <b>{len(search.vector)}</b> numbers, its vector. You "
        "cannot read them, and no single one means anything; you can only compare them. Texts that mean alike get numbers "
        "that are alike."
    )
    drawn += (
        f"<h4>The question: {text(search.text)}</h4>{strip(search.vector, f'The {len(search.vector)} numbers of the question')}"
    )
    by_id = {p.id: p for p in search.passages}
    for identifier, vector in search.vectors.items():
        passage = by_id[identifier]
        title = f"{view.named(identifier)} {text(passage.section)}"
        caption = f"The numbers of passage {view.letters.get(identifier, '')}"
        near = f"nearness to the question (cosine): <b>{passage.by_meaning:.2f}</b>"
        drawn += f"<h4>{title}</h4>{strip(vector, caption)}{paragraph(near)}"
    drawn += paragraph("Green is above zero, orange below; the stronger the colour, the larger the number.", "fl-note")
    return drawn + (
        "<h4>Compare two texts of your own</h4><form class='fl-form' data-learn-form='compare'>"
        "<label>First <input name='first' value='A dog chases a ball' maxlength='300'></label>"
        "<label>Second <input name='second' value='A puppy runs after a toy' maxlength='300'></label>"
        "<button class='fg-button'>Compare</button></form><div class='fl-compared' aria-live='polite'></div>"
    )


def map_stage(view: View) -> str:
    """All passages on a flat map, with the question and lines to what it found."""
    search = view.trace.search
    if search is None or not search.passages:
        return paragraph("This run asked the model alone: there is no search to draw.")
    x_low, x_high = _range([p.x for p in search.passages] + [search.x])
    y_low, y_high = _range([p.y for p in search.passages] + [search.y])

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            round(3 + (_MAP - 6) * (x - x_low) / (x_high - x_low), 2),
            round(3 + (_MAP * 0.6 - 6) * (y_high - y) / (y_high - y_low), 2),
        )

    qx, qy = place(search.x, search.y)
    names = list(dict.fromkeys(p.document for p in search.passages))
    dots, lines = [], []
    for passage in search.passages:
        x, y = place(passage.x, passage.y)
        is_read = view.is_read(passage.id)
        kind = view.kind(passage.id) or f"fl-guide-{names.index(passage.document) % 6}"
        if is_read:
            lines.append(f"<line x1='{qx}' y1='{qy}' x2='{x}' y2='{y}'/>")
        label = f"<text x='{x + 1.6}' y='{y + 0.9}'>{text(view.letters.get(passage.id, ''))}</text>" if is_read else ""
        told = f"{passage.section}: nearness {passage.by_meaning:.2f}, {_nth(passage.rank_by_meaning)} by meaning"
        size = 1.3 if is_read else 0.65
        dots.append(f"<g class='{kind}'><circle cx='{x}' cy='{y}' r='{size}'><title>{text(told)}</title></circle>{label}</g>")
    picture = (
        f"<svg class='fl-map' viewBox='0 0 {_MAP} {_MAP * 0.6:.0f}' role='img' aria-label='Map of {len(dots)} passages and the "
        f"question'>{''.join(lines)}{''.join(dots)}<g class='fl-asked'><path d='M{qx - 1.6} {qy}h3.2M{qx} {qy - 1.6}v3.2'/>"
        f"<text x='{qx + 2}' y='{qy - 1}'>question</text></g></svg>"
    )
    legend = "".join(f"<li class='fl-guide-{n % 6}'>{text(name)}</li>" for n, name in enumerate(names))
    nearest = sorted(search.passages, key=lambda p: p.rank_by_meaning)[:20]
    rows = [(p.rank_by_meaning, f"{p.by_meaning:.3f}", p.section, p.document, p.x, p.y) for p in nearest]
    return (
        paragraph(
            f"Every dot is a passage, the cross is the question, and lines lead to what the model read. {len(search.vector)} "
            "numbers were pressed into two, always in the same two directions, in which the passages differ most. They "
            "show only "
            f"<b>{search.map_share:.0%}</b> of the differences: nearest on the map is not always nearest in truth."
        )
        + picture
        + f"<ul class='fl-legend'>{legend}</ul>"
        + _misleading(view)
        + table("The twenty nearest passages", ("rank", "cosine", "section", "guide", "x", "y"), rows)
    )


def _misleading(view: View) -> str:
    """Of the passages that lie nearest on the map, the one that is farthest in truth."""
    search = view.trace.search
    assert search
    by_map = sorted(search.passages, key=lambda p: (p.x - search.x) ** 2 + (p.y - search.y) ** 2)
    worst = max(by_map[:_NEAR_ON_THE_MAP], key=lambda p: p.rank_by_meaning)
    place = by_map.index(worst) + 1
    return answer_to(
        "Where does the map mislead?",
        "where-the-map-misleads",
        f"<i>{text(worst.section)}</i> lies {_nth(place)} nearest to the question on the map, but by all "
        f"{len(search.vector)} numbers "
        f"it is only the {_nth(worst.rank_by_meaning)} of {len(search.passages)} passages.",
    )


def _range(numbers: list[float]) -> tuple[float, float]:
    low, high = min(numbers), max(numbers)
    return (low, high) if high > low else (low - 1, high + 1)


def _nth(number: int) -> str:
    endings = {1: "st", 2: "nd", 3: "rd"}
    return f"{number}{'th' if 10 < number % 100 < 14 else endings.get(number % 10, 'th')}"


def recut_shown(document: Document, cuts: list[tuple[int, int]], verdicts: list[tuple[str, str, bool]]) -> str:
    """A guide cut by counting words: its pieces, shared stretches in their own shade, and what became of the questions."""
    pieces = []
    for number, (start, end) in enumerate(cuts):
        following = cuts[number + 1][0] if number + 1 < len(cuts) else end
        shared_from = cuts[number - 1][1] if number else start
        kind = f"fl-cut-{number % 2}"
        pieces.append((max(start, shared_from), min(end, following), f"class='{kind}' title='passage {number + 1}'"))
        if following < end:
            pieces.append((following, end, f"class='fl-shared' title='in passages {number + 1} and {number + 2}'"))
    fails = sum(not whole for _, _, whole in verdicts)
    rows = [(question, fact, "whole" if whole else "cut apart") for question, fact, whole in verdicts]
    average = sum(len(document.text[a:b].split()) for a, b in cuts) / max(1, len(cuts))
    return (
        paragraph(
            f"<b>{len(cuts)}</b> passages of {average:.0f} words on average. "
            + (f"<b class='fl-bad'>{fails} of {len(verdicts)} questions fail.</b>" if fails else "<b>No question fails.</b>")
        )
        + table("Three questions", ("question", "needs together", "now"), rows, folded=False)
        + "<div class='fl-guide' tabindex='0' role='region' aria-label='The guide, cut anew'>"
        + f"{marked(document.text, pieces)}</div>"
    )


def compared_shown(first: list[float], second: list[float], nearness: float) -> str:
    """Two texts as numbers, and how near they are."""
    said = "much the same" if nearness > 0.7 else "related" if nearness > 0.35 else "little to do with each other"
    return (
        strip(first, "The numbers of the first text")
        + strip(second, "The numbers of the second text")
        + bars([("nearness (cosine)", nearness, f"{nearness:.2f}: {said}")], 1.0)
    )
