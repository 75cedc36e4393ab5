"""Vectors in Chroma, embedded in this process and kept on disk. We compute the vectors; Chroma stores and searches them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fieldguide.errors import SearchIndexError
from fieldguide.types import FloatMatrix, FloatVector

_COLLECTION = "passages"
_BATCH = 1000


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
    """A Chroma collection in a folder of its own; raises SearchIndexError when Chroma cannot open it."""

    def __init__(self, folder: Path) -> None:
        import chromadb  # heavy (a second): only when an index is opened

        try:
            self._client: Any = chromadb.PersistentClient(
                str(folder), settings=chromadb.Settings(anonymized_telemetry=False, allow_reset=False)
            )
            # No embedding function: Chroma's default one would download a model.
            self._collection = self._client.get_or_create_collection(
                _COLLECTION, embedding_function=None, configuration={"hnsw": {"space": "cosine"}}
            )
        except Exception as error:  # Chroma raises whatever its Rust core reports
            raise SearchIndexError(
                f"The vectors in {folder} cannot be opened: {error}.",
                "Build the index again: fieldguide ingest --rebuild",
            ) from error

    def add(self, ids: Sequence[str], vectors: FloatMatrix) -> None:
        """Store vectors (n, d) of length 1 under their chunks' ids."""
        for start in range(0, len(ids), _BATCH):
            self._collection.upsert(ids=list(ids[start : start + _BATCH]), embeddings=vectors[start : start + _BATCH])

    def remove(self, ids: Sequence[str]) -> None:
        """Forget vectors; ids that are unknown are passed over."""
        for start in range(0, len(ids), _BATCH):
            self._collection.delete(ids=list(ids[start : start + _BATCH]))

    def ids(self) -> set[str]:
        """Ids of all stored vectors."""
        with _readable():
            return set(self._collection.get(include=[])["ids"])

    def count(self) -> int:
        """How many vectors are stored."""
        with _readable():
            return int(self._collection.count())

    def nearest(self, vector: FloatVector, limit: int) -> list[tuple[str, float]]:
        """Ids with their cosine similarity to `vector`, nearest first."""
        limit = min(limit, self.count())
        if limit == 0:
            return []
        with _readable():
            found = self._collection.query(query_embeddings=[vector], n_results=limit, include=["distances"])
        # Chroma returns cosine distance; similarity reads more naturally: higher is nearer.
        return [(i, 1.0 - float(d)) for i, d in zip(found["ids"][0], found["distances"][0], strict=True)]

    def vectors(self, ids: Sequence[str] | None = None) -> dict[str, FloatVector]:
        """Stored vectors by id: those of `ids`, or all."""
        with _readable():
            found = self._collection.get(ids=None if ids is None else list(ids), include=["embeddings"])
        return {i: np.asarray(v, np.float32) for i, v in zip(found["ids"], found["embeddings"], strict=True)}

    def close(self) -> None:
        """Release files and memory."""
        self._client.close()


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # Chroma raises whatever its Rust core reports
        raise SearchIndexError(
            f"The vectors cannot be searched: {error}.", "Build the index again: fieldguide ingest --rebuild"
        ) from error
