"""What the page asks of the program: runs to show, questions to ask, experiments to make. No Gradio in here."""

import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from fieldguide import locations
from fieldguide.assembly import Fieldguide
from fieldguide.errors import FieldguideError, QuestionError
from fieldguide.events import Event, Failed, Finished, Loading, Queued, Reading, Retrieved, Token, Withdrawn
from fieldguide.generation.model import Cancellation
from fieldguide.indexing.documents import corpus_hash, read_document, read_folder
from fieldguide.interfaces.learn import recut
from fieldguide.interfaces.learn.comparing import changes_shown
from fieldguide.interfaces.learn.experiments import BY_NAME
from fieldguide.interfaces.learn.lanes import run_shown
from fieldguide.interfaces.learn.preparing import compared_shown, recut_shown
from fieldguide.interfaces.learn.shipped import ALTERNATIVES, FIRST, shipped
from fieldguide.interfaces.learn.view import View, durations
from fieldguide.trace import Trace, record, with_influence
from fieldguide.types import Document

_KEPT = 30  # live runs; the oldest goes first
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
    done: bool = False
    cancellation: Cancellation = field(default_factory=Cancellation)


class Laboratory:
    """All runs, recorded and live, and the jobs that make new ones; one instance for all tabs."""

    def __init__(self, fieldguide: Fieldguide) -> None:
        self._fieldguide = fieldguide
        self._live: dict[str, Trace] = {}
        self._jobs: dict[str, _Job] = {}

    def show(self, order: Order) -> Reply:
        """A run as HTML, by its name."""
        return self._told(lambda: {"html": self.html(str(order.get("trace") or FIRST))})

    def html(self, name: str) -> str:
        """The same; raises QuestionError for an unknown name."""
        trace = self._trace(name)
        return run_shown(View(trace, _documents(self._fieldguide, trace), name in self._live), name)

    def begin(self, order: Order) -> Reply:
        """Ask a question, or make an experiment on the run `base`; the reply names the job."""
        return self._told(lambda: self._begin(order))

    def measure(self, order: Order) -> Reply:
        """Measure what each passage did to the answer of a live run; the reply names the job."""
        return self._told(lambda: self._start(_Job(str(order.get("trace"))), self._measure))

    def progress(self, order: Order) -> Reply:
        """How far a job is; when it is done, what came of it."""
        job = self._jobs.get(str(order.get("job")))
        if job is None:
            return {"failure": "This run is no longer known. Start it again."}
        reply: Reply = {"status": job.status, "text": job.text, "done": job.done, "failure": job.failure, "trace": job.result}
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
        """A guide cut by counting words, and which of three questions fail."""
        document = read_document(locations.guides_folder() / recut.GUIDE)
        size = max(10, min(200, int(order.get("size", 120))))
        cuts = recut.cut(document.text, size, max(0, min(60, int(order.get("overlap", 0)))))
        verdicts = [(f.question, " … ".join(f.needs), recut.is_whole(document.text, cuts, f)) for f in recut.FACTS]
        return {"html": recut_shown(document, cuts, verdicts), "fails": sum(not whole for _, _, whole in verdicts)}

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
        if not question and not experiment:
            raise QuestionError("The question is empty.", "Type a question about the guides.")
        changed = self._trace(base)
        return self._start(_Job(base, experiment), lambda job: self._run(job, question or changed.question, order))

    def _start(self, job: _Job, work: Callable[[_Job], None]) -> Reply:
        name = secrets.token_hex(6)
        while len(self._jobs) >= _KEPT:
            del self._jobs[next(iter(self._jobs))]
        self._jobs[name] = job

        def run() -> None:
            try:
                work(job)
            except FieldguideError as error:
                job.failure = str(error)
            finally:
                job.done = True

        threading.Thread(target=run, name="learn", daemon=True).start()
        return {"job": name}

    def _run(self, job: _Job, question: str, order: Order) -> None:
        base = self._trace(job.base)
        history = base.history if question == base.question else ()
        for loading in self._fieldguide.loading():
            job.status = f"{loading.what} {loading.detail}".strip()
            if job.cancellation.is_cancelled:
                job.failure = "Stopped."
                return
        options = replace(self._fieldguide.default_options(), alternatives=ALTERNATIVES)
        if job.experiment:
            options = BY_NAME[job.experiment].change(self._fieldguide, question, options, order)
        self._take(job, record(self._fieldguide, question, history, options, job.cancellation), base)

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
                    job.failure = f"{event.message} {event.remedy}".strip()
                case Trace():
                    job.result = self._keep(self._with_cold(event, base, is_repeat=not job.experiment))
            job.status = _status(event) or job.status

    def _with_cold(self, trace: Trace, base: Trace, *, is_repeat: bool) -> Trace:
        """Where the same question was asked live before with nothing cached, that run's times stand beside these."""
        known = next(iter(base.all(Reading)), None)
        was_cold = base in self._live.values() and known is not None and not any(known.passages_from_cache)
        if is_repeat and was_cold and base.question == trace.question:
            return replace(trace, cold=durations(base))
        return trace

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
            return f"{event.position} in the queue before this"
        case Retrieved():
            return f"Found {len(event.result.hits)} passages"
        case Reading():
            return f"Reading {event.tokens} tokens, {event.done} done, {event.from_cache} from cache"
        case Token():
            return "Writing"
        case Trace():
            return "Done"
    return ""


def _documents(fieldguide: Fieldguide, trace: Trace) -> list[Document]:
    """The guides that the run searched, if they are still as they were."""
    for folder in (fieldguide.settings.guides_dir, locations.guides_folder()):
        try:
            found = read_folder(folder)
        except FieldguideError:
            continue
        if corpus_hash(found) == trace.made_with.corpus:
            return found
    return []
