"""A recorded run: the events between a question and its answer, when each came, and the search behind them, as one file.

The Learn view shows nothing else. A trace is made while a question is answered, and read from its file in the same form.
"""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import TypeAdapter, ValidationError

import fieldguide as package
from fieldguide.answering.assistant import what_is_asked
from fieldguide.answering.influence import influence
from fieldguide.answering.reader import AnswerOptions
from fieldguide.assembly import Fieldguide
from fieldguide.errors import TraceError
from fieldguide.events import (
    Event,
    Failed,
    Finished,
    Loading,
    Prompted,
    Queued,
    Retrieved,
    Rewritten,
    Token,
    Withdrawn,
    as_object,
)
from fieldguide.generation.model import Cancellation
from fieldguide.indexing.library import GUIDES
from fieldguide.retrieval.explain import SearchRecord, explain
from fieldguide.types import Answer, Turn

FORMAT = "fieldguide-trace"
FORMAT_VERSION = 1  # raise it when a trace, an event or a search record changes its form
_DIGITS = 4
_KINDS = {kind.__name__: TypeAdapter(kind) for kind in get_args(Event)}
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Moment:
    """An event, and when it came, in seconds from the receipt of the question."""

    seconds: float
    event: Event


@dataclass(frozen=True, slots=True)
class MadeWith:
    """What answered: enough to tell whether the run could be made again."""

    fieldguide: str
    model: str
    model_fingerprint: str
    corpus: str  # the hash of the guides that were searched
    dimension: int


@dataclass(frozen=True, slots=True)
class Influence:
    """The answer's log-probability with all passages (best first), and with each one taken away."""

    whole: float
    without: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Trace:
    """One run. `cold` tells how long each stage took when nothing was cached yet, where the run was made twice."""

    question: str
    history: tuple[Turn, ...]
    options: AnswerOptions
    made_with: MadeWith
    moments: tuple[Moment, ...]
    search: SearchRecord | None = None
    influence: Influence | None = None
    cold: dict[str, float] = field(default_factory=dict)

    def first(self, kind: type[Found]) -> Found | None:
        """The earliest event of this kind."""
        return next((moment.event for moment in self.moments if isinstance(moment.event, kind)), None)

    def last(self, kind: type[Found]) -> Found | None:
        """The latest event of this kind."""
        return next((moment.event for moment in reversed(self.moments) if isinstance(moment.event, kind)), None)

    def all(self, kind: type[Found]) -> list[Found]:
        """All events of this kind, in their order."""
        return [moment.event for moment in self.moments if isinstance(moment.event, kind)]

    def of_last_draft(self, kind: type[Found]) -> list[Found]:
        """All events of this kind since the last draft was taken back; those of the draft itself where nothing came after."""
        draft: list[Found] = []
        fresh = True
        for moment in self.moments:
            if isinstance(moment.event, Withdrawn):
                fresh = False
            elif isinstance(moment.event, kind):
                draft = [*(draft if fresh else []), moment.event]
                fresh = True
        return draft

    @property
    def answer(self) -> Answer | None:
        """What came out; None where the run failed."""
        finished = self.last(Finished)
        return finished.answer if finished else None

    @property
    def passages(self) -> list[str]:
        """The passages in the prompt, best first."""
        prompted = self.last(Prompted)
        return [part.text.rstrip("\n") for part in prompted.parts if part.kind == "passage"][::-1] if prompted else []


def record(
    fieldguide: Fieldguide,
    question: str,
    history: tuple[Turn, ...] = (),
    options: AnswerOptions | None = None,
    cancellation: Cancellation | None = None,
) -> Iterator[Event | Trace]:
    """Answer the question: its events as they come, and after the last one the trace. Loading and queueing are left out."""
    options = replace(options or fieldguide.default_options(), collections=(GUIDES,))
    moments, begun = [], None
    for event in fieldguide.answer(question, history, options, cancellation):
        if not isinstance(event, Loading | Queued):
            begun = begun or time.perf_counter()
            moments.append(Moment(round(time.perf_counter() - begun, _DIGITS), _shortened(event)))
        yield event
    if moments and isinstance(moments[-1].event, Failed):
        return
    made_with = MadeWith(
        package.__version__,
        fieldguide.model_name,
        fieldguide.model_fingerprint,
        fieldguide.manifest.corpus,
        fieldguide.manifest.dimension,
    )
    search = None
    searched = next((m.event.question for m in moments if isinstance(m.event, Rewritten)), "")
    if searched and not options.without_guides:
        search = explain(fieldguide.searcher(), searched, options.given)
    yield Trace(question, history, options, made_with, tuple(moments), search)


def with_influence(fieldguide: Fieldguide, trace: Trace, cancellation: Cancellation | None = None) -> Iterator[int | Trace]:
    """Measure what each passage did to the answer: how many readings are done, and in the end the trace with the result."""
    answer, numbers = trace.answer, []
    if answer and trace.passages and not answer.abstained:
        searcher = fieldguide.search_in(trace.options.collections)
        asked = what_is_asked(trace.question, trace.history, trace.options, searcher)
        with fieldguide.assistant() as assistant:
            text = "".join(token.text for token in trace.of_last_draft(Token)).strip()  # without what code added
            told = influence(assistant, asked, trace.passages, text, cancellation or Cancellation())
            for number in told:
                numbers.append(round(number, _DIGITS))
                yield len(numbers)
        trace = replace(trace, influence=Influence(numbers[0], tuple(numbers[1:])))
    yield trace


def to_json(trace: Trace) -> str:
    """The trace as its file."""
    content = asdict(replace(trace, moments=()))
    content["moments"] = [{"seconds": moment.seconds, **as_object(moment.event)} for moment in trace.moments]
    return json.dumps({"format": FORMAT, "version": FORMAT_VERSION, "trace": content}, ensure_ascii=False) + "\n"


def from_json(text: str | bytes, origin: str) -> Trace:
    """Read what `to_json` wrote; raises TraceError, naming the origin."""
    try:
        content: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise TraceError(f"{origin} is not a whole JSON file: {error}.", "Record it again: fieldguide record") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise TraceError(f"{origin} is not a trace of Fieldguide.", "Record one with: fieldguide record")
    if content.get("version") != FORMAT_VERSION:
        raise TraceError(
            f"{origin} has version {content.get('version')} of its form, but this Fieldguide reads version {FORMAT_VERSION}.",
            "Record it again: fieldguide record",
        )
    try:
        body = content["trace"]
        moments = [Moment(float(moment["seconds"]), event_from(moment)) for moment in body["moments"]]
        return replace(_TRACE.validate_python({**body, "moments": ()}), moments=tuple(moments))
    except (ValidationError, KeyError, TypeError, ValueError) as error:
        raise TraceError(f"{origin} is damaged: {str(error).splitlines()[0]}.", "Record it again: fieldguide record") from error


def event_from(content: Mapping[str, Any]) -> Event:
    """The inverse of `events.as_object`; raises KeyError for an unknown kind, ValueError for a field that does not fit."""
    kind = _KINDS[content["event"]]
    event: Event = kind.validate_python({name: value for name, value in content.items() if name not in ("event", "seconds")})
    return event


def load_folder(folder: Path) -> dict[str, Trace]:
    """All traces of a folder by the name of their files; raises TraceError for one that cannot be read."""
    try:
        return {path.stem: from_json(path.read_bytes(), str(path)) for path in sorted(folder.glob("*.json"))}
    except OSError as error:
        raise TraceError(f"{error.filename} cannot be read: {error.strerror}.", "Open it to reading.") from error


def _shortened(event: Event) -> Event:
    """The event without what the search record holds, too."""
    return replace(event, result=replace(event.result, similarities={})) if isinstance(event, Retrieved) else event


_TRACE = TypeAdapter(Trace)
