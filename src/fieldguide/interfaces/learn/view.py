"""A trace with what all stages share: the names and colours of its passages, the one that is followed, and durations."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from string import ascii_uppercase

from fieldguide.events import Checked, Gated, Prompted, Quoted, Reading, Retrieved, Rewritten, Token
from fieldguide.interfaces.learn.pieces import FOLLOWED, OTHER, READ, letter
from fieldguide.trace import Trace
from fieldguide.types import Document, Hit

_ENDS = {
    Retrieved: "search",
    Quoted: "search",
    Prompted: "prompt",
    Reading: "reading",
    Gated: "deciding",
    Token: "writing",
    Checked: "checking",
}
STAGES_TIMED = ("search", "prompt", "reading", "deciding", "writing", "checking")


@dataclass(frozen=True)
class View:
    """One run as the page shows it.

    `documents` are the guides that it searched; where those are gone there are none, and `now` holds the guides as they are.
    """

    trace: Trace
    documents: Sequence[Document] = ()
    is_live: bool = False
    now: Sequence[Document] = ()
    letters: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        names = {hit.chunk.id: ascii_uppercase[n] for n, hit in enumerate(self.hits) if n < len(ascii_uppercase)}
        object.__setattr__(self, "letters", names)

    @cached_property
    def hits(self) -> tuple[Hit, ...]:
        """What the search found, best first."""
        found = self.trace.last(Retrieved)
        return found.result.hits if found else ()

    @cached_property
    def followed(self) -> Hit | None:
        """The passage that is followed through all stages: the first one cited, else the best."""
        answer = self.trace.answer
        cited = answer.citations[0].chunk_id if answer and answer.citations else ""
        return next((hit for hit in self.hits if hit.chunk.id == cited), self.hits[0] if self.hits else None)

    def is_gone(self, quote: str) -> bool:
        """Whether the guides have changed since, and this sentence no longer stands in them."""
        return bool(self.now) and not any(" ".join(quote.split()) in " ".join(d.text.split()) for d in self.now)

    def kind(self, identifier: str) -> str:
        """The colour of a passage as a class."""
        if self.followed and identifier == self.followed.chunk.id:
            return "fl-followed"
        return "fl-read" if self.is_read(identifier) else ""

    def colour(self, identifier: str) -> str:
        """The same for a picture."""
        return {"fl-followed": FOLLOWED, "fl-read": READ}.get(self.kind(identifier), OTHER)

    def is_read(self, identifier: str) -> bool:
        """Whether the model was given this passage."""
        return any(hit.chunk.id == identifier and hit.chunk.passage in self.trace.passages for hit in self.hits)

    def named(self, identifier: str) -> str:
        """The passage's letter in its colour, as HTML."""
        return letter(self.letters.get(identifier, ""), self.kind(identifier))

    def of_text(self, passage: str) -> str:
        """The id of the hit that reads like this."""
        return next((hit.chunk.id for hit in self.hits if hit.chunk.passage.strip() == passage.strip()), "")


def durations(trace: Trace) -> dict[str, float]:
    """Seconds of each stage, by the times at which its events came; a stage that did not happen is left out."""
    ends: dict[str, float] = {}
    started = next((moment.seconds for moment in trace.moments if isinstance(moment.event, Rewritten)), 0.0)
    for moment in trace.moments:
        stage = _ENDS.get(type(moment.event))
        # A second reading, and the second look of the gate, belong to the writing that they interrupt.
        if stage and not (stage in ("reading", "deciding") and "writing" in ends):
            ends[stage] = moment.seconds
    if trace.moments:
        ends["checking"] = max(ends.get("checking", 0.0), trace.moments[-1].seconds)
    took, before = {}, started
    for stage in STAGES_TIMED:
        if stage in ends:
            took[stage] = round(max(0.0, ends[stage] - before), 3)
            before = max(before, ends[stage])
    return took


def first_word(trace: Trace) -> float | None:
    """Seconds until the model wrote its first word."""
    return next((moment.seconds for moment in trace.moments if isinstance(moment.event, Token)), None)
