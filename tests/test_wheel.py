"""The wheel, installed elsewhere in an empty environment, answers a question: guides and catalogue are inside."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from fieldguide import locations

ROOT = Path(__file__).parent.parent
PIP = ("-m", "pip", "--disable-pip-version-check", "-q")


def run(*command: str | Path, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, **options)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    # The build backend is a development dependency, so a wheel can be built with the network cut.
    build = run(sys.executable, *PIP, "wheel", "--no-deps", "--no-build-isolation", "-w", folder, ROOT)
    assert build.returncode == 0, build.stderr
    (wheel,) = folder.glob("fieldguide-*.whl")
    return wheel


def test_the_wheel_carries_guides_catalogue_and_what_was_learnt_but_no_weights(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    guides = {path.name for path in locations.guides_folder().glob("*.md")}
    assert {name.rsplit("/", 1)[1] for name in names if "/data/corpus/" in name} == guides
    assert "fieldguide/data/models/catalog.toml" in names
    assert "fieldguide/interfaces/learn/traces/gan.json" in names
    learnt = [name for name in names if "/adapters/" in name or name.endswith((".gguf", ".safetensors"))]
    assert [name.rsplit("/", 1)[0] for name in learnt] == ["fieldguide/generation/adapters", "fieldguide/retrieval/adapters"]
    assert wheel.stat().st_size - sum(zipfile.ZipFile(wheel).getinfo(name).compress_size for name in learnt) < 1_000_000
    assert wheel.stat().st_size < 20_000_000


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The Python of an empty environment with nothing but the wheel and what it asks for."""
    folder = tmp_path_factory.mktemp("elsewhere") / "venv"
    assert run(sys.executable, "-m", "venv", folder).returncode == 0
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    install = run(python, *PIP, "install", "-c", ROOT / "constraints.txt", wheel, timeout=1500)
    if install.returncode != 0:
        # With the network cut: the dependencies of this environment are lent, the wheel alone is installed.
        assert "No matching distribution" in install.stderr or "connection" in install.stderr.lower(), install.stderr
        (site,) = (folder / "lib").glob("python*/site-packages")
        (site / "lent.pth").write_text(f"{next(path for path in sys.path if path.endswith('site-packages'))}\n")
        install = run(python, *PIP, "install", "--no-deps", "--no-index", "--force-reinstall", wheel)
        assert install.returncode == 0, install.stderr
    return python


@pytest.mark.weights
def test_the_installed_wheel_answers_from_its_own_guides(installed, tmp_path, default_model_path):
    environment = {**os.environ, "FIELDGUIDE_MODELS": str(locations.default_models_folder()), "HOME": str(tmp_path)}
    environment.pop("PYTHONPATH", None)
    where = run(installed, "-c", "import fieldguide; print(fieldguide.__file__)", cwd=tmp_path, env=environment)
    assert str(ROOT) not in where.stdout
    command = installed.parent / "fieldguide"
    question = "Who introduced GANs, and when?"
    answer = run(
        command, "ask", question, "--json", "--data-dir", tmp_path / "data", cwd=tmp_path, env=environment, timeout=1800
    )
    assert answer.returncode == 0, answer.stderr
    content = json.loads(answer.stdout)
    assert "Goodfellow" in content["answer"]
    assert content["citations"]
