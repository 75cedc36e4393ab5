"""What a language model is to the rest of the program, and how a running computation is stopped."""

import ctypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from fieldguide.types import FloatMatrix

PartKind = Literal["template", "instructions", "example", "passage", "quote", "question"]


@dataclass(frozen=True, slots=True)
class PromptPart:
    """A stretch of the prompt. Only the template's own text may become control tokens: `kind` decides that."""

    kind: PartKind
    text: str


@dataclass(frozen=True, slots=True)
class Message:
    """One message of the chat that the model is shown, made of parts that keep their kind."""

    role: Literal["system", "user", "assistant"]
    parts: tuple[PromptPart, ...]


@dataclass(frozen=True, slots=True)
class ReadProgress:
    """Tokens read so far (`done`) of all `tokens` of the prompt, of which `from_cache` were read earlier.

    `passages_from_cache` says it for each passage, in the prompt's order; empty where there is no cache.
    """

    done: int
    tokens: int
    from_cache: int
    passages_from_cache: tuple[bool, ...] = ()

    def after(self, count: int) -> "ReadProgress":
        """The progress when so many more tokens are read."""
        return replace(self, done=self.done + count)


@dataclass(frozen=True, slots=True)
class WrittenToken:
    """A piece of written text, its natural log-probability where that is known, and on demand the likeliest in its place."""

    text: str
    log_probability: float | None
    alternatives: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class WritingOptions:
    """How to write: at temperature 0 the likeliest token is taken each time, so the same prompt gives the same text."""

    max_tokens: int
    temperature: float = 0.0
    seed: int = 0
    forbidden_start: str = ""
    alternatives: int = 0


class Cancellation:
    """A stop signal that native code can read while it computes.

    The flag is a C string: empty means go on. llama.cpp asks between the nodes of its graph whether to abort, and the C
    library's `strlen` answers, without taking Python's lock a thousand times per batch.
    """

    def __init__(self) -> None:
        self._flag = ctypes.create_string_buffer(2)

    def cancel(self) -> None:
        """Ask the computation to end; it does within milliseconds."""
        self._flag[0] = b"\x01"

    @property
    def is_cancelled(self) -> bool:
        """Whether a stop was asked for."""
        return self._flag[0] != b"\x00"

    @property
    def address(self) -> int:
        """Where the flag stands in memory."""
        return ctypes.addressof(self._flag)


class ChatModel(Protocol):
    """A model that reads a prompt and then writes. It holds one prompt at a time: one caller at a time, too."""

    @property
    def name(self) -> str:
        """What the model is called."""

    @property
    def fingerprint(self) -> str:
        """Tells these weights from all others."""

    @property
    def context_length(self) -> int:
        """Tokens that prompt and answer may have together."""

    def render(self, messages: Sequence[Message]) -> list[PromptPart]:
        """The messages in the model's own chat template, ready for an answer."""

    def count_tokens(self, parts: Sequence[PromptPart]) -> list[int]:
        """The size of each part in tokens."""

    def read(self, prompt: Sequence[PromptPart], cancellation: Cancellation) -> Iterator[ReadProgress]:
        """Read the prompt; raises Cancelled, or GenerationError when it does not fit."""

    def cached(self, prompt: Sequence[PromptPart]) -> list[bool]:
        """Which of the prompt's passages need not be read, in its order."""

    def warm(self, prompt: Sequence[PromptPart], cancellation: Cancellation) -> None:
        """Read and keep the prompt's passages ahead of time, where there is a cache; raises Cancelled."""

    def log_probability(self, text: str) -> float | None:
        """How likely the next token is the first one of `text`, as a natural logarithm, where that is known; after `read`."""

    def log_probability_of(self, text: str, cancellation: Cancellation) -> float:
        """How likely the model is to write exactly `text` now: the sum over its tokens; after `read`. Raises Cancelled."""

    def values(self) -> FloatMatrix | None:
        """What each layer's attention keeps of the last token read or written, (layers, width); None where it is not known."""

    def write(self, options: WritingOptions, cancellation: Cancellation) -> Iterator[WrittenToken]:
        """Write after what was read, until the model ends or `max_tokens` are written; raises Cancelled."""

    def close(self) -> None:
        """Release the model's memory."""
