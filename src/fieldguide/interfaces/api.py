"""The HTTP interface, documented at `/openapi.json`: OpenAI's under `/v1`, our own under `/api`, and how the server is.

`POST /api/ask` gives the event stream of a question, one JSON object a line; `GET /api/status` says who answers.
"""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict, replace
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

import fieldguide
from fieldguide.errors import FieldguideError
from fieldguide.events import Event, Failed, as_object
from fieldguide.generation.model import Cancellation
from fieldguide.interfaces.running import fingerprint
from fieldguide.interfaces.serving.access import client_of
from fieldguide.interfaces.serving.completions import completions
from fieldguide.interfaces.serving.documents import REFUSALS, documents
from fieldguide.interfaces.serving.embeddings import embeddings
from fieldguide.interfaces.serving.forms import QUESTION
from fieldguide.interfaces.serving.health import health
from fieldguide.interfaces.serving.problems import is_openai, problem, problem_of, status_of
from fieldguide.interfaces.serving.service import Service
from fieldguide.interfaces.streaming import as_they_come
from fieldguide.types import Turn

PATHS = ("/api/", "/v1/", "/healthz", "/readyz", "/metrics", "/openapi.json")  # all else is the page's
_OTHER_SETTINGS = Failed(
    "The running Fieldguide has other settings by now.", "Start fieldguide ask again: it then loads its own model."
)
_LINES = {200: {"content": {"application/x-ndjson": {"schema": {"type": "string"}}}}}


class Message(BaseModel):
    """An earlier turn of the conversation."""

    model_config = ConfigDict(extra="forbid")
    role: Literal["user", "assistant"]
    content: str


class Ask(BaseModel):
    """A question and what was said before it, oldest first."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"question": QUESTION}]})
    question: Annotated[str, Field(description="At most 2,000 characters.")]
    history: list[Message] = []
    settings: Annotated[str, Field(description="The fingerprint of /api/status; others are refused. '' for any.")] = ""
    collections: Annotated[list[str], Field(description="Which to search; all where none is named.")] = []


def create_api(service: Service, instance: str) -> FastAPI:
    """The API as an application of its own; `instance` tells this process from others."""
    api = FastAPI(title="Fieldguide", version=fieldguide.__version__, docs_url=None, redoc_url=None)
    for router in (completions(service), embeddings(service), documents(service), health(service)):
        api.include_router(router)

    @api.get("/api/status", tags=["Operation"])
    def status() -> dict[str, Any]:
        """Who answers here, and whether a question would have to wait for loading."""
        return {
            "version": fieldguide.__version__,
            "instance": instance,
            "settings": fingerprint(service.settings),
            "ready": service.is_ready,
            "loading": [asdict(loading) for loading in service.still_loading],
            "failure": str(service.failure) if service.failure else None,
        }

    @api.post("/api/ask", tags=["Questions"], response_class=StreamingResponse, responses={**REFUSALS, **_LINES})  # type: ignore[dict-item]
    async def ask(asked: Ask, request: Request) -> StreamingResponse:
        """Answer a question: events as JSON lines, the last one Finished or Failed. Closing the connection stops it."""
        cancellation = Cancellation()
        history = [Turn(message.role, message.content) for message in asked.history]
        options = replace(service.default_options(), client=client_of(request))
        events: Iterator[Event] = iter([_OTHER_SETTINGS])
        if asked.settings in ("", fingerprint(service.settings)):
            events = service.answer(asked.question, history, options, cancellation, asked.collections)
        coming = as_they_come(events, cancellation)
        first = await anext(coming)
        return StreamingResponse(_lines(first, coming), *_opening(first), media_type="application/x-ndjson")

    @api.get("/api/traces/{trace_id}", tags=["Questions"], responses=REFUSALS)
    def trace(trace_id: str, request: Request) -> Response:
        """Every event of a chat completion, for a while, for whoever asked for it."""
        events = service.trace(trace_id, client_of(request))
        if events is None:
            return problem(request.url.path, 404, "There is no such trace any more.", "Ask again.")
        return JSONResponse({"id": trace_id, "events": events})

    @api.exception_handler(RequestValidationError)
    async def refuse(request: Request, error: RequestValidationError) -> JSONResponse:
        """One line: what, where, what to do."""
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        status, path = 400 if is_openai(request.url.path) else 422, request.url.path
        remedy = 'Send {"question": "..."} as JSON.' if path == "/api/ask" else "See /openapi.json."
        return problem(path, status, f"The request cannot be used: {where}: {first['msg']}.", remedy)

    @api.exception_handler(FieldguideError)
    async def tell(request: Request, error: FieldguideError) -> JSONResponse:
        return problem_of(request.url.path, error)

    @api.exception_handler(HTTPException)
    async def no_such_thing(request: Request, error: HTTPException) -> JSONResponse:
        return problem(request.url.path, error.status_code, f"{error.detail}.", "See /openapi.json.")

    return api


def _opening(first: Event) -> tuple[int, dict[str, str]]:
    """The status and headers of a stream that begins so: only who is turned away at once is told by them."""
    if isinstance(first, Failed) and first.reason in ("busy", "ended"):
        return status_of(first), {"retry-after": str(max(1, round(first.seconds or 1)))}
    return 200, {}


async def _lines(first: Event, rest: AsyncIterator[Event]) -> AsyncIterator[str]:
    yield _line(first)
    async for event in rest:
        yield _line(event)


def _line(event: Event) -> str:
    return json.dumps(as_object(event), ensure_ascii=False) + "\n"
