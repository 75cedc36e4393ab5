"""Conversations as values, and as the JSON that is both their file and their export."""

import hashlib
import json
import re
import secrets
from dataclasses import dataclass, replace
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
    collections: tuple[str, ...] = ()  # what was searched; receipts of earlier versions do not say


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
        return shortened(self.exchanges[0].question if self.exchanges else "New conversation")

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


_ADAPTER = TypeAdapter(Conversation)


def new_identifier() -> str:
    """A name that nobody else has, for a conversation or an owner."""
    return secrets.token_hex(16)


def is_identifier(text: object) -> bool:
    """Whether this may name a conversation or an owner: such a name never leads out of the folder."""
    return isinstance(text, str) and bool(_IDENTIFIER.fullmatch(text))


def to_json(conversation: Conversation) -> str:
    """The conversation as its file and its export."""
    held = _ADAPTER.dump_python(conversation, mode="json")
    content = {"format": FORMAT, "version": FORMAT_VERSION, "sha256": _sum(held), "conversation": held}
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def from_json(text: str | bytes, origin: str) -> Conversation:
    """Read what `to_json` wrote; raises ConversationError, naming the origin."""
    try:
        conversation = _ADAPTER.validate_python(read_content(text, origin))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "conversation"
        raise ConversationError(f"{origin} is damaged at {where}: {first['msg']}.", "Export it again.") from error
    if not is_identifier(conversation.id):
        raise ConversationError(f"{origin} is damaged at id: not 32 hexadecimal digits.", "Export it again.")
    return conversation


def read_content(text: str | bytes, origin: str) -> Any:  # noqa: ANN401 - whatever the file holds
    """The conversation in a file of ours, as JSON has it; raises ConversationError when it is no such file."""
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
    held = content.get("conversation")
    if content.get("sha256", _sum(held)) != _sum(held):
        raise ConversationError(f"{origin} is damaged: it is not what was written.", "Remove it, or its line with sha256.")
    return held


def _sum(held: object) -> str:
    """A check of what a file holds; one without it, from before there was one, is believed."""
    return hashlib.sha256(json.dumps(held, sort_keys=True).encode()).hexdigest()


def shortened(question: str) -> str:
    """A question as the name of its conversation."""
    return question if len(question) <= _TITLE_CHARACTERS else question[: _TITLE_CHARACTERS - 1].rstrip() + "…"
