"""What can be done with one's own documents: add, bring up to date, index again, remove, watch folders."""

import json
import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
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
from fieldguide.indexing.loading.kinds import readable_name
from fieldguide.indexing.loading.pool import LoaderPool
from fieldguide.retrieval.embedder import Embedder
from fieldguide.retrieval.library_tables import StoredDocument

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
        embedder = self._embedder()
        collection = self.library.create(name, embedder, chunk_tokens or CHUNK_TOKENS)
        report(Loading("Looking for files"))
        files = list(find_files(paths, include, exclude))
        if not files:
            raise DocumentError("There are no files to ingest in what was named.", "Name files, or folders with files in them.")
        return self._ingest(collection, files, report, cancelled)

    def upload(self, name: str, files: Sequence[tuple[str, Path]], report: Report, cancelled: threading.Event) -> IngestReport:
        """Keep copies of files under the names they came with, and ingest those."""
        collection = self.library.create(name, self._embedder())
        found = []
        with collection.writing(lambda: report(_waiting(collection))):
            for given, path in files:
                title = readable_name(os.path.basename(given.replace("\\", "/")))[-120:]
                before = collection.store.document(title)
                if before and before.origin.is_relative_to(collection.folder):
                    kept = before.origin  # a newer version of what was uploaded
                else:
                    kept = self._room_for(collection, title)
                shutil.copyfile(path, kept)
                found.append(FoundFile(kept, title))
        result = self._ingest(collection, found, report, cancelled)
        known = {document.origin for document in collection.store.documents()}
        for file in found:
            if file.path not in known:  # refused, or there already
                with suppress(OSError):
                    file.path.unlink()
                    file.path.parent.rmdir()
        return result

    def refresh(self, name: str, report: Report = _silent, cancelled: threading.Event = _NEVER) -> IngestReport | None:
        """Ingest what changed on disk, and what is new in watched folders; None where nothing is."""
        collection = self.library.collection(name)
        watched, documents = collection.watched, collection.store.documents()
        gone, files = [], []
        for document in documents:
            try:
                status = document.origin.stat()
            except OSError:
                # Elsewhere a file that is gone may come back: a disk that is not plugged in is no wish to forget.
                if any(document.origin.is_relative_to(folder) and folder.is_dir() for folder in watched):
                    gone.append(document.name)
                continue
            if not document.sha256 or (status.st_size, status.st_mtime_ns) != (document.size, document.modified):
                changed = FoundFile(document.origin, document.name)
                files += [] if self._was_refused(changed) else [changed]
        known = {document.origin for document in documents}
        settings = collection.store.settings()
        include, exclude = json.loads(settings["include"] or "[]"), json.loads(settings["exclude"] or "[]")
        fresh = find_files([str(folder) for folder in watched if folder.is_dir()], include, exclude)
        files += [file for file in fresh if file.path not in known and not self._was_refused(file)]
        if gone:
            self.remove(name, gone)
        if not files:
            return None
        result = self._ingest(collection, files, report, cancelled)
        refused = {given for given, _ in result.skipped}
        self._refused |= {_stamp(file.path) for file in files if file.name in refused}
        return result

    def _was_refused(self, file: FoundFile) -> bool:
        return _stamp(file.path) in self._refused

    def reindex(self, name: str, report: Report = _silent, cancelled: threading.Event = _NEVER) -> IngestReport:
        """Cut and embed all documents of a collection again, from their files; where a file is gone, from its text."""
        collection = self.library.collection(name)
        with collection.writing(lambda: report(_waiting(collection))):
            for document in collection.store.documents():
                if not document.origin.exists() and (text := collection.store.text(document.name)):
                    ending = ".md" if document.kind in {"markdown", "html", "docx", "epub", "rst", "notebook"} else ".txt"
                    kept = self._room_for(collection, Path(document.name).stem + ending)
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

    @staticmethod
    def _room_for(collection: Collection, name: str) -> Path:
        """Where a file that comes without a place of its own is kept."""
        folder = collection.folder / "files" / secrets.token_hex(4)
        folder.mkdir(parents=True)
        return folder / name

    def watch(self, name: str, folders: Sequence[Path]) -> None:
        """Have these folders watched from now on, and no others."""
        collection = self.library.create(name, self._embedder())
        missing = next((folder for folder in folders if not folder.is_dir()), None)
        if missing:
            raise DocumentError(f"{missing} is no folder.", "Make it first.")
        with collection.writing(lambda: None):
            collection.store.change_settings(watched=json.dumps([os.path.abspath(folder) for folder in folders]))

    def keep_up(self, end: threading.Event, report: Report = _silent, seconds: float = 5.0) -> None:
        """Look for changes on disk again and again, until `end`; seldom where looking takes long."""
        pause = seconds
        while not end.wait(pause):
            began, pause = time.monotonic(), seconds
            with suppress(FieldguideError):  # told when the collection is asked or changed
                found = [self.refresh(collection.name, report, end) for collection in self.library.collections()]
                if not any(found):
                    pause = max(seconds, 20 * (time.monotonic() - began))

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


def _stamp(path: Path) -> tuple[str, int, int]:
    try:
        status = path.stat()
    except OSError:
        return (str(path), 0, 0)
    return (str(path), status.st_size, status.st_mtime_ns)
