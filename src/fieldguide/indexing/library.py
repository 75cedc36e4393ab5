"""All collections: the built-in guides and the user's own, each in a folder of its own."""

import os
import re
import secrets
import shutil
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fieldguide.errors import MAKE_ROOM, CollectionError, SearchIndexError
from fieldguide.indexing.chunking import CHUNKER_VERSION
from fieldguide.indexing.collection import Collection
from fieldguide.indexing.index import CHUNK_TOKENS, Index, current_generation, open_index
from fieldguide.locks import exclusive
from fieldguide.retrieval.embedder import Embedder
from fieldguide.retrieval.library_tables import create_library
from fieldguide.retrieval.merging import merge
from fieldguide.retrieval.passage_store import PassageStore
from fieldguide.retrieval.search import Search, Searcher, weigh
from fieldguide.retrieval.spelling import corrected
from fieldguide.types import Chunk, Document, SearchResult

GUIDES = "guides"
DEFAULT_COLLECTION = "documents"
_NAME = re.compile(r"\w[\w .\-]{0,59}")
_SMALLEST, _LARGEST = 40, 240  # tokens of a passage
_UNFINISHED = (".new-", ".gone-")


class Library:
    """The collections in a data folder, opened when they are needed; safe to use from several threads."""

    def __init__(self, data_dir: Path, chroma_url: str = "") -> None:
        self._data_dir, self._chroma_url = data_dir, chroma_url
        self._root = data_dir / "collections"
        self._lock = threading.RLock()
        self._opened: dict[str, Collection] = {}
        self._index: Index | None = None
        self._index_before: Index | None = None

    # The guides

    def guides(self) -> Index:
        """The newest index of the guides: a page that runs sees what another process has built meanwhile."""
        with self._lock:
            if self._index is None or self._index.generation != current_generation(self._data_dir):
                newer = open_index(self._data_dir, self._chroma_url)
                if self._index_before:
                    self._index_before.close()
                # A search in another thread may be under way in the one that was in use until now.
                self._index_before, self._index = self._index, newer
            return self._index

    # The user's own

    def collections(self) -> list[Collection]:
        """The user's own collections by name; the damaged ones raise SearchIndexError."""
        with self._lock:
            try:
                there = {path.name: path for path in self._root.iterdir() if (path / "library.sqlite").exists()}
            except FileNotFoundError:
                there = {}
            except OSError as error:
                raise SearchIndexError(f"{self._root} cannot be read: {error.strerror or error}.") from error
            there = {name: path for name, path in there.items() if not name.startswith(".")}
            for gone in set(self._opened) - set(there):
                self._opened.pop(gone).close()
            for name, path in there.items():
                if name not in self._opened:
                    self._opened[name] = Collection(path, self._chroma_url)
            return sorted(self._opened.values(), key=lambda collection: collection.name.lower())

    def collection(self, name: str) -> Collection:
        """The collection of this name; raises CollectionError where there is none."""
        return self._named([name])[0]

    def _named(self, names: Sequence[str]) -> list[Collection]:
        known = {collection.name: collection for collection in self.collections()}
        for name in names:
            if name not in known:
                if name == GUIDES:
                    raise CollectionError("The guides cannot be changed.", f"Yours are: {', '.join(known) or 'none yet'}.")
                raise CollectionError(f"There is no collection '{name}'.", f"There are: {', '.join([GUIDES, *known])}.")
        return [known[name] for name in names]

    def names(self) -> list[str]:
        """What can be asked: the guides and the user's own collections."""
        return [GUIDES, *(collection.name for collection in self.collections())]

    def create(self, name: str, embedder: Embedder, chunk_tokens: int = CHUNK_TOKENS) -> Collection:
        """An empty collection; the one of this name where there is one already."""
        name = self.checked_name(name)
        self.check_size(chunk_tokens)
        with _changing(self._root):
            for collection in self.collections():
                if collection.name == name:
                    return collection
            identifier = secrets.token_hex(4)
            unfinished = self._root / f".new-{identifier}"
            unfinished.mkdir()
            settings = {
                "name": name,
                "chunk_tokens": str(chunk_tokens),
                "indexed_chunk_tokens": str(chunk_tokens),
                "chunker_version": str(CHUNKER_VERSION),
                "embedder": embedder.identity,
                "include": "",
                "exclude": "",
                "watched": "",
            }
            create_library(unfinished / "library.sqlite", embedder.dimension, settings)
            os.replace(unfinished, self._root / identifier)
        return self.collection(name)

    def rename(self, name: str, new: str) -> None:
        """Give a collection another name."""
        new = self.checked_name(new)
        with _changing(self._root):
            if new != name and new in self.names():
                raise CollectionError(f"There is a collection '{new}' already.", "Choose another name.")
            self.collection(name).store.change_settings(name=new)

    def delete(self, name: str) -> None:
        """Remove a collection with all that was made of its documents. Files elsewhere stay."""
        collection = self.collection(name)
        # Whoever writes to it is waited for before anything is locked that searches need.
        with collection.writing(lambda: None), _changing(self._root):
            gone = self._root / f".gone-{collection.id}"
            with self._lock:
                self.collection(name)  # another process may have been faster
                if self._chroma_url:
                    collection.forget_vectors()
                self._opened.pop(collection.id).close()
                os.replace(collection.folder, gone)
            shutil.rmtree(gone, ignore_errors=True)

    @staticmethod
    def checked_name(name: str) -> str:
        """The name without blanks around it; raises CollectionError where it cannot be a collection's."""
        name = name.strip()
        if not _NAME.fullmatch(name) or name == GUIDES:
            reason = "is taken by the guides" if name == GUIDES else "cannot be a collection's name"
            raise CollectionError(f"'{name}' {reason}.", "Use up to 60 letters, digits, blanks, dots and dashes.")
        return name

    @staticmethod
    def check_size(chunk_tokens: int) -> None:
        """Raise CollectionError for a size that passages cannot have."""
        if not _SMALLEST <= chunk_tokens <= _LARGEST:
            raise CollectionError(f"A passage of {chunk_tokens} tokens is out of range.", f"Give {_SMALLEST} to {_LARGEST}.")

    # Searching

    def search(self, embedder: Embedder, names: Sequence[str] = ()) -> Search:
        """A search over these collections; over all where none is named."""
        wanted = [name for name in dict.fromkeys(names) if name != GUIDES]
        # Whoever asks the guides alone is not kept from it by a damaged collection.
        own = (self._named(wanted) if wanted else []) if names else self.collections()
        guides, with_guides = self.guides_searcher(embedder), not names or GUIDES in names
        return _SearchInSeveral(embedder, guides, with_guides, own) if own else guides

    def guides_searcher(self, embedder: Embedder) -> Searcher:
        """A search over the guides alone."""
        index = self.guides()
        return Searcher(embedder, index.vector_store, index.passage_store)

    def chunks(self, ids: Sequence[str]) -> list[Chunk]:
        """The passages with these ids, wherever they are, in their order; unknown ones are passed over."""
        found = {chunk.id: chunk for chunk in self.guides().passage_store.chunks(ids)}
        for collection in self.collections():
            mine = [i for i in ids if i.startswith(f"{collection.id}-")]
            found |= {chunk.id: chunk for chunk in collection.store.chunks(mine)} if mine else {}
        return [found[i] for i in ids if i in found]

    def own_document(self, chunk: Chunk) -> Document | None:
        """The user's document that a passage stands in, as it was ingested; None for a guide's."""
        store = collection.store if (collection := self.collection_of(chunk.id)) else None
        stored = store.document(chunk.document) if store else None
        return Document(stored.name, stored.title, "", store.text(stored.name), stored.sha256) if store and stored else None

    def collection_of(self, chunk_id: str) -> Collection | None:
        """The user's collection that a passage belongs to; None for the guides."""
        return next((c for c in self.collections() if chunk_id.startswith(f"{c.id}-")), None)

    def close(self) -> None:
        """Release all files."""
        with self._lock:
            for collection in self._opened.values():
                collection.close()
            self._opened.clear()
            for index in (self._index_before, self._index):
                if index:
                    index.close()
            self._index_before = self._index = None


@dataclass(frozen=True, slots=True)
class _SearchInSeveral:
    embedder: Embedder
    guides: Searcher
    with_guides: bool
    own: Sequence[Collection]

    def corrected(self, question: str) -> str:
        return corrected(question, self.embedder, self._stores)

    def search(self, question: str, limit: int) -> SearchResult:
        weighed = weigh(question, self.embedder, self._stores)
        results = [self.guides.search(question, limit, weighed)] if self.with_guides else []
        return merge([*results, *(one.search(question, limit, self.embedder, weighed) for one in self.own)], limit)

    @property
    def _stores(self) -> list[PassageStore]:
        return [*([self.guides.passage_store] if self.with_guides else []), *(one.store for one in self.own)]

    def rank(self, question: str, chunks: Sequence[Chunk]) -> SearchResult:
        return self.guides.rank(question, chunks)


@contextmanager
def _changing(root: Path) -> Iterator[None]:
    """One process at a time makes, renames or deletes collections; what a killed one left behind is swept out."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        with exclusive(root / "library.lock", lambda: None):
            for path in root.iterdir():
                if path.name.startswith(_UNFINISHED):
                    shutil.rmtree(path, ignore_errors=True)
            yield
    except (OSError, sqlite3.Error) as error:
        raise SearchIndexError(
            f"{root} cannot be written: {getattr(error, 'strerror', None) or error}.",
            MAKE_ROOM,
        ) from error
