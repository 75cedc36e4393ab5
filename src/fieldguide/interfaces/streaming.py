"""The event stream for callers that wait in an event loop, and what each event says of the progress."""

import asyncio
import contextvars
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

from fieldguide.events import Event, Loading, Queued, Reading, Rewritten
from fieldguide.generation.model import Cancellation


async def as_they_come(events: Iterator[Event], cancellation: Cancellation) -> AsyncIterator[Event]:
    """Events as they come; when nobody listens any more the computation is told to end, at once and in its own way."""
    loop, arrived = asyncio.get_running_loop(), asyncio.Queue[Event | None]()

    def send(event: Event | None) -> None:
        with suppress(RuntimeError):  # the loop has ended, so nobody listens any more
            loop.call_soon_threadsafe(arrived.put_nowait, event)

    def run() -> None:
        try:
            for event in events:
                send(event)
        finally:
            send(None)

    within = contextvars.copy_context()  # the request's id goes along
    threading.Thread(target=within.run, args=(run,), name="answer", daemon=True).start()
    try:
        while event := await arrived.get():
            yield event
    finally:
        cancellation.cancel()


def progress_of(event: Event) -> Loading | None:
    """How far the answer is, where the event tells that."""
    if isinstance(event, Loading):
        return event
    if isinstance(event, Queued):
        return Loading("Waiting for other questions", detail=f"{event.position} before this one{event.estimate}")
    if isinstance(event, Rewritten) and event.changed:
        return Loading(f"Searching for: {event.question}")
    if isinstance(event, Reading):
        return Loading(
            "Reading the passages",
            event.done / event.tokens,
            f"{event.done} of {event.tokens} tokens, {event.from_cache} known",
        )
    return None
