"""What tests share: settings in a temporary folder, a five-document toy corpus, and the real weights of this checkout."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from browser import chromium, free_port
from fakes import WordCountEmbedder
from fieldguide import locations
from fieldguide.answering.abstain import ThresholdGate
from fieldguide.answering.assistant import Assistant
from fieldguide.answering.support import SupportChecker
from fieldguide.indexing.documents import read_folder
from fieldguide.indexing.index import build_index, open_index
from fieldguide.interfaces.serving.service import Service
from fieldguide.retrieval.search import Searcher
from fieldguide.settings import Settings, resolve_settings
from fieldguide.weights.catalog import load_catalog

# The toy corpus: README, tests and lessons speak of the same bees and lighthouses.
TOY_CORPUS = {
    "bees.md": (
        "---\ntitle: Bees\nsummary: A toy guide.\n---\n\n# Bees\n\nBees live in hives.\n\n## How many bees live in a hive?\n\n"
        "A hive holds 20,000 to 60,000 bees in summer. The queen lays up to 2,000 eggs a day.\n\n"
        "## What do bees eat?\n\nBees eat nectar and pollen. They do not eat wood.\n"
    ),
    "lighthouses.md": (
        "# Lighthouses\n\n## Who built the Quillon lighthouse?\n\n"
        "The Quillon lighthouse was built by Marta Jevons in 1911. It is 37 metres tall.\n\n"
        "## Which lighthouses are there?\n\n| Name | Built | Height |\n|---|---|---|\n| Quillon | 1911 | 37 m |\n"
        "| Farrow Point | 1874 | 22 m |\n| Old Maud | 1802 | 15 m |\n"
    ),
    "wasps.md": "# Wasps\n\nWasp nests are made of paper that the workers chew from wood.\n",
    "tides.md": "# Tides\n\n## Why are there tides?\n\nTides follow the Moon. Spring tides come at full and new moon.\n",
    "bread.md": "# Bread\n\n- Flour, 500 g.\n- Water, 350 g.\n- Salt, 10 g.\n\nBake the loaf for 40 minutes at 230 degrees.\n",
}


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the user's shell reaches a test."""
    for name in list(os.environ):
        if name.startswith("FIELDGUIDE_") or name == "HF_ENDPOINT":
            monkeypatch.delenv(name)


@pytest.fixture
def toy_folder(tmp_path: Path) -> Path:
    """The toy corpus as files."""
    folder = tmp_path / "toy-corpus"
    folder.mkdir()
    for name, text in TOY_CORPUS.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def toy_documents(toy_folder: Path):
    return read_folder(toy_folder)


@pytest.fixture
def embedder() -> WordCountEmbedder:
    return WordCountEmbedder()


@pytest.fixture
def settings(tmp_path: Path, toy_folder: Path) -> Settings:
    """Settings that touch nothing outside the test's folder, but for the weights of this checkout."""
    return resolve_settings({"data_dir": tmp_path / "data", "guides_dir": toy_folder}, {})


def real_weights(label: str) -> Path:
    """The path of real weights; a test that needs them fails when they are missing, never skips."""
    weights = load_catalog(locations.catalog_file()).find(label)
    models_dir = locations.default_models_folder()
    if not weights.is_present(models_dir):
        pytest.fail(f"the weights '{label}' are missing; run: fieldguide models pull {label}")
    return weights.path(models_dir)


@pytest.fixture(scope="session")
def tiny_model_path() -> Path:
    return real_weights("tiny")


@pytest.fixture(scope="session")
def default_model_path() -> Path:
    return real_weights("default")


@pytest.fixture(scope="session")
def embedder_folder() -> Path:
    return real_weights("embedder")


@pytest.fixture
def toy_searcher(toy_documents, embedder: WordCountEmbedder, tmp_path: Path):
    """The toy corpus in a real Chroma and a real SQLite file."""
    build_index(toy_documents, embedder, tmp_path / "data", lambda *_: None)
    index = open_index(tmp_path / "data")
    yield Searcher(embedder, index.vector_store, index.passage_store)
    index.close()


@pytest.fixture
def assistant_with(toy_searcher: Searcher, embedder: WordCountEmbedder):
    """An assistant over the toy corpus around a given model."""
    return lambda model: Assistant(lambda _: toy_searcher, model, SupportChecker(embedder), ThresholdGate())


@pytest.fixture
def fieldguide_with(settings: Settings, embedder: WordCountEmbedder):
    """A whole Fieldguide over the toy corpus: real index, real search, and a given model in place of weights."""

    def make(model) -> Service:
        fieldguide = Service(settings)
        fieldguide._load_embedder = lambda report: embedder
        fieldguide._load_model = lambda: model
        return fieldguide

    return make


@pytest.fixture(scope="module")
def browser():
    """A real browser, for the tests of one module."""
    with chromium() as browser:
        yield browser


@pytest.fixture
def serve(fieldguide_with):
    """Serve a page around a model and give its address."""
    from fieldguide.interfaces.api import create_api  # Gradio is slow to import: only where a page is wanted
    from fieldguide.interfaces.web.app import create_app, launch

    served = []

    def serve(model, **settings) -> str:
        fieldguide = fieldguide_with(model)
        fieldguide.settings = replace(fieldguide.settings, **settings)
        page = create_app(fieldguide)
        served.append((page, fieldguide))
        url = launch(page, "127.0.0.1", free_port(), create_api(fieldguide, "test"))
        fieldguide.start()
        return url

    yield serve
    for page, fieldguide in served:
        page.close()
        fieldguide.close()
