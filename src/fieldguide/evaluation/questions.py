"""Questions with known answers, one JSON object a line.

{"id","kind","question","history"?,"must":[["alt","alt"],...],"must_not":[],"expect":"abstain"?,
 "passages"?:[{"title","text"}],"sources"?:["file.md#Heading"]}
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fieldguide.errors import EvaluationError
from fieldguide.types import Turn

_KEYS = {"id", "kind", "question", "history", "must", "must_not", "expect", "passages", "sources"}
Split = Literal["dev", "test"]


@dataclass(frozen=True, slots=True)
class Question:
    """One row. An answer is right when each group of `must` has an alternative in it and nothing of `must_not` occurs."""

    id: str
    kind: str
    question: str
    history: tuple[Turn, ...]
    must: tuple[tuple[str, ...], ...]
    must_not: tuple[str, ...]
    abstain: bool
    passages: tuple[tuple[str, str], ...]
    sources: tuple[str, ...]

    @property
    def split(self) -> Split:
        """Half of the questions are for tuning, half for reporting; a fact and its paraphrases (`id~p1`) stay together."""
        digest = hashlib.sha256(self.id.split("~")[0].encode()).digest()
        return "dev" if digest[0] % 2 == 0 else "test"


def load_questions(path: Path, warn: Callable[[str], None] = lambda _: None) -> list[Question]:
    """Read a questions file whole; raises EvaluationError with the line number of the first row that cannot be used.

    Keys that are not known are passed over; `warn` is told of them.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise EvaluationError(f"{path} cannot be read: {error.strerror or error}.", "Give a questions file.") from error
    except UnicodeDecodeError as error:
        raise EvaluationError(f"{path} is not UTF-8 text.", "Save it as UTF-8.") from error
    questions: dict[str, Question] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        row = _parsed(line, where)
        for key in sorted(set(row) - _KEYS):
            warn(f"{where}: the key '{key}' is not known and is passed over.")
        question = _question(row, where)
        if question.id in questions:
            raise EvaluationError(f"{where}: the id '{question.id}' stands twice.", "Give each row an id of its own.")
        questions[question.id] = question
    if not questions:
        raise EvaluationError(f"{path} holds no questions.", "Write one JSON object a line.")
    return list(questions.values())


def _parsed(line: str, where: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise EvaluationError(f"{where}: not JSON ({error.msg}, column {error.colno}).", "Mend the line.") from error
    if not isinstance(row, dict):
        raise EvaluationError(f"{where}: not a JSON object.", "Write one JSON object a line.")
    return row


def _question(row: dict[str, Any], where: str) -> Question:
    for key in ("id", "question"):
        if not isinstance(row.get(key), str) or not row[key].strip():
            raise EvaluationError(f"{where}: '{key}' is missing or empty.", "Every row needs an id and a question.")
    if row.get("expect") not in (None, "abstain"):
        raise EvaluationError(f"{where}: 'expect' is {row['expect']!r}.", 'It may only be "abstain".')
    try:
        return Question(
            id=row["id"],
            kind=str(row.get("kind", "")),
            question=row["question"],
            history=tuple(Turn(turn["role"], str(turn["content"])) for turn in row.get("history", ())),
            must=tuple(tuple(str(alternative) for alternative in group) for group in row.get("must", ())),
            must_not=tuple(str(text) for text in row.get("must_not", ())),
            abstain=row.get("expect") == "abstain",
            passages=tuple((str(passage["title"]), str(passage["text"])) for passage in row.get("passages", ())),
            sources=tuple(str(source) for source in row.get("sources", ())),
        )
    except (TypeError, KeyError) as error:
        raise EvaluationError(f"{where}: a value is not of its form ({error}).", "See docs/evaluation.md.") from error
