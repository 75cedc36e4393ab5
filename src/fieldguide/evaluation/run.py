"""Ask every question in one of four ways and keep each answer as soon as it is there.

end-to-end     as users ask: search, read, decide, answer, check
oracle         the passages that hold the answer are given: what the reading alone is worth
no-retrieval   the model alone: what it knows without the guides
retrieval      the search alone: what could be read at all
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from fieldguide.answering.assistant import RETRIEVED, AnswerOptions
from fieldguide.answering.rewrite import standalone
from fieldguide.errors import EvaluationError
from fieldguide.evaluation.questions import Question
from fieldguide.events import Event, Failed, Finished
from fieldguide.types import Answer, Chunk, SearchResult, Timings, TokenCounts, Turn

Mode = Literal["end-to-end", "oracle", "no-retrieval", "retrieval"]
MODES: tuple[Mode, ...] = ("end-to-end", "oracle", "no-retrieval", "retrieval")
Row = dict[str, Any]
Report = Callable[[int, int, float], None]
_FAR_ENOUGH = 40  # hits looked at in retrieval mode: deeper than any prompt


class Asked(Protocol):
    """What the evaluation needs of the program."""

    def answer(self, question: str, history: Sequence[Turn] = (), options: AnswerOptions | None = None) -> Iterator[Event]:
        """The event stream of one question."""

    def search(self, question: str, limit: int) -> SearchResult:
        """Ranked passages."""

    def chunks(self) -> list[Chunk]:
        """All passages of the index."""

    def default_options(self) -> AnswerOptions:
        """How a question is answered where nothing else is asked for."""


@dataclass(frozen=True, slots=True)
class Run:
    """What made a set of answers; answers of another making are never mixed in."""

    mode: Mode
    made_with: dict[str, Any]


def run_questions(
    asked: Asked, questions: Sequence[Question], run: Run, answers: Path, report: Report = lambda *_: None
) -> list[Row]:
    """Ask what has no answer in the file yet and append each answer; gives the rows of these questions, in their order.

    A row that fails is kept with its `error`, and the run goes on. Raises EvaluationError when the file holds answers of
    another run, or cannot be written.
    """
    rows = _earlier_rows(answers, run)
    chunks = asked.chunks() if run.mode == "oracle" else []
    began, done_before = time.monotonic(), sum(question.id in rows for question in questions)
    try:
        with answers.open("a", encoding="utf-8") as out:
            for number, question in enumerate(questions, 1):
                if question.id not in rows:
                    row = {"id": question.id, **_ask(asked, question, run.mode, chunks)}
                    rows[question.id] = row
                    out.write(json.dumps(row, ensure_ascii=False) + "\n")
                    out.flush()
                    new = number - done_before
                    left = (time.monotonic() - began) / max(new, 1) * (len(questions) - number)
                    report(number, len(questions), left)
    except OSError as error:
        raise EvaluationError(f"{answers} cannot be written: {error.strerror or error}.", "Give another path.") from error
    return [rows[question.id] for question in questions]


def _earlier_rows(answers: Path, run: Run) -> dict[str, Row]:
    about = answers.with_name(answers.name + ".run.json")
    wanted = {"mode": run.mode, **run.made_with}
    try:
        if not answers.exists() or not answers.stat().st_size:
            answers.parent.mkdir(parents=True, exist_ok=True)
            about.write_text(json.dumps(wanted, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
            return {}
        lines = answers.read_text(encoding="utf-8").splitlines()
        earlier = json.loads(about.read_text(encoding="utf-8")) if about.exists() else None
    except (OSError, ValueError) as error:
        raise EvaluationError(f"{answers} cannot be gone on with: {error}.", "Give another path.") from error
    if earlier != wanted:
        differing = sorted(key for key in wanted if not earlier or earlier.get(key) != wanted[key])
        raise EvaluationError(
            f"{answers} holds answers of another run (it differs in: {', '.join(differing)}).",
            "Remove it or give another path.",
        )
    rows = {}
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue  # the last line of a run that was killed: asked again
        if "error" not in row:
            rows[row["id"]] = row
    if len(rows) != len(lines):
        answers.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows.values()), encoding="utf-8")
    return rows


def _ask(asked: Asked, question: Question, mode: Mode, chunks: Sequence[Chunk]) -> Row:
    given = tuple(_given(question)) or None
    if mode == "retrieval":
        return _retrieve(asked, question)
    options = asked.default_options()
    if mode == "oracle" and given is None:
        given = tuple(chunk for chunk in chunks if f"{chunk.document}#{chunk.heading_path[-1]}" in question.sources)
        if not given:
            return {"question": question.question, "skipped": "no passages and no sources"}
    options = AnswerOptions(
        options.passages,
        options.answer_tokens,
        temperature=0.0,  # the same prompt gives the same answer
        given=given,
        without_guides=mode == "no-retrieval",
    )
    last: Event | None = None
    for event in asked.answer(question.question, question.history, options):
        last = event
    if isinstance(last, Finished):
        return last.answer.as_object()
    message = last.message if isinstance(last, Failed) else "the stream ended without an answer"
    return {"question": question.question, "error": message}


def _retrieve(asked: Asked, question: Question) -> Row:
    began = time.perf_counter()
    if question.passages:
        return {"question": question.question, "skipped": "brings its own passages"}
    result = asked.search(standalone(question.question, question.history).search_text, max(RETRIEVED, _FAR_ENOUGH))
    seconds = time.perf_counter() - began
    timings = Timings(0.0, seconds, None, seconds)
    return Answer(question.question, "", False, (), (), result.hits, timings, TokenCounts(0, 0, 0)).as_object()


def _given(question: Question) -> Iterator[Chunk]:
    for number, (title, text) in enumerate(question.passages, 1):
        yield Chunk(f"{question.id}-{number}", f"passage-{number}", title, (title,), text, 0, len(text))
