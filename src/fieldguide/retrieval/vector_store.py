"""Vectors in Chroma: in this process and kept on disk, or on a server. We compute them; Chroma stores and searches them."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import urlsplit

import numpy as np

from fieldguide.errors import MAKE_ROOM, FieldguideError, RemoteError, SearchIndexError, VectorsDamaged
from fieldguide.retries import patiently
from fieldguide.retrieval.unset_memory import blanked
from fieldguide.retrieval.vector_probe import note_as_left, problem_of
from fieldguide.types import FloatMatrix, FloatVector

_COLLECTION = "passages"
_REBUILD = "Build the index again: fieldguide ingest --rebuild"
_BATCH = 1000
_WRITTEN_AFTER = 1000  # changes that Chroma notes before it writes its index, as it would of itself
_SERVER_SECONDS = 30.0  # Chroma's own client would wait for ever
_BLANKS = ("-1", "-2", "-3")  # ids that no passage has


Result = TypeVar("Result")


class VectorStore(Protocol):
    """What keeps vectors and finds the nearest ones."""

    def add(self, ids: Sequence[str], vectors: FloatMatrix) -> None:
        """Store vectors (n, d) of length 1 under their chunks' ids."""

    def remove(self, ids: Sequence[str]) -> None:
        """Forget vectors; ids that are unknown are passed over."""

    def count(self) -> int:
        """How many vectors are stored."""

    def nearest(self, vector: FloatVector, limit: int) -> list[tuple[str, float]]:
        """Ids with their cosine similarity to `vector`, nearest first."""

    def vectors(self, ids: Sequence[str] | None = None) -> dict[str, FloatVector]:
        """Stored vectors by id: those of `ids`, or all."""

    def close(self) -> None:
        """Release files and memory."""


class ChromaVectorStore:
    """A Chroma collection in a folder of its own; raises VectorsDamaged when Chroma cannot open it.

    What may be damaged is opened in another process first, unless it `is_tried` already.
    """

    def __init__(self, folder: Path, remedy: str = _REBUILD, *, is_tried: bool = False) -> None:
        self._folder = folder
        self._remedy = remedy
        if not is_tried and (problem := problem_of(folder)):
            raise self._unusable(problem)
        self._has_written = False
        self._changes, self._counted = 0, (-1, 0)
        try:
            with blanked():
                self._open()
            # A process that was killed while it rewrote the files has left this behind.
            if self._collection.configuration_json["hnsw"]["sync_threshold"] != _WRITTEN_AFTER:
                self._write_after(_WRITTEN_AFTER)
        except Exception as error:  # Chroma raises whatever its Rust core reports
            raise self._unusable(error) from error
        if not is_tried:
            note_as_left(folder)  # opening has changed files

    def _unusable(self, reason: object) -> SearchIndexError:
        if "disk is full" in str(reason):  # opening writes, too; what is there is whole
            return self._unwritable(reason)
        return VectorsDamaged(f"The vectors in {self._folder} cannot be opened: {reason}.", self._remedy)

    def _unwritable(self, reason: object) -> SearchIndexError:
        return SearchIndexError(f"The vectors in {self._folder} cannot be written: {reason}.", MAKE_ROOM)

    def _open(self) -> None:
        import chromadb  # heavy (a second): only when an index is opened
        from chromadb.api.shared_system_client import SharedSystemClient

        settings = chromadb.Settings(anonymized_telemetry=False, allow_reset=False)
        try:
            self._client: Any = chromadb.PersistentClient(str(self._folder), settings=settings)
        except BaseException:
            # Chroma keeps what could not be opened, and would give it to whoever tries again.
            SharedSystemClient._identifier_to_system.pop(str(self._folder), None)
            raise
        try:
            # No embedding function: Chroma's default one would download a model.
            self._collection = self._client.get_or_create_collection(
                _COLLECTION, embedding_function=None, configuration={"hnsw": {"space": "cosine"}}
            )
        except BaseException:
            self._client.close()
            raise

    def add(self, ids: Sequence[str], vectors: FloatMatrix) -> None:
        """Store vectors (n, d) of length 1 under their chunks' ids."""
        try:
            for start in range(0, len(ids), _BATCH):
                with self._writable():
                    self._collection.upsert(ids=list(ids[start : start + _BATCH]), embeddings=vectors[start : start + _BATCH])
        finally:
            self._changes += 1

    def remove(self, ids: Sequence[str]) -> None:
        """Forget vectors; ids that are unknown are passed over. Files may still hold them until `rewrite`."""
        for start in range(0, len(ids), _BATCH):
            there = self.vectors(ids[start : start + _BATCH])
            if there:
                # Chroma only marks what is deleted: its place is overwritten first.
                self.add(list(there), _blank(len(there), len(next(iter(there.values())))))
                with self._writable():
                    self._collection.delete(ids=list(there))
                self._changes += 1

    def rewrite(self, dimension: int) -> None:
        """Have the files forget what was removed: the notes of each change, too, and what the database has freed."""
        with self._writable():
            self._write_after(2)
            self._client.close()
            self._open()
            # Each of these writes lets Chroma write its index and forget its notes; what the last one leaves are blanks.
            for blank in _BLANKS:
                self.add([blank], _blank(1, dimension))
            for blank in _BLANKS:
                self._collection.delete(ids=[blank])
            self._changes += 1
            self._write_after(_WRITTEN_AFTER)
            self._client.close()
            with closing(sqlite3.connect(self._folder / "chroma.sqlite3", timeout=60)) as database:
                database.execute("VACUUM")
            self._open()

    def _write_after(self, changes: int) -> None:
        self._collection.modify(configuration={"hnsw": {"sync_threshold": changes, "batch_size": min(changes, 100)}})

    @contextmanager
    def _working(self, failure: Callable[[Exception], FieldguideError]) -> Iterator[None]:
        try:
            with blanked():
                yield
        except FieldguideError:
            raise
        except Exception as error:  # Chroma raises whatever its Rust core reports
            raise failure(error) from error

    def _readable(self) -> AbstractContextManager[None]:
        return self._working(lambda error: VectorsDamaged(f"The vectors cannot be searched: {error}.", self._remedy))

    def _writable(self) -> AbstractContextManager[None]:
        self._has_written = True
        return self._working(self._unwritable)

    def ids(self) -> set[str]:
        """Ids of all stored vectors."""
        with self._readable():
            return set(self._collection.get(include=[])["ids"])

    def count(self) -> int:
        """How many vectors are stored."""
        # Counting takes Chroma longer than searching, once there are many. What is kept goes with the changes that had
        # ended before: others may change something at any moment.
        changes, (as_of, counted) = self._changes, self._counted
        if as_of != changes:
            with self._readable():
                counted = int(self._collection.count())
            self._counted = changes, counted
        return counted

    def nearest(self, vector: FloatVector, limit: int) -> list[tuple[str, float]]:
        """Ids with their cosine similarity to `vector`, nearest first."""
        limit = min(limit, self.count())
        if limit == 0:
            return []
        with self._readable():
            found = self._collection.query(query_embeddings=[vector], n_results=limit, include=["distances"])
        # Chroma returns cosine distance; similarity reads more naturally: higher is nearer.
        return [(i, 1.0 - float(d)) for i, d in zip(found["ids"][0], found["distances"][0], strict=True)]

    def vectors(self, ids: Sequence[str] | None = None) -> dict[str, FloatVector]:
        """Stored vectors by id: those of `ids`, or all."""
        with self._readable():
            found = self._collection.get(ids=None if ids is None else list(ids), include=["embeddings"])
        return {i: np.asarray(v, np.float32) for i, v in zip(found["ids"], found["embeddings"], strict=True)}

    def forget_all(self) -> None:
        """Remove everything that does not go with the folder: nothing here."""

    def close(self) -> None:
        """Release files and memory."""
        self._client.close()
        if self._has_written:
            note_as_left(self._folder)


class ServedVectorStore(ChromaVectorStore):
    """A Chroma collection of this name on a server; raises RemoteError when that cannot be reached or refuses."""

    def __init__(self, server: str, name: str) -> None:
        self._server = server
        self._changes, self._counted, self._has_written = 0, (-1, 0), False
        self._client = _asked(lambda: _connect(server), server)
        space = {"hnsw": {"space": "cosine"}}
        made = _asked(lambda: self._client.get_or_create_collection(name, embedding_function=None, configuration=space), server)
        self._collection: Any = _Patient(made, server)

    def remove(self, ids: Sequence[str]) -> None:
        """Forget vectors; ids that are unknown are passed over. What the server's files hold is the server's affair."""
        for start in range(0, len(ids), _BATCH):
            self._collection.delete(ids=list(ids[start : start + _BATCH]))
            self._changes += 1

    def rewrite(self, dimension: int) -> None:
        """Nothing: the files are the server's."""

    def forget_all(self) -> None:
        """Remove the whole collection from the server."""
        _asked(lambda: self._client.delete_collection(self._collection.name), self._server)

    def close(self) -> None:
        """Release the connections."""
        self._client.close()


def require_server(server: str) -> None:
    """Raise RemoteError unless a Chroma server answers; nothing is made there."""
    client = _asked(lambda: _connect(server), server)
    try:
        _asked(client.heartbeat, server)
    finally:
        client.close()


def _connect(server: str) -> Any:  # noqa: ANN401 - Chroma tells no types
    import chromadb

    address = urlsplit(server)
    secure = address.scheme == "https"
    port = address.port or (443 if secure else 80)
    settings = chromadb.Settings(anonymized_telemetry=False)
    client = chromadb.HttpClient(address.hostname or "", port, ssl=secure, settings=settings)
    client._server._session.timeout = _SERVER_SECONDS
    return client


class _Patient:
    """A collection on a server, which is asked again when it fails for a moment: all that is asked may be asked twice."""

    def __init__(self, collection: Any, server: str) -> None:  # noqa: ANN401
        self.name = collection.name
        self._collection, self._server = collection, server

    def __getattr__(self, method: str) -> Any:  # noqa: ANN401
        def ask(**arguments: object) -> Any:  # noqa: ANN401
            return _asked(lambda: getattr(self._collection, method)(**arguments), self._server)

        return ask


def open_vectors(folder: Path, server: str, name: str, remedy: str = _REBUILD) -> ChromaVectorStore:
    """The vectors in a folder, or those of this name where a server is set."""
    return ServedVectorStore(server, name) if server else ChromaVectorStore(folder, remedy)


def _asked(ask: Callable[[], Result], server: str) -> Result:
    try:
        return patiently(ask, _passes)
    except Exception as error:  # Chroma raises whatever its server reports
        said = " ".join(str(error).split())[:200]
        remedy = "Start it (chroma run), or correct chroma_url."
        raise RemoteError(f"The Chroma server at {server} cannot be used: {said}.", remedy) from error


def _passes(error: BaseException) -> bool:
    """Connections that break, and what a gateway says in place of Chroma (a bare Exception); not what Chroma itself refuses."""
    return type(error) is Exception or type(error).__module__.split(".")[0] in ("httpx", "httpcore")


def _blank(count: int, dimension: int) -> FloatMatrix:
    vectors = np.zeros((count, dimension), np.float32)
    vectors[:, 0] = 1.0
    return vectors
