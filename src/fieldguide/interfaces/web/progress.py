"""An answer under way: events as they come, gathered to redraws, and what they tell so far."""

import queue
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from fieldguide.events import Checked, Event, Failed, Finished, Quoted, Reading, Rewritten, Token, Withdrawn
from fieldguide.interfaces.conversations import Exchange, Receipt
from fieldguide.interfaces.web import rendering
from fieldguide.types import Answer, Citation, Quote, Sentence

_REDRAW_SECONDS = 0.07  # redrawing for each token would make the page stutter


@dataclass(slots=True)
class Progress:
    """What is known so far of the exchange under way."""

    question: str
    search_text: str = ""
    quotes: tuple[Quote, ...] = ()
    text: str = ""
    checked: tuple[Sentence, ...] = ()
    citations: tuple[Citation, ...] = ()
    answer: Answer | None = None
    failure: Failed | None = None
    alone: str | None = None  # what the model says without the guides; '' while it is still to come, None if it is not wanted
    passages_from_cache: tuple[bool, ...] = ()
    status: str = "Starting"
    asked_at: str = field(default_factory=lambda: time.strftime("%Y-%m-%dT%H:%M:%S%z"))

    def take(self, events: Sequence[Event]) -> None:
        """Note what events of the answer from the guides tell."""
        for event in events:
            self._take(event)

    def _take(self, event: Event) -> None:
        self.status = rendering.status_line(event) or self.status
        match event:
            case Rewritten(changed=True):
                self.search_text = event.question
            case Reading(passages_from_cache=known) if known and not self.passages_from_cache:
                self.passages_from_cache = known
            case Quoted():
                self.quotes = event.quotes
            case Token():
                self.text += event.text
            case Checked():
                self.checked += (event.sentence,)
                self.citations = tuple({c.marker: c for c in (*self.citations, *event.citations)}.values())
            case Withdrawn():
                self.text, self.checked, self.citations = "", (), ()
            case Finished():
                self.answer, self.text = event.answer, event.answer.text
            case Failed():
                self.failure = event

    def take_alone(self, events: Sequence[Event]) -> None:
        """Note what events of the answer without the guides tell."""
        self.status = "Answering without the guides"
        for event in events:
            match event:
                case Token():
                    self.alone = f"{self.alone or ''}{event.text}"
                case Finished():
                    self.alone = event.answer.text
                case Failed():
                    self.alone = f"{self.alone or ''}\n{event.message}".strip()

    def shown(self) -> str:
        """The exchange under way as HTML."""
        beside = self.alone is not None
        if self.answer and beside:
            return rendering.under_way(self.question, self.search_text, (), rendering.grounded_answer(self.answer), self.alone)
        prose = rendering.draft(self.text, self.checked, self.citations, beside=beside)
        return rendering.under_way(self.question, self.search_text, self.quotes, prose, self.alone)

    def exchange(self, receipt: Receipt | None) -> Exchange:
        """What came of the question."""
        failure = self.failure.told if self.failure else ""
        return Exchange(
            self.question,
            self.answer,
            failure,
            self.text if self.failure else "",
            self.search_text,
            self.alone or None,
            len(self.passages_from_cache),
            sum(self.passages_from_cache),
            receipt,
        )


def batches(events: Iterator[Event]) -> Iterator[list[Event]]:
    """Events as they come, gathered for as long as one redraw lasts.

    A thread of its own takes them from the model: a reader that goes away holds nobody up.
    """
    arrived: queue.Queue[Event | None] = queue.Queue()

    def run() -> None:
        try:
            for event in events:
                arrived.put(event)
        finally:
            arrived.put(None)

    threading.Thread(target=run, name="answer", daemon=True).start()
    while event := arrived.get():
        batch, until = [event], time.monotonic() + _REDRAW_SECONDS
        # What is found is shown at once; only words and verdicts come too fast.
        while isinstance(batch[-1], Token | Reading | Checked) and (left := until - time.monotonic()) > 0:
            try:
                following = arrived.get(timeout=left)
            except queue.Empty:
                break
            if following is None:
                yield batch
                return
            batch.append(following)
        yield batch
