"""From a question to an answer: the one place where the stages of the online half meet, as a stream of events."""

import logging
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace

from fieldguide.answering.abstain import REFUSAL, DraftSignals, Gate, Signals
from fieldguide.answering.completeness import note_on_completeness
from fieldguide.answering.drafting import Draft, outcome, write_draft
from fieldguide.answering.rewrite import Standalone, standalone
from fieldguide.answering.support import SupportChecker
from fieldguide.answering.waiting_line import POLL_SECONDS, Ticket, WaitingLine
from fieldguide.answering.warming import Warmer
from fieldguide.errors import Cancelled, FieldguideError, QuestionError
from fieldguide.events import (
    Checked,
    Event,
    Failed,
    Finished,
    Gated,
    PartCount,
    Prompted,
    Queued,
    Quoted,
    Reading,
    Reread,
    Retrieved,
    Rewritten,
    Withdrawn,
)
from fieldguide.generation import prompt as prompts
from fieldguide.generation.model import Cancellation, ChatModel, Message, WritingOptions
from fieldguide.retrieval.search import SearchIn
from fieldguide.sentences import split_sentences
from fieldguide.types import Answer, Chunk, SearchResult, Sentence, Timings, TokenCounts, Turn

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
    without_guides: bool = False  # ask the model alone: no passage, no gate, no citation
    search_text: str = ""  # searched for instead of what question and history give
    collections: tuple[str, ...] = ()  # searched; all where none is named


@dataclass(slots=True)
class _Clock:
    """When things happened, in seconds from the receipt of the question."""

    started: float
    rewrite_s: float = 0.0
    retrieve_s: float = 0.0
    first_token_s: float | None = None

    def elapsed(self) -> float:
        return time.perf_counter() - self.started

    def timings(self) -> Timings:
        return Timings(self.rewrite_s, self.retrieve_s, self.first_token_s, self.elapsed())


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
    ) -> Iterator[Event]:
        """Everything that happens on the way to the answer; ends with exactly one Finished or Failed."""
        clock = _Clock(time.perf_counter())
        options, cancellation = options or AnswerOptions(), cancellation or Cancellation()
        ticket = self.line.enter()
        self.warmer.interrupt()
        try:
            yield from self._wait(ticket, cancellation)
            yield from self._answer(_checked_question(question), history, options, cancellation, clock)
        except Cancelled as stop:
            yield Failed(stop.message, stop.remedy, "cancelled")
        except FieldguideError as error:
            yield Failed(error.message, error.remedy, "question" if isinstance(error, QuestionError) else "error")
        except Exception as error:  # a stream must end with an event, whatever broke
            _log.debug("the answer broke off", exc_info=True)
            yield Failed(f"Something broke inside Fieldguide ({type(error).__name__}: {error}).", "Please report it.")
        finally:
            self.line.leave(ticket)

    def _wait(self, ticket: Ticket, cancellation: Cancellation) -> Iterator[Event]:
        shown = 0
        while ahead := self.line.ahead_of(ticket, POLL_SECONDS):
            if cancellation.is_cancelled:
                raise Cancelled()
            if ahead != shown:
                shown = ahead
                yield Queued(ahead)

    def _answer(
        self,
        question: str,
        history: Sequence[Turn],
        options: AnswerOptions,
        cancellation: Cancellation,
        clock: _Clock,
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
            result = searcher.search(rewritten.search_text, RETRIEVED)
            chunks = [hit.chunk for hit in result.hits[: options.passages]]
        else:
            result = searcher.rank(rewritten.search_text, options.given)
            chunks = [hit.chunk for hit in result.hits]
        clock.retrieve_s = clock.elapsed() - clock.rewrite_s
        yield Retrieved(result)
        yield Quoted(result.quotes)

        packed, prompted = self._pack(question, rewritten, chunks, options)
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

        sentences, citations = draft.sentences, draft.citations
        for sentence in sentences:
            yield Checked(sentence, tuple(c for c in citations if c.marker in sentence.markers))
        if prompts.REFUSAL_WORDS in draft.text:
            reason = "The model itself found no answer in the passages."
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
        clock: _Clock,
        tokens: TokenCounts,
    ) -> Generator[Event, None, tuple[Draft, TokenCounts]]:
        """The draft, and the second one in its place where that is surer."""

        def checked(draft: Draft) -> Draft:
            return draft.checked(*self._support.check(draft.text, packed.included, f"{rewritten.earlier_question} {question}"))

        # The gate has decided that there is an answer: the model may not open with a refusal.
        draft = checked((yield from self._stream(options, prompts.REFUSAL_WORDS, cancellation, clock)))
        nearest = [quote for quote in result.quotes if quote.chunk in packed.included][:_REPEATED]
        if options.second_reading and draft.is_doubtful and nearest:
            yield Reread(tuple(nearest))
            passages = [chunk.passage for chunk in packed.included]
            beside = [quote.text for quote in nearest]
            messages = prompts.build_messages(question, passages, rewritten.earlier_question, beside)
            if self._count(messages) < self.model.context_length - options.answer_tokens:
                reread = outcome(self._read(messages, cancellation))
                second = checked(outcome(write_draft(self.model, _writing(options, prompts.REFUSAL_WORDS), cancellation)))
                if second.is_better_than(draft):
                    yield Withdrawn("A second reading, with the nearest sentences beside the question, is surer.")
                    yield from second.tokens
                    draft, tokens = second, reread
        return draft, replace(tokens, generated=len(draft.tokens))

    def _answer_alone(
        self,
        question: str,
        rewritten: Standalone,
        options: AnswerOptions,
        cancellation: Cancellation,
        clock: _Clock,
    ) -> Iterator[Event]:
        messages = prompts.build_messages_alone(question, rewritten.earlier_question)
        yield Prompted(self._part_counts(messages), (), "")
        tokens = yield from self._read(messages, cancellation)
        draft = yield from self._stream(options, "", cancellation, clock)
        sentences = tuple(Sentence(span.text, "unsupported") for span in split_sentences(draft.text))
        tokens = replace(tokens, generated=len(draft.tokens))
        yield Finished(Answer(question, draft.text, False, sentences, (), (), clock.timings(), tokens))

    def _read(self, messages: Sequence[Message], cancellation: Cancellation) -> Generator[Event, None, TokenCounts]:
        tokens = TokenCounts(0, 0, 0)
        for progress in self.model.read(self.model.render(messages), cancellation):
            tokens = TokenCounts(progress.tokens, progress.from_cache, 0)
            yield Reading(progress.done, progress.tokens, progress.from_cache, progress.passages_from_cache)
        return tokens

    def _stream(
        self, options: AnswerOptions, forbidden: str, cancellation: Cancellation, clock: _Clock
    ) -> Generator[Event, None, Draft]:
        """Let the model write, token by token, and note when the first one came."""
        stream = write_draft(self.model, _writing(options, forbidden), cancellation)
        while True:
            try:
                token = next(stream)
            except StopIteration as end:
                draft: Draft = end.value
                return draft
            if clock.first_token_s is None:
                clock.first_token_s = clock.elapsed()
            yield token

    def _part_counts(self, messages: Sequence[Message]) -> tuple[PartCount, ...]:
        parts = self.model.render(messages)
        counts = self.model.count_tokens(parts)
        return tuple(PartCount(part.kind, part.text, tokens) for part, tokens in zip(parts, counts, strict=True))

    def _pack(
        self, question: str, rewritten: Standalone, chunks: Sequence[Chunk], options: AnswerOptions
    ) -> tuple[prompts.PackedPrompt, Prompted]:
        budget = self.model.context_length - options.answer_tokens - 1
        packed = prompts.pack(question, chunks, self._count, budget, rewritten.earlier_question)
        if chunks and not packed.included:
            raise QuestionError(
                f"The question leaves no room for a passage in {self.model.context_length} tokens.",
                "Ask a shorter one.",
            )
        left_out = tuple(chunk.section for chunk in packed.left_out)
        reason = f"The context holds {self.model.context_length} tokens." if left_out else ""
        return packed, Prompted(self._part_counts(packed.messages), left_out, reason)

    def _count(self, messages: Sequence[Message]) -> int:
        return sum(self.model.count_tokens(self.model.render(messages)))


def _writing(options: AnswerOptions, forbidden: str) -> WritingOptions:
    return WritingOptions(options.answer_tokens, options.temperature, options.seed, forbidden, options.alternatives)


def _refusal(question: str, result: SearchResult, clock: _Clock, tokens: TokenCounts) -> Answer:
    return Answer(question, REFUSAL, True, (), (), result.hits, clock.timings(), tokens)


def _checked_question(question: str) -> str:
    """The question without blanks around it; raises QuestionError when nothing or far too much is asked."""
    plain = question.encode("utf-8", "replace").decode()  # half a character, as some terminals send, would break libraries
    question = " ".join(plain.replace("\0", " ").split())
    if not question:
        raise QuestionError("The question is empty.", "Type a question about the guides.")
    if len(question) > MAX_QUESTION_CHARACTERS:
        raise QuestionError(
            f"The question has {len(question):,} characters; at most {MAX_QUESTION_CHARACTERS:,} can be asked.",
            "Shorten it to the point that you want to know.",
        )
    return question
