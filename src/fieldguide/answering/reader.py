"""The model at work on one question: it reads passages, is judged by the gate, and writes drafts that code checks."""

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

from fieldguide.answering.abstain import DraftSignals, Gate, Judgement, Signals
from fieldguide.answering.agreement import differ, names_another
from fieldguide.answering.clock import Clock
from fieldguide.answering.drafting import Draft, Verdicts, as_events, outcome, write_draft
from fieldguide.answering.rewrite import Standalone
from fieldguide.answering.support import SupportChecker
from fieldguide.errors import QuestionError
from fieldguide.events import Compared, Event, PartCount, Prompted, Reading, Reread, Withdrawn
from fieldguide.generation import prompt as prompts
from fieldguide.generation.model import Cancellation, ChatModel, Message, WritingOptions
from fieldguide.types import Chunk, Citation, SearchResult, Sentence, TokenCounts

_REPEATED = 3  # sentences that stand beside the question when it is read a second time
_COMPARED = 2  # passages asked whether they agree: a second or two each
_SURE_FROM = -0.5  # log-odds; a false alarm is worse than silence: on the dev half of contradictions.jsonl none is above


@dataclass(frozen=True, slots=True)
class AnswerOptions:
    """How one question is answered."""

    passages: int = 4
    answer_tokens: int = 220
    temperature: float = 0.0
    seed: int = 0
    alternatives: int = 0
    second_reading: bool = True  # a doubtful draft is followed by another, with the nearest sentences beside the question
    compared: bool = True  # a passage that has another number is asked the same question: does it agree?
    given: tuple[Chunk, ...] | None = None  # answer from exactly these passages, without a search
    orders_are_read: bool = False  # leave in the passages what speaks to the model, to see what comes of it
    without_guides: bool = False  # ask the model alone: no passage, no gate, no citation
    search_text: str = ""  # searched for instead of what question and history give
    collections: tuple[str, ...] = ()  # searched; all where none is named
    client: str = ""  # who asks, where clients have to share: they take turns


@dataclass(frozen=True, slots=True)
class Reader:
    """A model with its gate, and the check of what it writes, for one question."""

    model: ChatModel
    gate: Gate
    support: SupportChecker
    asked: Standalone
    options: AnswerOptions
    cancellation: Cancellation

    def pack(self, chunks: Sequence[Chunk]) -> tuple[prompts.PackedPrompt, Prompted]:
        """A prompt with as many of the passages as there is room for; raises QuestionError where there is none for any."""
        budget = self.model.context_length - self.options.answer_tokens - 1
        packed = prompts.pack(self.asked.question, chunks, self._count, budget, self.asked.earlier_question)
        if not packed.fits or (chunks and not packed.included):
            raise QuestionError(
                f"The question leaves no room for a passage in {self.model.context_length} tokens.",
                "Ask a shorter one.",
            )
        left_out = tuple(chunk.section for chunk in packed.left_out)
        reason = f"The context holds {self.model.context_length} tokens." if left_out else ""
        return packed, Prompted(self.part_counts(packed.messages), left_out, reason)

    def part_counts(self, messages: Sequence[Message]) -> tuple[PartCount, ...]:
        """The parts of a prompt with their tokens."""
        parts = self.model.render(messages)
        counts = self.model.count_tokens(parts)
        return tuple(PartCount(part.kind, part.text, tokens) for part, tokens in zip(parts, counts, strict=True))

    def read(self, messages: Sequence[Message]) -> Generator[Event, None, TokenCounts]:
        """Have the model read; raises Cancelled."""
        tokens = TokenCounts(0, 0, 0)
        for progress in self.model.read(self.model.render(messages), self.cancellation):
            tokens = TokenCounts(progress.tokens, progress.from_cache, 0)
            yield Reading(progress.done, progress.tokens, progress.from_cache, progress.passages_from_cache)
        return tokens

    def judge(self, best_score: float) -> Judgement:
        """The gate's decision over what was just read."""
        leaning = self.model.log_probability(prompts.REFUSAL_WORDS)
        return self.gate.judge(Signals(leaning, best_score, self.model.values()))

    def judge_draft(self, before: Judgement, draft: Draft) -> Judgement:
        """The gate's decision over a draft."""
        return self.gate.judge_draft(DraftSignals(before, draft.log_probability, draft.unsupported, draft.values))

    def draft(
        self, packed: prompts.PackedPrompt, result: SearchResult, tokens: TokenCounts, clock: Clock
    ) -> Generator[Event, None, tuple[Draft, TokenCounts]]:
        """The draft, and the second one in its place where that is surer."""

        def check(text: str) -> Verdicts:
            question = f"{self.asked.earlier_question} {self.asked.question}"
            return self.support.check(text, packed.included, question, result.quotes)

        # The gate has decided that there is an answer: the model may not open with a refusal.
        writing = self.writing(prompts.REFUSAL_WORDS)
        draft = yield from clock.noting(write_draft(self.model, writing, self.cancellation, check))
        nearest = [quote for quote in result.quotes if quote.chunk in packed.included][:_REPEATED]
        if self.options.second_reading and draft.is_doubtful and nearest:
            messages = self._messages(packed.included, [quote.text for quote in nearest])
            if self._count(messages) < self.model.context_length - self.options.answer_tokens:
                yield Reread(tuple(nearest))
                reread = outcome(self.read(messages))
                second = outcome(write_draft(self.model, writing, self.cancellation, check))
                # Now and then the model copies what stands beside the question, heading and all: no answer.
                if second.is_better_than(draft) and not second.text.startswith(prompts.NEAREST):
                    yield Withdrawn("A second reading, with the nearest sentences beside the question, is surer.")
                    yield from second.tokens
                    yield from as_events(second.sentences, second.citations)
                    draft, tokens = second, reread
        return draft, replace(tokens, generated=len(draft.tokens))

    def told_elsewhere(
        self, draft: Draft, packed: prompts.PackedPrompt, result: SearchResult
    ) -> Generator[Event, None, tuple[Sentence, Citation] | None]:
        """What another passage says with other numbers, as a sentence for the answer: it is asked the same question, alone.

        Likeness of words cannot tell a contradiction from a sibling's number; model and gate mostly can.
        """
        if not self.options.compared:
            return None
        question = f"{self.asked.earlier_question} {self.asked.question}"
        scores = {hit.chunk.id: hit.score for hit in result.hits}
        likest = self.support.worth_comparing(draft.sentences, draft.citations, packed.included, question)
        for chunk in likest[:_COMPARED]:
            yield Compared(chunk.section)
            outcome(self.read(self._messages([chunk])))
            before = self.judge(scores[chunk.id])
            if not before.answerable:
                continue
            other = outcome(write_draft(self.model, self.writing(prompts.REFUSAL_WORDS), self.cancellation))
            sentences, citations = self.support.check(other.text, [chunk], question, result.quotes)
            judgement = self.judge_draft(before, replace(other, sentences=sentences, citations=citations))
            surely = judgement.answerable and judgement.numbers.get("draft_evidence", 0.0) >= _SURE_FROM
            if not citations or not surely or names_another(question, citations[0].quote):
                continue
            if differ(draft.text, other.text, question):
                citation = replace(citations[0], marker=len(draft.citations) + 1)
                text = f"The passages may disagree: another one says “{citation.quote}”"
                return Sentence(text, "supported", (citation.marker,)), citation
        return None

    def writing(self, forbidden: str) -> WritingOptions:
        """How the model is to write; what is forbidden may not open the answer."""
        options = self.options
        return WritingOptions(options.answer_tokens, options.temperature, options.seed, forbidden, options.alternatives)

    def _messages(self, chunks: Sequence[Chunk], beside: Sequence[str] = ()) -> tuple[Message, ...]:
        passages = [chunk.passage for chunk in chunks]
        return prompts.build_messages(self.asked.question, passages, self.asked.earlier_question, beside)

    def _count(self, messages: Sequence[Message]) -> int:
        return sum(self.model.count_tokens(self.model.render(messages)))
