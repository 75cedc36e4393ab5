"""Files into a collection: what is new or has changed is read, cut, embedded and stored, a few documents at a time.

Bounded memory: files stream through the loaders, and at most a batch of passages waits to be written. What was reported as
done is on disk; a kill loses at most the batch under way.
"""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from fieldguide.errors import DocumentError
from fieldguide.indexing.chunking import chunk_document
from fieldguide.indexing.collection import Collection
from fieldguide.indexing.discovery import FoundFile
from fieldguide.indexing.loading.pool import LoaderPool
from fieldguide.indexing.loading.reading import Loaded
from fieldguide.retrieval.embedder import Embedder
from fieldguide.retrieval.library_tables import StoredDocument
from fieldguide.retrieval.projection import reduce
from fieldguide.types import Chunk

_EMBED_AT_ONCE = 64  # passages


@dataclass(slots=True)
class IngestReport:
    """How far an ingest is, and what came of every file."""

    files: int = 0
    added: int = 0
    changed: int = 0
    unchanged: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)  # name and reason
    notes: list[tuple[str, str]] = field(default_factory=list)
    passages: int = 0
    embedded: int = 0
    seconds: float = 0.0
    cancelled: bool = False

    @property
    def done(self) -> int:
        """Files that were dealt with."""
        return self.added + self.changed + self.unchanged + len(self.skipped)


@dataclass(slots=True)
class _Waiting:
    """A document that is read and cut, but not yet stored."""

    document: StoredDocument
    text: str
    chunks: list[Chunk]
    new: list[Chunk]
    is_known: bool


Progress = Callable[[IngestReport], None]


def ingest(
    collection: Collection,
    files: Sequence[FoundFile],
    embedder: Embedder,
    pool: LoaderPool,
    progress: Progress,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> IngestReport:
    """Bring a collection up to date with these files; while writing. `progress` is told after every step.

    A file that cannot be read is skipped with its reason. Cancelling keeps what is done.
    """
    collection.reconcile()
    if not collection.store.count():
        collection.start_over(embedder)
    collection.require(embedder)
    run = _Ingest(collection, embedder, progress, len(files))
    for file, found in _loaded(run, files, pool, is_cancelled):
        try:
            run.take(file, found)
        except DocumentError as error:
            run.skip(file.name, str(error))
    run.flush()
    collection.sync()
    collection.purge()
    collection.economize()
    return run.finished(cancelled=is_cancelled())


def _loaded(
    run: "_Ingest", files: Sequence[FoundFile], pool: LoaderPool, is_cancelled: Callable[[], bool]
) -> Iterator[tuple[FoundFile, Loaded]]:
    """What has to be stored, of those that could be read."""
    by_path = {file.path: file for file in files}

    def wanted() -> Iterator[FoundFile]:
        for file in by_path.values():
            if is_cancelled():
                return
            if file.problem:
                run.skip(file.name, file.problem)
            elif not run.is_unchanged(file):
                yield file

    for path, found in pool.load_all(file.path for file in wanted()):
        if is_cancelled():
            return
        if isinstance(found, DocumentError):
            run.skip(by_path[path].name, str(found))
        else:
            yield by_path[path], found


class _Ingest:
    def __init__(self, collection: Collection, embedder: Embedder, progress: Progress, files: int) -> None:
        self._collection = collection
        self._store = collection.store
        self._embedder = embedder
        self._progress = progress
        self._report = IngestReport(files)
        self._started = time.perf_counter()
        self._max_tokens = min(collection.chunk_tokens, embedder.max_tokens)
        self._waiting: list[_Waiting] = []
        self._looked_at: dict[Path, tuple[int, int]] = {}

    def is_unchanged(self, file: FoundFile) -> bool:
        """Whether size and time are those that are known. They are noted before the file is read: it may change meanwhile."""
        try:
            status = file.path.stat()
        except OSError:
            return False  # the loader says why
        self._looked_at[file.path] = size, modified = status.st_size, status.st_mtime_ns
        known = self._store.document_from(file.path)
        if known is None or not known.sha256 or (size, modified) != (known.size, known.modified):
            return False
        self._report.unchanged += 1
        self._tell()
        return True

    def skip(self, name: str, reason: str) -> None:
        self._report.skipped.append((name, reason))
        self._tell()

    def take(self, file: FoundFile, found: Loaded) -> None:
        """Cut a document into passages; stored at once where enough of them wait."""
        size, modified = self._looked_at.pop(file.path, (0, 0))
        known = self._store.document(file.replaces) if file.replaces else self._store.document_from(file.path)
        sha256 = found.document.sha256
        if known and known.sha256 == sha256:
            self._store.touch(known.name, size, modified)
            self._report.unchanged += 1
            self._tell()
            return
        twin = self._twin(sha256)
        if twin:
            if known:  # what it held until now is nowhere any more
                self._store.remove_document(known.name)
            self._same_as(twin, file, size, modified)
            return
        name = known.name if known else self._free_name(file.name)
        document = StoredDocument(
            name,
            found.document.title,
            found.kind,
            file.path,
            size,
            modified,
            sha256,
            datetime.now(UTC).isoformat(timespec="seconds"),
            found.note,
        )
        if found.note:
            self._report.notes.append((name, found.note))
        named = replace(found.document, name=name)
        try:
            cut = chunk_document(named, self._embedder.count_tokens, self._max_tokens, found.sections)
        except Exception as error:  # a tokenizer may fail on texts that nobody thought of; the other files go on
            raise DocumentError(f"It cannot be cut into passages ({type(error).__name__}: {error}).") from error
        chunks = [replace(chunk, id=f"{self._collection.id}-{chunk.id}") for chunk in cut]
        here = {chunk.id for chunk in self._store.passages_of(name)}
        new = [chunk for chunk in chunks if chunk.id not in here]
        self._waiting.append(_Waiting(document, found.document.text, chunks, new, bool(known and known.sha256)))
        if sum(len(waiting.new) for waiting in self._waiting) >= _EMBED_AT_ONCE or len(self._waiting) >= _EMBED_AT_ONCE:
            self.flush()

    def _same_as(self, twin: str, file: FoundFile, size: int, modified: int) -> None:
        """The same content under another name is stored once; where the other file is gone, it was this one that moved."""
        stored = self._store.document(twin)
        if stored is None or os.path.exists(stored.origin):
            raise DocumentError(f"It holds the same as {twin}.")
        self._store.touch(twin, size, modified, file.path)
        self._report.unchanged += 1
        self._tell()

    def _twin(self, sha256: str) -> str:
        """The name of a document with the same content; '' where there is none."""
        waiting = next((w.document.name for w in self._waiting if w.document.sha256 == sha256), "")
        stored = self._store.document_with(sha256)
        return waiting or (stored.name if stored else "")

    def _free_name(self, name: str) -> str:
        taken = {waiting.document.name for waiting in self._waiting}
        stem, dot, suffix = name.rpartition(".")
        free, number = name, 2
        while free in taken or self._store.document(free):
            free = f"{stem} ({number}){dot}{suffix}" if stem else f"{name} ({number})"
            number += 1
        return free

    def flush(self) -> None:
        """Embed and store what waits."""
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            self._store.begin(one.document)
        new = [chunk for one in waiting for chunk in one.new]
        for start in range(0, len(new), _EMBED_AT_ONCE):
            self._add(new[start : start + _EMBED_AT_ONCE])
        for one in waiting:
            self._store.finish(one.document, one.text, one.chunks)
            self._report.changed += one.is_known
            self._report.added += not one.is_known
            self._report.passages += len(one.chunks)
        if waiting:
            self._collection.sync()
            self._collection.economize(is_going_on=True)
            self._tell()

    def _add(self, chunks: Sequence[Chunk]) -> None:
        texts = [chunk.embedded_text for chunk in chunks]
        embeddings = self._embedder.embed(texts)
        tokens = [reduce(embedding.token_vectors, self._store.directions) for embedding in embeddings]
        ids = [self._embedder.token_ids(text) for text in texts]
        self._store.add_passages(chunks, [embedding.vector for embedding in embeddings], tokens, ids)
        self._report.embedded += len(chunks)
        self._tell()

    def _tell(self) -> None:
        self._report.seconds = time.perf_counter() - self._started
        self._progress(self._report)

    def finished(self, *, cancelled: bool) -> IngestReport:
        self._report.cancelled = cancelled
        self._tell()
        return self._report
