"""The index on disk: built beside the one in use and swapped in whole, so that a kill at any moment leaves one to search.

    DATA/index/CURRENT                  the name of the generation in use
    DATA/index/generation-000007/       manifest.json, passages.sqlite, chroma/

Passages that have not changed keep their vectors from the generation before. One process builds at a time (a file lock);
readers go on with the generation they opened and look for a newer one between questions.
"""

import hashlib
import json
import re
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from fieldguide.errors import MAKE_ROOM, FieldguideError, SearchIndexError
from fieldguide.files import write_durably
from fieldguide.indexing.chunking import CHUNKER_VERSION, chunk_document
from fieldguide.indexing.documents import corpus_hash
from fieldguide.locks import exclusive
from fieldguide.retrieval.embedder import Embedder, Embedding
from fieldguide.retrieval.passage_store import PassageStore
from fieldguide.retrieval.projection import fit, reduce
from fieldguide.retrieval.vector_store import ChromaVectorStore, open_vectors
from fieldguide.types import Chunk, Document, FloatMatrix

FORMAT_VERSION = 3  # raise it when files of an index change their form: older ones are then built anew
CHUNK_TOKENS = 200  # of the embedder's 256: room for a question's worth of context, and small enough to be read quickly
_EMBED_AT_ONCE = 64  # passages whose vectors are held in memory before they are written
_FITTED_ON = 256  # passages, from all over the library, whose tokens decide along which directions vectors are stored

Report = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an index was made of and with; an index that does not match is built anew."""

    format_version: int
    chunker_version: int
    chunk_tokens: int
    embedder: str
    dimension: int
    corpus: str
    documents: tuple[str, ...]
    passages: int
    built_at: str
    passages_sha256: str = ""  # of passages.sqlite, which nobody writes to any more; '' in older ones

    def matches(self, documents: Sequence[Document], embedder: Embedder) -> bool:
        """Whether an index with this manifest is what these documents and this embedder would give."""
        return (
            self.format_version == FORMAT_VERSION
            and self.chunker_version == CHUNKER_VERSION
            and self.chunk_tokens == CHUNK_TOKENS
            and self.embedder == embedder.identity
            and self.corpus == corpus_hash(documents)
        )


@dataclass(frozen=True, slots=True)
class Index:
    """One opened generation."""

    generation: str
    manifest: Manifest
    passage_store: PassageStore
    vector_store: ChromaVectorStore

    def close(self) -> None:
        """Release its files."""
        self.passage_store.close()
        self.vector_store.close()


@dataclass(frozen=True, slots=True)
class BuildSummary:
    """What a build did: passages in the index, how many of them were embedded now, and seconds."""

    passages: int
    embedded: int
    seconds: float
    changed: bool


def current_generation(data_dir: Path) -> str | None:
    """The name of the generation in use, or None before the first build."""
    try:
        name = (_root(data_dir) / "CURRENT").read_bytes().decode("utf-8", "replace").strip()
        return name if re.fullmatch(r"generation-\d+", name) else None  # a damaged pointer: the next build mends it
    except FileNotFoundError:
        return None
    except OSError as error:
        message = f"The index in {data_dir} cannot be read: {error.strerror or error}."
        raise SearchIndexError(message, "Choose another folder with --data-dir.") from error


def read_manifest(data_dir: Path) -> Manifest | None:
    """The manifest of the generation in use; None where there is none or where it is of another form."""
    generation = current_generation(data_dir)
    if generation is None:
        return None
    try:
        content = json.loads((_root(data_dir) / generation / "manifest.json").read_text(encoding="utf-8"))
        manifest = Manifest(**{**content, "documents": tuple(content["documents"])})
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return manifest if manifest.format_version == FORMAT_VERSION else None


def open_index(data_dir: Path, server: str = "") -> Index:
    """Open the generation in use; raises SearchIndexError when there is none, or it is damaged, RemoteError for a server."""
    generation, manifest = current_generation(data_dir), read_manifest(data_dir)
    if generation is None or manifest is None:
        raise SearchIndexError(f"There is no index in {data_dir}.", "Build it with: fieldguide ingest")
    folder = _root(data_dir) / generation
    if manifest.passages_sha256 and manifest.passages_sha256 != _sha256(folder / "passages.sqlite"):
        raise _damaged(folder, "passages.sqlite is not what was written")
    passages = PassageStore(folder / "passages.sqlite")
    try:
        index = Index(generation, manifest, passages, _vectors(folder, server, manifest.corpus, manifest.embedder))
    except FieldguideError:
        passages.close()
        raise
    if index.vector_store.count() != manifest.passages:
        count = index.vector_store.count()
        index.close()
        raise _damaged(folder, f"it has {count} vectors for {manifest.passages} passages")
    return index


def build_index(
    documents: Sequence[Document],
    embedder: Embedder,
    data_dir: Path,
    report: Report,
    *,
    rebuild: bool = False,
    server: str = "",
) -> BuildSummary:
    """Bring the index up to date with these documents; `rebuild` embeds everything again.

    `report` is told what is being done, how much is done and how much there is. Raises SearchIndexError when the data
    folder cannot be written.
    """
    started = time.perf_counter()
    with _write_errors(data_dir):
        _root(data_dir).mkdir(parents=True, exist_ok=True)
        waiting = "Waiting for another process that builds the index"
        with exclusive(_root(data_dir) / "writer.lock", lambda: report(waiting, 0, 0)):
            manifest = read_manifest(data_dir)
            if manifest and manifest.matches(documents, embedder) and not rebuild and _opens(data_dir, server):
                return BuildSummary(manifest.passages, 0, time.perf_counter() - started, changed=False)
            passages, embedded = _build(documents, embedder, data_dir, report, None if rebuild else manifest, server)
    return BuildSummary(passages, embedded, time.perf_counter() - started, changed=True)


def _build(
    documents: Sequence[Document], embedder: Embedder, data_dir: Path, report: Report, previous: Manifest | None, server: str
) -> tuple[int, int]:
    report("Cutting documents into passages", 0, len(documents))
    chunks: list[Chunk] = []
    for number, document in enumerate(documents, 1):
        chunks += chunk_document(document, embedder.count_tokens, min(CHUNK_TOKENS, embedder.max_tokens))
        report("Cutting documents into passages", number, len(documents))
    if not chunks:
        raise SearchIndexError("The documents hold no text to index.", "Give documents with some text in them.")

    name, before = _next_name(data_dir), current_generation(data_dir)
    _remove(data_dir, lambda other: other > (before or ""))  # left by builds that failed or were killed
    folder = _root(data_dir) / name
    vectors = _vectors(folder, server, corpus_hash(documents), embedder.identity)
    folder.mkdir(exist_ok=True)
    known, directions = _known_embeddings(data_dir, previous, embedder, server)
    embedded = 0
    if directions is None:
        report("Embedding passages", 0, len(chunks))
        sample = chunks[:: -(-len(chunks) // _FITTED_ON)]
        embeddings = embedder.embed([chunk.embedded_text for chunk in sample])
        directions = fit(np.concatenate([embedding.token_vectors for embedding in embeddings]))
        known = _stored_form(sample, embeddings, directions)
        embedded = len(sample)
    store = PassageStore(folder / "passages.sqlite", directions)
    try:
        for start in range(0, len(chunks), _EMBED_AT_ONCE):
            group = chunks[start : start + _EMBED_AT_ONCE]
            new = [chunk for chunk in group if chunk.id not in known]
            fresh = embedder.embed([chunk.embedded_text for chunk in new])
            report("Embedding passages", start + len(group), len(chunks))
            embedded += len(new)
            made = _stored_form(new, fresh, directions)
            embeddings = [known.get(chunk.id) or made[chunk.id] for chunk in group]
            token_ids = [embedder.token_ids(chunk.embedded_text) for chunk in group]
            store.add(group, [embedding.token_vectors for embedding in embeddings], token_ids)
            vectors.add([chunk.id for chunk in group], np.stack([embedding.vector for embedding in embeddings]))
    finally:
        store.close()
        vectors.close()
    manifest = Manifest(
        FORMAT_VERSION,
        CHUNKER_VERSION,
        CHUNK_TOKENS,
        embedder.identity,
        embedder.dimension,
        corpus_hash(documents),
        tuple(document.name for document in documents),
        len(chunks),
        time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        _sha256(folder / "passages.sqlite"),
    )
    write_durably(folder / "manifest.json", json.dumps(asdict(manifest), indent=2) + "\n")
    write_durably(_root(data_dir) / "CURRENT", name + "\n")
    # The generation before stays: another process may have it open and read on from it.
    _remove(data_dir, lambda other: other not in {name, before})
    return len(chunks), embedded


def _stored_form(chunks: Sequence[Chunk], embeddings: Sequence[Embedding], directions: FloatMatrix) -> dict[str, Embedding]:
    """Embeddings by chunk id, their token vectors along the directions."""
    return {
        chunk.id: Embedding(embedding.vector, reduce(embedding.token_vectors, directions))
        for chunk, embedding in zip(chunks, embeddings, strict=True)
    }


def _known_embeddings(
    data_dir: Path, previous: Manifest | None, embedder: Embedder, server: str
) -> tuple[dict[str, Embedding], FloatMatrix | None]:
    """Vectors of the generation in use, by chunk id, where the same embedder made them, and the directions of their tokens."""
    if previous is None or previous.embedder != embedder.identity or previous.chunker_version != CHUNKER_VERSION:
        return {}, None
    try:
        with closing(open_index(data_dir, server)) as index:
            vectors = index.vector_store.vectors()
            tokens = index.passage_store.token_vectors(list(vectors))
            directions = index.passage_store.directions
    except SearchIndexError:
        return {}, None  # damaged: everything is embedded again
    return {i: Embedding(vectors[i], tokens[i]) for i in vectors if i in tokens}, directions


def _vectors(folder: Path, server: str, corpus: str, embedder: str) -> ChromaVectorStore:
    """A generation's vectors. On a server their name says what they were made of: copies with the same guides share them."""
    made_of = f"{corpus} {embedder} {CHUNKER_VERSION} {CHUNK_TOKENS}"
    return open_vectors(folder / "chroma", server, f"guides-{hashlib.sha256(made_of.encode()).hexdigest()[:32]}")


def _opens(data_dir: Path, server: str) -> bool:
    try:
        open_index(data_dir, server).close()
    except SearchIndexError:
        return False
    return True


def _root(data_dir: Path) -> Path:
    return data_dir / "index"


def _generations(data_dir: Path) -> list[Path]:
    return sorted(path for path in _root(data_dir).glob("generation-[0-9]*") if path.is_dir())


def _next_name(data_dir: Path) -> str:
    numbers = [int(path.name.rpartition("-")[2]) for path in _generations(data_dir)]
    return f"generation-{max(numbers, default=0) + 1:06}"


def _remove(data_dir: Path, is_unwanted: Callable[[str], bool]) -> None:
    for folder in _generations(data_dir):
        if is_unwanted(folder.name):
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _write_errors(data_dir: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise SearchIndexError(
            f"The index in {data_dir} cannot be written: {getattr(error, 'strerror', None) or error}.",
            MAKE_ROOM,
        ) from error


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""  # who opens it tells what is wrong


def _damaged(folder: Path, how: str) -> SearchIndexError:
    return SearchIndexError(f"The index in {folder} is damaged: {how}.", "Build it again: fieldguide ingest --rebuild")
