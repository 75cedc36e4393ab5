"""The HTTP interface: `POST /api/ask` gives the event stream of a question, one JSON object a line.

`GET /api/status` says who answers and whether all is loaded. Both are mounted under `/api` of the page's server.
"""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

import fieldguide
from fieldguide.events import Event, Failed, as_object
from fieldguide.generation.model import Cancellation
from fieldguide.interfaces.answerer import Answerer
from fieldguide.interfaces.running import fingerprint
from fieldguide.types import Turn

_OTHER_SETTINGS = Failed(
    "The running Fieldguide has other settings by now.", "Start fieldguide ask again: it then loads its own model."
)


class Message(BaseModel):
    """An earlier turn of the conversation."""

    model_config = ConfigDict(extra="forbid")
    role: Literal["user", "assistant"]
    content: str


class Ask(BaseModel):
    """A question and what was said before it, oldest first."""

    model_config = ConfigDict(extra="forbid")
    question: Annotated[str, Field(description="At most 2,000 characters.")]
    history: list[Message] = []
    settings: Annotated[str, Field(description="The fingerprint of /status; others are refused. '' for any.")] = ""
    collections: Annotated[list[str], Field(description="Which to search; all where none is named.")] = []


def create_api(answerer: Answerer, instance: str) -> FastAPI:
    """The API as an application of its own; `instance` tells this process from others."""
    api = FastAPI(title="Fieldguide", version=fieldguide.__version__, docs_url=None, redoc_url=None)

    @api.get("/status")
    def status() -> dict[str, Any]:
        """Who answers here, and whether a question would have to wait for loading."""
        return {
            "version": fieldguide.__version__,
            "instance": instance,
            "settings": fingerprint(answerer.settings),
            "ready": answerer.is_ready,
            "loading": [asdict(loading) for loading in answerer.still_loading],
            "failure": str(answerer.failure) if answerer.failure else None,
        }

    @api.post("/ask", response_class=StreamingResponse)
    async def ask(asked: Ask) -> StreamingResponse:
        """Answer a question: events as JSON lines, the last one Finished or Failed. Closing the connection stops it."""
        cancellation = Cancellation()
        history = [Turn(message.role, message.content) for message in asked.history]
        if asked.settings in ("", fingerprint(answerer.settings)):
            events = answerer.answer(asked.question, history, cancellation=cancellation, collections=asked.collections)
        else:
            events = iter([_OTHER_SETTINGS])
        return StreamingResponse(_lines(events, cancellation), media_type="application/x-ndjson")

    @api.exception_handler(RequestValidationError)
    async def refuse(_: Request, error: RequestValidationError) -> JSONResponse:
        """One line: what, where, what to do."""
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        message = f"The request cannot be used: {where}: {first['msg']}."
        return JSONResponse({"error": message, "remedy": 'Send {"question": "..."} as JSON.'}, status_code=422)

    return api


async def _lines(events: Iterator[Event], cancellation: Cancellation) -> AsyncIterator[str]:
    """Events as they come; when nobody listens any more the computation is told to end, at once and in its own way."""
    loop, arrived = asyncio.get_running_loop(), asyncio.Queue[Event | None]()

    def run() -> None:
        for event in events:
            loop.call_soon_threadsafe(arrived.put_nowait, event)
        loop.call_soon_threadsafe(arrived.put_nowait, None)

    threading.Thread(target=run, name="answer", daemon=True).start()
    try:
        while event := await arrived.get():
            yield json.dumps(as_object(event), ensure_ascii=False) + "\n"
    finally:
        cancellation.cancel()
