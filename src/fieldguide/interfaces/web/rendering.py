"""Events and exchanges to what the page shows: pure functions. Text of documents, models and users is always escaped."""

from collections.abc import Sequence
from html import escape

from fieldguide.events import (
    Compared,
    Event,
    Failed,
    Finished,
    Gated,
    Loading,
    Queued,
    Reading,
    Reread,
    Retrieved,
    Rewritten,
    Token,
)
from fieldguide.interfaces.conversations import Conversation, Exchange
from fieldguide.interfaces.receipts import VERDICTS, exchange_text
from fieldguide.interfaces.web import sources
from fieldguide.sentences import split_sentences
from fieldguide.types import Answer, Citation, Quote, Sentence
from fieldguide.words import ordinal

_FROM_GUIDES = "<h3>From the guides</h3>"


def status_line(event: Event) -> str | None:
    """What is happening, in a few words with a number; None for events that change nothing here."""
    match event:
        case Loading():
            share = f" {event.share:.0%}" if event.share is not None else ""
            return f"{event.what}{share}"
        case Queued():
            return f"{ordinal(event.position)} in the queue{event.estimate}"
        case Rewritten():
            return f"Searching for: {event.question}" if event.changed else "Searching"
        case Retrieved():
            return f"Found {len(event.result.hits)} passages"
        case Reading():
            return f"Reading {event.tokens} tokens, {event.done} done, {event.from_cache} from cache"
        case Gated(answerable=True) | Token():
            return "Answering"
        case Reread() | Compared():
            return "Reading some of it again, to be sure"
        case Finished():
            return summary(event.answer)
        case Failed():
            return event.told
    return None


def status(text: str) -> str:
    """The line above the question box, as HTML."""
    return f"<p class='fg-status'>{escape(text) or '&nbsp;'}</p>"


def summary(answer: Answer) -> str:
    """How an answer turned out, in one line."""
    seconds = f"{answer.timings.total_s:.1f} s"
    if answer.abstained:
        return f"Not in the guides ({seconds})"
    supported = sum(sentence.verdict == "supported" for sentence in answer.sentences)
    first = f"first word after {answer.timings.first_token_s:.1f} s, " if answer.timings.first_token_s else ""
    count = len(answer.sentences)
    noun = "sentence" if count == 1 else "sentences"
    return f"{supported} of {count} {noun} supported by the guides; {first}done after {seconds}"


def conversation(held: Conversation, covered: Sequence[str] = (), exports: str = "", *, goes_on: bool = False) -> str:
    """All finished exchanges; `exports` is where the conversation can be saved from. Where it goes on, none is the last one."""
    last = len(held.exchanges) - (0 if goes_on else 1)
    return "".join(
        exchange(e, n, is_last=n == last, covered=covered, exports=exports if n == last else "")
        for n, e in enumerate(held.exchanges)
    )


def exchange(held: Exchange, position: int, *, is_last: bool, covered: Sequence[str] = (), exports: str = "") -> str:
    """One question with all that came of it."""
    answer = held.answer
    parts = [_question(held.question, position)]
    if held.search_text:
        text = escape(held.search_text)
        parts.append(_searched(held.search_text, position) if is_last else f"<p class='fg-searched'>Searched for: {text}</p>")
    if answer is None:
        written = f"<p class='fg-prose'>{escape(held.written)}</p>" if held.written else ""
        parts.append(f"<div class='fg-answers'>{written}<p class='fg-failure'>{escape(held.failure)}</p></div>")
    else:
        parts.append(f"<div class='fg-answers'>{_grounded(answer, beside=held.alone is not None)}{_alone(held.alone)}</div>")
        parts.append(f"<p class='fg-facts'>{escape(_facts(held, answer))}</p>")
    parts.append(_actions(held, position, is_last=is_last))
    if exports:
        parts.append(
            f"<p class='fg-exports'>Save this conversation: <a href='{escape(exports)}.md' download>Markdown</a> "
            f"<a href='{escape(exports)}.json' download>JSON</a></p>"
        )
    if answer is not None:
        parts.append(f"<div class='fg-kept-sources' hidden>{sources.sources_of(answer, covered)}</div>")
    parts.append(f"<div class='fg-plain' hidden>{escape(exchange_text(held))}</div>")
    return f"<article class='fg-exchange' data-position='{position}'>{''.join(parts)}</article>"


def under_way(question: str, search_text: str, quotes: Sequence[Quote], prose: str, alone: str | None) -> str:
    """The exchange that is being answered, laid out as it will be: nothing moves then. Below it, what looks like the answer."""
    searched = _searched(search_text, 0, locked=True) if search_text else ""
    return (
        f"<article class='fg-exchange fg-under-way'>{_question(question, 0)}{searched}"
        f"<div class='fg-answers'>{prose}{_alone(alone)}</div><div class='fg-quotes'>{sources.quotes(quotes)}</div></article>"
    )


def draft(text: str, checked: Sequence[Sentence], citations: Sequence[Citation], *, beside: bool = False) -> str:
    """What has been written so far, with the verdicts and the sources of the sentences that were checked so far.

    A sentence is held back until the one before it has its verdict: what can be read already is not pushed along.
    """
    text = " ".join(text.split())
    prose, end = _prose(text, checked, citations)
    end_shown = next((end + span.end for span in split_sentences(text[end:])), end)
    return (
        f"<section class='fg-answer'>{_FROM_GUIDES if beside else ''}<p class='fg-prose fg-streaming'>{prose}"
        f"{escape(text[end:end_shown])}</p></section><div class='fg-kept-sources' hidden>{sources.cited(citations)}</div>"
    )


def grounded_answer(answer: Answer) -> str:
    """The checked answer with its sources, to have the model's own set beside it."""
    return f"{_grounded(answer, beside=True)}<div class='fg-kept-sources' hidden>{sources.sources_of(answer)}</div>"


def _question(question: str, position: int) -> str:
    return (
        f"<div class='fg-asked'><h2 class='fg-question'>{escape(question)}</h2>"
        f"<button type='button' class='fg-button' data-do='edit' data-position='{position}' "
        f"aria-label='Edit question {position + 1}'>Edit</button></div>"
    )


def _searched(text: str, position: int, *, locked: bool = False) -> str:
    return (
        f"<form class='fg-searched' data-position='{position}'><label><span>Searched for:</span>"
        f"<textarea name='search' rows='2' maxlength='1000'{' readonly' * locked}>{escape(text)}</textarea></label>"
        "<button class='fg-button'>Search again</button></form>"
    )


def _grounded(answer: Answer, *, beside: bool) -> str:
    heading = _FROM_GUIDES if beside else ""
    if answer.abstained:
        refusal = f"<p class='fg-prose'>{escape(answer.text)}</p>{sources.closest(answer)}"
        return f"<section class='fg-answer'>{heading}{refusal}</section>"
    prose, _ = _prose(answer.text, answer.sentences, answer.citations)
    note = f"<p class='fg-note'>{escape(answer.note)}</p>" if answer.note else ""
    return f"<section class='fg-answer'>{heading}<p class='fg-prose'>{prose}</p>{note}</section>"


def _alone(text: str | None) -> str:
    if text is None:
        return ""
    return (
        "<section class='fg-alone'><h3>Without the guides</h3><p class='fg-note'>From the model's memory. Not checked.</p>"
        f"<p class='fg-alone-prose'>{escape(text)}</p></section>"
    )


def _prose(text: str, sentences: Sequence[Sentence], citations: Sequence[Citation]) -> tuple[str, int]:
    """The sentences with their markers and verdicts, line breaks where the model made them, and where in the text they end."""
    pieces, position = [], 0
    for sentence in sentences:
        start = text.find(sentence.text, position)
        gap = text[position:start] if start >= 0 else ""
        position = start + len(sentence.text) if start >= 0 else position
        pieces.append(("<br>" * min(gap.count("\n"), 2) or " ") + _sentence(sentence, citations))
    return "".join(pieces).removeprefix(" "), position


def _sentence(sentence: Sentence, citations: Sequence[Citation]) -> str:
    places = {c.marker: c.section for c in citations}
    markers = "".join(
        f"<button type='button' class='fg-marker' data-do='card' data-card='{m}' "
        f"aria-label='Source {m}: {escape(places.get(m, ''))}'>[{m}]</button>"
        for m in sentence.markers
    )
    word = VERDICTS.get(sentence.verdict)
    verdict = f" <span class='fg-verdict'>{word}</span>" if word else ""
    text = f"<span>{escape(sentence.text)}</span>"
    return f"<span class='fg-sentence' data-verdict='{sentence.verdict}'>{text} {markers}{verdict}</span>"


def _facts(held: Exchange, answer: Answer) -> str:
    facts = [summary(answer)]
    if held.passages_read:
        facts.append(f"{held.passages_from_cache} of {held.passages_read} passages from cache")
    if held.receipt and held.receipt.temperature:
        facts.append(f"tried again with seed {held.receipt.seed}")
    return "; ".join(facts)


def _actions(held: Exchange, position: int, *, is_last: bool) -> str:
    buttons = []
    if held.answer:
        buttons += [_button("sources", "Sources", position), _button("copy", "Copy", position)]
    if is_last:
        buttons.append(_button("again", "Try again", position))
    return f"<div class='fg-actions'>{''.join(buttons)}</div>" if buttons else ""


def _button(does: str, label: str, position: int) -> str:
    return f"<button type='button' class='fg-button' data-do='{does}' data-position='{position}'>{label}</button>"
