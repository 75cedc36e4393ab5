"""A folder to take along, set up where there is no network; and the licences of what is in it."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from fakes import WordCountEmbedder
from fieldguide.assembly import Fieldguide
from fieldguide.errors import BundleError, WeightsError
from fieldguide.interfaces import cli
from fieldguide.interfaces.bundle.distributions import UNKNOWN, licence_of, needed
from fieldguide.interfaces.bundle.making import make_bundle
from fieldguide.interfaces.bundle.packing import pack
from fieldguide.interfaces.doctor.alone import can_cut_the_network

# What `fieldguide models` needs: the whole is set up by tests/bundle_in_full.py, in the endurance run.
SMALL = ("numpy", "typer", "rich", "psutil", "filelock", "platformdirs", "httpx")


@pytest.fixture
def with_index(settings):
    fieldguide = Fieldguide(settings)
    fieldguide._load_embedder = lambda report: WordCountEmbedder()
    list(fieldguide.loading(with_model=False))
    fieldguide.close()
    return settings


def run_alone(*command, **environment) -> subprocess.CompletedProcess[str]:
    """Run with an empty environment and, where the kernel allows, without a network."""
    cut = ("unshare", "-rn") if can_cut_the_network() else ()
    return subprocess.run(
        [*cut, *command],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "PIP_CONFIG_FILE": "/dev/null", **environment},
    )


@pytest.mark.weights
def test_a_bundle_is_set_up_in_an_empty_environment_without_a_network(with_index, tmp_path, tiny_model_path):
    folder = tmp_path / "bundle"
    told = []
    make_bundle(folder, with_index, [*needed(SMALL), distribution("fieldguide")], ["tiny"], told.append)
    assert told[0].what.startswith("Verifying")
    assert told[-1].what == "Packing wheels"
    moved = tmp_path / "elsewhere"
    folder.rename(moved)  # nothing in it knows where it was made
    done = run_alone("sh", str(moved / "setup.sh"), PYTHON=sys.executable, HOME=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "smollm2-135m-instruct: as published" in done.stdout
    version = run_alone(str(moved / "fieldguide"), "--version")
    assert version.stdout.startswith("fieldguide "), version.stderr
    assert (moved / "data" / "index" / "CURRENT").exists()
    assert not (moved / "data" / "conversations").exists()
    inside = run_alone(str(moved / "environment" / "bin" / "python"), "-c", "import fieldguide; print(fieldguide.__file__)")
    assert inside.stdout.startswith(str(moved))


def test_another_python_is_told_what_the_bundle_needs(with_index, tmp_path):
    folder = tmp_path / "bundle"
    make_bundle(folder, with_index, [distribution("typer")], [], lambda _: None)
    other = tmp_path / "python"
    other.write_text("#!/bin/sh\necho 2 7 Linux x86_64\n")
    other.chmod(0o755)
    done = run_alone("sh", str(folder / "setup.sh"), PYTHON=str(other))
    assert done.returncode == 1
    assert f"needs Python {sys.version_info.major}.{sys.version_info.minor}" in done.stderr
    assert not (folder / "environment").exists()


@pytest.mark.parametrize("name", ["typer", "PyYAML", "charset-normalizer"])  # pure, compiled, and with a command
def test_a_wheel_made_again_installs_the_very_files(name, tmp_path):
    wheel = pack(distribution(name), tmp_path)
    install = ("install", "--quiet", "--no-index", "--no-deps", "--target", str(tmp_path / "there"), str(wheel))
    subprocess.run([sys.executable, "-m", "pip", *install], check=True)
    compared = 0
    for path in distribution(name).files:
        if path.suffix in (".py", ".so") and path.parts[0] != "..":
            assert (tmp_path / "there" / path).read_bytes() == path.locate().read_bytes()
            compared += 1
    assert compared > 3


def test_a_wheel_made_again_says_nothing_of_this_installation(tmp_path):
    with zipfile.ZipFile(pack(distribution("typer"), tmp_path)) as wheel:
        names = [name.rpartition("/")[2] for name in wheel.namelist()]
    assert not {"INSTALLER", "REQUESTED", "direct_url.json"} & set(names)
    assert not [name for name in names if name.endswith(".pyc")]
    assert names.count("RECORD") == 1


def test_damaged_weights_a_missing_index_and_a_full_folder_keep_a_bundle_from_being_made(with_index, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "something").touch()
    with pytest.raises(BundleError, match="is not empty"):
        make_bundle(tmp_path / "full", with_index, [], [], lambda _: None)
    models = tmp_path / "models"
    models.mkdir()
    (models / "SmolLM2-135M-Instruct.Q4_1.gguf").write_bytes(b"GGUF, but damaged")
    with pytest.raises(WeightsError, match="is damaged"):
        make_bundle(tmp_path / "one", replace(with_index, models_dir=models), [], ["tiny"], lambda _: None)
    shutil.rmtree(with_index.data_dir / "index")
    with pytest.raises(BundleError, match="There is no index"):
        make_bundle(tmp_path / "two", with_index, [], [], lambda _: None)


def test_what_is_needed_is_found_through_all_levels():
    names = {made.metadata["Name"].lower() for made in needed()}
    assert {"fieldguide", "torch", "gradio", "chromadb", "starlette", "h11", "llama_cpp_python"} <= names
    assert "pytest" not in names


def test_something_that_is_not_installed_is_told():
    with pytest.raises(BundleError, match="no-such-package is needed"):
        needed(["no-such-package"])


def test_every_package_and_all_weights_have_a_licence(capsys):
    with pytest.raises(SystemExit):
        cli.main(["licences", "--json"])
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows if row["licence"] in ("", UNKNOWN)] == []
    assert {row["licence"] for row in rows if row["kind"] == "weights"} == {"Apache-2.0"}
    assert len([row for row in rows if row["kind"] == "package"]) == len(needed())


def test_no_package_asks_for_more_than_to_be_named():
    """None is under the GPL or AGPL alone: docutils, which names the GPL, is mostly in the public domain."""
    bound = {made.metadata["Name"] for made in needed() if "GPL" in licence_of(made) or "General Public" in licence_of(made)}
    assert bound <= {"docutils"}


def test_the_lock_names_every_package_that_is_needed_as_it_was_tested():
    lines = (Path(__file__).parent.parent / "constraints.txt").read_text().splitlines()
    pinned = {canonicalize_name(line.split("==")[0]): line.split("==")[1] for line in lines if "==" in line}
    tested = {canonicalize_name(made.metadata["Name"]): made.version.partition("+")[0] for made in needed()}
    for own in ("fieldguide", "pip", "setuptools"):  # pip and setuptools come with the environment
        tested.pop(own, None)
    assert {name: pinned.get(name) for name in tested} == tested
