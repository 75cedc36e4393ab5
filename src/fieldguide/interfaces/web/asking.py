"""From a question to redraws of the page, and a stop that stops."""

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from html import escape
from typing import Any

import gradio as gr

import fieldguide as package
from fieldguide.answering.reader import AnswerOptions
from fieldguide.assembly import Fieldguide
from fieldguide.errors import ConversationError, FieldguideError
from fieldguide.events import Event
from fieldguide.generation.model import Cancellation
from fieldguide.interfaces.conversation_store import ConversationStore
from fieldguide.interfaces.conversations import Conversation, Exchange, Receipt, new_identifier
from fieldguide.interfaces.serving.limits import CLIENT_HEADER
from fieldguide.interfaces.web import rendering, sources, welcome
from fieldguide.interfaces.web.parts import LENGTHS, Parts
from fieldguide.interfaces.web.progress import Progress, batches

_TRY_AGAIN_TEMPERATURE = 0.7
_INTERRUPTED = "The answer was interrupted. Try again when you like."

Redraw = dict[Any, Any]


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
        self,
        question: str,
        editing: int | None,
        owner: str,
        current: str,
        length: str,
        alone: bool,
        where: list[str],
        request: gr.Request,
    ) -> Iterator[Redraw]:
        """Answer what stands in the question box: a new question, or an earlier one that was edited."""
        options = self._options(length, where, request)
        for redraw in self._answer(question, editing, owner, current, options, alone=alone, tab=_tab(request)):
            # What was typed goes when its answer is begun: it stays where the conversation cannot be read.
            yield {**redraw, self._parts.question: ""} if self._parts.current in redraw else redraw

    def respond_to_click(
        self,
        owner: str,
        current: str,
        length: str,
        alone: bool,
        where: list[str],
        request: gr.Request,
        data: gr.EventData,
    ) -> Iterator[Redraw]:
        """Answer an example, or the last question once more: with another seed, or another text to search for."""
        options, asked = self._options(length, where, request), data._data
        position = asked.get("position")
        again = isinstance(position, int)
        if again:
            if "search_text" in asked:
                options = replace(options, search_text=" ".join(str(asked["search_text"]).split()))
            else:
                options = replace(options, temperature=_TRY_AGAIN_TEMPERATURE, seed=secrets.randbelow(2**31))
        question = str(asked.get("question", ""))
        yield from self._answer(question, position, owner, current, options, alone=alone, again=again, tab=_tab(request))

    def choose_model(self, wanted: str) -> Iterator[Redraw]:
        """Let another model answer from now on; where that fails, the one in use goes on."""
        parts = self._parts
        try:
            for loading in self._fieldguide.use_model(wanted):
                yield {parts.model_note: rendering.status(f"{rendering.status_line(loading)} {loading.detail}")}
            yield {parts.model_note: rendering.status(f"{self._fieldguide.model_name} answers from now on.")}
        except FieldguideError as error:
            told = rendering.status(f"{error} The model in use goes on.")
            yield {parts.model_note: told, parts.model: self._fieldguide.settings.model}

    def stop(self, request: gr.Request) -> None:
        """End the tab's answer, if one is under way, within milliseconds."""
        if cancellation := self._running.get(_tab(request)):
            cancellation.cancel()

    def leave(self, request: gr.Request) -> None:
        """The same, when the tab turns to something else: what is left of the answer is not drawn any more."""
        if cancellation := self._running.pop(_tab(request), None):
            cancellation.cancel()

    def _options(self, length: str, where: Sequence[str], request: gr.Request) -> AnswerOptions:
        client = request.headers.get(CLIENT_HEADER, "")
        options = replace(self._fieldguide.default_options(), collections=tuple(where or ()), client=client)
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
        with self._turn(tab) as mine:
            if mine is None:
                return
            try:
                held = self._store.load(owner, current or new_identifier())
            except ConversationError as error:
                yield {self._parts.status: rendering.status(str(error))}
                return
            position = len(held.exchanges) if position is None else max(0, min(position, len(held.exchanges)))
            place = _Place(owner, held, position, again and position < len(held.exchanges))
            question = place.question or question
            progress = Progress(question, options.search_text, alone="" if alone else None)
            trouble = self._keep_begun(place, question)
            yield self._begun(place, progress)
            history = place.before.history()

            answer = self._fieldguide.answer
            yield from self._redraws(answer(question, history, options, mine), progress.take, progress, tab, mine)
            if alone and progress.answer:
                from_memory = answer(question, history, replace(options, without_guides=True), mine)
                yield from self._redraws(from_memory, progress.take_alone, progress, tab, mine)

            done, trouble = self._keep(place, progress.exchange(self._receipt(progress, options)), trouble)
            finished = self._finished(owner, done, progress, trouble)
            if self._running.get(tab) is mine:
                del self._running[tab]
                yield finished
            elif tab not in self._running:  # a redraw may have been on its way when the tab turned to something else
                progress.status = ""
                yield {self._parts.under_way: "", **self._status(progress, going_on=False)}

    @contextmanager
    def _turn(self, tab: str) -> Iterator[Cancellation | None]:
        """The tab's turn to ask; none while its last answer is under way: a second key or click meant the same question."""
        mine = Cancellation()
        if self._running.setdefault(tab, mine) is not mine:
            yield None
            return
        try:
            yield mine
        finally:
            mine.cancel()  # nobody is there any more, if this did not come to its end
            if self._running.get(tab) is mine:
                del self._running[tab]

    def _redraws(
        self,
        events: Iterator[Event],
        take: Callable[[Sequence[Event]], None],
        progress: Progress,
        tab: str,
        mine: Cancellation,
    ) -> Iterator[Redraw]:
        for batch in batches(events):
            take(batch)
            if self._running.get(tab) is mine:
                yield {self._parts.under_way: progress.shown(), **self._status(progress, going_on=True)}

    def _begun(self, place: "_Place", progress: Progress) -> Redraw:
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

    def _finished(self, owner: str, done: Conversation, progress: Progress, trouble: str) -> Redraw:
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
        if (place.again and not exchange.answer) or not exchange.question.strip():
            return place.held, trouble
        try:
            return self._store.put(place.owner, place.held.id, place.position, exchange), trouble
        except ConversationError as error:
            return place.before.with_exchange(place.position, exchange), str(error)

    def _status(self, progress: Progress, *, going_on: bool) -> Redraw:
        return {
            self._parts.status: rendering.status(progress.status),
            self._parts.send: gr.Button(visible=not going_on),
            self._parts.stop: gr.Button(visible=going_on),
        }

    def _receipt(self, progress: Progress, options: AnswerOptions) -> Receipt | None:
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
            options.collections or tuple(self._fieldguide.own.collection_names()),
        )


def drawn(fieldguide: Fieldguide, held: Conversation, owner: str, *, begun: bool = False) -> str:
    """A conversation as HTML, with `begun` as it stands above an answer under way; before the first question, an invitation."""
    try:
        guides = fieldguide.guides()
    except FieldguideError:
        guides = []  # loading meets the same failure, and the page tells it
    if not held.exchanges:
        return "" if begun else welcome.welcome(guides)
    titles, exports = [guide.title for guide in guides], f"/conversations/{owner}/{held.id}"
    html = rendering.conversation(held, titles, exports, goes_on=begun)
    return sources.without_ways_to(_gone(fieldguide, held), html)


def _gone(fieldguide: Fieldguide, held: Conversation) -> set[str]:
    """Passages that a conversation rests on and that are in the library no more: a kept answer keeps its quotes."""
    answers = [exchange.answer for exchange in held.exchanges if exchange.answer]
    ids = {c.chunk_id for answer in answers for c in answer.citations} | {h.chunk.id for a in answers for h in a.retrieved}
    try:
        return ids - {chunk.id for chunk in fieldguide.chunks(ids)} if ids else set()
    except FieldguideError:
        return set()  # nothing is indexed yet: the page tells why


def _tab(request: gr.Request) -> str:
    return str(request.session_hash)
