"""Ask every question in one of four ways and keep each answer as soon as it is there.

end-to-end     as users ask: search, read, decide, answer, check
oracle         the passages that hold the answer are given: what the reading alone is worth
no-retrieval   the model alone: what it knows without the guides
retrieval      the search alone: what could be read at all
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from fieldguide.answering.assistant import RETRIEVED
from fieldguide.answering.reader import AnswerOptions
from fieldguide.answering.rewrite import standalone
from fieldguide.errors import EvaluationError, FieldguideError
from fieldguide.evaluation.questions import Question
from fieldguide.events import Event, Failed, Finished
from fieldguide.files import write_durably
from fieldguide.indexing.library import GUIDES
from fieldguide.types import Answer, Chunk, SearchResult, Timings, TokenCounts, Turn

Mode = Literal["end-to-end", "oracle", "no-retrieval", "retrieval"]
_ASKED = (GUIDES,)  # the questions are about these, whatever else is in the library
MODES: tuple[Mode, ...] = ("end-to-end", "oracle", "no-retrieval", "retrieval")
Row = dict[str, Any]
Report = Callable[[int, int, float], None]
_FAR_ENOUGH = 40  # hits looked at in retrieval mode: deeper than any prompt


class Asked(Protocol):
    """What the evaluation needs of the program."""

    def answer(self, question: str, history: Sequence[Turn] = (), options: AnswerOptions | None = None) -> Iterator[Event]:
        """The event stream of one question."""

    def search(self, question: str, limit: int, collections: Sequence[str] = ()) -> SearchResult:
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
    left = [question for question in questions if question.id not in rows]
    began = time.monotonic()
    try:
        with answers.open("a", encoding="utf-8") as out:
            for number, question in enumerate(left, 1):
                row = rows[question.id] = {"id": question.id, **_ask(asked, question, run.mode, chunks)}
                out.write(json.dumps(row, ensure_ascii=False) + "\n")
                out.flush()
                seconds_left = (time.monotonic() - began) / number * (len(left) - number)
                report(len(questions) - len(left) + number, len(questions), seconds_left)
    except OSError as error:
        raise EvaluationError(f"{answers} cannot be written: {error.strerror or error}.", "Give another path.") from error
    return [rows[question.id] for question in questions]


def run_file(answers: Path) -> Path:
    """Where it stands what made the answers."""
    return answers.with_name(answers.name + ".run.json")


def write_text(path: Path, text: str) -> None:
    """Write a whole file or leave the one that is there; raises EvaluationError when that is not possible."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(path, text)
    except OSError as error:
        raise EvaluationError(f"{path} cannot be written: {error.strerror or error}.", "Give another path.") from error


def _earlier_rows(answers: Path, run: Run) -> dict[str, Row]:
    about = run_file(answers)
    wanted = {"mode": run.mode, **run.made_with}
    try:
        data = answers.read_bytes() if answers.exists() else b""
        earlier = json.loads(about.read_text(encoding="utf-8")) if data and about.exists() else {}
    except (OSError, ValueError) as error:
        raise EvaluationError(f"{answers} cannot be gone on with: {error}.", "Give another path.") from error
    if not data:
        write_text(about, json.dumps(wanted, indent=2, ensure_ascii=False) + "\n")
        return {}
    if earlier != wanted:
        differing = sorted(key for key in wanted.keys() | earlier.keys() if earlier.get(key) != wanted.get(key))
        raise EvaluationError(
            f"{answers} holds answers of another run (it differs in: {', '.join(differing)}).",
            "Remove it or give another path.",
        )
    lines = data.split(b"\n")
    rows = {}
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            continue  # the last line of a run that was killed: asked again
        if "error" not in row:
            rows[row["id"]] = row
    if len(rows) != len(lines) - 1 or lines[-1]:  # a whole file ends with a line break
        write_text(answers, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows.values()))
    return rows


def _ask(asked: Asked, question: Question, mode: Mode, chunks: Sequence[Chunk]) -> Row:
    given = as_chunks(question.id, question.passages) or None
    if mode == "retrieval":
        try:
            return _retrieve(asked, question)
        except FieldguideError as error:
            return {"question": question.question, "error": error.message}
    options = asked.default_options()
    if mode == "oracle" and given is None:
        given = tuple(chunk for chunk in chunks if f"{chunk.document}#{chunk.heading_path[-1]}" in question.sources)
        if not given:
            reason = "its sources are no sections of the guides" if question.sources else "no passages and no sources"
            return {"question": question.question, "skipped": reason}
    options = replace(
        options,
        temperature=0.0,  # the same prompt gives the same answer
        given=given,
        without_guides=mode == "no-retrieval",
        collections=_ASKED,
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
    search_text = standalone(question.question, question.history).search_text
    result = asked.search(search_text, max(RETRIEVED, _FAR_ENOUGH), _ASKED)
    seconds = time.perf_counter() - began
    timings = Timings(0.0, seconds, None, seconds)
    return Answer(question.question, "", False, (), (), result.hits, timings, TokenCounts(0, 0, 0)).as_object()


def as_chunks(question_id: str, passages: Iterable[tuple[str, str]]) -> tuple[Chunk, ...]:
    """Passages that a question brings, each a title and a text."""
    return tuple(
        Chunk(f"{question_id}-{number}", f"passage-{number}", title, (title,), text, 0, len(text))
        for number, (title, text) in enumerate(passages, 1)
    )
