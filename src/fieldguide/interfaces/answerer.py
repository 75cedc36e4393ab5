"""What page and API need of the program; `assembly.Fieldguide` is it, and tests have a scripted one."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from fieldguide.errors import FieldguideError
from fieldguide.events import Event, Loading
from fieldguide.generation.model import Cancellation
from fieldguide.types import Turn


class Answerer(Protocol):
    """Something that answers questions, and can say how far its loading is."""

    @property
    def is_ready(self) -> bool:
        """Whether a question would be answered without loading anything."""

    @property
    def still_loading(self) -> list[Loading]:
        """What is being loaded, or read ahead of time, at this moment."""

    @property
    def failure(self) -> FieldguideError | None:
        """Why loading failed, if it did."""

    def answer(
        self, question: str, history: Sequence[Turn] = (), *, cancellation: Cancellation | None = None
    ) -> Iterator[Event]:
        """The event stream of one question."""
