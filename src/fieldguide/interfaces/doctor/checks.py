"""Checks of everything that an answer needs. They look and change nothing; each finding comes with what mends it."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import fieldguide
from fieldguide import data_folder, engines, locations, offline
from fieldguide.errors import FieldguideError, WeightsError, unforeseen
from fieldguide.events import Loading
from fieldguide.generation.passage_cache import PassageCache
from fieldguide.indexing.documents import read_folder
from fieldguide.indexing.index import current_generation, open_index, read_manifest
from fieldguide.indexing.library import Library
from fieldguide.interfaces.conversations import from_json
from fieldguide.interfaces.running import RunningFieldguide, require_free_port
from fieldguide.retrieval.embedder import Embedder
from fieldguide.retrieval.vector_store import require_server
from fieldguide.settings import Settings
from fieldguide.weights.catalog import Weights, load_catalog
from fieldguide.weights.download import GGUF_MAGIC, verify

_FREE_GB = 1.0  # beside what the passage cache may still take: a new index beside the old one, and weights' last pieces

Report = Callable[[Loading], None]


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check: in order, or what is not and what mends it."""

    about: str
    ok: bool
    message: str
    remedy: str = ""


class _NotInOrder(FieldguideError):
    """What a check found."""


def check_all(settings: Settings, report: Report) -> Iterator[Finding]:
    """One check after the other; a broken one does not keep the others from being made."""
    checks: dict[str, Callable[[], str]] = {
        "version": lambda: f"Fieldguide {fieldguide.__version__}; settings and catalogue can be read",
        "language model": partial(_model, settings, report),
        "embedder": partial(_published, "embedder", settings, report),
        "data folder": partial(_folder, settings),
        "disk": partial(_disk, settings),
        "index": partial(_index, settings, report),
        "collections": partial(_collections, settings),
        "conversations": partial(_conversations, settings),
        "port": partial(_port, settings),
        "Chroma server": partial(_chroma, settings),
        "telemetry": _telemetry,
    }
    for about, check in checks.items():
        try:
            yield Finding(about, True, check())
        except FieldguideError as error:
            yield Finding(about, False, error.message, error.remedy)
        except Exception as error:  # what nobody thought of must not hide the other findings
            told = unforeseen(error)
            yield Finding(about, False, told.message, told.remedy)


def _model(settings: Settings, report: Report) -> str:
    if settings.llm_url:
        model = engines.load_model(settings, report, None)
        model.close()
        return f"{settings.llm_url} answers, its model is {model.name}; gate by search alone, no passage cache"
    if settings.model.endswith(".gguf") or "/" in settings.model or "\\" in settings.model:
        try:
            with Path(settings.model).expanduser().open("rb") as stream:
                if stream.read(len(GGUF_MAGIC)) != GGUF_MAGIC:
                    raise WeightsError(f"{settings.model} is not a GGUF file.", "Give another path as model.")
        except OSError as error:
            reason = error.strerror or str(error)
            raise WeightsError(f"{settings.model} cannot be read: {reason}.", "Give another path as model.") from error
        return f"{settings.model} is a GGUF file; nobody has published what it should hold"
    return _published(settings.model, settings, report)


def _published(name: str, settings: Settings, report: Report) -> str:
    weights: Weights = load_catalog(locations.catalog_file()).find(name)
    verify(weights, settings.models_dir, report)
    return f"{weights.name} is as published (SHA-256)"


def _folder(settings: Settings) -> str:
    folder = settings.data_dir
    form = data_folder.form_of(folder)
    if form > data_folder.newest_form():
        data_folder.prepare(folder)  # which refuses
    there = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(there, os.W_OK) or not there.is_dir():
        raise _NotInOrder(f"{there} cannot be written.", "Choose another folder with --data-dir.")
    return f"{folder} has form {form} and can be written"


def _disk(settings: Settings) -> str:
    free = []
    for folder in (settings.data_dir, settings.models_dir):
        there = next(path for path in (folder, *folder.parents) if path.is_dir())
        free.append((shutil.disk_usage(there).free / 1e9, there))
    least, where = min(free)
    kept = PassageCache(settings.data_dir / "passage-cache", 0).size
    needed = _FREE_GB + max(0.0, settings.passage_cache_gb - kept / 1e9) * (not settings.llm_url)
    if least < needed:
        remedy = "Make room, or set FIELDGUIDE_PASSAGE_CACHE_GB lower."
        raise _NotInOrder(f"{where} has {least:.1f} GB free; {needed:.1f} GB may be needed.", remedy)
    return f"{least:.1f} GB free, {needed:.1f} GB may be needed"


def _embedder(settings: Settings, report: Report) -> Embedder:
    weights = load_catalog(locations.catalog_file()).find("embedder")
    if not weights.is_present(settings.models_dir):
        raise _NotInOrder("It cannot be held against the embedder, which is missing.", "fieldguide models pull embedder")
    return engines.load_embedder(settings, report)


def _index(settings: Settings, report: Report) -> str:
    documents = read_folder(settings.guides_dir)
    build, rebuild = "Build it with: fieldguide ingest", "Build it again: fieldguide ingest --rebuild"
    generation, manifest = current_generation(settings.data_dir), read_manifest(settings.data_dir)
    if manifest is None:
        raise _NotInOrder("There is none." if generation is None else "Its manifest is missing, damaged or outdated.", build)
    embedder = _embedder(settings, report)
    if (manifest.embedder, manifest.dimension) != (embedder.identity, embedder.dimension):
        made = f"was made with an embedder of {manifest.dimension} numbers ({manifest.embedder[:24]})"
        raise _NotInOrder(f"It {made}; this one has {embedder.dimension} ({embedder.identity[:24]}).", build)
    if not manifest.matches(documents, embedder):
        raise _NotInOrder("It was made of other guides, or by another version of Fieldguide.", build)
    index = open_index(settings.data_dir, settings.chroma_url)
    try:
        chunks = index.passage_store.chunks()
        vectors = index.vector_store.vectors([chunk.id for chunk in chunks])
        tokens = index.passage_store.token_vectors([chunk.id for chunk in chunks])
        if not len(chunks) == len(vectors) == len(tokens) == manifest.passages:
            raise _NotInOrder(f"Of {manifest.passages} passages, {len(chunks)} and {len(vectors)} vectors are there.", rebuild)
        if any(len(vector) != manifest.dimension for vector in vectors.values()):
            raise _NotInOrder(f"Vectors in it do not have {manifest.dimension} numbers.", rebuild)
    finally:
        index.close()
    return f"{manifest.passages} passages of {len(documents)} guides, {manifest.dimension} numbers each"


def _collections(settings: Settings) -> str:
    library, told = Library(settings.data_dir, settings.chroma_url), []
    try:
        for collection in library.collections():
            name, vectors, passages = collection.name, collection.vectors.count(), collection.store.count()
            chunks = sum(len(collection.store.passages_of(document.name)) for document in collection.store.documents())
            if not vectors == passages == chunks and not collection.store.unsynced(1):
                remedy = f"Index it again: fieldguide collections reindex '{name}'"
                raise _NotInOrder(f"'{name}' has {vectors} vectors for {passages} passages, {chunks} in documents.", remedy)
            told.append(f"{name} ({passages} passages)")
    finally:
        library.close()
    return ", ".join(told) or "there are none"


def _conversations(settings: Settings) -> str:
    paths = sorted((settings.data_dir / "conversations").glob("*/*.json"))
    for path in paths:
        try:
            from_json(path.read_bytes(), str(path))
        except FieldguideError as error:
            raise _NotInOrder(error.message, "Remove that file; the others are not affected.") from error
        except OSError as error:
            raise _NotInOrder(f"{path} cannot be read: {error.strerror or error}.", "Mend or remove the file.") from error
    return f"{len(paths)} kept, all readable"


def _port(settings: Settings) -> str:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    if RunningFieldguide(f"http://{host}:{settings.port}", token=settings.token).status().get("instance"):
        return f"a Fieldguide runs at {settings.port}"
    require_free_port(settings.host, settings.port)
    return f"{settings.port} on {settings.host} is free"


def _chroma(settings: Settings) -> str:
    if not settings.chroma_url:
        return "none is used; vectors stand in the data folder"
    require_server(settings.chroma_url)
    return f"{settings.chroma_url} answers"


def _telemetry() -> str:
    for name, value in offline.QUIET_ENVIRONMENT.items():
        if os.environ.get(name) != value:
            raise _NotInOrder(f"{name} is {os.environ.get(name)!r} instead of {value!r}.", f"Unset {name} where it is changed.")
    return f"switched off ({len(offline.QUIET_ENVIRONMENT)} variables)"
