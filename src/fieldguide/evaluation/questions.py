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
        lines = path.read_text(encoding="utf-8").split("\n")
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
    return Question(
        id=row["id"],
        kind=_text(row, "kind", where) if "kind" in row else "",
        question=row["question"],
        history=tuple(_turn(turn, where) for turn in _items(row, "history", where)),
        must=tuple(tuple(_filled(group, "must", where)) for group in _items(row, "must", where)),
        must_not=tuple(_filled(row.get("must_not", []), "must_not", where, may_be_empty=True)),
        abstain=row.get("expect") == "abstain",
        passages=tuple(_passage(passage, where) for passage in _items(row, "passages", where)),
        sources=tuple(_filled(row.get("sources", []), "sources", where, may_be_empty=True)),
    )


def _wrong(key: str, where: str, should: str) -> EvaluationError:
    return EvaluationError(f"{where}: '{key}' is not {should}.", "See docs/evaluation.md for the form of a row.")


def _items(row: dict[str, Any], key: str, where: str) -> list[Any]:
    value = row.get(key, [])
    if not isinstance(value, list):
        raise _wrong(key, where, "a list")
    return value


def _filled(value: Any, key: str, where: str, *, may_be_empty: bool = False) -> list[str]:  # noqa: ANN401 - parsed JSON
    """A list of texts, none of them blank."""
    if not isinstance(value, list) or not all(isinstance(text, str) and text.strip() for text in value):
        raise _wrong(key, where, "made of lists of texts")
    if not value and not may_be_empty:
        raise _wrong(key, where, "made of groups with an alternative each")
    return value


def _text(row: dict[str, Any], key: str, where: str) -> str:
    if not isinstance(row.get(key), str):
        raise _wrong(key, where, "a text")
    return str(row[key])


def _turn(turn: Any, where: str) -> Turn:  # noqa: ANN401 - parsed JSON
    if not isinstance(turn, dict) or turn.get("role") not in ("user", "assistant"):
        raise _wrong("history", where, 'a list of turns with the role "user" or "assistant"')
    return Turn(turn["role"], _text(turn, "content", where))


def _passage(passage: Any, where: str) -> tuple[str, str]:  # noqa: ANN401 - parsed JSON
    if not isinstance(passage, dict):
        raise _wrong("passages", where, "a list of objects with title and text")
    return _text(passage, "title", where), _text(passage, "text", where)
