"""One passage followed through all stages: where it is at each of them, in a sentence, read from the run."""

from collections.abc import Callable

from fieldguide.events import Prompted, Reading
from fieldguide.interfaces.learn.pieces import paragraph, text
from fieldguide.interfaces.learn.view import View
from fieldguide.retrieval.explain import PassageScore
from fieldguide.types import Hit
from fieldguide.words import ordinal


def followed_shown(view: View, stage: str) -> str:
    """The sentence for this stage; nothing where no passage is followed."""
    hit = view.followed
    if hit is None or stage not in _WHERE:
        return ""
    return paragraph(f"{view.named(hit.chunk.id)} {_WHERE[stage](view, hit)}", "fl-follow")


def _score(view: View, hit: Hit) -> PassageScore | None:
    search = view.trace.search
    return next((p for p in search.passages if p.id == hit.chunk.id), None) if search else None


def _file(_: View, hit: Hit) -> str:
    chunk = hit.chunk
    return f"stands in {text(chunk.document)}, from character {chunk.start:,} to {chunk.end:,}."


def _passage(view: View, hit: Hit) -> str:
    score = _score(view, hit)
    size = f", {score.tokens} tokens long" if score else ""
    return f"is one passage{size}; its headings are <i>{text(hit.chunk.section)}</i>."


def _vector(view: View, hit: Hit) -> str:
    score = _score(view, hit)
    near = f"; their nearness to the question's is {score.by_meaning:.2f}" if score else ""
    return f"has become {view.trace.made_with.dimension} numbers{near}."


def _on_the_map(view: View, hit: Hit) -> str:
    score = _score(view, hit)
    if score is None:
        return "is not on this map."
    return f"is the dot with its letter; by all numbers it is the {ordinal(score.rank_by_meaning)} nearest to the question."


def _question(_: View, __: Hit) -> str:
    return "is not known to be of use yet: so far there is only the question."


def _found(view: View, hit: Hit) -> str:
    score = _score(view, hit)
    if score is None:
        return "was not searched for."
    words = f"{ordinal(score.rank_by_keywords)} by keywords" if score.rank_by_keywords else "not found by keywords"
    return f"is {ordinal(score.rank_by_meaning)} by meaning, {words}, and {ordinal(hit.rank)} in the end."


def _place(view: View, hit: Hit) -> int | None:
    """Which of the prompt's passages it is, from the first."""
    passages = view.trace.passages[::-1]
    return passages.index(hit.chunk.passage) if hit.chunk.passage in passages else None


def _in_the_prompt(view: View, hit: Hit) -> str:
    place, prompted = _place(view, hit), view.trace.last(Prompted)
    if place is None or prompted is None:
        return "was not given to the model."
    part = [part for part in prompted.parts if part.kind == "passage"][place]
    count = len(view.trace.passages)
    where = "stands last" if place == count - 1 else f"is the {ordinal(place + 1)}"
    return f"{where} of {count} passages in the prompt: {part.tokens} tokens of the language model."


def _in_the_answer(view: View, hit: Hit) -> str:
    answer = view.trace.answer
    resting = sum(c.chunk_id == hit.chunk.id for c in answer.citations) if answer else 0
    return "is what the answer rests on." if resting else "was read, but no sentence rests on it."


def _checked(view: View, hit: Hit) -> str:
    answer = view.trace.answer
    quotes = [c.quote for c in answer.citations if c.chunk_id == hit.chunk.id] if answer else []
    return f"supports the answer with <q>{text(quotes[0])}</q>" if quotes else "supports no sentence of the answer."


def _influence(view: View, hit: Hit) -> str:
    found, place = view.trace.influence, _place(view, hit)
    if found is None or place is None or not found.without:
        return "may have mattered or not: nothing was measured."
    change = found.without[::-1][place] - found.whole
    return f"taken away changes the answer's log-probability by {change:+.3f}."


def _timing(view: View, hit: Hit) -> str:
    reading, place = view.trace.first(Reading), _place(view, hit)
    if reading is None or place is None or len(reading.passages_from_cache) <= place:
        return "was not looked for in the cache."
    return "had been read before: it came from the cache." if reading.passages_from_cache[place] else "had to be read now."


_WHERE: dict[str, Callable[[View, Hit], str]] = {
    "file": _file,
    "passages": _passage,
    "vectors": _vector,
    "map": _on_the_map,
    "question": _question,
    "search": _found,
    "prompt": _in_the_prompt,
    "answer": _in_the_answer,
    "check": _checked,
    "influence": _influence,
    "timings": _timing,
}
