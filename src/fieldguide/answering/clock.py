"""When things happened on the way to an answer."""

import time
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TypeVar

from fieldguide.types import Timings

Step = TypeVar("Step")
Result = TypeVar("Result")


@dataclass(slots=True)
class Clock:
    """When things happened, in seconds from the receipt of the question."""

    started: float = field(default_factory=time.perf_counter)
    rewrite_s: float = 0.0
    retrieve_s: float = 0.0
    first_token_s: float | None = None

    def elapsed(self) -> float:
        """Seconds from the receipt of the question until now."""
        return time.perf_counter() - self.started

    def timings(self) -> Timings:
        """All of it, with the end now."""
        return Timings(self.rewrite_s, self.retrieve_s, self.first_token_s, self.elapsed())

    def noting(self, writing: Generator[Step, None, Result]) -> Generator[Step, None, Result]:
        """Let the model write, and note when the first token came."""
        while True:
            try:
                step = next(writing)
            except StopIteration as end:
                result: Result = end.value
                return result
            if self.first_token_s is None:
                self.first_token_s = self.elapsed()
            yield step
