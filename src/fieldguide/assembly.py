"""Settings to a working Fieldguide: the one module that names concrete classes and loads them."""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, wait
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from fieldguide import data_folder, engines, logs
from fieldguide.answering.abstain import Gate, gate_for
from fieldguide.answering.assistant import Assistant
from fieldguide.answering.reader import AnswerOptions
from fieldguide.answering.support import SupportChecker
from fieldguide.background import SharedUse, failed, in_background
from fieldguide.characters import whole
from fieldguide.errors import Cancelled, FieldguideError, unforeseen
from fieldguide.events import Event, Failed, Loading, failure
from fieldguide.generation.model import Cancellation, ChatModel
from fieldguide.generation.passage_cache import PassageCache
from fieldguide.indexing.documents import read_folder, read_if_changed
from fieldguide.indexing.index import BuildSummary, Manifest, build_index
from fieldguide.indexing.library import Library
from fieldguide.indexing.own_documents import OwnDocuments
from fieldguide.retrieval.embedder import Embedder
from fieldguide.retrieval.search import Search, Searcher
from fieldguide.settings import Settings
from fieldguide.types import Chunk, Document, SearchResult, Turn

_POLL_SECONDS = 0.1
Report = Callable[[Loading], None]
_log = logging.getLogger(__name__)


class Fieldguide:
    """Everything that answers questions, loaded once, in the background, each half beside the other."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        logs.configure(settings)
        data_folder.prepare(settings.data_dir)
        self._lock = threading.Lock()
        self._latest: dict[str, Loading] = {}  # by the half that is being loaded
        self._embedder: Future[Embedder] | None = None
        self._model: Future[ChatModel] | None = None
        self.library = Library(settings.data_dir, settings.chroma_url)
        self.own = OwnDocuments(self.library, self._ready_embedder, settings.data_dir / "passage-cache")
        self._assistant: Assistant | None = None
        self._passage_cache: PassageCache | None = None
        self._warming: Loading | None = None  # passages being read ahead of time
        self._end_warming = Cancellation()
        self._warmer: threading.Thread | None = None
        self._model_use = SharedUse()

    def start(self, *, with_retrieval: bool = True, with_model: bool = True) -> None:
        """Begin to load what is not loaded or loading; a half that failed before is tried again."""
        with self._lock:
            if with_retrieval and (self._embedder is None or failed(self._embedder)):
                self._embedder = in_background(self._load_retrieval)
            if with_model and (self._model is None or failed(self._model)):
                self._model = in_background(self._load_model)

    def loading(self, *, with_model: bool = True) -> Iterator[Loading]:
        """What is being loaded, until all is there; raises the FieldguideError of whatever cannot be."""
        self.start(with_model=with_model)
        needed: list[Future[Any]] = [future for future in (self._embedder, self._model if with_model else None) if future]
        shown: dict[str, Loading] = {}
        while wait(needed, timeout=_POLL_SECONDS).not_done:
            if any(map(failed, needed)):
                break
            for half, latest in list(self._latest.items()):
                if shown.get(half) != latest:
                    shown[half] = latest
                    yield latest
        for error in (future.exception() for future in needed if future.done()):
            if error:
                raise unforeseen(error) from error

    @property
    def is_ready(self) -> bool:
        """Whether a question would be answered without loading anything."""
        return all(future and future.done() and not failed(future) for future in (self._embedder, self._model))

    @property
    def still_loading(self) -> list[Loading]:
        """What is being loaded, or read ahead of time, at this moment."""
        halves = {"retrieval": self._embedder, "model": self._model}
        loading = [latest for half, latest in list(self._latest.items()) if (future := halves[half]) and not future.done()]
        return [*loading, *([self._warming] if self._warming else [])]

    @property
    def failure(self) -> FieldguideError | None:
        """Why loading failed, if it did."""
        errors = [future.exception() for future in (self._embedder, self._model) if future and failed(future)]
        return next((unforeseen(error) for error in errors if error), None)

    def answer(
        self,
        question: str,
        history: Sequence[Turn] = (),
        options: AnswerOptions | None = None,
        cancellation: Cancellation | None = None,
        collections: Sequence[str] = (),
    ) -> Iterator[Event]:
        """The event stream of one question, loading first what is missing; it searches all collections where none is named."""
        options = replace(options or self.default_options(), collections=tuple(collections)) if collections else options
        return logs.logged(self._answer(question, history, options or self.default_options(), cancellation), question)

    def _answer(
        self, question: str, history: Sequence[Turn], options: AnswerOptions, cancellation: Cancellation | None
    ) -> Iterator[Event]:
        with self._model_use.together():
            try:
                for loading in self.loading():
                    yield loading
                    if cancellation and cancellation.is_cancelled:
                        yield Failed("Stopped.", "Loading goes on in the background.", "cancelled")
                        return
                assistant = self._ready_assistant()
            except BaseException as error:  # whatever it is, the stream ends with an event
                yield failure(error)
                return
            yield from assistant.answer(question, history, options, cancellation)

    @contextmanager
    def assistant(self) -> Iterator[Assistant]:
        """The assistant, its model not exchanged for as long as the `with` lasts; after `loading()`."""
        with self._model_use.together():
            yield self._ready_assistant()

    def default_options(self) -> AnswerOptions:
        """How a question is answered where nothing else is asked for."""
        settings = self.settings
        return AnswerOptions(settings.passages, settings.answer_tokens, settings.temperature, settings.seed)

    def warm(self) -> Iterator[Loading]:
        """Have the model read passages ahead of time, behind all questions, while the cache has room; after `loading()`."""
        if not self.settings.passage_cache_gb or self.settings.llm_url:
            return
        chunks = self.chunks()
        try:
            for done in self._ready_assistant().warmer.warm(chunks, self._end_warming):
                self._warming = Loading("Reading passages ahead of time", done / len(chunks), f"{done} of {len(chunks)}")
                yield self._warming
                if self._passage_cache and self._passage_cache.is_nearly_full:
                    return
        except Cancelled:
            return  # what was read is kept
        finally:
            self._warming = None

    def warm_in_background(self) -> None:
        """The same while nobody asks; what is being done stands in `still_loading`."""

        def run() -> None:
            try:
                list(self.warm())
            except FieldguideError as error:
                _log.debug("passages are not read ahead of time: %s", error)

        self._warmer = threading.Thread(target=run, name="warm", daemon=True)
        self._warmer.start()

    def search(self, question: str, limit: int, collections: Sequence[str] = ()) -> SearchResult:
        """Ranked passages for a question; after `loading(with_model=False)`."""
        search = self.search_in(collections)
        return search.search(search.corrected(whole(question)), limit)

    def chunks(self, ids: Iterable[str] | None = None) -> list[Chunk]:
        """The passages with these ids, or all of the guides; raises SearchIndexError before the first index is built."""
        return self.library.guides().passage_store.chunks() if ids is None else self.library.chunks(list(ids))

    def guides(self) -> list[Document]:
        """The guides as they stand in their folder now; raises DocumentError when there are none."""
        return read_folder(self.settings.guides_dir, read_if_changed)

    @property
    def manifest(self) -> Manifest:
        """What the guides' index was made of and with; raises SearchIndexError before the first index is built."""
        return self.library.guides().manifest

    def models(self) -> dict[str, str]:
        """What `use_model` may be asked for, and what it is called."""
        return engines.models_to_choose(self.settings)

    def use_model(self, wanted: str) -> Iterator[Loading]:
        """Load another model and put it in this one's place once no answer is under way; raises what keeps it from that."""
        chosen = in_background(lambda: self._load_model(wanted))
        unused: Future[ChatModel] | None = chosen
        try:
            while wait([future for future in (self._model, chosen) if future], timeout=_POLL_SECONDS).not_done:
                yield self._latest.get("model", Loading("Loading the model"))
            if error := chosen.exception():
                raise unforeseen(error) from error
            yield Loading("Waiting for the answer under way")
            was_warming = self._stop_warming()
            with self._model_use.alone():
                unused, self._model = self._model, chosen
                self._assistant, self.settings = None, replace(self.settings, model=wanted)
            if was_warming:
                self.warm_in_background()
        finally:  # the one that was in use; where nobody waits any more for the chosen one, that
            if unused:
                unused.add_done_callback(lambda future: None if failed(future) else future.result().close())

    @property
    def model_name(self) -> str:
        """What the language model is called; after `loading()`."""
        assert self._model
        return self._model.result().name

    @property
    def model_fingerprint(self) -> str:
        """What tells the language model's file from all others; after `loading()`."""
        assert self._model
        return self._model.result().fingerprint

    @property
    def gate(self) -> Gate:
        """What decides whether the loaded model answers; after `loading()`."""
        return gate_for(self.model_fingerprint)

    def ingest(self, report: Report, *, rebuild: bool = False) -> BuildSummary:
        """Bring the index up to date with the guides, whatever its state."""
        return self._build_index(self._load_embedder(report), report, rebuild=rebuild)

    def close(self) -> None:
        """Release model and collections."""
        self._stop_warming()
        if self._model and self._model.done() and not failed(self._model):
            self._model.result().close()
        self.library.close()

    def _stop_warming(self) -> bool:
        warmer, self._warmer = self._warmer, None
        self._end_warming.cancel()
        while warmer and warmer.is_alive():  # it may not have begun yet, or stand between two passages
            if self._assistant:
                self._assistant.warmer.interrupt()
            warmer.join(_POLL_SECONDS)
        self._end_warming = Cancellation()
        return warmer is not None

    def _ready_assistant(self) -> Assistant:
        with self._lock:
            if self._assistant is None:
                assert self._embedder and self._model
                support = SupportChecker(self._embedder.result())
                self._assistant = Assistant(self.search_in, self._model.result(), support, self.gate)
            return self._assistant

    def searcher(self) -> Searcher:
        """A search over the guides alone; after `loading(with_model=False)`."""
        return self.library.guides_searcher(self._ready_embedder())

    def search_in(self, collections: Sequence[str] = ()) -> Search:
        """A search over these collections, or all; after `loading(with_model=False)`."""
        return self.library.search(self._ready_embedder(), collections)

    def _ready_embedder(self) -> Embedder:
        self.start(with_model=False)
        assert self._embedder
        return self._embedder.result()

    def _load_retrieval(self) -> Embedder:
        report = partial(self._latest.__setitem__, "retrieval")
        embedder = self._load_embedder(report)
        self._build_index(embedder, report)
        return embedder

    def _load_embedder(self, report: Report) -> Embedder:
        return engines.load_embedder(self.settings, report)

    def _build_index(self, embedder: Embedder, report: Report, *, rebuild: bool = False) -> BuildSummary:
        documents = read_folder(self.settings.guides_dir)
        return build_index(
            documents,
            embedder,
            self.settings.data_dir,
            lambda what, done, total: report(Loading(what, done / total, f"{done} of {total}") if total else Loading(what)),
            rebuild=rebuild,
            server=self.settings.chroma_url,
        )

    def _load_model(self, wanted: str | None = None) -> ChatModel:
        settings = replace(self.settings, model=wanted or self.settings.model)
        self._passage_cache = engines.passage_cache(settings)
        return engines.load_model(settings, partial(self._latest.__setitem__, "model"), self._passage_cache)
