"""What the Library page has under way: one piece of work at a time, others behind it; how far it is, and what came of it."""

import queue
import shutil
import threading
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from fieldguide.assembly import Fieldguide
from fieldguide.errors import FieldguideError, unforeseen
from fieldguide.events import Loading
from fieldguide.indexing.ingest import IngestReport
from fieldguide.indexing.own_documents import summary

_LOG_KEPT = 5
Job = Callable[[threading.Event], IngestReport | None]


class Work:
    """Runs jobs in a thread of its own."""

    def __init__(self, fieldguide: Fieldguide) -> None:
        self._fieldguide = fieldguide
        self._jobs: queue.SimpleQueue[tuple[str, Job]] = queue.SimpleQueue()
        self._waiting = 0
        self._cancelled = threading.Event()
        self._under_way = ""
        self._loading: Loading | None = None
        self._results: list[dict[str, Any]] = []
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self.uploads = fieldguide.settings.data_dir / "uploads"  # until they are ingested
        shutil.rmtree(self.uploads, ignore_errors=True)

    def state(self) -> dict[str, Any]:
        """What is under way, and what the last pieces of work came to, newest first."""
        loading = self._loading
        return {
            "title": self._under_way,
            "waiting": self._waiting,
            "progress": asdict(loading) if loading else None,
            "results": list(reversed(self._results)),
        }

    def start(self, title: str, job: Job) -> None:
        """Do this once all that was asked for before is done."""
        with self._lock:
            self._waiting += 1
            self._jobs.put((title, job))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="library", daemon=True)
                self._thread.start()

    def cancel(self) -> None:
        """End what is under way; what it has done is kept."""
        self._cancelled.set()

    def report(self, loading: Loading) -> None:
        """How far the work is."""
        self._loading = loading

    def add(self, collection: str, batch: str, names: dict[str, str]) -> None:
        """Ingest uploaded files, given by where they stand and what they are called."""
        folder = self.uploads / batch

        def job(cancelled: threading.Event) -> IngestReport:
            try:
                files = [(name, folder / place) for place, name in names.items()]
                return self._fieldguide.own.upload(collection, files, self.report, cancelled)
            finally:
                shutil.rmtree(folder, ignore_errors=True)

        self.start(f"Adding {len(names)} {'file' if len(names) == 1 else 'files'} to {collection}", job)

    def _run(self) -> None:
        while True:
            title, job = self._jobs.get()
            self._cancelled.clear()
            self._under_way, self._loading = title, None
            result: dict[str, Any] = {"title": title, "problem": "", "summary": "", "skipped": []}
            try:
                report = job(self._cancelled)
                if report:
                    result |= {"summary": summary(report), "skipped": [*report.skipped, *report.notes]}
            except FieldguideError as error:
                result["problem"] = str(error)
            except Exception as error:  # the thread serves whatever comes next
                result["problem"] = str(unforeseen(error))
            self._results = [*self._results[1 - _LOG_KEPT :], result]
            self._under_way, self._loading = "", None
            with self._lock:
                self._waiting -= 1
