"""Have the model read passages ahead of time, so that an answer need not wait for it."""

from collections.abc import Iterator, Sequence

from fieldguide.answering.injection import readable
from fieldguide.answering.waiting_line import POLL_SECONDS, WaitingLine
from fieldguide.errors import Cancelled
from fieldguide.generation import prompt as prompts
from fieldguide.generation.model import Cancellation, ChatModel, PromptPart
from fieldguide.types import Chunk


class Warmer:
    """Reads one passage after the other and gives way to every question, within milliseconds."""

    def __init__(self, model: ChatModel, line: WaitingLine) -> None:
        self._model = model
        self._line = line
        self._reading: Cancellation | None = None

    def warm(self, chunks: Sequence[Chunk], cancellation: Cancellation) -> Iterator[int]:
        """Read what is not kept yet; yields how many passages are done.

        Raises Cancelled, or GenerationError when a passage cannot be read.
        """
        for number, chunk in enumerate(chunks, 1):
            prompt = self._model.render(prompts.build_messages("", [readable(chunk).passage]))
            done = all(self._model.cached(prompt))
            while not done:
                if cancellation.is_cancelled:
                    raise Cancelled()
                done = self._read(prompt)
            yield number

    def interrupt(self) -> None:
        """End the reading that is under way; the passage is begun anew when the model is free."""
        if reading := self._reading:
            reading.cancel()

    def _read(self, prompt: Sequence[PromptPart]) -> bool:
        """Read one passage; False when a question came in between."""
        self._reading = own = Cancellation()  # before standing in line: whoever comes after may end it
        ticket = self._line.enter(is_asked=False)
        try:
            while self._line.ahead_of(ticket, POLL_SECONDS):
                pass
            self._model.warm(prompt, own)
        except Cancelled:
            return False
        finally:
            self._reading = None
            self._line.leave(ticket)
        return True
