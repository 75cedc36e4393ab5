"""What can be done with one's own documents: add, bring up to date, index again, remove, watch folders."""

import json
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from fieldguide.errors import DocumentError, FieldguideError
from fieldguide.events import Loading
from fieldguide.generation.passage_cache import PassageCache
from fieldguide.indexing.collection import Collection
from fieldguide.indexing.discovery import FoundFile, find_files
from fieldguide.indexing.index import CHUNK_TOKENS
from fieldguide.indexing.ingest import IngestReport, ingest
from fieldguide.indexing.library import GUIDES, Library
from fieldguide.indexing.loading.kinds import short_name
from fieldguide.indexing.loading.pool import LoaderPool
from fieldguide.retrieval.embedder import Embedder
from fieldguide.retrieval.library_tables import StoredDocument

_log = logging.getLogger(__name__)

Report = Callable[[Loading], None]
_NEVER = threading.Event()


def _silent(_: Loading) -> None:
    return


class OwnDocuments:
    """Every change to the user's collections goes through here; safe to use from several threads."""

    def __init__(self, library: Library, embedder: Callable[[], Embedder], states: Path) -> None:
        self.library = library
        self._embedder = embedder
        self._states = PassageCache(states, 0)  # what models keep of passages
        self._refused: set[tuple[str, int, int]] = set()  # what a watched folder holds that cannot be read is tried once

    def collection_names(self) -> list[str]:
        """What can be searched; only the guides where the user's own cannot be read, which is told on asking."""
        try:
            return self.library.names()
        except FieldguideError:
            return [GUIDES]

    def add(
        self,
        paths: Sequence[str],
        name: str,
        report: Report = _silent,
        cancelled: threading.Event = _NEVER,
        *,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        chunk_tokens: int | None = None,
    ) -> IngestReport:
        """Ingest files, folders and patterns into a collection, which is made where there is none of that name."""
        report(Loading("Looking for files"))
        files = list(find_files(paths, include, exclude))
        if not files:
            raise DocumentError("There are no files to ingest in what was named.", "Name files, or folders with files in them.")
        size = CHUNK_TOKENS if chunk_tokens is None else chunk_tokens
        collection = self.library.create(name, self._embedder(), size)
        return self._ingest(collection, files, report, cancelled)

    def upload(self, name: str, files: Sequence[tuple[str, Path]], report: Report, cancelled: threading.Event) -> IngestReport:
        """Keep copies of files under the names they came with, and ingest those."""
        embedder = self._embedder()
        collection = self.library.create(name, embedder)
        with LoaderPool() as pool, collection.writing(lambda: report(_waiting(collection))):
            found: list[FoundFile] = []
            collection.reconcile()  # before there are files that no document came from yet
            try:
                for given, path in files:
                    title = short_name(os.path.basename(given.replace("\\", "/")))
                    kept = collection.room_for(title)
                    shutil.copyfile(path, kept)
                    before = collection.store.document(title)
                    is_newer = before and before.origin.is_relative_to(collection.folder)
                    replaces = title if is_newer and all(file.replaces != title for file in found) else ""
                    found.append(FoundFile(kept, title, replaces=replaces))
                return ingest(collection, found, embedder, pool, lambda so_far: report(as_loading(so_far)), cancelled.is_set)
            finally:
                collection.sweep()

    def refresh(self, name: str, report: Report = _silent, cancelled: threading.Event = _NEVER) -> IngestReport | None:
        """Ingest what changed on disk, and what is new in watched folders; None where nothing had to be read."""
        collection = self.library.collection(name)
        watched, documents = collection.watched, collection.store.documents()
        gone, files = [], []
        # A folder without anything may be where a disk is plugged in at other times: that is no wish to forget.
        there = [folder for folder in watched if os.path.isdir(folder) and _holds_something(folder)]
        for document in documents:
            try:
                status = document.origin.stat()
            except (FileNotFoundError, NotADirectoryError):
                if any(document.origin.is_relative_to(folder) for folder in there):
                    gone.append(document.name)
                continue
            except OSError:  # closed to reading, or on a disk that does not answer
                continue
            if not document.sha256 or (status.st_size, status.st_mtime_ns) != (document.size, document.modified):
                changed = FoundFile(document.origin, document.name)
                files += [] if self._was_refused(changed) else [changed]
        known = {document.origin for document in documents}
        settings = collection.store.settings()
        include, exclude = json.loads(settings["include"] or "[]"), json.loads(settings["exclude"] or "[]")
        fresh = find_files([str(folder) for folder in there], include, exclude)
        files += [file for file in fresh if file.path not in known and not self._was_refused(file)]
        if gone:
            self.remove(name, gone)
        if not files:
            return None
        stamps = {file.name: _stamp(file.path) for file in files}  # before they are read: they may change meanwhile
        result = self._ingest(collection, files, report, cancelled)
        self._refused |= {stamps[name] for name, _ in result.skipped if name in stamps}
        return result

    def _was_refused(self, file: FoundFile) -> bool:
        return _stamp(file.path) in self._refused

    def reindex(self, name: str, report: Report = _silent, cancelled: threading.Event = _NEVER) -> IngestReport:
        """Cut and embed all documents of a collection again, from their files; where a file is gone, from its text."""
        collection = self.library.collection(name)
        with collection.writing(lambda: report(_waiting(collection))):
            for document in collection.store.documents():
                if not os.path.exists(document.origin) and (text := collection.store.text(document.name)):
                    ending = ".md" if document.kind in {"markdown", "html", "docx", "epub", "rst", "notebook"} else ".txt"
                    kept = collection.room_for(short_name(Path(document.name).stem + ending))
                    kept.write_text(text, encoding="utf-8")
                    collection.store.touch(document.name, 0, 0, kept)
            collection.start_over(self._embedder())
        files = [FoundFile(document.origin, document.name) for document in collection.store.documents()]
        return self._ingest(collection, files, report, cancelled)

    def remove(self, name: str, documents: Sequence[str]) -> None:
        """Forget documents: text, passages, vectors, and what models keep of them. Files elsewhere stay."""
        collection = self.library.collection(name)
        known = {document.name: document for document in collection.store.documents()}
        for document in documents:
            if document not in known:
                raise DocumentError(
                    f"There is no document '{document}' in '{name}'.", f"See: fieldguide documents list '{name}'"
                )
        with collection.writing(lambda: None):
            collection.remove(documents)
        self._forget([known[document] for document in documents])

    def delete(self, name: str) -> None:
        """Forget a whole collection."""
        documents = self.library.collection(name).store.documents()
        self.library.delete(name)
        self._forget(documents)

    def _forget(self, documents: Sequence[StoredDocument]) -> None:
        """Remove what models keep of these documents: whatever was kept or used since the first of them came."""
        if documents:
            self._states.forget_since(min(datetime.fromisoformat(document.added).timestamp() for document in documents))

    def watch(self, name: str, folders: Sequence[Path]) -> None:
        """Have these folders watched from now on, and no others; makes the collection where there is something to watch."""
        missing = next((folder for folder in folders if not os.path.isdir(folder)), None)
        if missing:
            raise DocumentError(f"{missing} is no folder.", "Make it first.")
        is_new = folders and name not in self.library.names()
        collection = self.library.create(name, self._embedder()) if is_new else self.library.collection(name)
        with collection.writing(lambda: None):
            collection.store.change_settings(watched=json.dumps([os.path.abspath(folder) for folder in folders]))

    def keep_up(self, end: threading.Event, report: Report = _silent, seconds: float = 5.0) -> None:
        """Look for changes on disk again and again, until `end`; seldom where looking takes long."""
        pause = seconds
        while not end.wait(pause):
            began = time.monotonic()
            found = [self._kept_up(name, report, end) for name in self.collection_names() if name != GUIDES]
            pause = seconds if any(found) else max(seconds, 20 * (time.monotonic() - began))

    def _kept_up(self, name: str, report: Report, end: threading.Event) -> IngestReport | None:
        try:
            return self.refresh(name, report, end)
        except FieldguideError:
            return None  # told when the collection is asked or changed
        except Exception:  # whatever broke: the other collections are followed
            _log.exception("the collection '%s' could not be brought up to date", name)
            return None

    def _ingest(
        self, collection: Collection, files: Sequence[FoundFile], report: Report, cancelled: threading.Event
    ) -> IngestReport:
        embedder = self._embedder()
        with LoaderPool() as pool, collection.writing(lambda: report(_waiting(collection))):
            return ingest(collection, files, embedder, pool, lambda so_far: report(as_loading(so_far)), cancelled.is_set)


def as_loading(report: IngestReport) -> Loading:
    """How far an ingest is, in words."""
    rate = report.done / report.seconds if report.seconds else 0.0
    detail = f"{report.done} of {report.files} files, {report.passages} passages"
    if report.seconds > 1 and rate:
        left = (report.files - report.done) / rate
        detail += f", {rate:.1f} files/s, {_duration(left)} left"
    return Loading("Ingesting", report.done / max(report.files, 1), detail)


def summary(report: IngestReport) -> str:
    """What an ingest did, in one line."""
    parts = [f"{report.added} added", f"{report.changed} changed", f"{report.unchanged} unchanged"]
    line = f"{', '.join(parts)}, {len(report.skipped)} skipped; passages embedded: {report.embedded} ({report.seconds:.1f} s)."
    return f"Cancelled; what was done is kept. {line}" if report.cancelled else line


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def _waiting(collection: Collection) -> Loading:
    return Loading(f"Waiting for another process that changes '{collection.name}'")


def _holds_something(folder: Path) -> bool:
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is not None
    except OSError:
        return False


def _stamp(path: Path) -> tuple[str, int, int]:
    try:
        status = path.stat()
    except OSError:
        return (str(path), 0, 0)
    return (str(path), status.st_size, status.st_mtime_ns)
