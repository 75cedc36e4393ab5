"""What a program is told when it gets no answer: one line each, in the form that its interface has for that."""

import math
from http import HTTPStatus
from typing import Any

from starlette.responses import JSONResponse

from fieldguide.errors import CollectionError, DocumentError, FieldguideError, QueueFullError
from fieldguide.events import Failed

_KINDS = {401: "authentication_error", 404: "not_found_error", 429: "rate_limit_error"}
_STATUS_OF_REASON = {"question": 400, "busy": 429, "ended": 503, "cancelled": 503, "error": 500}


def problem(path: str, status: int, message: str, remedy: str = "", seconds: float | None = None) -> JSONResponse:
    """A refusal with its status: OpenAI's form under /v1, ours elsewhere."""
    headers = {} if seconds is None else {"retry-after": str(max(1, math.ceil(seconds)))}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = "Bearer"
    message, remedy = _encodable(message), _encodable(remedy)
    content = openai_error(status, f"{message} {remedy}".strip()) if is_openai(path) else {"error": message, "remedy": remedy}
    return JSONResponse(content, status, headers)


def problem_of(path: str, error: FieldguideError) -> JSONResponse:
    """The same for what went wrong inside."""
    status = 404 if isinstance(error, CollectionError | DocumentError) else 503
    seconds = error.seconds if isinstance(error, QueueFullError) else None
    return problem(path, status, error.message, error.remedy, seconds)


def problem_of_failed(path: str, failed: Failed) -> JSONResponse:
    """The same for the event stream's end without an answer."""
    return problem(path, _STATUS_OF_REASON[failed.reason], failed.message, failed.remedy, failed.seconds)


def status_of(failed: Failed) -> int:
    """The HTTP status that says the same."""
    return _STATUS_OF_REASON[failed.reason]


def openai_error(status: int, message: str) -> dict[str, Any]:
    """The object that OpenAI's clients read."""
    kind = _KINDS.get(status, "invalid_request_error" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "server_error")
    code = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}.get(status)
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def is_openai(path: str) -> bool:
    """Whether a client of OpenAI's interface asks."""
    return path.startswith("/v1/")


def _encodable(text: str) -> str:
    """Without half characters, which no answer can carry."""
    return text.encode("utf-8", "replace").decode()
