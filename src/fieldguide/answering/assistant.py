"""From a question to an answer: the one place where the stages of the online half meet, as a stream of events."""

import logging
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace

from fieldguide.answering import abbreviations
from fieldguide.answering.abstain import REFUSAL, DraftSignals, Gate, Signals
from fieldguide.answering.clock import Clock
from fieldguide.answering.completeness import note_on_completeness
from fieldguide.answering.drafting import Draft, Verdicts, as_events, outcome, write_draft
from fieldguide.answering.injection import without_orders, worth_reading
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
    PartCount,
    Prompted,
    Quoted,
    Reading,
    Reread,
    Retrieved,
    Rewritten,
    Token,
    Withdrawn,
    failure,
)
from fieldguide.generation import prompt as prompts
from fieldguide.generation.model import Cancellation, ChatModel, Message, WritingOptions
from fieldguide.retrieval.search import SearchIn
from fieldguide.sentences import split_sentences
from fieldguide.types import Answer, Chunk, SearchResult, Sentence, TokenCounts, Turn

MAX_QUESTION_CHARACTERS = 2000
RETRIEVED = 12  # hits reported with every answer; how many of them are read is another matter
_REPEATED = 3  # sentences that stand beside the question when it is read a second time

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AnswerOptions:
    """How one question is answered."""

    passages: int = 4
    answer_tokens: int = 220
    temperature: float = 0.0
    seed: int = 0
    alternatives: int = 0
    second_reading: bool = True  # a doubtful draft is followed by another, with the nearest sentences beside the question
    given: tuple[Chunk, ...] | None = None  # answer from exactly these passages, without a search
    orders_are_read: bool = False  # leave in the passages what speaks to the model, to see what comes of it
    without_guides: bool = False  # ask the model alone: no passage, no gate, no citation
    search_text: str = ""  # searched for instead of what question and history give
    collections: tuple[str, ...] = ()  # searched; all where none is named
    client: str = ""  # who asks, where clients have to share: they take turns


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
        rewritten = standalone(question, history)
        rewritten = replace(rewritten, search_text=options.search_text or rewritten.search_text)
        clock.rewrite_s = clock.elapsed()
        yield Rewritten(rewritten.search_text, rewritten.changed)

        if options.without_guides:
            yield from self._answer_alone(question, rewritten, options, cancellation, clock)
            return

        searcher = self._searcher(options.collections)
        if options.given is None:
            result, most = searcher.search(rewritten.search_text, RETRIEVED), options.passages
        else:
            result, most = searcher.rank(rewritten.search_text, options.given), len(options.given)
        if not options.orders_are_read:
            result = without_orders(result)
        readable = worth_reading(result)
        clock.retrieve_s = clock.elapsed() - clock.rewrite_s
        yield Retrieved(result)
        yield Quoted(result.quotes)

        short = abbreviations.asked_for(question)
        sentences, citations = abbreviations.spelled_out(short, readable)
        if sentences:  # nothing is left to ask the model
            text, tokens = " ".join(sentence.text for sentence in sentences), TokenCounts(0, 0, 0)
            clock.first_token_s = clock.elapsed()
            yield Token(text, None)
            yield from as_events(sentences, citations)
            yield Finished(Answer(question, text, False, sentences, citations, result.hits, clock.timings(), tokens))
            return

        packed, prompted = self._pack(question, rewritten, readable[:most], options)
        yield prompted
        tokens = yield from self._read(packed.messages, cancellation)

        best_score = result.hits[0].score if result.hits else 0.0
        leaning = self.model.log_probability(prompts.REFUSAL_WORDS)
        judgement = self._gate.judge(Signals(leaning, best_score, self.model.values()))
        yield Gated(judgement.answerable, judgement.numbers)
        if not judgement.answerable:
            yield Finished(_refusal(question, result, clock, tokens))
            return
        draft, tokens = yield from self._draft(question, rewritten, packed, result, options, cancellation, clock, tokens)

        _require_words(draft.text)
        sentences, citations = draft.sentences, draft.citations
        if prompts.REFUSAL_WORDS in draft.text:
            reason = "The model itself found no answer in the passages."
        elif short and not abbreviations.fits_letters(short, draft.text):
            reason = f"No words of the draft fit the letters of {short}."
        else:
            judgement = self._gate.judge_draft(DraftSignals(judgement, draft.log_probability, draft.unsupported, draft.values))
            yield Gated(judgement.answerable, judgement.numbers)
            reason = "" if judgement.answerable else "The passages do not bear the draft out."
        if reason:
            yield Withdrawn(reason)
            yield Finished(_refusal(question, result, clock, tokens))
            return
        text = draft.text
        if disagreement := self._support.disagreement(sentences, citations, packed.included):
            sentence, citation = disagreement
            yield Checked(sentence, (citation,))
            text, sentences, citations = f"{text} {sentence.text}", (*sentences, sentence), (*citations, citation)
        note = note_on_completeness(question, len(packed.included))
        yield Finished(Answer(question, text, False, sentences, citations, result.hits, clock.timings(), tokens, note))

    def _draft(
        self,
        question: str,
        rewritten: Standalone,
        packed: prompts.PackedPrompt,
        result: SearchResult,
        options: AnswerOptions,
        cancellation: Cancellation,
        clock: Clock,
        tokens: TokenCounts,
    ) -> Generator[Event, None, tuple[Draft, TokenCounts]]:
        """The draft, and the second one in its place where that is surer."""

        def check(text: str) -> Verdicts:
            return self._support.check(text, packed.included, f"{rewritten.earlier_question} {question}", result.quotes)

        # The gate has decided that there is an answer: the model may not open with a refusal.
        writing = _writing(options, prompts.REFUSAL_WORDS)
        draft = yield from _timed(write_draft(self.model, writing, cancellation, check), clock)
        nearest = [quote for quote in result.quotes if quote.chunk in packed.included][:_REPEATED]
        if options.second_reading and draft.is_doubtful and nearest:
            passages = [chunk.passage for chunk in packed.included]
            beside = [quote.text for quote in nearest]
            messages = prompts.build_messages(question, passages, rewritten.earlier_question, beside)
            if self._count(messages) < self.model.context_length - options.answer_tokens:
                yield Reread(tuple(nearest))
                reread = outcome(self._read(messages, cancellation))
                second = outcome(write_draft(self.model, writing, cancellation, check))
                if second.is_better_than(draft):
                    yield Withdrawn("A second reading, with the nearest sentences beside the question, is surer.")
                    yield from second.tokens
                    yield from as_events(second.sentences, second.citations)
                    draft, tokens = second, reread
        return draft, replace(tokens, generated=len(draft.tokens))

    def _answer_alone(
        self,
        question: str,
        rewritten: Standalone,
        options: AnswerOptions,
        cancellation: Cancellation,
        clock: Clock,
    ) -> Iterator[Event]:
        messages = prompts.build_messages_alone(question, rewritten.earlier_question)
        yield Prompted(self._part_counts(messages), (), "")
        tokens = yield from self._read(messages, cancellation)
        draft = yield from _timed(write_draft(self.model, _writing(options, ""), cancellation), clock)
        _require_words(draft.text)
        sentences = tuple(Sentence(span.text, "unsupported") for span in split_sentences(draft.text))
        tokens = replace(tokens, generated=len(draft.tokens))
        yield Finished(Answer(question, draft.text, False, sentences, (), (), clock.timings(), tokens))

    def _read(self, messages: Sequence[Message], cancellation: Cancellation) -> Generator[Event, None, TokenCounts]:
        tokens = TokenCounts(0, 0, 0)
        for progress in self.model.read(self.model.render(messages), cancellation):
            tokens = TokenCounts(progress.tokens, progress.from_cache, 0)
            yield Reading(progress.done, progress.tokens, progress.from_cache, progress.passages_from_cache)
        return tokens

    def _part_counts(self, messages: Sequence[Message]) -> tuple[PartCount, ...]:
        parts = self.model.render(messages)
        counts = self.model.count_tokens(parts)
        return tuple(PartCount(part.kind, part.text, tokens) for part, tokens in zip(parts, counts, strict=True))

    def _pack(
        self, question: str, rewritten: Standalone, chunks: Sequence[Chunk], options: AnswerOptions
    ) -> tuple[prompts.PackedPrompt, Prompted]:
        budget = self.model.context_length - options.answer_tokens - 1
        packed = prompts.pack(question, chunks, self._count, budget, rewritten.earlier_question)
        if not packed.fits or (chunks and not packed.included):
            raise QuestionError(
                f"The question leaves no room for a passage in {self.model.context_length} tokens.",
                "Ask a shorter one.",
            )
        left_out = tuple(chunk.section for chunk in packed.left_out)
        reason = f"The context holds {self.model.context_length} tokens." if left_out else ""
        return packed, Prompted(self._part_counts(packed.messages), left_out, reason)

    def _count(self, messages: Sequence[Message]) -> int:
        return sum(self.model.count_tokens(self.model.render(messages)))


def _timed(writing: Generator[Event, None, Draft], clock: Clock) -> Generator[Event, None, Draft]:
    """Let the model write, and note when the first token came."""
    while True:
        try:
            event = next(writing)
        except StopIteration as end:
            draft: Draft = end.value
            return draft
        if clock.first_token_s is None:
            clock.first_token_s = clock.elapsed()
        yield event


def _writing(options: AnswerOptions, forbidden: str) -> WritingOptions:
    return WritingOptions(options.answer_tokens, options.temperature, options.seed, forbidden, options.alternatives)


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
