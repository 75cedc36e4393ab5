"""The event stream: everything that happens between a question and its answer, in the order in which it happens.

Page, command line, API and evaluation consume this stream and nothing else; the recorded list of events is the trace.
A stream ends with exactly one `Finished` or `Failed`, always.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from fieldguide.errors import Cancelled, CollectionError, QuestionError, QueueFullError, unforeseen
from fieldguide.types import Answer, Citation, Quote, SearchResult, Sentence


@dataclass(frozen=True, slots=True)
class Queued:
    """The question waits for others to be answered; position 1 is next, and its turn comes after about `seconds`."""

    position: int
    seconds: float | None = None

    @property
    def estimate(self) -> str:
        """How long that is, to be said behind the place; '' where it is not known."""
        return "" if self.seconds is None else f", about {self.seconds:.0f} s"


@dataclass(frozen=True, slots=True)
class Loading:
    """Something must be in place first: weights, index or model.

    `share` runs from 0 to 1; None where it is unknown. `detail` says it in numbers: bytes, rate, time left.
    """

    what: str
    share: float | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Rewritten:
    """What is searched for: the question, with what a follow-up points back to, and misspelt words corrected."""

    question: str
    changed: bool


@dataclass(frozen=True, slots=True)
class Retrieved:
    """What the search found."""

    result: SearchResult


@dataclass(frozen=True, slots=True)
class Quoted:
    """The source sentences that look like the answer, shown before the model speaks."""

    quotes: tuple[Quote, ...]


@dataclass(frozen=True, slots=True)
class PartCount:
    """One part of the prompt: what it is, its exact text, and its size in tokens."""

    kind: str
    text: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Prompted:
    """The exact prompt, part by part, and the passages that were left out for want of room."""

    parts: tuple[PartCount, ...]
    left_out: tuple[str, ...]
    left_out_reason: str


@dataclass(frozen=True, slots=True)
class Reading:
    """The model is reading its prompt: `done` of `tokens`, of which `from_cache` were read earlier.

    `passages_from_cache` says it for each passage, in the prompt's order; empty where there is no passage cache.
    """

    done: int
    tokens: int
    from_cache: int
    passages_from_cache: tuple[bool, ...] = ()


@dataclass(frozen=True, slots=True)
class Gated:
    """Whether the passages were judged to hold the answer, and the signals on which that was decided.

    Comes before the first word and, where there is a draft, once more when that was checked.
    """

    answerable: bool
    signals: dict[str, float]


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of text the model wrote, with its log-probability (servers tell none) and, when asked for, the runners-up."""

    text: str
    log_probability: float | None
    alternatives: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Reread:
    """The model was unsure of its draft: the question is read again with these sentences beside it, and answered once more."""

    quotes: tuple[Quote, ...]


@dataclass(frozen=True, slots=True)
class Compared:
    """Another passage has another number: it is asked the same question alone, to see whether it agrees."""

    section: str


@dataclass(frozen=True, slots=True)
class Checked:
    """A sentence of the answer after the support check: it comes when the next sentence begins, the last one at the end."""

    sentence: Sentence
    citations: tuple[Citation, ...]


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """What was streamed so far is taken back: a retry or a refusal follows."""

    reason: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The end: an answer, or a refusal."""

    answer: Answer


@dataclass(frozen=True, slots=True)
class Failed:
    """The end: no answer, why, and what to do about it; `seconds` is when asking again makes sense, where that is known.

    The reason is an error of ours, a question that cannot be asked, a stop that the asker wanted, too long a queue ("busy"),
    or the end of the program ("ended").
    """

    message: str
    remedy: str
    reason: Literal["error", "cancelled", "question", "busy", "ended"] = "error"
    seconds: float | None = None

    @property
    def told(self) -> str:
        """What people read."""
        return f"{self.message} {self.remedy}".strip()


Event = (
    Queued
    | Loading
    | Rewritten
    | Retrieved
    | Quoted
    | Prompted
    | Reading
    | Gated
    | Token
    | Reread
    | Compared
    | Checked
    | Withdrawn
    | Finished
    | Failed
)


def failure(error: BaseException) -> Failed:
    """The end of a stream that this broke; what only ends the program, or the reading of the stream, is raised again.

    Libraries written in Rust fail with what is not even an Exception.
    """
    if isinstance(error, GeneratorExit | KeyboardInterrupt | SystemExit):
        raise error
    told = unforeseen(error)
    if isinstance(error, QueueFullError):
        return Failed(told.message, told.remedy, "busy", error.seconds)
    if isinstance(error, Cancelled):
        return Failed(told.message, told.remedy, "cancelled")
    return Failed(told.message, told.remedy, "question" if isinstance(error, QuestionError | CollectionError) else "error")


def as_object(event: Event) -> dict[str, Any]:
    """The event as a JSON object, its kind under `event`."""
    return {"event": type(event).__name__, **asdict(event)}
