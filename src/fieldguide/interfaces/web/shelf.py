"""The conversations that are kept: opened, searched, deleted, imported; and the editing of a question in one of them."""

from collections.abc import Callable
from html import escape
from typing import Any

import gradio as gr

from fieldguide.assembly import Fieldguide
from fieldguide.errors import ConversationError
from fieldguide.interfaces.conversation_store import ConversationStore
from fieldguide.interfaces.conversations import Conversation, is_identifier, new_identifier
from fieldguide.interfaces.web import rendering, welcome
from fieldguide.interfaces.web.asking import drawn
from fieldguide.interfaces.web.parts import Parts, model_choices

Redraw = dict[Any, Any]


class Shelf:
    """The handlers of what is kept, one instance for all tabs."""

    def __init__(
        self, fieldguide: Fieldguide, store: ConversationStore, parts: Parts, leave: Callable[[gr.Request], None]
    ) -> None:
        self._fieldguide = fieldguide
        self._store = store
        self._parts = parts
        self._leave = leave  # ends the answer under way where another conversation is opened

    def arrive(self, owner: str, last: str) -> Redraw:
        """A page was opened: who is it, and what was open last?"""
        owner = owner if is_identifier(owner) else new_identifier()
        last = last if is_identifier(last) else new_identifier()
        model = self._fieldguide.settings.model
        choice = gr.Dropdown(choices=model_choices(self._fieldguide.models(), model), value=model)
        collections = self._fieldguide.own.collection_names()
        where = gr.Dropdown(choices=collections, visible=len(collections) > 1)  # without documents of one's own, no choice
        return {self._parts.owner: owner, self._parts.model: choice, self._parts.where: where, **self._shown(owner, last)}

    def open(self, owner: str, request: gr.Request, data: gr.EventData) -> Redraw:
        """Another conversation is chosen from the list."""
        self._leave(request)
        return self._shown(owner, str(data._data.get("id", "")))

    def new(self, owner: str, request: gr.Request) -> Redraw:
        """Begin an empty conversation."""
        self._leave(request)
        return self._shown(owner, new_identifier())

    def search(self, words: str, owner: str, current: str) -> Redraw:
        """List what mentions these words."""
        return self._listed(owner, current, words)

    def list_all(self, owner: str, current: str) -> Redraw:
        """List the older ones, too."""
        return {self._parts.shelf: welcome.shelf(self._store.list(owner, limit=None), current)}

    def delete(self, words: str, owner: str, current: str, request: gr.Request, data: gr.EventData) -> Redraw:
        """Put a conversation aside, with a way back."""
        identifier = str(data._data.get("id", ""))
        if identifier == current:
            self._leave(request)
        try:
            title = self._store.load(owner, identifier).title
        except ConversationError:  # damaged, but it may go
            title = "the conversation"
        try:
            self._store.delete(owner, identifier)
        except ConversationError as error:
            return {self._parts.undo: _note(str(error))}
        undo = f"<button type='button' class='fg-button' data-do='restore' data-id='{escape(identifier)}'>Undo</button>"
        gone = {self._parts.undo: f"<div class='fg-undo' role='status'><span>Deleted: {escape(title)}</span>{undo}</div>"}
        if identifier == current:
            return {**self._shown(owner, new_identifier()), **gone}
        return {**self._listed(owner, current, words), **gone}

    def restore(self, owner: str, request: gr.Request, data: gr.EventData) -> Redraw:
        """Take the last deletion back."""
        self._leave(request)
        identifier = str(data._data.get("id", ""))
        try:
            self._store.restore(owner, identifier)
        except ConversationError as error:
            return {self._parts.undo: _note(str(error))}
        return self._shown(owner, identifier)

    def add_copy(self, owner: str, request: gr.Request, data: gr.EventData) -> Redraw:
        """Keep an exported conversation and open it."""
        self._leave(request)
        try:
            added = self._store.add_copy(owner, str(data._data.get("text", "")), "The chosen file")
        except ConversationError as error:
            return {self._parts.undo: _note(str(error))}
        return self._shown(owner, added.id)

    def edit(self, owner: str, current: str, data: gr.EventData) -> Redraw:
        """Put an earlier question into the box, and say what asking it will replace."""
        try:
            held = self._store.load(owner, current)
        except ConversationError as error:
            return {self._parts.status: rendering.status(str(error))}
        position = data._data.get("position")
        if not isinstance(position, int) or not -len(held.exchanges) <= position < len(held.exchanges):
            return {}
        position %= len(held.exchanges)
        later = len(held.exchanges) - position - 1
        told = f"Its answer and the {later} later ones will be replaced." if later > 1 else "Its answer will be replaced."
        if later == 1:
            told = "Its answer and the later one will be replaced."
        cancel = "<button type='button' class='fg-button' data-do='cancel'>Cancel</button>"
        return {
            self._parts.question: held.exchanges[position].question,
            self._parts.editing: position,
            self._parts.banner: f"<div class='fg-notice'><p>Editing question {position + 1}. {told}</p>{cancel}</div>",
        }

    def cancel_edit(self) -> Redraw:
        """Go on at the end of the conversation."""
        return {self._parts.question: "", self._parts.editing: None, self._parts.banner: ""}

    def _shown(self, owner: str, identifier: str) -> Redraw:
        parts, told = self._parts, ""
        try:
            held = self._store.load(owner, identifier)
        except ConversationError as error:
            held, told = Conversation(new_identifier()), str(error)
        return {
            **self.cancel_edit(),
            **self._listed(owner, held.id, ""),
            parts.conversation: drawn(self._fieldguide, held, owner),
            parts.under_way: "",
            parts.current: held.id,
            parts.last: held.id,
            parts.undo: "",
            parts.search: "",
            parts.status: rendering.status(told),
            parts.send: gr.Button(visible=True),
            parts.stop: gr.Button(visible=False),
        }

    def _listed(self, owner: str, current: str, words: str) -> Redraw:
        return {self._parts.shelf: welcome.shelf(self._store.list(owner, words), current, words)}


def _note(text: str) -> str:
    return f"<p class='fg-problem' role='alert'>{escape(text)}</p>"
