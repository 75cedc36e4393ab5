"""From a question to redraws of the page, and a stop that stops."""

import queue
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from typing import Any

import gradio as gr

import fieldguide as package
from fieldguide.answering.assistant import AnswerOptions
from fieldguide.assembly import Fieldguide
from fieldguide.errors import ConversationError, FieldguideError
from fieldguide.events import Event, Failed, Finished, Quoted, Reading, Rewritten, Token, Withdrawn
from fieldguide.generation.model import Cancellation
from fieldguide.interfaces.conversations import Conversation, ConversationStore, Exchange, Receipt, new_identifier
from fieldguide.interfaces.web import rendering, welcome
from fieldguide.interfaces.web.parts import LENGTHS, Parts
from fieldguide.types import Answer, Quote

_REDRAW_SECONDS = 0.07  # redrawing for each token would make the page stutter
_TRY_AGAIN_TEMPERATURE = 0.7
_INTERRUPTED = "The answer was interrupted. Try again when you like."

Redraw = dict[Any, Any]


@dataclass(slots=True)
class _Progress:
    """What is known so far of the exchange under way."""

    question: str
    search_text: str = ""
    quotes: tuple[Quote, ...] = ()
    text: str = ""
    answer: Answer | None = None
    failure: Failed | None = None
    alone: str | None = None
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
            case Withdrawn():
                self.text = ""
            case Finished():
                self.answer, self.text = event.answer, event.answer.text
            case Failed():
                self.failure = event

    def take_alone(self, events: Sequence[Event]) -> None:
        """Note what events of the answer without the guides tell."""
        self.status, self.alone = "Answering without the guides", self.alone or ""
        for event in events:
            match event:
                case Token():
                    self.alone += event.text
                case Finished():
                    self.alone = event.answer.text
                case Failed():
                    self.alone = f"{self.alone}\n{event.message}".strip()

    def shown(self) -> str:
        """The exchange under way as HTML."""
        grounded = rendering.grounded_answer(self.answer) if self.answer and self.alone is not None else ""
        return rendering.under_way(self.question, self.search_text, self.quotes, self.text, grounded, self.alone)

    def exchange(self, receipt: Receipt | None) -> Exchange:
        """What came of the question."""
        failure = f"{self.failure.message} {self.failure.remedy}".strip() if self.failure else ""
        return Exchange(
            self.question,
            self.answer,
            failure,
            self.text if self.failure else "",
            self.search_text,
            self.alone,
            len(self.passages_from_cache),
            sum(self.passages_from_cache),
            receipt,
        )


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in a conversation a question is asked; `again` asks the one that stands there."""

    owner: str
    held: Conversation
    position: int
    again: bool

    @property
    def question(self) -> str:
        """The question that stands here, where it is asked again."""
        return self.held.exchanges[self.position].question if self.again else ""

    @property
    def before(self) -> Conversation:
        """The conversation up to here."""
        return replace(self.held, exchanges=self.held.exchanges[: self.position])


class Asking:
    """The handlers that ask, one instance for all tabs; each tab may have one answer under way."""

    def __init__(self, fieldguide: Fieldguide, store: ConversationStore, parts: Parts) -> None:
        self._fieldguide = fieldguide
        self._store = store
        self._parts = parts
        self._running: dict[str, Cancellation] = {}

    def respond(
        self, question: str, editing: int | None, owner: str, current: str, length: str, alone: bool, request: gr.Request
    ) -> Iterator[Redraw]:
        """Answer what stands in the question box: a new question, or an earlier one that was edited."""
        options = self._options(length)
        redraws = self._answer(question, editing, owner, current, options, alone=alone, tab=_tab(request))
        yield {**next(redraws), self._parts.question: ""}
        yield from redraws

    def respond_to_click(
        self, owner: str, current: str, length: str, alone: bool, request: gr.Request, data: gr.EventData
    ) -> Iterator[Redraw]:
        """Answer an example, or the last question once more: with another seed, or another text to search for."""
        options, asked = self._options(length), data._data
        position = asked.get("position")
        if isinstance(position, int):
            if "search_text" in asked:
                options = replace(options, search_text=" ".join(str(asked["search_text"]).split()))
            else:
                options = replace(options, temperature=_TRY_AGAIN_TEMPERATURE, seed=secrets.randbelow(2**31))
        question = str(asked.get("question", ""))
        again = isinstance(position, int)
        yield from self._answer(question, position, owner, current, options, alone=alone, again=again, tab=_tab(request))

    def stop(self, request: gr.Request) -> None:
        """End the tab's answer, if one is under way, within milliseconds."""
        if cancellation := self._running.get(_tab(request)):
            cancellation.cancel()

    def leave(self, request: gr.Request) -> None:
        """The same, when the tab turns to something else: what is left of the answer is not drawn any more."""
        if cancellation := self._running.pop(_tab(request), None):
            cancellation.cancel()

    def _options(self, length: str) -> AnswerOptions:
        options = self._fieldguide.default_options()
        tokens = int(options.answer_tokens * LENGTHS.get(length, 1.0))
        return replace(options, answer_tokens=max(16, min(tokens, self._fieldguide.settings.context_length // 2)))

    def _answer(
        self,
        question: str,
        position: int | None,
        owner: str,
        current: str,
        options: AnswerOptions,
        *,
        alone: bool,
        tab: str,
        again: bool = False,
    ) -> Iterator[Redraw]:
        """Ask at the end, or at an earlier position, whose exchange and all later ones are replaced.

        `again` asks the question that stands there once more; its answer is replaced only when there is another one.
        """
        if running := self._running.pop(tab, None):
            running.cancel()
        mine = self._running[tab] = Cancellation()
        try:
            held = self._store.load(owner, current or new_identifier())
        except ConversationError as error:
            yield {self._parts.status: rendering.status(str(error))}
            return
        position = len(held.exchanges) if position is None else max(0, min(position, len(held.exchanges)))
        place = _Place(owner, held, position, again and position < len(held.exchanges))
        question = place.question or question
        progress = _Progress(question, options.search_text)
        trouble = self._keep_begun(place, question)
        yield self._begun(place, progress)
        history = place.before.history()

        answer = self._fieldguide.answer
        yield from self._redraws(answer(question, history, options, mine), progress.take, progress, tab, mine)
        if alone and progress.answer:
            from_memory = answer(question, history, replace(options, without_guides=True), mine)
            yield from self._redraws(from_memory, progress.take_alone, progress, tab, mine)

        done, trouble = self._keep(place, progress.exchange(self._receipt(progress, options)), trouble)
        if self._running.get(tab) is mine:
            del self._running[tab]
            yield self._finished(owner, done, progress, trouble)
        elif tab not in self._running:  # a redraw may have been on its way when the tab turned to something else
            yield {self._parts.under_way: ""}

    def _redraws(
        self,
        events: Iterator[Event],
        take: Callable[[Sequence[Event]], None],
        progress: _Progress,
        tab: str,
        mine: Cancellation,
    ) -> Iterator[Redraw]:
        for batch in batches(events):
            take(batch)
            if self._running.get(tab) is mine:
                yield {self._parts.under_way: progress.shown(), **self._status(progress, going_on=True)}

    def _begun(self, place: "_Place", progress: _Progress) -> Redraw:
        parts = self._parts
        return {
            parts.conversation: drawn(self._fieldguide, place.before, place.owner, begun=True),
            parts.current: place.held.id,
            parts.last: place.held.id,
            parts.editing: None,
            parts.banner: "",
            parts.under_way: progress.shown(),
            parts.announcer: "",
            **self._status(progress, going_on=True),
        }

    def _finished(self, owner: str, done: Conversation, progress: _Progress, trouble: str) -> Redraw:
        parts = self._parts
        told = f"Answer: {progress.text} {rendering.summary(progress.answer)}" if progress.answer else progress.status
        progress.status = trouble or ("" if progress.answer else progress.status)
        return {
            parts.conversation: drawn(self._fieldguide, done, owner),
            parts.under_way: "",
            parts.announcer: escape(told),
            parts.shelf: welcome.shelf(self._store.list(owner), done.id),
            **self._status(progress, going_on=False),
        }

    def _keep_begun(self, place: "_Place", question: str) -> str:
        """Keep the question from the start, so that a closed tab does not lose it; why it cannot be kept, or ''."""
        if place.again or not question.strip():
            return ""
        try:
            begun = Exchange(question, failure=_INTERRUPTED)
            self._store.save(place.owner, place.before.with_exchange(place.position, begun))
        except ConversationError as error:
            return str(error)
        return ""

    def _keep(self, place: "_Place", exchange: Exchange, trouble: str) -> tuple[Conversation, str]:
        """The conversation with what came out, kept; and why it cannot be kept, or ''."""
        if place.again and not exchange.answer:
            return place.held, trouble
        if not exchange.question.strip():
            return place.held, trouble
        try:
            return self._store.put(place.owner, place.held.id, place.position, exchange), trouble
        except ConversationError as error:
            return place.before.with_exchange(place.position, exchange), str(error)

    def _status(self, progress: _Progress, *, going_on: bool) -> Redraw:
        return {
            self._parts.status: rendering.status(progress.status),
            self._parts.send: gr.Button(visible=not going_on),
            self._parts.stop: gr.Button(visible=going_on),
        }

    def _receipt(self, progress: _Progress, options: AnswerOptions) -> Receipt | None:
        if not progress.answer:
            return None
        return Receipt(
            package.__version__,
            self._fieldguide.model_name,
            self._fieldguide.model_fingerprint,
            self._fieldguide.manifest.corpus,
            progress.asked_at,
            options.passages,
            options.answer_tokens,
            options.temperature,
            options.seed,
        )


def drawn(fieldguide: Fieldguide, held: Conversation, owner: str, *, begun: bool = False) -> str:
    """A conversation as HTML; before the first question, an invitation."""
    try:
        guides = fieldguide.guides()
    except FieldguideError:
        guides = []  # loading meets the same failure, and the page tells it
    if not held.exchanges:
        return "" if begun else welcome.welcome(guides)
    return rendering.conversation(held, [guide.title for guide in guides], f"/conversations/{owner}/{held.id}")


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
        # What is found is shown at once; only words read and written come too fast.
        while isinstance(batch[-1], Token | Reading) and (left := until - time.monotonic()) > 0:
            try:
                following = arrived.get(timeout=left)
            except queue.Empty:
                break
            if following is None:
                yield batch
                return
            batch.append(following)
        yield batch


def _tab(request: gr.Request) -> str:
    return str(request.session_hash)
