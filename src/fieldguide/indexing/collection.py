"""A collection of documents on disk, which grows and shrinks a document at a time.

    DATA/collections/ID/    library.sqlite, chroma/, files/ (what was uploaded), writer.lock

SQLite holds the truth; Chroma follows it. One process writes at a time; readers notice what others have written.
"""

import json
import os
import secrets
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fieldguide.background import SharedUse
from fieldguide.errors import MAKE_ROOM, SearchIndexError, VectorsDamaged
from fieldguide.indexing.chunking import CHUNKER_VERSION
from fieldguide.locks import exclusive
from fieldguide.retrieval.embedder import Embedder
from fieldguide.retrieval.library_store import LibraryStore
from fieldguide.retrieval.projection import DIMENSIONS, fit
from fieldguide.retrieval.search import Searcher, Weighed
from fieldguide.retrieval.vector_store import ChromaVectorStore, open_vectors
from fieldguide.types import SearchResult

_SYNCED_AT_ONCE = 500
_REDUCED_FROM = 1000  # passages at the end of an ingest: from then on token vectors take a third of the space
_REDUCED_WITHIN = 5000  # and in the middle of one, so that a large one never takes the whole
_FITTED_ON = 256  # of them, from all over the collection


class _Busy(Exception):
    pass


@dataclass(frozen=True, slots=True)
class CollectionState:
    """A collection in numbers; `chunk_tokens` is the size of its passages, as wanted."""

    name: str
    documents: int
    passages: int
    chunk_tokens: int
    needs_reindexing: bool
    watched: list[Path]


class Collection:
    """One opened collection; raises SearchIndexError when it is damaged. Many threads may search while one writes."""

    def __init__(self, folder: Path, chroma_url: str = "") -> None:
        self.folder = folder
        self._chroma_url = chroma_url
        self.store = LibraryStore(folder / "library.sqlite")
        self._vectors: ChromaVectorStore | None = None
        self._use = SharedUse()
        self._opening = threading.Lock()

    @property
    def id(self) -> str:
        """What it is called on disk; stays when it gets another name."""
        return self.folder.name

    @property
    def name(self) -> str:
        """What it is called."""
        return self.store.settings()["name"]

    @property
    def chunk_tokens(self) -> int:
        """The size of its passages, in tokens of the embedder."""
        return int(self.store.settings()["chunk_tokens"])

    @property
    def watched(self) -> list[Path]:
        """The folders whose files belong to it."""
        return _watched(self.store.settings())

    def state(self) -> CollectionState:
        """What lists of collections tell of it."""
        settings = self.store.settings()
        return CollectionState(
            settings["name"],
            self.store.document_count(),
            self.store.count(),
            int(settings["chunk_tokens"]),
            settings["chunk_tokens"] != settings["indexed_chunk_tokens"] or settings["chunker_version"] != str(CHUNKER_VERSION),
            _watched(settings),
        )

    def require(self, embedder: Embedder) -> None:
        """Raise SearchIndexError unless the collection can be used with this embedder."""
        if self.store.settings()["embedder"] != embedder.identity:
            raise SearchIndexError(
                f"The collection '{self.name}' was indexed with another embedder.",
                f"Index it again: fieldguide collections reindex '{self.name}'",
            )

    def search(self, question: str, limit: int, embedder: Embedder, weighed: Weighed | None = None) -> SearchResult:
        """The best passages of this collection; `weighed` where others are searched, too."""
        self.require(embedder)
        try:
            return self._search(question, limit, embedder, weighed)
        except VectorsDamaged as damage:
            try:
                with self.writing(_busy):
                    self.reconcile()
            except _Busy:  # another process changes them, and will leave them whole
                raise damage from None
            return self._search(question, limit, embedder, weighed)

    def _search(self, question: str, limit: int, embedder: Embedder, weighed: Weighed | None) -> SearchResult:
        self._follow()
        with self._use.together():
            return Searcher(embedder, self.vectors, self.store).search(question, limit, weighed)

    @property
    def vectors(self) -> ChromaVectorStore:
        """Its vectors in Chroma, opened on first use."""
        with self._opening:
            if self._vectors is None:
                again = f"Index the collection again: fieldguide collections reindex '{self.name}'"
                self._vectors = open_vectors(self.folder / "chroma", self._chroma_url, f"collection-{self.id}", again)
            return self._vectors

    def _follow(self) -> None:
        """Take note of what another process wrote, and tell Chroma what a killed one could not."""
        if self.store.changed_elsewhere():
            with self._use.alone():
                self._close_vectors()
        with self._use.together():
            is_whole = not self.store.unsynced(1) and self.store.is_purged and self.vectors.count() == self.store.count()
        if not is_whole:
            # Where nothing can be written, what Chroma knows already is searched.
            with suppress(_Busy, SearchIndexError), self.writing(_busy):
                self.reconcile()

    @contextmanager
    def writing(self, tell_waiting: Callable[[], None]) -> Iterator[None]:
        """Be the one process that writes, for as long as the `with` lasts; failures become SearchIndexError."""
        try:
            with exclusive(self.folder / "writer.lock", tell_waiting):
                if self.store.changed_elsewhere():
                    with self._use.alone():
                        self._close_vectors()
                yield
        except (OSError, sqlite3.Error) as error:
            raise SearchIndexError(
                f"The collection '{self.folder.name}' in {self.folder.parent} cannot be written: "
                f"{getattr(error, 'strerror', None) or error}.",
                MAKE_ROOM,
            ) from error

    def sync(self) -> None:
        """Tell Chroma what was added and removed; while writing."""
        while ids := self.store.unsynced(_SYNCED_AT_ONCE):
            there = self.store.stored_vectors(ids)
            if there:
                self.vectors.add(list(there), np.stack(list(there.values())))
            gone = [i for i in ids if i not in there]
            if gone:
                self.vectors.remove(gone)
            self.store.mark_synced(ids)

    def reconcile(self) -> None:
        """Bring Chroma in line with SQLite, whatever happened to it; while writing."""
        with self._use.alone():
            try:
                self.vectors.nearest(np.eye(1, len(self.store.directions), dtype=np.float32)[0], 1)
            except VectorsDamaged:  # SQLite knows all that Chroma has to be told
                self._close_vectors()
                shutil.rmtree(self.folder / "chroma", ignore_errors=True)
        self.sync()
        if self.vectors.count() != self.store.count():
            self.store.mark_unsynced(list(self.vectors.ids() ^ self.store.ids()))
            self.sync()
        self.purge()

    def purge(self) -> None:
        """Have no file hold anything any more of what was removed; while writing."""
        if self.store.is_purged:
            return
        self.sweep()
        with self._use.alone():
            self.vectors.rewrite(len(self.store.directions))
        self.store.purge()

    def economize(self, *, is_going_on: bool = False) -> None:
        """Keep fewer numbers for each token, once there are enough passages to choose directions by; while writing."""
        count = self.store.count()
        dimension, width = self.store.directions.shape
        if count < (_REDUCED_WITHIN if is_going_on else _REDUCED_FROM) or width < dimension or dimension <= DIMENSIONS:
            return
        ids = sorted(self.store.ids())[:: -(-count // _FITTED_ON)]  # ids are hashes: a sample from all over
        directions = fit(np.concatenate(list(self.store.token_vectors(ids).values())))
        with self._use.alone():
            self.store.reduce_tokens(directions)

    def start_over(self, embedder: Embedder) -> None:
        """Forget all passages, so that every document is indexed anew; while writing."""
        with self._use.alone():
            self.forget_vectors()
            self.store.clear_passages(embedder.dimension)
        self.store.change_settings(
            embedder=embedder.identity,
            chunker_version=str(CHUNKER_VERSION),
            indexed_chunk_tokens=self.store.settings()["chunk_tokens"],
        )

    def forget_vectors(self) -> None:
        """Remove all vectors, wherever they are; while writing, and while nobody searches."""
        if self._chroma_url:
            self.vectors.forget_all()
        self._close_vectors()
        shutil.rmtree(self.folder / "chroma", ignore_errors=True)

    def remove(self, names: Sequence[str]) -> None:
        """Forget documents and everything made of them; while writing."""
        for name in names:
            self.store.remove_document(name)
        self.sync()
        self.purge()

    def room_for(self, name: str) -> Path:
        """Where a file that comes without a place of its own is kept, under this name; while writing."""
        folder = self.folder / "files" / secrets.token_hex(4)
        folder.mkdir(parents=True)
        return folder / name

    def sweep(self) -> None:
        """Remove the kept files that no document came from: refused, replaced or removed ones; while writing."""
        # By the end of their paths: the data folder may have been moved since.
        needed = {document.origin.parts[-2:] for document in self.store.documents()}
        for path in (self.folder / "files").glob("*/*"):
            if path.parts[-2:] not in needed:
                path.unlink(missing_ok=True)
        for folder in (self.folder / "files").glob("*"):
            with suppress(OSError):  # those with a file in them stay
                folder.rmdir()

    def size(self) -> int:
        """Bytes on disk."""
        sizes = 0
        for folder, _, names in os.walk(self.folder):
            for name in names:
                with suppress(OSError):
                    sizes += (Path(folder) / name).stat().st_size
        return sizes

    def close(self) -> None:
        """Release its files."""
        self.store.close()
        self._close_vectors()

    def _close_vectors(self) -> None:
        vectors, self._vectors = self._vectors, None
        if vectors:
            vectors.close()


def _watched(settings: Mapping[str, str]) -> list[Path]:
    return [Path(text) for text in json.loads(settings["watched"] or "[]")]


def _busy() -> None:
    raise _Busy  # whoever writes will tell Chroma
