"""`fieldguide models` and the errors of the command line, run in this process."""

import json
import os
from pathlib import Path

import pytest

from fieldguide import locations
from fieldguide.interfaces.cli import main
from fieldguide.weights.catalog import load_catalog


@pytest.fixture(autouse=True)
def models(tmp_path, monkeypatch) -> Path:
    """An empty models folder, and a data folder without settings."""
    folder = tmp_path / "models"
    folder.mkdir()
    monkeypatch.setenv("FIELDGUIDE_MODELS", str(folder))
    monkeypatch.setenv("FIELDGUIDE_DATA_DIR", str(tmp_path / "data"))
    return folder


@pytest.fixture
def run(capsys):
    """Run a command; returns its exit status, standard output and standard error."""

    def run(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(list(arguments))
        out, err = capsys.readouterr()
        return ended.value.code, out, err

    return run


def place_hollow_tiny_model(models: Path, missing_bytes: int = 0) -> Path:
    """A file with the name and nearly the size of the tiny model; it takes no room on the disk."""
    weights = load_catalog(locations.catalog_file()).find("tiny")
    path = weights.path(models)
    path.touch()
    os.truncate(path, weights.size - missing_bytes)
    return path


def test_list_prints_the_four_models(run):
    status, out, _ = run("models", "list")
    assert status == 0
    labels = [line.split()[0] for line in out.splitlines() if not line.startswith(" ")]
    assert labels == ["default", "fast", "tiny", "embedder"]


def test_list_says_which_models_are_here(run, models):
    place_hollow_tiny_model(models)
    _, out, _ = run("models", "list")
    here = {line.split()[0]: "  here  " in line for line in out.splitlines() if not line.startswith(" ")}
    assert here == {"default": False, "fast": False, "tiny": True, "embedder": False}


def test_list_as_json_is_json_alone(run):
    status, out, err = run("models", "list", "--json")
    assert (status, err) == (0, "")
    rows = json.loads(out)
    assert [row["label"] for row in rows] == ["default", "fast", "tiny", "embedder"]
    assert [row["present"] for row in rows] == [False] * 4
    assert rows[2]["bytes"] == 98362432


def test_path_prints_where_a_model_stands(run, models):
    path = place_hollow_tiny_model(models)
    assert run("models", "path", "tiny") == (0, f"{path}\n", "")


def test_path_of_an_unknown_model_is_one_line_on_standard_error(run):
    status, out, err = run("models", "path", "nonsense")
    assert (status, out) == (1, "")
    assert err.startswith("fieldguide: There is no model 'nonsense' in the catalogue.")
    assert err.count("\n") == 1


def test_path_of_a_model_that_is_not_here_says_how_to_fetch_it(run):
    status, out, err = run("models", "path", "tiny")
    assert (status, out) == (1, "")
    assert err.endswith("Fetch it with: fieldguide models pull tiny\n")


def test_verify_in_an_empty_models_folder_fails_and_names_it(run, models):
    status, out, err = run("models", "verify")
    assert (status, out) == (1, "")
    assert err.startswith(f"fieldguide: There are no weights in {models}.")


def test_verify_of_a_named_model_that_is_missing_fails(run):
    status, out, err = run("models", "verify", "tiny")
    assert (status, out) == (1, "")
    assert "SmolLM2-135M-Instruct.Q4_1.gguf is missing" in err


def test_verify_without_names_finds_a_damaged_model(run, models):
    path = place_hollow_tiny_model(models)
    status, out, err = run("models", "verify")
    assert (status, out) == (1, "")
    assert f"{path} is damaged" in err


def test_verify_without_names_finds_a_truncated_model(run, models):
    path = place_hollow_tiny_model(models, missing_bytes=1)
    status, out, err = run("models", "verify")
    assert (status, out) == (1, "")
    assert f"{path} is damaged" in err


def test_pull_that_fails_is_one_line_on_standard_error(run, models):
    models.rmdir()
    models.write_text("a file where the folder should be")
    status, out, err = run("models", "pull", "tiny")
    assert (status, out) == (1, "")
    assert err.startswith(f"fieldguide: {models}")
    assert "cannot be written" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["sing"], id="an unknown command"),
        pytest.param(["models", "sing"], id="an unknown command of models"),
        pytest.param(["models", "list", "--loudly"], id="an unknown option"),
        pytest.param(["models", "path", "tiny", "fast"], id="an argument too many"),
    ],
)
def test_misuse_is_exit_status_2_and_nothing_on_standard_output(run, arguments):
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert "Usage: " in err


def test_a_wrong_setting_is_one_line_on_standard_error(run, monkeypatch):
    monkeypatch.setenv("FIELDGUIDE_PORT", "front door")
    status, out, err = run("models", "list")
    assert (status, out) == (1, "")
    assert err == "fieldguide: FIELDGUIDE_PORT is 'front door', but must be a whole number.\n"
