"""Conversations, kept on this machine: one file each, in a folder for each browser that made them.

    DATA/conversations/OWNER/ID.json            the conversation; an export is the same file
    DATA/conversations/OWNER/ID.json.deleted    the one deleted last, kept until the next deletion

Owner and ID are 32 hexadecimal digits. A file is written beside the old one and moved in its place, so that a kill at any
moment leaves one of the two whole.
"""

import json
import os
import re
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from fieldguide.errors import ConversationError
from fieldguide.types import Answer, Turn

FORMAT = "fieldguide-conversation"
FORMAT_VERSION = 1  # raise it when the file changes its form
_IDENTIFIER = re.compile(r"[0-9a-f]{32}")
_TITLE_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class Receipt:
    """What an answer was made with: enough to make it again."""

    fieldguide: str
    model: str
    model_fingerprint: str
    index: str
    asked_at: str
    passages: int
    answer_tokens: int
    temperature: float
    seed: int


@dataclass(frozen=True, slots=True)
class Exchange:
    """One question and what came of it: an answer, or why there is none and what had been written by then."""

    question: str
    answer: Answer | None = None
    failure: str = ""
    written: str = ""
    # what was searched for, where that is not the question itself
    search_text: str = ""
    # what the model said without the guides, where it was asked to
    alone: str | None = None
    passages_read: int = 0
    passages_from_cache: int = 0
    receipt: Receipt | None = None


@dataclass(frozen=True, slots=True)
class Conversation:
    """Questions and answers in order; each follows up those before it."""

    id: str
    changed_at: str = ""
    exchanges: tuple[Exchange, ...] = ()

    @property
    def title(self) -> str:
        """The first question, shortened."""
        first = self.exchanges[0].question if self.exchanges else "New conversation"
        return first if len(first) <= _TITLE_CHARACTERS else first[: _TITLE_CHARACTERS - 1].rstrip() + "…"

    def history(self) -> list[Turn]:
        """What a follow-up builds on; questions without an answer say nothing to it."""
        turns = []
        for exchange in self.exchanges:
            if exchange.answer:
                turns += [Turn("user", exchange.question), Turn("assistant", exchange.answer.text)]
        return turns

    def with_exchange(self, position: int, exchange: Exchange) -> "Conversation":
        """The conversation up to this position, and then this exchange: what came later is replaced."""
        return replace(self, exchanges=(*self.exchanges[:position], exchange))

    def mentions(self, words: str) -> bool:
        """Whether all these words occur, anywhere in questions and answers."""
        said = " ".join(f"{e.question} {e.answer.text if e.answer else e.written}" for e in self.exchanges).casefold()
        return all(word in said for word in words.casefold().split())


@dataclass(frozen=True, slots=True)
class Listing:
    """An owner's conversations, the latest first, and one line for each file that cannot be used."""

    conversations: tuple[Conversation, ...]
    problems: tuple[str, ...]


_ADAPTER = TypeAdapter(Conversation)


def new_identifier() -> str:
    """A name that nobody else has, for a conversation or an owner."""
    return secrets.token_hex(16)


def is_identifier(text: object) -> bool:
    """Whether this may name a conversation or an owner: such a name never leads out of the folder."""
    return isinstance(text, str) and bool(_IDENTIFIER.fullmatch(text))


def to_json(conversation: Conversation) -> str:
    """The conversation as its file and its export."""
    content = {"format": FORMAT, "version": FORMAT_VERSION, "conversation": _ADAPTER.dump_python(conversation, mode="json")}
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def from_json(text: str | bytes, origin: str) -> Conversation:
    """Read what `to_json` wrote; raises ConversationError, naming the origin."""
    try:
        content: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConversationError(
            f"{origin} is not a whole JSON file: {error}.", "Choose one that Fieldguide exported."
        ) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ConversationError(
            f"{origin} is not a conversation of Fieldguide.", "Choose a JSON file that Fieldguide exported."
        )
    if content.get("version") != FORMAT_VERSION:
        raise ConversationError(
            f"{origin} has version {content.get('version')} of its form, but this Fieldguide reads version {FORMAT_VERSION}.",
            "Open it with the Fieldguide that wrote it, or a newer one.",
        )
    try:
        conversation = _ADAPTER.validate_python(content.get("conversation"))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "conversation"
        raise ConversationError(f"{origin} is damaged at {where}: {first['msg']}.", "Export it again.") from error
    if not is_identifier(conversation.id):
        raise ConversationError(f"{origin} is damaged at id: not 32 hexadecimal digits.", "Export it again.")
    return conversation


class ConversationStore:
    """All conversations of all owners, in one folder. Safe to use from several threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.RLock()

    def load(self, owner: str, identifier: str) -> Conversation:
        """One conversation; an empty one under a name that is not taken. Raises ConversationError when it is unusable."""
        path = self._path(owner, identifier)
        try:
            return from_json(path.read_bytes(), str(path))
        except FileNotFoundError:
            return Conversation(identifier)
        except OSError as error:
            raise ConversationError(f"{path} cannot be read: {error.strerror or error}.", "Mend or remove the file.") from error

    def save(self, owner: str, conversation: Conversation) -> Conversation:
        """Write it whole or not at all, and give it back with the time of the change."""
        conversation = replace(conversation, changed_at=time.strftime("%Y-%m-%dT%H:%M:%S%z"))
        path = self._path(owner, conversation.id)
        temporary = path.with_name(path.name + ".new")
        try:
            with self._lock:
                path.parent.mkdir(parents=True, exist_ok=True)
                with temporary.open("w", encoding="utf-8") as out:
                    out.write(to_json(conversation))
                    out.flush()
                    os.fsync(out.fileno())
                os.replace(temporary, path)
        except OSError as error:
            raise ConversationError(
                f"The conversation cannot be kept in {path.parent}: {error.strerror or error}.",
                "Make room there, or choose another folder with --data-dir.",
            ) from error
        return conversation

    def put(self, owner: str, identifier: str, position: int, exchange: Exchange) -> Conversation:
        """Finish the exchange that was begun at this position.

        Where another tab has gone on with the same conversation meanwhile, the exchange is added at its end.
        """
        with self._lock:
            kept = self.load(owner, identifier)
            begun = kept.exchanges[position] if position < len(kept.exchanges) else None
            ours = begun is not None and begun.question == exchange.question
            if ours:
                exchanges = (*kept.exchanges[:position], exchange, *kept.exchanges[position + 1 :])
            else:
                exchanges = (*kept.exchanges, exchange)
            return self.save(owner, replace(kept, exchanges=exchanges))

    def list(self, owner: str, words: str = "") -> Listing:
        """The owner's conversations that mention these words, and what cannot be used."""
        conversations, problems = [], []
        for path in (self._folder / owner).glob("*.json") if is_identifier(owner) else ():
            try:
                conversations.append(from_json(path.read_bytes(), str(path)))
            except ConversationError as error:
                problems.append(str(error))
            except OSError as error:
                problems.append(f"{path} cannot be read: {error.strerror or error}.")
        latest_first = sorted(conversations, key=lambda c: (c.changed_at, c.id), reverse=True)
        return Listing(tuple(c for c in latest_first if c.exchanges and c.mentions(words)), tuple(sorted(problems)))

    def delete(self, owner: str, identifier: str) -> None:
        """Put it aside; the one put aside before is gone for good."""
        path = self._path(owner, identifier)
        with self._lock, _write_errors(path):
            for older in path.parent.glob("*.deleted"):
                older.unlink(missing_ok=True)
            os.replace(path, path.with_name(path.name + ".deleted"))

    def restore(self, owner: str, identifier: str) -> None:
        """Take the deletion back."""
        path = self._path(owner, identifier)
        with self._lock, _write_errors(path):
            os.replace(path.with_name(path.name + ".deleted"), path)

    def add_copy(self, owner: str, text: bytes, origin: str) -> Conversation:
        """Keep an exported conversation under a name of its own, beside what is there."""
        return self.save(owner, replace(from_json(text, origin), id=new_identifier()))

    def _path(self, owner: str, identifier: str) -> Path:
        if not (is_identifier(owner) and is_identifier(identifier)):
            raise ConversationError("There is no such conversation.", "Reload the page.")
        return self._folder / owner / f"{identifier}.json"


@contextmanager
def _write_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConversationError(f"{path} cannot be changed: {error.strerror or error}.", "Reload the page.") from error
