"""What the interfaces need of the program: `assembly.Fieldguide`, or one that runs in another process."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from fieldguide.events import Event
from fieldguide.generation.model import Cancellation
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
