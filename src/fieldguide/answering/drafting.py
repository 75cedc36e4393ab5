"""A draft of an answer: what the model writes, token by token, and how sure it was of it."""

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from fieldguide.events import Token
from fieldguide.generation.model import Cancellation, ChatModel, WritingOptions
from fieldguide.types import Citation, FloatMatrix, Sentence

DOUBTFUL_BELOW = -0.2  # mean log-probability; docs/abstaining.md says what a second reading gains from there on

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Draft:
    """What was written: its text with all blanks made single, its tokens, and what the model held at its end.

    `sentences` and `citations` are there when it was held against its passages.
    """

    text: str
    tokens: tuple[Token, ...]
    values: FloatMatrix | None
    sentences: tuple[Sentence, ...] = ()
    citations: tuple[Citation, ...] = ()

    @property
    def log_probability(self) -> float:
        """The mean over the tokens (natural logarithm): how sure the model was of its words."""
        return sum(token.log_probability for token in self.tokens) / len(self.tokens) if self.tokens else 0.0

    @property
    def is_doubtful(self) -> bool:
        """Whether a second reading is worth its time: the model was unsure, or no passage says any of this."""
        return self.log_probability < DOUBTFUL_BELOW or self.unsupported == 1

    @property
    def unsupported(self) -> float:
        """The share of the sentences that no passage supports."""
        return sum(sentence.verdict == "unsupported" for sentence in self.sentences) / max(1, len(self.sentences))

    def checked(self, sentences: tuple[Sentence, ...], citations: tuple[Citation, ...]) -> "Draft":
        """The draft with what was found when it was held against its passages."""
        return replace(self, sentences=sentences, citations=citations)

    def is_better_than(self, other: "Draft") -> bool:
        """Whether to prefer this text: by being supported at all, then by how sure the model was; the same is no better."""
        if not self.text or self.text == other.text:
            return False
        return (self.unsupported < 1, self.log_probability) > (other.unsupported < 1, other.log_probability)


def write_draft(model: ChatModel, options: WritingOptions, cancellation: Cancellation) -> Generator[Token, None, Draft]:
    """Let the model write behind what it has read; yields each token. Raises Cancelled."""
    tokens = []
    for written in model.write(options, cancellation):
        token = Token(written.text, written.log_probability, written.alternatives)
        tokens.append(token)
        yield token
    return Draft(" ".join("".join(token.text for token in tokens).split()), tuple(tokens), model.values())


def outcome(steps: Generator[Any, None, Result]) -> Result:
    """What a generator returns in the end, its steps unseen."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: Result = end.value
            return result
