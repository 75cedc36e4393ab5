"""Events to what the page shows: pure functions. Text of documents, models and users is always escaped."""

from collections.abc import Sequence
from html import escape

from fieldguide.events import Event, Failed, Finished, Gated, Loading, Queued, Reading, Reread, Retrieved, Rewritten, Token
from fieldguide.types import Answer, Citation, Hit, Quote


def status_line(event: Event) -> str | None:
    """What is happening, in a few words with a number; None for events that change nothing here."""
    match event:
        case Loading():
            share = f" {event.share:.0%}" if event.share is not None else ""
            return f"{event.what}{share}"
        case Queued():
            return f"{_ordinal(event.position)} in the queue"
        case Rewritten():
            return f"Searching for: {event.question}" if event.changed else "Searching"
        case Retrieved():
            return f"Found {len(event.result.hits)} passages"
        case Reading():
            return f"Reading {event.tokens} tokens, {event.done} done, {event.from_cache} known already"
        case Gated(answerable=True) | Token():
            return "Answering"
        case Reread():
            return "Unsure: reading the nearest sentences again"
        case Finished():
            return _summary(event.answer)
        case Failed():
            return f"{event.message} {event.remedy}".strip()
    return None


def status(text: str) -> str:
    """A line that screen readers announce when it changes, as HTML."""
    return f"<p class='fg-status' role='status'>{escape(text) or '&nbsp;'}</p>"


def answer_text(answer: Answer) -> str:
    """The prose with its citation markers; sentences that no source supports are marked in words."""
    if answer.abstained:
        return answer.text
    pieces = []
    for sentence in answer.sentences:
        markers = "".join(f"[{marker}]" for marker in sentence.markers)
        note = "" if sentence.verdict == "supported" else f" ({_VERDICTS[sentence.verdict]})"
        pieces.append(f"{sentence.text} {markers}".strip() + note)
    return " ".join(pieces)


def sources_panel(answer: Answer) -> str:
    """Cited sources with their quotes, then the passages that were also retrieved, as HTML."""
    cited = {(citation.document, citation.section) for citation in answer.citations}
    others = [hit for hit in answer.retrieved if (hit.chunk.document, hit.chunk.section) not in cited][:6]
    heading = "Closest passages" if answer.abstained else "Also retrieved"
    parts = [f"<p class='fg-note'>{escape(answer.note)}</p>"] if answer.note else []
    if answer.citations:
        parts.append("<h3>Cited</h3>" + "".join(map(_citation_card, answer.citations)))
    parts.append(f"<h3>{heading}</h3>" + "".join(map(_hit_card, others)))
    return "".join(parts)


def quotes_panel(quotes: Sequence[Quote]) -> str:
    """The sentences that look like the answer, before the model has spoken, as HTML."""
    if not quotes:
        return "<p class='fg-empty'>Reading the closest passages …</p>"
    cards = [
        f"<article class='fg-card'><p class='fg-where'>{_place(q.chunk.document, q.chunk.section)}</p>"
        f"<blockquote>{escape(q.text)}</blockquote></article>"
        for q in quotes[:_QUOTES_SHOWN]
    ]
    return "<h3>This looks like the answer</h3>" + "".join(cards)


NO_SOURCES = "<p class='fg-empty'>Sources appear here: the sentences that an answer rests on, and where they stand.</p>"

_QUOTES_SHOWN = 3
_VERDICTS = {"weak": "only partly supported by the guides", "unsupported": "not supported by the guides"}


def _citation_card(citation: Citation) -> str:
    passage = escape(citation.passage).replace(escape(citation.quote), f"<mark>{escape(citation.quote)}</mark>", 1)
    return (
        f"<article class='fg-card' id='source-{citation.marker}'>"
        f"<p class='fg-where'><b>[{citation.marker}]</b> {_place(citation.document, citation.section)}</p>"
        f"<blockquote>{escape(citation.quote)}</blockquote>"
        f"<details><summary>Read the passage</summary><p class='fg-passage'>{passage}</p></details></article>"
    )


def _hit_card(hit: Hit) -> str:
    chunk = hit.chunk
    return (
        f"<article class='fg-card'><details><summary>{_place(chunk.document, chunk.section)}</summary>"
        f"<p class='fg-passage'>{escape(chunk.text)}</p></details></article>"
    )


def _place(document: str, section: str) -> str:
    return f"<span class='fg-document'>{escape(document)}</span> {escape(section)}"


def _summary(answer: Answer) -> str:
    seconds = f"{answer.timings.total_s:.1f} s"
    if answer.abstained:
        return f"Not in the guides ({seconds})"
    supported = sum(sentence.verdict == "supported" for sentence in answer.sentences)
    first = f"first word after {answer.timings.first_token_s:.1f} s, " if answer.timings.first_token_s else ""
    count = len(answer.sentences)
    noun = "sentence" if count == 1 else "sentences"
    return f"{supported} of {count} {noun} supported by the guides; {first}done after {seconds}"


def _ordinal(number: int) -> str:
    endings = {1: "st", 2: "nd", 3: "rd"}
    return f"{number}{'th' if 10 < number % 100 < 14 else endings.get(number % 10, 'th')}"
