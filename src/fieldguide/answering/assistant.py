"""From a question to an answer: the one place where the stages of the online half meet, as a stream of events."""

import logging
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace

from fieldguide.answering import abbreviations
from fieldguide.answering.abstain import REFUSAL, Gate
from fieldguide.answering.clock import Clock
from fieldguide.answering.completeness import note_on_completeness
from fieldguide.answering.drafting import as_events, write_draft
from fieldguide.answering.injection import without_orders, worth_reading
from fieldguide.answering.reader import AnswerOptions, Reader
from fieldguide.answering.rewrite import Standalone, standalone
from fieldguide.answering.support import SupportChecker
from fieldguide.answering.waiting_line import WaitingLine
from fieldguide.answering.warming import Warmer
from fieldguide.characters import visible, whole
from fieldguide.errors import GenerationError, QuestionError, QueueFullError
from fieldguide.events import (
    Checked,
    Event,
    Finished,
    Gated,
    Prompted,
    Quoted,
    Retrieved,
    Rewritten,
    Token,
    Withdrawn,
    failure,
)
from fieldguide.generation import prompt as prompts
from fieldguide.generation.model import Cancellation, ChatModel
from fieldguide.retrieval.search import Search, SearchIn
from fieldguide.sentences import split_sentences
from fieldguide.types import Answer, SearchResult, Sentence, TokenCounts, Turn

MAX_QUESTION_CHARACTERS = 2000
RETRIEVED = 12  # hits reported with every answer; how many of them are read is another matter

_log = logging.getLogger(__name__)


class Assistant:
    """Answers questions over an index with a model, one at a time; others wait in line.

    `searcher` gives a search over collections anew at each question, so that what was indexed meanwhile is found.
    """

    def __init__(self, searcher: SearchIn, model: ChatModel, support: SupportChecker, gate: Gate) -> None:
        self._searcher = searcher
        self.model = model
        self._support = support
        self._gate = gate
        self.line = WaitingLine()
        self.warmer = Warmer(model, self.line)

    def answer(
        self,
        question: str,
        history: Sequence[Turn] = (),
        options: AnswerOptions | None = None,
        cancellation: Cancellation | None = None,
    ) -> Generator[Event, None, None]:
        """Everything that happens on the way to the answer; ends with exactly one Finished or Failed."""
        clock = Clock()
        options, cancellation = options or AnswerOptions(), cancellation or Cancellation()
        try:
            ticket = self.line.enter(options.client)
        except QueueFullError as full:
            yield failure(full)
            return
        self.warmer.interrupt()
        try:
            question = _checked_question(question)
            history = [replace(turn, content=whole(turn.content)) for turn in history]
            yield from self.line.wait(ticket, cancellation)
            yield from self._answer(question, history, options, cancellation, clock)
        except BaseException as error:  # a stream must end with an event, whatever broke
            _log.debug("the answer broke off", exc_info=True)
            yield failure(error)
        finally:
            self.line.leave(ticket)

    def _answer(
        self,
        question: str,
        history: Sequence[Turn],
        options: AnswerOptions,
        cancellation: Cancellation,
        clock: Clock,
    ) -> Iterator[Event]:
        searcher = None if options.without_guides else self._searcher(options.collections)
        asked = what_is_asked(question, history, options, searcher)
        reader = Reader(self.model, self._gate, self._support, asked, options, cancellation)
        if searcher is None:
            yield Rewritten(question, changed=False)
            yield from _answer_alone(question, reader, clock)
            return

        clock.rewrite_s = clock.elapsed()
        yield Rewritten(asked.search_text, asked.search_text != question)
        result, most = yield from _search(searcher, asked.search_text, options, clock)
        readable = worth_reading(result)

        short = abbreviations.asked_for(question)
        sentences, citations = abbreviations.spelled_out(short, readable)
        if sentences:  # nothing is left to ask the model
            text, tokens = " ".join(sentence.text for sentence in sentences), TokenCounts(0, 0, 0)
            clock.first_token_s = clock.elapsed()
            yield Token(text, None)
            yield from as_events(sentences, citations)
            yield Finished(Answer(question, text, False, sentences, citations, result.hits, clock.timings(), tokens))
            return

        packed, prompted = reader.pack(readable[:most])
        yield prompted
        tokens = yield from reader.read(packed.messages)

        judgement = reader.judge(result.hits[0].score if result.hits else 0.0)
        yield Gated(judgement.answerable, judgement.numbers)
        if not judgement.answerable:
            yield Finished(_refusal(question, result, clock, tokens))
            return
        draft, tokens = yield from reader.draft(packed, result, tokens, clock)

        _require_words(draft.text)
        sentences, citations = draft.sentences, draft.citations
        if prompts.REFUSAL_WORDS in draft.text:
            reason = "The model itself found no answer in the passages."
        elif short and not abbreviations.fits_letters(short, draft.text):
            reason = f"No words of the draft fit the letters of {short}."
        else:
            judgement = reader.judge_draft(judgement, draft)
            yield Gated(judgement.answerable, judgement.numbers)
            reason = "" if judgement.answerable else "The passages do not bear the draft out."
        if reason:
            yield Withdrawn(reason)
            yield Finished(_refusal(question, result, clock, tokens))
            return
        text = draft.text
        if told := (yield from reader.told_elsewhere(draft, packed, result)):
            sentence, citation = told
            yield Checked(sentence, (citation,))
            text, sentences, citations = f"{text} {sentence.text}", (*sentences, sentence), (*citations, citation)
        note = note_on_completeness(question, len(packed.included))
        yield Finished(Answer(question, text, False, sentences, citations, result.hits, clock.timings(), tokens, note))


def what_is_asked(question: str, history: Sequence[Turn], options: AnswerOptions, searcher: Search | None) -> Standalone:
    """What is searched for and what the model is asked; misspelt words are corrected where there is a search of our own."""
    asked = standalone(question, history)
    if options.search_text:  # as somebody wants it searched for
        return replace(asked, search_text=options.search_text)
    return asked.corrected(searcher.corrected) if searcher and options.given is None else asked


def _search(
    searcher: Search, search_text: str, options: AnswerOptions, clock: Clock
) -> Generator[Event, None, tuple[SearchResult, int]]:
    """What is found, or was given, and how many of its passages are read at most."""
    if options.given is None:
        result, most = searcher.search(search_text, RETRIEVED), options.passages
    else:
        result, most = searcher.rank(search_text, options.given), len(options.given)
    if not options.orders_are_read:
        result = without_orders(result)
    clock.retrieve_s = clock.elapsed() - clock.rewrite_s
    yield Retrieved(result)
    yield Quoted(result.quotes)
    return result, most


def _answer_alone(question: str, reader: Reader, clock: Clock) -> Iterator[Event]:
    messages = prompts.build_messages_alone(reader.asked.question, reader.asked.earlier_question)
    yield Prompted(reader.part_counts(messages), (), "")
    tokens = yield from reader.read(messages)
    draft = yield from clock.noting(write_draft(reader.model, reader.writing(""), reader.cancellation))
    _require_words(draft.text)
    sentences = tuple(Sentence(span.text, "unsupported") for span in split_sentences(draft.text))
    tokens = replace(tokens, generated=len(draft.tokens))
    yield Finished(Answer(question, draft.text, False, sentences, (), (), clock.timings(), tokens))


def _require_words(draft: str) -> None:
    if not draft:
        raise GenerationError("The model wrote nothing.", "Ask in other words, or raise answer_tokens.")


def _refusal(question: str, result: SearchResult, clock: Clock, tokens: TokenCounts) -> Answer:
    return Answer(question, REFUSAL, True, (), (), result.hits, clock.timings(), tokens)


def _checked_question(question: str) -> str:
    """The question without blanks around it; raises QuestionError when nothing or far too much is asked."""
    question = " ".join(visible(whole(question)).split())
    if not question:
        raise QuestionError("The question is empty.", "Type a question about the guides.")
    if len(question) > MAX_QUESTION_CHARACTERS:
        raise QuestionError(
            f"The question has {len(question):,} characters; at most {MAX_QUESTION_CHARACTERS:,} can be asked.",
            "Shorten it to the point that you want to know.",
        )
    return question
