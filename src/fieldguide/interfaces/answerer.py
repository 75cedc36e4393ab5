"""What the interfaces need of the program: `assembly.Fieldguide`, or one that runs in another process."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from fieldguide.errors import FieldguideError
from fieldguide.events import Event, Loading
from fieldguide.generation.model import Cancellation
from fieldguide.settings import Settings
from fieldguide.types import Turn


class Answers(Protocol):
    """Something that answers questions."""

    def answer(
        self,
        question: str,
        history: Sequence[Turn] = (),
        *,
        cancellation: Cancellation | None = None,
        collections: Sequence[str] = (),
    ) -> Iterator[Event]:
        """The event stream of one question; it searches all collections where none is named."""


class Answerer(Answers, Protocol):
    """The same in this process: it can say what it answers with, and how far its loading is."""

    @property
    def settings(self) -> Settings:
        """The settings in use; the model among them may change."""

    @property
    def is_ready(self) -> bool:
        """Whether a question would be answered without loading anything."""

    @property
    def still_loading(self) -> list[Loading]:
        """What is being loaded, or read ahead of time, at this moment."""

    @property
    def failure(self) -> FieldguideError | None:
        """Why loading failed, if it did."""
