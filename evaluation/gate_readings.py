"""What a gate would see of many questions: read with the gate held open, and kept."""

import hashlib
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fieldguide.answering.abstain import DraftSignals, Judgement, Signals
from fieldguide.answering.assistant import RETRIEVED, Assistant
from fieldguide.answering.rewrite import standalone
from fieldguide.answering.support import SupportChecker
from fieldguide.assembly import Fieldguide
from fieldguide.evaluation.metrics import holds, is_right
from fieldguide.evaluation.questions import Question
from fieldguide.events import Finished, Gated, Retrieved
from fieldguide.settings import Settings
from fieldguide.types import Chunk

Numbers = NDArray[np.float32]
DOCUMENTS = Path(__file__).parent / "tuning-documents"
SAVED_EVERY = 20  # questions: some two minutes
_ABOUT_A_DOCUMENT = re.compile(r"i[a-p]-[^-]+")  # how the ids of questions about one invented document begin
_TO_COMPARE = re.compile(r"(u[a-f]|i[i-p])-")  # how those of questions begin that were written to teach comparing
_TO_COMPARE_UNSEEN = re.compile(r"i[n-p]-")


@dataclass(frozen=True, slots=True)
class Readings:
    """What was read off: one row a question and set of passages."""

    groups: NDArray[np.str_]  # the question; its paraphrases belong to it
    sets: NDArray[np.str_]
    due: NDArray[np.bool_]  # whether a refusal is due
    as_found: NDArray[np.bool_]  # whether the passages are those that the search brings; only then is a draft written
    leaning: Numbers
    score: Numbers
    values: Numbers  # (rows, layers, width)
    surety: Numbers  # the draft's mean log-probability
    draft_values: Numbers
    questions: NDArray[np.str_]
    drafts: NDArray[np.str_]  # '' where none was written, or where the model itself said that nothing was found
    passages: NDArray[np.str_]  # ids of those that were read, with blanks between
    right: NDArray[np.bool_]  # the draft

    def only(self, rows: NDArray[Any]) -> "Readings":
        """Some of the rows."""
        return Readings(*(getattr(self, name)[rows] for name in self.__slots__))


class Recorder:
    """A gate that is always open and remembers what it was shown."""

    name = "open"

    def __init__(self) -> None:
        self.draft: DraftSignals | None = None
        self.signals: Signals | None = None

    def judge(self, signals: Signals) -> Judgement:
        """Note the signals."""
        self.signals, self.draft = signals, None
        return Judgement(answerable=True, numbers={})

    def judge_draft(self, signals: DraftSignals) -> Judgement:
        """Note the signals."""
        self.draft = signals
        return Judgement(answerable=True, numbers={})


def invented(settings: Settings) -> Settings:
    """The invented documents in place of the guides, with an index and a passage cache of their own."""
    folder = settings.data_dir / "invented"
    return replace(settings, guides_dir=DOCUMENTS, data_dir=folder, passage_cache_gb=8.0)


Use = Literal["adapter", "gate", "neither"]


def use_of(question: Question) -> Use:
    """What may learn from this question: the adapter, or the gate, which would otherwise see answers known by heart.

    Paraphrases stay together. Of the invented documents, half are the adapter's, with all their questions, and a quarter the
    gate's; the rest tell how both do over documents that neither has seen. Of what teaches comparing, the guides' questions and
    those about twenty of the documents are the adapter's.
    """
    if teaches_comparing(question):
        return "neither" if _TO_COMPARE_UNSEEN.match(question.id) else "adapter"
    if document := document_of(question):
        uses: tuple[Use, ...] = ("gate", "adapter", "adapter", "neither")
        return uses[_drawn(document) % 4]
    return "gate" if _drawn(question.id.split("~")[0]) % 2 == 0 else "adapter"


def teaches_comparing(question: Question) -> bool:
    """Whether it belongs to the third part of the learning: comparisons, tables, siblings, two things asked at once."""
    return bool(_TO_COMPARE.match(question.id))


def document_of(question: Question) -> str | None:
    """The invented document that a question is about, by the beginning of its id; None for questions about the guides."""
    found = _ABOUT_A_DOCUMENT.match(question.id)
    return found[0] if found else None


def _drawn(name: str) -> int:
    return hashlib.md5(name.encode(), usedforsecurity=False).digest()[-1]


def read(made: Fieldguide, questions: Sequence[Question], name: str, path: Path, *, take_facts_away: bool) -> None:
    """Read every question, and keep what the gate would have seen; `take_facts_away`: once more without its facts.

    The first questions that stand in the file already are not read again; exits where it holds others.
    """
    kept = load(path) if path.exists() else None
    done = int(kept.as_found.sum()) if kept else 0
    if kept and list(kept.questions[kept.as_found]) != [question.question for question in questions[:done]]:
        sys.exit(f"{path} was read of other questions: remove it, or raise --most.")
    unfinished = path.with_suffix(".new.npz")
    assert made._model
    assert made._embedder
    recorder = Recorder()
    support = SupportChecker(made._embedder.result())
    assistant = Assistant(lambda _: made.searcher(), made._model.result(), support, recorder)
    rows: list[tuple[Any, ...]] = []
    for number, question in enumerate(questions[done:], done + 1):
        for given in contexts(made, question) if take_facts_away else (None,):
            options = replace(made.default_options(), temperature=0.0, given=given, compared=False)
            text, chunk_ids = "", list[str]()
            for event in (stream := assistant.answer(question.question, question.history, options)):
                if given and isinstance(event, Gated):
                    stream.close()
                if isinstance(event, Retrieved):
                    chunk_ids = [hit.chunk.id for hit in event.result.hits[: options.passages]]
                if isinstance(event, Finished):
                    text = event.answer.text
            before, draft = recorder.signals, recorder.draft
            assert before
            assert before.values is not None
            rows.append(
                (
                    question.id.split("~")[0],
                    name,
                    question.abstain or bool(given),
                    not given,
                    before.refusal_log_probability,
                    before.best_score,
                    before.values,
                    draft.log_probability if draft else 0.0,
                    before.values if draft is None or draft.values is None else draft.values,
                    question.question,
                    text if draft else "",
                    " ".join(chunk_ids),
                    is_right(question, text, abstained=False),
                )
            )
        sys.stderr.write(f"\r{name}: {number} of {len(questions)} ")
        if number % SAVED_EVERY == 0 or number == len(questions):
            new = Readings(*map(np.array, zip(*rows, strict=True)))
            kept, rows = joined([kept, new]) if kept else new, []
            np.savez_compressed(unfinished, **{column: getattr(kept, column) for column in Readings.__slots__})
            unfinished.replace(path)


def contexts(made: Fieldguide, question: Question) -> Iterator[tuple[Chunk, ...] | None]:
    """None for the passages as they are found; then, for an answerable question, the best of those without its facts."""
    yield None
    if not question.abstain and (without := without_facts(made, question)):
        yield without


def without_facts(made: Fieldguide, question: Question) -> tuple[Chunk, ...] | None:
    """The best passages that do not hold an answerable question's facts; None where there are too few."""
    wanted = made.settings.passages
    hits = made.search(standalone(question.question, question.history).search_text, 6 * wanted).hits
    without = [hit.chunk for hit in hits if not any(holds(hit.chunk.passage, [group]) for group in question.must)]
    return tuple(without[:wanted]) if len(without) >= wanted else None


def load(path: Path) -> Readings:
    """What was read of a set."""
    with np.load(path, allow_pickle=False) as found:
        return Readings(*(found[name] for name in Readings.__slots__))


def joined(parts: Sequence[Readings]) -> Readings:
    """Several sets as one."""
    return Readings(*(np.concatenate([getattr(part, name) for part in parts]) for name in Readings.__slots__))


def unsupported(made: Fieldguide, readings: Readings) -> Numbers:
    """The share of each draft's sentences that its passages do not support; 1 where there is no draft."""
    assert made._embedder
    support = SupportChecker(made._embedder.result())
    chunks = {chunk.id: chunk for chunk in made.chunks()}
    shares = np.ones(len(readings.due), np.float32)
    for row in np.flatnonzero(readings.drafts != ""):
        passages = [chunks[i] for i in str(readings.passages[row]).split() if i in chunks]
        question = str(readings.questions[row])
        nearest = made.searcher().search(question, RETRIEVED).quotes
        sentences, _ = support.check(str(readings.drafts[row]), passages, question, nearest)
        shares[row] = np.mean([sentence.verdict == "unsupported" for sentence in sentences])
    return shares
