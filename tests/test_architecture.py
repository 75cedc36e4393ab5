"""The folders are the architecture: imports go downwards only, and each outside library has one place."""

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "fieldguide"
MODULES = sorted(path for path in PACKAGE.rglob("*.py"))

# From the top down; a layer may import those below it, never beside or above it.
LAYERS = [
    {"__main__"},
    {"interfaces"},
    {"evaluation"},
    {"trace"},
    {"assembly"},
    {"engines"},
    {"answering", "indexing"},
    {"retrieval", "generation", "weights"},
    {"logs"},
    {"settings", "events", "markdown", "sentences", "words", "data_folder", "proxies"},
    {"types", "errors", "offline", "locations", "locks", "background", "characters", "files", "retries"},
    {"memory"},
]
# Heavy outside libraries, and the one module or folder that may import each.
HOMES = {
    "chromadb": "retrieval/vector_store.py",
    "sentence_transformers": "retrieval/embedder.py",
    "transformers": "retrieval/embedder.py",
    "torch": "retrieval/embedder.py",
    "threadpoolctl": "retrieval/embedder.py",
    "llama_cpp": "generation/",
    "jinja2": "generation/",
    "gradio": ("interfaces/web/", "interfaces/learn/page.py"),
    "starlette": "interfaces/",
    "fastapi": ("interfaces/api.py", "interfaces/serving/"),
    "prometheus_client": "interfaces/serving/metrics.py",
    "limits": "interfaces/serving/limits.py",
    "pydantic": ("interfaces/", "trace.py"),
    "plotly": "interfaces/learn/plotting.py",
    "typer": "interfaces/cli/",
    "rich": "interfaces/cli/",
    "mcp": "interfaces/mcp_server.py",
    "httpx": ("weights/hub.py", "generation/remote.py", "proxies.py"),
    "tenacity": "retries.py",
    "packaging": "interfaces/bundle/distributions.py",
    "markdown_it": "markdown.py",
    "charset_normalizer": "indexing/loading/texts.py",
    "docutils": "indexing/loading/texts.py",
    "markitdown": "indexing/loading/",
    "openpyxl": "indexing/loading/office.py",
    "pypdf": "indexing/loading/office.py",
    "sentencex": "sentences.py",
    "filelock": "locks.py",
    "platformdirs": "locations.py",
    "psutil": "settings.py",
    "scipy": "evaluation/metrics.py",
    "matplotlib": "evaluation/plots.py",
    "yaml": "indexing/documents.py",
}
FAMILY = {"numpy": ""}  # used wherever arrays are


def imports(path: Path) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names] if node.module == "fieldguide" else [node.module]
            found += names
    return found


def part_of(name: str) -> str:
    return name.split(".")[1] if "." in name else ""


def layer_of(part: str) -> int:
    return next(number for number, parts in enumerate(LAYERS) if part in parts)


def relative(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_imports_go_downwards_only(path):
    own = relative(path).split("/")[0].removesuffix(".py")
    if own == "__init__":
        return
    for name in imports(path):
        part = part_of(name) if name.startswith("fieldguide.") else ""
        if part and part != own and not part.startswith("__"):
            assert layer_of(part) > layer_of(own), f"{relative(path)} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_each_outside_library_is_imported_in_its_one_place(path):
    for name in imports(path):
        library = name.split(".")[0]
        if library == "fieldguide" or library in sys.stdlib_module_names or library in FAMILY:
            continue
        assert relative(path).startswith(HOMES[library]), f"{relative(path)} imports {library}"


def test_every_imported_library_is_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    requirements = [*project["dependencies"], *project["optional-dependencies"]["plots"]]
    declared = {re.split(r"[<>=\[ ]", requirement)[0].lower() for requirement in requirements}
    names = {"markdown_it": "markdown-it-py", "yaml": "pyyaml", "sentence_transformers": "sentence-transformers"}
    names["charset_normalizer"] = "charset-normalizer"
    names["llama_cpp"] = "llama-cpp-python"
    names["prometheus_client"] = "prometheus-client"
    came_with = {"transformers", "jinja2", "starlette"}  # parts of sentence-transformers, llama-cpp-python and gradio
    for library in [*HOMES, *FAMILY]:
        assert names.get(library, library) in declared or library in came_with, library


def test_constraints_name_every_declared_library():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in (ROOT / "constraints.txt").read_text().splitlines()}
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    declared = {re.split(r"[<>=\[ ]", requirement)[0].lower() for requirement in wanted}
    assert declared - {"pip", "fieldguide"} <= pinned  # pip itself is brought up to date first


@pytest.mark.parametrize("path", MODULES, ids=relative)
def test_files_stay_small(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300


def test_no_file_has_a_name_that_says_nothing():
    assert not {path.stem for path in MODULES} & {"utils", "util", "helpers", "helper", "common", "manager", "misc"}


def test_the_makefile_is_short():
    assert len((ROOT / "Makefile").read_text().splitlines()) <= 40
