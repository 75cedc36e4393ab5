"""A Fieldguide that many ask: each question is counted, some can be looked at again, and the end is an orderly one."""

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from fieldguide.answering.reader import AnswerOptions
from fieldguide.assembly import Fieldguide
from fieldguide.events import Event, Failed, Retrieved, as_object
from fieldguide.generation.model import Cancellation
from fieldguide.interfaces.serving.metrics import Metrics
from fieldguide.retrieval.embedder import Embedder
from fieldguide.settings import Settings
from fieldguide.types import Turn

TRACES_KEPT = 32
_AGAIN_SECONDS = 10.0
_ENDING = Failed("Fieldguide is being ended.", "Ask again once it runs again.", "ended", _AGAIN_SECONDS)
_ENDED = Failed("Fieldguide was ended before this answer was.", "Ask again once it runs again.", "ended", _AGAIN_SECONDS)


class Service(Fieldguide):
    """The same Fieldguide; every front asks through it, so it sees every question."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.metrics = Metrics(lambda: len(self._assistant.line) if self._assistant else 0)
        self.is_ending = False
        self.unnamed_client = ""  # as whom those ask who come without a name; '' where nobody is told apart
        self._under_way: set[Cancellation] = set()
        self._changed = threading.Condition()
        self._broken_off = False
        self._traces: OrderedDict[str, tuple[str, list[dict[str, Any]]]] = OrderedDict()

    def answer(
        self,
        question: str,
        history: Sequence[Turn] = (),
        options: AnswerOptions | None = None,
        cancellation: Cancellation | None = None,
        collections: Sequence[str] = (),
    ) -> Iterator[Event]:
        """The event stream of one question; at the end of the program it finishes, or ends as Failed with reason "ended"."""
        cancellation = cancellation or Cancellation()
        options = options or self.default_options()
        options = replace(options, client=options.client or self.unnamed_client)
        with self._changed:
            if refused := self.is_ending:
                self.metrics.take(_ENDING)
            else:
                self._under_way.add(cancellation)
        if refused:
            yield _ENDING
            return
        try:
            for event in super().answer(question, history, options, cancellation, collections):
                was_ended = self._broken_off and isinstance(event, Failed) and event.reason == "cancelled"
                told = _ENDED if was_ended else event
                self.metrics.take(told)
                yield told
        finally:
            with self._changed:
                self._under_way.discard(cancellation)
                self._changed.notify_all()

    def end(self, seconds: float) -> bool:
        """Take no more questions, and give those under way so many seconds; whether all of them finished.

        The rest are told that they were ended: their streams have ended, too, when this returns.
        """
        with self._changed:
            self.is_ending = True
            if self._changed.wait_for(lambda: not self._under_way, seconds):
                return True
            self._broken_off = True
            for cancellation in self._under_way:
                cancellation.cancel()
            self._changed.wait_for(lambda: not self._under_way, _AGAIN_SECONDS)
        return False

    @property
    def under_way(self) -> int:
        """How many questions are being answered or wait for that."""
        return len(self._under_way)

    def embedder(self) -> Embedder:
        """What turns texts into vectors; after `loading(with_model=False)`."""
        return self._ready_embedder()

    def keep_trace(self, trace_id: str, client: str, events: Sequence[Event]) -> None:
        """Keep what happened for a while, for the client who asked."""
        shortened = [replace(e, result=replace(e.result, similarities={})) if isinstance(e, Retrieved) else e for e in events]
        with self._changed:
            self._traces[trace_id] = (client, [as_object(event) for event in shortened])
            while len(self._traces) > TRACES_KEPT:
                self._traces.popitem(last=False)

    def trace(self, trace_id: str, client: str) -> list[dict[str, Any]] | None:
        """The events of a kept trace; None where there is none that this client may see."""
        owner, events = self._traces.get(trace_id, ("", None))
        return events if owner == client else None
