"""A draft of an answer: what the model writes, token by token, and how sure it was of it."""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from fieldguide.answering.injection import without_markers
from fieldguide.events import Checked, Token
from fieldguide.generation.model import Cancellation, ChatModel, WritingOptions
from fieldguide.sentences import split_sentences
from fieldguide.types import Citation, FloatMatrix, Sentence

DOUBTFUL_BELOW = -0.2  # mean log-probability; docs/abstaining.md says what a second reading gains from there on

Result = TypeVar("Result")
Verdicts = tuple[tuple[Sentence, ...], tuple[Citation, ...]]


@dataclass(frozen=True, slots=True)
class Draft:
    """What was written: its text without markers, all blanks made single, its tokens, and what the model held at its end.

    `sentences` and `citations` are there when it was held against its passages.
    """

    text: str
    tokens: tuple[Token, ...]
    values: FloatMatrix | None
    sentences: tuple[Sentence, ...] = ()
    citations: tuple[Citation, ...] = ()

    @property
    def log_probability(self) -> float | None:
        """The mean over the tokens (natural logarithm): how sure the model was of its words; None where it does not tell."""
        known = [token.log_probability for token in self.tokens if token.log_probability is not None]
        return sum(known) / len(known) if known and len(known) == len(self.tokens) else None

    @property
    def is_doubtful(self) -> bool:
        """Whether a second reading is worth its time: the model was unsure, or no passage says any of this."""
        sureness = self.log_probability
        return (sureness is not None and sureness < DOUBTFUL_BELOW) or self.unsupported == 1

    @property
    def unsupported(self) -> float:
        """The share of the sentences that no passage supports; 1 where there is none."""
        verdicts = [sentence.verdict for sentence in self.sentences]
        return verdicts.count("unsupported") / len(verdicts) if verdicts else 1.0

    def is_better_than(self, other: "Draft") -> bool:
        """Whether to prefer this text: by being supported at all, then by how sure the model was; the same is no better."""
        if not self.text or self.text == other.text:
            return False
        return (self.unsupported < 1, self.log_probability or 0.0) > (other.unsupported < 1, other.log_probability or 0.0)


def write_draft(
    model: ChatModel, options: WritingOptions, cancellation: Cancellation, check: Callable[[str], Verdicts] | None = None
) -> Generator[Token | Checked, None, Draft]:
    """Let the model write behind what it has read; yields each token, and each sentence that `check` has held against the
    passages as soon as the next one begins. Over the whole text it is asked once more, and that counts. Raises Cancelled.
    """
    tokens: list[Token] = []
    ended = ""
    shown: tuple[Sentence, ...] = ()
    for written in model.write(options, cancellation):
        tokens.append(Token(written.text, written.log_probability, written.alternatives))
        yield tokens[-1]
        if check and len(now := _ended_sentences(_text(tokens))) > len(ended):
            ended = now
            sentences, citations = check(ended)
            yield from as_events(sentences[len(shown) :], citations)
            shown = sentences
    values = model.values()
    sentences, citations = check(_text(tokens)) if check else ((), ())
    if sentences[: len(shown)] == shown:  # how a text ends hardly ever changes where its first sentences part
        yield from as_events(sentences[len(shown) :], citations)
    return Draft(_text(tokens), tuple(tokens), values, sentences, citations)


def as_events(sentences: Sequence[Sentence], citations: Sequence[Citation]) -> Iterator[Checked]:
    """Sentences with the citations that they point to."""
    for sentence in sentences:
        yield Checked(sentence, tuple(citation for citation in citations if citation.marker in sentence.markers))


def _text(tokens: Sequence[Token]) -> str:
    return " ".join(without_markers("".join(token.text for token in tokens)).split())


def _ended_sentences(text: str) -> str:
    """The text without its last sentence, once a word of that is there: until then, what looks like an end may be none."""
    spans = split_sentences(text)
    return text[: spans[-2].end] if len(spans) > 1 and " " in spans[-1].text else ""


def outcome(steps: Generator[Any, None, Result]) -> Result:
    """What a generator returns in the end, its steps unseen."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: Result = end.value
            return result
