"""The runs that come with the program, so that the page works before and without a model, and how they are recorded."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from fieldguide.assembly import Fieldguide
from fieldguide.errors import TraceError
from fieldguide.events import Reading
from fieldguide.interfaces.learn import experiments
from fieldguide.interfaces.learn.view import durations
from fieldguide.trace import Trace, load_folder, record, to_json, with_influence
from fieldguide.types import Document, Turn

FOLDER = Path(__file__).parent / "traces"
FIRST = "gan"
ALTERNATIVES = 10  # runners-up recorded for each token


@dataclass(frozen=True, slots=True)
class Run:
    """A question to record, and what is changed about it."""

    title: str
    question: str
    history: tuple[Turn, ...] = ()
    change: Any = None  # a function of `experiments`
    choices: Mapping[str, Any] = field(default_factory=dict)
    search_text: str = ""
    corrected: tuple[str, str] | None = None  # what the guides said when the index was made, and what they say now


_GAN = "Who introduced GANs, and when?"
_GAN_SAID = "Ian Goodfellow and colleagues introduced GANs in 2014."
RUNS = {
    "gan": Run("A plain question", _GAN),
    "nerf": Run("An abbreviation", "How does NeRF show a scene?"),
    "paraphrase": Run("Other words than the guide's", "Which models can read pictures as well as text?"),
    "refusal": Run("Not in the guides", "How many parameters does GPT-4 have?"),
    "follow-up": Run("A follow-up", "And what did they achieve?", (Turn("user", _GAN), Turn("assistant", _GAN_SAID))),
    "distractor": Run("A distractor is there", "And who introduced VAEs?", (Turn("user", _GAN), Turn("assistant", _GAN_SAID))),
    "pronoun": Run("A pronoun, alone", "Who introduced it, and when?"),
    "list-all": Run("List all", "List all models that generate images."),
    "alone": Run("Without the guides", _GAN, change=experiments.alone),
    "removed": Run("The best passage taken away", _GAN, change=experiments.removed, choices={"which": 1}),
    "swapped": Run("A fact swapped", _GAN, change=experiments.swapped, choices={"old": "2014", "new": "1998"}),
    "poisoned": Run("A poisoned page", _GAN, change=experiments.poisoned),
    "stale": Run("A stale index", _GAN, corrected=("2012", "2014")),
    "contradiction": Run("Two pages disagree", _GAN, change=experiments.contradicted, choices={"old": "2014", "new": "2016"}),
}


@cache
def shipped() -> dict[str, Trace]:
    """The recorded runs, in the order of `RUNS`; raises TraceError where one cannot be read."""
    found = load_folder(FOLDER)
    if FIRST not in found:
        raise TraceError(f"{FOLDER} holds no recorded runs.", "Record them: fieldguide record")
    return {name: found[name] for name in RUNS if name in found}


def record_all(fieldguide: Fieldguide, folder: Path, names: Sequence[str] = ()) -> Iterator[str]:
    """Record every run, or those named, into the folder; yields what is being done.

    A run whose passages were not cached is made twice: the first gives the times of a cold start.
    """
    for name in names:
        if name not in RUNS:
            raise TraceError(f"There is no run “{name}”.", f"Choose among: {', '.join(RUNS)}.")
    folder.mkdir(parents=True, exist_ok=True)
    wanted = {name: run for name, run in RUNS.items() if not names or name in names}
    for number, (name, run) in enumerate(wanted.items(), 1):
        yield f"Recording {name} ({number} of {len(wanted)})"
        with _asked(fieldguide, run) as asked:
            trace = _recorded(asked, run)
            reading = trace.first(Reading)
            if reading and reading.passages_from_cache and not any(reading.passages_from_cache):
                cold = durations(trace)
                trace = replace(_recorded(asked, run), cold=cold)
            for step in with_influence(asked, trace):
                if isinstance(step, Trace):
                    trace = step
        (folder / f"{name}.json").write_text(to_json(trace), encoding="utf-8")


def earlier_guides(run: Run, guides: Sequence[Document]) -> list[Document]:
    """The guides as they were before they were corrected; as they are where the run corrects nothing."""
    old, new = run.corrected or ("", "")
    texts = [guide.text.replace(new, old) if new else guide.text for guide in guides]
    return [
        replace(guide, text=text, sha256=hashlib.sha256(text.encode()).hexdigest())
        for guide, text in zip(guides, texts, strict=True)
    ]


@contextmanager
def _asked(fieldguide: Fieldguide, run: Run) -> Iterator[Fieldguide]:
    """Who answers. Where the guides are corrected, a second Fieldguide, which indexed them as they were and has not noticed."""
    if run.corrected is None:
        yield fieldguide
        return
    with TemporaryDirectory() as name:
        folder, guides = Path(name) / "guides", fieldguide.guides()
        folder.mkdir()
        for guide in earlier_guides(run, guides):
            (folder / guide.name).write_text(guide.text, encoding="utf-8")
        other = Fieldguide(replace(fieldguide.settings, guides_dir=folder, data_dir=Path(name) / "data"))
        try:
            for _ in other.loading():
                pass
            for guide in guides:
                (folder / guide.name).write_text(guide.text, encoding="utf-8")
            yield other
        finally:
            other.close()


def _recorded(fieldguide: Fieldguide, run: Run) -> Trace:
    options = replace(fieldguide.default_options(), alternatives=ALTERNATIVES, search_text=run.search_text)
    if run.change:
        options = run.change(fieldguide, run.question, options, run.choices)
    for event in record(fieldguide, run.question, run.history, options):
        if isinstance(event, Trace):
            return event
    raise TraceError(f"“{run.question}” could not be answered.", "See what fails with: fieldguide ask")
