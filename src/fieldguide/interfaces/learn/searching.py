"""The stages from the question to the prompt."""

from fieldguide.answering.rewrite import standalone
from fieldguide.events import Prompted, Reading, Rewritten
from fieldguide.generation.model import PartKind
from fieldguide.interfaces.learn.pieces import OTHER, READ, answer_to, bars, letter, marked, paragraph, plot, table, text
from fieldguide.interfaces.learn.view import View
from fieldguide.retrieval.explain import PassageScore, SearchRecord
from fieldguide.retrieval.search import CANDIDATES

_RANKED = 12  # places shown in the picture of rankings
_FAR = 15  # places apart from which one search is said to have missed a passage
_SHORT = 4  # letters up to which a word with several capitals is taken for an abbreviation
_COLUMNS = ("meaning", "keywords", "fused", "re-ranked")
_PARTS: dict[PartKind, str] = {
    "template": "the model's own marks for who speaks",
    "instructions": "our rules",
    "example": "two worked examples",
    "passage": "passages",
    "quote": "nearest sentences, once more",
    "question": "the question",
}
_TINTS: dict[PartKind, str] = {
    "template": OTHER,
    "instructions": "--fl-rules",
    "example": "--fl-examples",
    "passage": READ,
    "quote": READ,
    "question": "--fg-accent",
}


def question_stage(view: View) -> str:
    """What was asked, and what was searched for."""
    trace, rewritten = view.trace, view.trace.last(Rewritten)
    said = paragraph(f"Asked: <b>{text(trace.question)}</b>")
    if trace.history:
        turns = "".join(
            f"<li>{'You' if turn.role == 'user' else 'Fieldguide'}: {text(turn.content)}</li>" for turn in trace.history
        )
        said += f"<h4>Said before</h4><ul class='fl-turns'>{turns}</ul>"
    searched = rewritten.question if rewritten else trace.question
    if rewritten and rewritten.changed:
        why = (
            "The question points back, so it cannot be searched for as it stands. What was said before joins the search:"
            if standalone(trace.question, trace.history).changed
            else "Words that no passage has were taken for misspelt ones, so this was searched for in its place:"
        )
        said += paragraph(f"{why} <q>{text(searched)}</q>")
    else:
        said += paragraph(f"Searched for, just as it stands: <q>{text(searched)}</q>")
    return said


def search_stage(view: View) -> str:
    """Every passage's score, the rankings side by side, and the words that met."""
    search = view.trace.search
    if search is None:
        return paragraph("This run asked the model alone: nothing was searched.")
    strongest = max(p.by_meaning for p in search.passages)
    return (
        paragraph(
            f"Two searches look at <b>all {len(search.passages)}</b> passages. One compares meaning (vectors), one counts "
            "shared words that are rare. Each bar is one passage, in the order of the guides; most are of no use, and that "
            "is the point."
        )
        + _skyline(view, search, "by meaning", {p.id: p.by_meaning for p in search.passages}, strongest)
        + _skyline(
            view,
            search,
            "by keywords",
            {p.id: p.by_keywords for p in search.passages},
            max((p.by_keywords for p in search.passages), default=0.0),
        )
        + _rankings(view, search)
        + _missed(search, view)
        + _words(view, search)
    )


def _skyline(view: View, search: SearchRecord, name: str, scores: dict[str, float], largest: float) -> str:
    passages = search.passages
    order = sorted(range(len(passages)), key=lambda n: -scores[passages[n].id])
    content = {
        "values": [scores[p.id] for p in passages],
        "colours": [view.colour(p.id) for p in passages],
        "letters": [view.letters.get(p.id, "") if view.is_read(p.id) else "" for p in passages],
        "told": [f"{p.section} ({p.document}): {scores[p.id]:.2f}" for p in passages],
        "order": order,
        "down": "score",
        "across": "all passages in their order",
    }
    best = [passages[n] for n in order]
    rows = [(view.letters.get(p.id, ""), p.section, p.document, f"{scores[p.id]:.3f}") for p in best]
    useless = sum(scores[p.id] <= 0 for p in passages)
    none = "1 passage scores nothing" if useless == 1 else f"{useless} passages score nothing"
    return (
        f"<h4>All passages {name}</h4>"
        + paragraph(f"Highest {largest:.2f}; {none}.", "fl-note")
        + plot(
            "columns",
            f"{len(passages)} passages {name}; the best scores {largest:.2f}",
            content,
            table(f"All passages {name}, best first", ("", "section", "guide", "score"), rows),
            "Point at a bar, or use the arrow keys: they go from the best down.",
        )
    )


def _rankings(view: View, search: SearchRecord) -> str:
    """Four rankings as columns, a line for each of the best passages."""
    ordered = sorted((p for p in search.passages if p.rank and p.rank <= _RANKED), key=lambda p: p.rank or 0)
    drawn, rows = [], []
    for passage in ordered:
        ranks = _ranks(passage)
        points = [(40 + 80 * n, _height(rank)) for n, rank in enumerate(ranks)]
        path = "M" + "L".join(f"{x} {y:.1f}" for x, y in points)
        name = view.letters.get(passage.id, "")
        circles = "".join(
            f"<circle cx='{x}' cy='{y:.1f}' r='9'/><text x='{x}' y='{y + 4:.1f}'>{text(name)}</text>"
            if rank and rank <= _RANKED
            else f"<circle cx='{x}' cy='{y:.1f}' r='3'/>"
            for (x, y), rank in zip(points, ranks, strict=True)
        )
        told = f"{name}: {passage.section}"
        drawn.append(f"<g class='{view.kind(passage.id)}'><title>{text(told)}</title><path d='{path}'/>{circles}</g>")
        rows.append((name, passage.section, *[rank or "-" for rank in ranks]))
    heads = "".join(f"<text class='fl-head' x='{40 + 80 * n}' y='14'>{name}</text>" for n, name in enumerate(_COLUMNS))
    below = _height(_RANKED + 2)
    return (
        "<h4>From two rankings to one</h4>"
        + paragraph(
            "Follow a line from left to right. A passage that both searches like rises in the fused list; the best sixty "
            "are then ranked anew, word by word (the last column). Points on the dashed line are beyond the twelfth place, "
            "or not found."
        )
        + f"<svg class='fl-ranks' viewBox='0 0 320 {below + 16:.0f}' role='img' aria-label='Rankings of the best passages'>"
        f"{heads}<line x1='20' x2='300' y1='{below}' y2='{below}'/>{''.join(drawn)}</svg>"
        + table("Places in each ranking", ("", "section", *_COLUMNS), rows)
    )


def _ranks(passage: PassageScore) -> list[int | None]:
    return [passage.rank_by_meaning, passage.rank_by_keywords, passage.rank_fused, passage.rank]


def _height(rank: int | None) -> float:
    return 34 + 22 * (min(rank or _RANKED + 2, _RANKED + 2) - 1)


def _missed(search: SearchRecord, view: View) -> str:
    """What the two searches disagree on most, among the passages that were read."""
    read = [p for p in search.passages if view.is_read(p.id)]
    if not read:
        return ""
    worst = max(read, key=lambda p: abs(p.rank_by_meaning - (p.rank_by_keywords or CANDIDATES + 1)))
    by_words = worst.rank_by_keywords or CANDIDATES + 1
    if abs(worst.rank_by_meaning - by_words) < _FAR:
        return ""
    where = f"{view.named(worst.id)} <i>{text(worst.section)}</i>"
    if worst.rank_by_meaning > by_words:
        short = [
            word for word in search.text.replace("?", " ").split() if sum(map(str.isupper, word)) > 1 and len(word) <= _SHORT
        ]
        because = (
            f"A vector is one summary of a whole passage, and a rare abbreviation such as <b>{text(short[0])}</b> leaves "
            "hardly a trace in it. A search by keywords only has to find the same letters."
            if short
            else "Its words are those of the question, but as a whole it seemed to speak of other things."
        )
        return answer_to(
            f"Why did the search by meaning miss {short[0] if short else 'it'}?",
            "why-meaning-missed",
            f"{where} is only number <b>{worst.rank_by_meaning}</b> by meaning, but number <b>{by_words}</b> by keywords. "
            f"{because}",
        )
    place = f"number <b>{worst.rank_by_keywords}</b>" if worst.rank_by_keywords else "<b>beyond the best sixty</b>"
    return answer_to(
        "Why did the search by keywords miss it?",
        "why-keywords-missed",
        f"{where} is number <b>{worst.rank_by_meaning}</b> by meaning, but by keywords {place}. It says the same in other "
        "words, and a search by keywords knows only the words themselves.",
    )


def _words(view: View, search: SearchRecord) -> str:
    """Each word of the question with its best match in the best passages."""
    drawn = []
    for match in search.matches:
        passage = next(p for p in search.passages if p.id == match.id)
        heaviest = max((word.weight for word in match.words), default=1.0)
        asked = marked(
            search.text,
            [
                (*word.question, f"data-word='{n}' tabindex='0' style='--near:{word.likeness * word.weight / heaviest:.2f}'")
                for n, word in enumerate(match.words)
            ],
        )
        met: dict[tuple[int, int], list[str]] = {}
        for n, word in enumerate(match.words):
            met.setdefault(word.passage, []).append(str(n))
        found = marked(match.text, [(*span, f"data-word='{' '.join(words)}'") for span, words in met.items()])
        rows = [
            (
                search.text[slice(*word.question)],
                match.text[slice(*word.passage)],
                f"{word.likeness:.2f}",
                f"{word.weight:.1f}",
            )
            for word in match.words
        ]
        is_open = " open" if view.followed and match.id == view.followed.chunk.id else ""
        drawn.append(
            f"<details class='fl-words'{is_open}><summary>{view.named(match.id)} {text(passage.section)}: score "
            f"{passage.score or 0:.2f}</summary><p class='fl-asked-words'>{asked}</p><p class='fl-found-words'>{found}</p>"
            + table("Word by word", ("in the question", "nearest in the passage", "nearness", "counts for"), rows)
            + "</details>"
        )
    return (
        "<h4>Word by word</h4>"
        + paragraph(
            "Re-ranking looks, for each piece of a word in the question, for the nearest one in the passage (late "
            "interaction). "
            "Rare words count for more. Point at a word of the question, or reach it with Tab, to see where it was found."
        )
        + "".join(drawn)
    )


def prompt_stage(view: View) -> str:
    """The exact text that the model was given, part by part."""
    prompted = view.trace.last(Prompted)
    if prompted is None:
        return paragraph("No prompt was made: the model was not asked.")
    totals: dict[PartKind, int] = {}
    for part in prompted.parts:
        totals[_kind(part.kind)] = totals.get(_kind(part.kind), 0) + part.tokens
    count = sum(totals.values())
    sizes = [(_PARTS[kind], float(tokens), f"{tokens} tokens") for kind, tokens in totals.items()]
    return (
        answer_to(
            "What exactly was the model given?",
            "what-the-model-was-given",
            f"The <b>{count}</b> tokens below, and nothing else: no web, no file, no earlier talk. The best passage comes "
            "last, right before the question, because a small model heeds most what it read last.",
        )
        + bars("Tokens of each part of the prompt", sizes, max(totals.values(), default=1), [_TINTS[kind] for kind in totals])
        + _cached(view)
        + paragraph(_left_out(prompted))
        + "<h4>Verbatim</h4><div class='fl-prompt' tabindex='0' role='region' aria-label='The prompt'>"
        + "".join(_part(view, part.kind, part.text, part.tokens) for part in prompted.parts)
        + "</div>"
    )


def _kind(kind: str) -> PartKind:
    return next(known for known in _PARTS if known == kind)


def _part(view: View, kind: str, content: str, tokens: int) -> str:
    identifier = view.of_text(content) if kind == "passage" else ""
    name = view.letters.get(identifier, "")
    tag = letter(name, view.kind(identifier))
    followed = view.kind(identifier) if identifier else ""
    return f"<span class='fl-part fl-part-{kind} {followed}' title='{text(kind)}, {tokens} tokens'>{tag}{text(content)}</span>"


def _left_out(prompted: Prompted) -> str:
    if not prompted.left_out:
        return "Nothing was left out: all passages that were chosen had room."
    sections = "; ".join(text(section) for section in prompted.left_out)
    return f"Left out: {sections}. {text(prompted.left_out_reason)}"


def _cached(view: View) -> str:
    reading = view.trace.first(Reading)
    if reading is None:
        return ""
    known = reading.passages_from_cache
    share = f"{reading.from_cache} of {reading.tokens} tokens were read before and came from the cache"
    passages = f", {sum(known)} of {len(known)} passages among them" if known else ""
    return paragraph(f"{share}{passages}; only {reading.tokens - reading.from_cache} had to be read now.")
