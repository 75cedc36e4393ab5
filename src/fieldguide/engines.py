"""Settings to the two engines, loaded: the embedder, and the language model in this process or on a server."""

from collections.abc import Callable
from pathlib import Path

from fieldguide import locations
from fieldguide.events import Loading
from fieldguide.generation.model import Cancellation, ChatModel
from fieldguide.generation.passage_cache import PassageCache
from fieldguide.generation.prompt import build_messages
from fieldguide.retrieval.embedder import Embedder, SentenceTransformerEmbedder
from fieldguide.settings import Settings
from fieldguide.weights.catalog import Weights, chat_models, load_catalog
from fieldguide.weights.download import Hub, pull

Report = Callable[[Loading], None]


def passage_cache(settings: Settings) -> PassageCache | None:
    """What keeps read passages; None where that is switched off, or where a server reads them."""
    if not settings.passage_cache_gb or settings.llm_url:
        return None
    return PassageCache(settings.data_dir / "passage-cache", int(settings.passage_cache_gb * 1e9))


def load_embedder(settings: Settings, report: Report) -> Embedder:
    """The embedder, its weights fetched first where they are missing."""
    folder = _pull(load_catalog(locations.catalog_file()).find("embedder"), settings, report)
    report(Loading("Loading the embedder"))
    return SentenceTransformerEmbedder(folder, settings.threads)


def load_model(settings: Settings, report: Report, cache: PassageCache | None) -> ChatModel:
    """The language model that the settings name, its weights fetched first where they are missing."""
    if settings.llm_url:
        from fieldguide.generation.remote import RemoteModel

        report(Loading(f"Asking {settings.llm_url} for its model"))
        return RemoteModel(settings.llm_url, settings.llm_model, settings.llm_key, context_length=settings.context_length)
    from fieldguide.generation.llama import LlamaModel  # maps a shared library: only when a model is wanted

    path = model_path(settings, report)
    report(Loading(f"Loading the model {path.stem}"))
    model = LlamaModel(path, context_length=settings.context_length, threads=settings.threads, cache=cache)
    try:
        # The rules and examples stand at the start of every prompt: read now, they are not read again.
        for progress in model.read(model.render(build_messages("", [])), Cancellation()):
            report(Loading("Reading the instructions", progress.done / progress.tokens))
    except BaseException:
        model.close()
        raise
    return model


def models_to_choose(settings: Settings) -> dict[str, str]:
    """What may be chosen as `model`, and what each is called; with a server, what that one serves."""
    if settings.llm_url:
        return {settings.model: f"The model at {settings.llm_url}"}
    return chat_models(load_catalog(locations.catalog_file()), settings.models_dir)


def model_path(settings: Settings, report: Report) -> Path:
    """The file of the language model that the settings name, fetched first where it is missing."""
    wanted = settings.model
    if wanted.endswith(".gguf") or "/" in wanted or "\\" in wanted:
        return Path(wanted).expanduser()
    return _pull(load_catalog(locations.catalog_file()).find(wanted), settings, report)


def _pull(weights: Weights, settings: Settings, report: Report) -> Path:
    return pull(weights, settings.models_dir, Hub(settings.hub_endpoint, settings.hub_offline), report)
