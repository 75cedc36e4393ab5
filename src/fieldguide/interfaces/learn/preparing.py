"""The stages of the first lane, which happen once, ahead of time: file, passages, vectors, map."""

from collections.abc import Sequence

from fieldguide.indexing.documents import corpus_hash
from fieldguide.interfaces.learn.pieces import answer_to, marked, paragraph, plot, strip, table, text
from fieldguide.interfaces.learn.recut import GUIDE, Cuts, Outcome
from fieldguide.interfaces.learn.view import View
from fieldguide.types import Document
from fieldguide.words import ordinal

_SHOWN_AROUND = 2500  # characters of a guide on either side of the passage that is followed
_NEAR_ON_THE_MAP = 8
_SHAPES = "●■▲◆▼★"  # of the guides on the map, as plots.js draws them


def file_stage(view: View) -> str:
    """The guides as files."""
    documents = view.documents
    if not documents:
        return paragraph(
            "The guides on this machine are not those that this run searched, so they are not shown here."
        ) + _fingerprints(view)
    rows = [(d.name, d.title, f"{len(d.text):,}", f"{len(d.text.split()):,}") for d in documents]
    return paragraph(
        "It begins with plain text: Markdown files in a folder. Nothing about them was learnt by the language model; "
        "they are read anew whenever they change."
    ) + table("The guides", ("file", "title", "characters", "words"), rows, folded=False)


def _fingerprints(view: View) -> str:
    if not view.now:
        return ""
    rows = [
        ("the guides that the index was made of", view.trace.made_with.corpus[:16]),
        ("the guides as they are now", corpus_hash(view.now)[:16]),
    ]
    return answer_to(
        "What is a stale index?",
        "what-a-stale-index-is",
        "One that was made of guides which have changed since: it still finds what they said then. A fingerprint (a hash of "
        "all files) tells: Fieldguide compares both at every start, and makes the index anew where they differ.",
    ) + table("Two fingerprints", ("of what", "begins with"), rows, folded=False)


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
    mine = sorted(mine, key=lambda p: p.start)
    rows = [(view.letters.get(p.id, ""), p.tokens, p.section) for p in mine]
    for number, passage in enumerate(mine):
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
        + table("The passages shown, and their sizes", ("", "tokens", "section"), rows)
    )


def _recut(view: View) -> str:
    return (
        f"<h4>Cut it otherwise: {GUIDE}</h4>"
        + paragraph(
            "The plainest way to cut counts words and ignores what they say. Choose a size and how much neighbours share: "
            "the guide is cut anew, and three questions are searched for among its new passages. A question fails when none "
            "of the passages that would be read holds the whole answer."
        )
        + "<form class='fl-form' data-learn-form='recut'>"
        "<label>Words in a passage <input type='range' name='size' min='10' max='200' step='5' "
        "value='120'><output>120</output></label><label>Words shared with the next <input type='range' name='overlap' "
        "min='0' max='60' step='5' value='0'><output>0</output></label></form>"
        "<p class='fl-recut-status fl-note' role='status'></p><div class='fl-recut'></div>"
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
    drawn += paragraph("Green is above zero, violet below; the stronger the colour, the larger the number.", "fl-note")
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
    names = list(dict.fromkeys(p.document for p in search.passages))
    nearest = sorted(search.passages, key=lambda p: p.rank_by_meaning)
    content = {
        "x": [p.x for p in nearest],
        "y": [p.y for p in nearest],
        "groups": [names.index(p.document) % len(_SHAPES) for p in nearest],
        "colours": [view.colour(p.id) if view.is_read(p.id) else "" for p in nearest],
        "letters": [view.letters.get(p.id, "") if view.is_read(p.id) else "" for p in nearest],
        "told": [
            f"{p.section} ({p.document}): nearness {p.by_meaning:.2f}, {ordinal(p.rank_by_meaning)} by meaning" for p in nearest
        ],
        "question": [search.x, search.y],
    }
    rows = [(p.rank_by_meaning, f"{p.by_meaning:.3f}", p.section, p.document, p.x, p.y) for p in nearest]
    legend = "".join(
        f"<li><span class='fl-group-{n % len(_SHAPES)}' aria-hidden='true'>{_SHAPES[n % len(_SHAPES)]}</span> {text(name)}</li>"
        for n, name in enumerate(names)
    )
    return (
        paragraph(
            f"Every dot is a passage, the cross is the question, and lines lead to what the model read. {len(search.vector)} "
            "numbers were pressed into two, always in the same two directions, in which the passages differ most. They "
            "show only "
            f"<b>{search.map_share:.0%}</b> of the differences: nearest on the map is not always nearest in truth."
        )
        + f"<ul class='fl-legend'>{legend}</ul>"
        + plot(
            "map",
            f"Map of {len(nearest)} passages and the question",
            content,
            table("All passages, nearest first", ("rank", "cosine", "section", "guide", "x", "y"), rows),
            "Point at a dot, or use the arrow keys: they go from the nearest passage outwards.",
        )
        + _misleading(view)
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
        f"<i>{text(worst.section)}</i> lies {ordinal(place)} nearest to the question on the map, but by all "
        f"{len(search.vector)} numbers "
        f"it is only the {ordinal(worst.rank_by_meaning)} of {len(search.passages)} passages.",
    )


def recut_shown(document: Document, cuts: Cuts, outcomes: Sequence[Outcome], read: int, note: str) -> str:
    """A guide cut by counting words: its pieces, shared stretches in their own shade, and what became of the questions."""
    pieces = []
    for number, (start, end) in enumerate(cuts):
        following = cuts[number + 1][0] if number + 1 < len(cuts) else end
        shared_from = cuts[number - 1][1] if number else start
        kind = f"fl-cut-{number % 2}"
        pieces.append((max(start, shared_from), min(end, following), f"class='{kind}' title='passage {number + 1}'"))
        if following < end:
            pieces.append((following, end, f"class='fl-shared' title='in passages {number + 1} and {number + 2}'"))
    fails = sum(outcome.fails(read) for outcome in outcomes)
    rows = [
        (o.fact.question, " … ".join(o.fact.needs), "fails" if o.fails(read) else "answered", _became(o, read))
        for o in outcomes
    ]
    average = sum(len(document.text[a:b].split()) for a, b in cuts) / max(1, len(cuts))
    return (
        paragraph(
            f"<b>{len(cuts)}</b> passages of {average:.0f} words on average. "
            + (f"<b class='fl-bad'>{fails} of {len(outcomes)} questions fail.</b>" if fails else "<b>No question fails.</b>")
        )
        + paragraph(text(note), "fl-note")
        + table("Three questions", ("question", "needs together", "now", "because"), rows, folded=False)
        + "<div class='fl-guide' tabindex='0' role='region' aria-label='The guide, cut anew'>"
        + f"{marked(document.text, pieces)}</div>"
    )


def _became(outcome: Outcome, read: int) -> str:
    if not outcome.whole:
        return "it is cut apart: no passage holds it whole"
    number = outcome.whole[0] + 1
    if outcome.ranking is None:
        return f"passage {number} holds it whole"
    place = outcome.place() or 0
    number = outcome.ranking[place - 1] + 1
    if place <= read:
        return f"passage {number} holds it whole, and is found {ordinal(place)}"
    return f"passage {number} holds it whole, but is found {ordinal(place)}, and only {read} are read"


def compared_shown(first: list[float], second: list[float], nearness: float) -> str:
    """Two texts as numbers, and how near they are."""
    said = "much the same" if nearness > 0.7 else "related" if nearness > 0.35 else "little to do with each other"
    return (
        paragraph(f"Nearness (cosine): <b>{nearness:.2f}</b>, {said}.")
        + strip(first, "The numbers of the first text")
        + strip(second, "The numbers of the second text")
    )
