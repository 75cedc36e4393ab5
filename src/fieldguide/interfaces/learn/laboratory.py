"""What the page asks of the program: runs to show, questions to ask, experiments to make. No Gradio in here."""

import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from fieldguide import locations
from fieldguide.assembly import Fieldguide
from fieldguide.errors import Cancelled, FieldguideError, QuestionError, unforeseen
from fieldguide.events import Event, Failed, Finished, Loading, Queued, Reading, Retrieved, Token, Withdrawn
from fieldguide.generation.model import Cancellation
from fieldguide.indexing.documents import corpus_hash, read_document, read_folder
from fieldguide.interfaces.learn import recut
from fieldguide.interfaces.learn.comparing import changes_shown
from fieldguide.interfaces.learn.experiments import BY_NAME
from fieldguide.interfaces.learn.lanes import run_shown
from fieldguide.interfaces.learn.preparing import compared_shown, recut_shown
from fieldguide.interfaces.learn.recut import Cuts, Outcome
from fieldguide.interfaces.learn.shipped import ALTERNATIVES, FIRST, shipped
from fieldguide.interfaces.learn.view import View, durations
from fieldguide.trace import Trace, record, with_influence
from fieldguide.types import Document

_KEPT = 30  # live runs, and jobs that are over; the oldest goes first
_AT_ONCE = 3  # jobs under way; more would only wait for each other
_TEXT_CHARACTERS = 300
Order = Mapping[str, Any]
Reply = dict[str, Any]


@dataclass(slots=True)
class _Job:
    """Something under way in a thread of its own, and what it says so far."""

    base: str
    experiment: str = ""
    status: str = "Starting"
    text: str = ""
    failure: str = ""
    result: str = ""  # the name of the run that came of it
    reply: Reply = field(default_factory=dict)  # what else came of it
    done: bool = False
    cancellation: Cancellation = field(default_factory=Cancellation)


class Laboratory:
    """All runs, recorded and live, and the jobs that make new ones; one instance for all tabs."""

    def __init__(self, fieldguide: Fieldguide) -> None:
        self._fieldguide = fieldguide
        self._live: dict[str, Trace] = {}
        self._jobs: dict[str, _Job] = {}
        self._lock = threading.Lock()

    def show(self, order: Order) -> Reply:
        """A run as HTML, by its name."""
        return self._told(lambda: {"html": self.html(str(order.get("trace") or FIRST))})

    def html(self, name: str) -> str:
        """The same; raises QuestionError for an unknown name."""
        return run_shown(_view(self._fieldguide, self._trace(name), is_live=name in self._live), name)

    def ready(self, _: Order) -> Reply:
        """Whether live runs can begin at once; else what is being loaded, or why it cannot be."""
        fieldguide = self._fieldguide
        loading = " ".join(f"{each.what} {each.detail}".strip() for each in fieldguide.still_loading[:1])
        return {"ready": fieldguide.is_ready, "status": loading, "failure": str(fieldguide.failure or "")}

    def begin(self, order: Order) -> Reply:
        """Ask a question, or the one of the run `base` again, or make an experiment on it; the reply names the job."""
        return self._told(lambda: self._begin(order))

    def measure(self, order: Order) -> Reply:
        """Measure what each passage did to the answer of a live run; the reply names the job."""
        return self._told(lambda: self._start(_Job(self._live_name(order)), self._measure))

    def progress(self, order: Order) -> Reply:
        """How far a job is; when it is done, what came of it."""
        return self._told(lambda: self._progress(order))

    def _progress(self, order: Order) -> Reply:
        job = self._jobs.get(str(order.get("job")))
        if job is None:
            return {"failure": "This run is no longer known. Start it again."}
        reply: Reply = {"status": job.status, "text": job.text, "done": job.done, "failure": job.failure, "trace": job.result}
        reply |= job.reply
        if job.done and job.result and job.experiment:
            experiment = BY_NAME[job.experiment]
            reply["html"] = changes_shown(experiment, self._trace(job.base), self._trace(job.result), job.result)
        return reply

    def stop(self, order: Order) -> Reply:
        """End a job."""
        if job := self._jobs.get(str(order.get("job"))):
            job.cancellation.cancel()
        return {}

    def recut(self, order: Order) -> Reply:
        """A guide cut by counting words, and which of three questions fail by their words alone; `job` names the search."""
        return self._told(lambda: self._recut(order))

    def _recut(self, order: Order) -> Reply:
        document = read_document(locations.guides_folder() / recut.GUIDE)
        size, overlap = (_between(order.get(name), low, high) for name, low, high in (("size", 10, 200), ("overlap", 0, 60)))
        cuts = recut.cut(document.text, size, overlap)
        outcomes = recut.looked_at(document.text, cuts)
        reply = self._recut_shown(document, cuts, outcomes, "So far only the words were looked at; nothing was searched yet.")
        return reply | self._told(lambda: self._start(_Job(""), lambda job: self._search_pieces(job, document, cuts)))

    def _search_pieces(self, job: _Job, document: Document, cuts: Cuts) -> None:
        self._load(job, with_model=False)
        for step in recut.searched(self._fieldguide.searcher(), document, cuts, job.cancellation):
            if isinstance(step, int):
                job.status = f"Turning passages into vectors: {step} of {len(cuts)}"
            else:
                job.reply = self._recut_shown(
                    document, cuts, step, "Searched for just now among these passages, by meaning and word by word."
                )

    def _recut_shown(self, document: Document, cuts: Cuts, outcomes: list[Outcome], note: str) -> Reply:
        read = self._fieldguide.default_options().passages
        fails = sum(outcome.fails(read) for outcome in outcomes)
        return {"html": recut_shown(document, cuts, outcomes, read, note), "fails": fails}

    def compare(self, order: Order) -> Reply:
        """Two texts as vectors, and how near they are."""
        return self._told(lambda: self._compare(order))

    def _compare(self, order: Order) -> Reply:
        texts = [" ".join(str(order.get(name, "")).split())[:_TEXT_CHARACTERS] for name in ("first", "second")]
        if not all(texts):
            raise QuestionError("One of the two texts is empty.", "Type a few words into both.")
        for _ in self._fieldguide.loading(with_model=False):
            pass
        first, second = (np.round(e.vector, 3) for e in self._fieldguide.searcher().embedder.embed(texts))
        return {"html": compared_shown(first.tolist(), second.tolist(), float(first @ second))}

    def _begin(self, order: Order) -> Reply:
        base, experiment = str(order.get("base") or FIRST), str(order.get("experiment") or "")
        question = " ".join(str(order.get("question") or "").split())
        if experiment and experiment not in BY_NAME:
            raise QuestionError(f"There is no experiment “{experiment}”.", "Choose one of those on the page.")
        if not question and not experiment and not order.get("again"):
            raise QuestionError("The question is empty.", "Type a question about the guides.")
        changed = self._trace(base)
        return self._start(_Job(base, experiment), lambda job: self._run(job, question or changed.question, order))

    def _start(self, job: _Job, work: Callable[[_Job], None]) -> Reply:
        name = secrets.token_hex(6)
        with self._lock:
            under_way = [each for each in self._jobs.values() if not each.done and not each.cancellation.is_cancelled]
            if len(under_way) >= _AT_ONCE:
                raise QuestionError(
                    f"{_AT_ONCE} live runs are under way already, perhaps in other tabs.",
                    "Wait until one is done, or stop one.",
                )
            too_many = max(0, len(self._jobs) + 1 - _KEPT)
            for over in [each for each, known in self._jobs.items() if known.done][:too_many]:
                del self._jobs[over]
            self._jobs[name] = job

        def run() -> None:
            try:
                work(job)
            except FieldguideError as error:
                job.failure = str(error)
            except Exception as error:  # whoever waits for the job is told
                job.failure = str(unforeseen(error))
            finally:
                job.done = True

        threading.Thread(target=run, name="learn", daemon=True).start()
        return {"job": name}

    def _run(self, job: _Job, question: str, order: Order) -> None:
        base = self._trace(job.base)
        history = base.history if question == base.question else ()
        self._load(job)
        asked_before = base.options if order.get("again") else self._fieldguide.default_options()
        options = replace(asked_before, alternatives=ALTERNATIVES)
        if job.experiment:
            options = BY_NAME[job.experiment].change(self._fieldguide, question, options, order)
        self._take(job, record(self._fieldguide, question, history, options, job.cancellation), base)

    def _load(self, job: _Job, *, with_model: bool = True) -> None:
        for loading in self._fieldguide.loading(with_model=with_model):
            job.status = f"{loading.what} {loading.detail}".strip()
            if job.cancellation.is_cancelled:
                raise Cancelled()

    def _take(self, job: _Job, events: Iterator[Event | Trace], base: Trace) -> None:
        for event in events:
            match event:
                case Token():
                    job.text += event.text
                case Withdrawn():
                    job.text = ""
                case Finished():
                    job.text = event.answer.text
                case Failed():
                    job.failure = event.told
                case Trace():
                    job.result = self._keep(self._with_cold(event, base, is_repeat=not job.experiment))
            job.status = _status(event) or job.status

    def _with_cold(self, trace: Trace, base: Trace, *, is_repeat: bool) -> Trace:
        """Where the same question was asked live before with nothing cached, that run's times stand beside these."""
        known = base.first(Reading)
        was_cold = base in list(self._live.values()) and known is not None and not any(known.passages_from_cache)
        if is_repeat and was_cold and base.question == trace.question:
            return replace(trace, cold=durations(base))
        return trace

    def _live_name(self, order: Order) -> str:
        name = str(order.get("trace"))
        if name not in self._live:
            raise QuestionError("Only a run of your own can be measured.", "Ask the question live first.")
        return name

    def _measure(self, job: _Job) -> None:
        trace = self._trace(job.base)
        for step in with_influence(self._fieldguide, trace, job.cancellation):
            if isinstance(step, Trace):
                self._live[job.base] = step
                job.result, job.status = job.base, "Done"
            else:
                job.status = f"Read {step} of {len(trace.passages) + 1} times"

    def _keep(self, trace: Trace) -> str:
        name = f"live-{secrets.token_hex(4)}"
        with self._lock:
            while len(self._live) >= _KEPT:
                del self._live[next(iter(self._live))]
            self._live[name] = trace
        return name

    def _trace(self, name: str) -> Trace:
        found = self._live.get(name) or shipped().get(name)
        if found is None:
            raise QuestionError("This run is no longer known.", "Choose another one, or ask again.")
        return found

    def _told(self, work: Callable[[], Reply]) -> Reply:
        try:
            return work()
        except FieldguideError as error:
            return {"failure": str(error)}


def _status(event: Event | Trace) -> str:
    """What is happening, in a few words; '' for events that say nothing new."""
    match event:
        case Loading():
            return f"{event.what} {event.detail}".strip()
        case Queued():
            return f"{event.position} in the queue before this{event.estimate}"
        case Retrieved():
            return f"Found {len(event.result.hits)} passages"
        case Reading():
            return f"Reading {event.tokens} tokens, {event.done} done, {event.from_cache} from cache"
        case Token():
            return "Writing"
        case Trace():
            return "Done"
    return ""


def _view(fieldguide: Fieldguide, trace: Trace, *, is_live: bool) -> View:
    """The run with the guides that it searched, if they are still as they were; else with the guides as they are now."""
    now: list[Document] = []
    for folder in (fieldguide.settings.guides_dir, locations.guides_folder()):
        try:
            found = read_folder(folder)
        except FieldguideError:
            continue
        if corpus_hash(found) == trace.made_with.corpus:
            return View(trace, found, is_live=is_live)
        now = found
    return View(trace, is_live=is_live, now=now)


def _between(asked: object, low: int, high: int) -> int:
    """A whole number within limits; the lowest where there is none."""
    try:
        return max(low, min(high, int(str(asked))))
    except ValueError:
        return low
