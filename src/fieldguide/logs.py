"""What happens, as JSON lines for machines: one object for each question, each request and each failure, joined by an id.

Written with Python's own logging under the name `fieldguide`. Texts of questions and answers are left out unless `log_texts`
is set; texts of documents always.
"""

import contextvars
import json
import logging
import secrets
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

from fieldguide.errors import SettingsError
from fieldguide.events import Event, Failed, Finished, Queued
from fieldguide.settings import Settings

_STANDARD_ERROR = "-"
_log = logging.getLogger("fieldguide")
_writes_texts = False

# Set for each request over HTTP; a question that comes in another way gets an id of its own.
request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="")


def configure(settings: Settings) -> None:
    """Begin to log where the settings say so; raises SettingsError when that file cannot be written."""
    global _writes_texts
    if not settings.log:
        return
    try:
        to_file = settings.log != _STANDARD_ERROR
        handler = logging.FileHandler(settings.log, encoding="utf-8") if to_file else logging.StreamHandler(sys.stderr)
    except OSError as error:
        raise SettingsError(f"The log {settings.log} cannot be written: {error.strerror or error}.", "Name another.") from error
    handler.setFormatter(JsonLines())
    _log.handlers[:] = [handler]
    _log.setLevel(logging.INFO)
    _log.propagate = False
    _writes_texts = settings.log_texts


class JsonLines(logging.Formatter):
    """A record as one JSON object on one line: time (UTC), level, what happened, and the fields that came with it."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        content: dict[str, Any] = {"time": f"{seconds}.{int(record.msecs):03}Z", "level": record.levelname.lower()}
        content |= {"event": record.getMessage(), **getattr(record, "fields", {})}
        if record.exc_info and record.exc_info[0]:
            content["exception"] = record.exc_info[0].__name__  # its text may hold what was asked
        return json.dumps(content, ensure_ascii=False, default=str)


def new_id() -> str:
    """An id for a request."""
    return secrets.token_hex(8)


def note(event: str, fields: Mapping[str, object], level: int = logging.INFO) -> None:
    """Log something that happened."""
    if _log.handlers:
        _log.log(level, event, extra={"fields": fields})


def logged(events: Iterator[Event], question: str) -> Iterator[Event]:
    """The event stream of a question, its end noted."""
    request, waited = request_id.get() or new_id(), 0
    about = {"request": request, "characters": len(question)}
    note("asked", {**about, "question": question} if _writes_texts else about)
    for event in events:
        if isinstance(event, Queued):
            waited = max(waited, event.position)
        elif isinstance(event, Finished):
            note("answered", {"request": request, "waited_behind": waited, **_about(event)})
        elif isinstance(event, Failed):
            level = logging.ERROR if event.reason == "error" else logging.INFO
            note("failed", {"request": request, "reason": event.reason, "message": _without_texts(event.message)}, level)
        yield event


def _about(event: Finished) -> dict[str, object]:
    answer = event.answer
    about: dict[str, object] = answer.as_object()
    kept = {name: about[name] for name in ("abstained", "timings", "tokens")}
    if _writes_texts:
        kept["answer"] = answer.text
    passages = [hit.chunk.id for hit in answer.retrieved]
    return {**kept, "passages": passages, "verdicts": [sentence.verdict for sentence in answer.sentences]}


def _without_texts(message: str) -> str:
    """An expected failure's message; of an unexpected one only its kind, as its text may hold anything."""
    return message if _writes_texts or not message.startswith("Something broke inside") else message.partition(":")[0] + ")."
