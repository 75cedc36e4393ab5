"""Settings: where each value comes from, and what is refused."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from fieldguide import locations
from fieldguide.errors import SettingsError
from fieldguide.settings import default_threads, resolve_settings


@pytest.fixture
def resolve(tmp_path):
    """Resolve with the test's folder as data folder, its settings.toml holding this text."""

    def resolve(text: str = "", flags=None, environment=None):
        (tmp_path / "settings.toml").write_text(text, encoding="utf-8")
        return resolve_settings({"data_dir": tmp_path, **(flags or {})}, environment or {})

    return resolve


def test_without_anything_given_the_defaults_hold(resolve):
    settings = resolve()
    assert (settings.model, settings.passages, settings.port) == ("default", 4, 7860)
    assert settings.threads == default_threads()
    assert settings.models_dir == locations.default_models_folder()


def test_the_page_is_served_to_this_machine_alone_by_default(resolve):
    assert resolve().host == "127.0.0.1"


def test_a_file_comes_before_the_default(resolve):
    assert resolve("passages = 5").passages == 5


def test_the_environment_comes_before_the_file(resolve):
    assert resolve("passages = 5", environment={"FIELDGUIDE_PASSAGES": "6"}).passages == 6


def test_a_flag_comes_before_the_environment(resolve):
    assert resolve("passages = 5", {"passages": 7}, {"FIELDGUIDE_PASSAGES": "6"}).passages == 7


def test_a_flag_that_is_none_was_not_given(resolve):
    assert resolve("passages = 5", {"passages": None}).passages == 5


def test_an_empty_variable_was_not_set(resolve):
    assert resolve("passages = 5", environment={"FIELDGUIDE_PASSAGES": ""}).passages == 5


def test_without_a_file_there_is_no_complaint(tmp_path):
    assert resolve_settings({"data_dir": tmp_path / "new"}, {}).passages == 4


def test_the_data_folder_may_come_from_the_environment(tmp_path):
    (tmp_path / "settings.toml").write_text("passages = 5", encoding="utf-8")
    settings = resolve_settings(environment={"FIELDGUIDE_DATA_DIR": str(tmp_path)})
    assert (settings.data_dir, settings.passages) == (tmp_path, 5)


def test_the_data_folder_of_the_flag_is_the_one_whose_file_is_read(tmp_path):
    (tmp_path / "settings.toml").write_text("passages = 5", encoding="utf-8")
    environment = {"FIELDGUIDE_DATA_DIR": str(tmp_path / "other")}
    assert resolve_settings({"data_dir": tmp_path}, environment).passages == 5


def test_the_data_folder_cannot_be_set_by_the_file_in_it(resolve):
    with pytest.raises(SettingsError, match="there is no setting 'data_dir'"):
        resolve("data_dir = '/elsewhere'")


def test_the_variable_of_the_models_folder_is_fieldguide_models(resolve):
    assert resolve(environment={"FIELDGUIDE_MODELS": "/weights"}).models_dir == Path("/weights")


def test_a_path_may_begin_at_home(resolve, monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    assert resolve("models_dir = '~/weights'").models_dir == Path("/home/someone/weights")


def test_a_relative_path_is_made_absolute(resolve, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert resolve(environment={"FIELDGUIDE_MODELS": "weights"}).models_dir == tmp_path / "weights"


def test_the_variable_of_the_hub_is_hf_endpoint(resolve):
    assert resolve(environment={"HF_ENDPOINT": "http://mirror"}).hub_endpoint == "http://mirror"


@pytest.mark.parametrize(("text", "value"), [("1", True), ("True", True), ("yes", True), ("0", False), ("no", False)])
def test_the_truth_may_be_said_in_several_words(resolve, text, value):
    assert resolve(environment={"FIELDGUIDE_HUB_OFFLINE": text}).hub_offline is value


def test_an_unknown_name_in_the_file_is_an_error_that_lists_the_known_ones(resolve, tmp_path):
    with pytest.raises(SettingsError, match="there is no setting 'pasages'") as caught:
        resolve("pasages = 5")
    assert str(tmp_path / "settings.toml") in caught.value.message
    assert "passages" in caught.value.remedy


def test_a_file_that_is_not_toml_is_an_error_that_names_the_file(resolve, tmp_path):
    with pytest.raises(SettingsError, match=r"settings\.toml cannot be read"):
        resolve("passages 5")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("passages = 'many'", "'many', but must be a whole number"),
        ("passages = true", "True, but must be a whole number"),
        ("passages = []", r"\[\], but must be a whole number"),
        ("threads = 2.7", "2.7, but must be a whole number"),
        ("threads = inf", "inf, but must be a whole number"),
        ("temperature = 'warm'", "'warm', but must be a number"),
        ("model = 3", "3, but must be text"),
        ("models_dir = 3", "3, but must be a path"),
        ("hub_offline = 'perhaps'", "'perhaps', but must be true or false"),
    ],
)
def test_a_value_of_the_wrong_type_in_the_file_is_an_error(resolve, text, expected):
    with pytest.raises(SettingsError, match=rf"settings\.toml.* is {expected}"):
        resolve(text)


def test_a_wrong_type_in_the_environment_names_the_variable(resolve):
    with pytest.raises(SettingsError, match="FIELDGUIDE_PORT is 'front door', but must be a whole number"):
        resolve(environment={"FIELDGUIDE_PORT": "front door"})


def test_a_wrong_type_in_a_flag_names_the_flag(resolve):
    with pytest.raises(SettingsError, match="--answer-tokens is 'few', but must be a whole number"):
        resolve(flags={"answer_tokens": "few"})


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("threads", 1, 512),
        ("context_length", 1024, 131072),
        ("passages", 1, 20),
        ("answer_tokens", 16, 2048),
        ("temperature", 0.0, 2.0),
        ("seed", 0, 2**32 - 1),
        ("port", 1, 65535),
    ],
)
def test_a_number_may_reach_its_bounds_and_not_pass_them(resolve, name, low, high):
    for value in (low, high):
        assert getattr(resolve(f"{name} = {value}"), name) == value
    for value in (low - 1, high + 1):
        with pytest.raises(SettingsError, match=f"{name} is {value}, but must be from {low} to {high}"):
            resolve(f"{name} = {value}")


def test_a_temperature_that_is_no_number_is_out_of_range(resolve):
    with pytest.raises(SettingsError, match="temperature is nan"):
        resolve("temperature = nan")


def test_an_answer_may_take_half_the_context_and_no_more(resolve):
    assert resolve("context_length = 1024\nanswer_tokens = 512").answer_tokens == 512
    with pytest.raises(SettingsError, match="answer_tokens is 513: more than half of context_length"):
        resolve("context_length = 1024\nanswer_tokens = 513")


# What a whole process makes of the user's HF_HUB_OFFLINE, which Fieldguide sets for its libraries in any case.

HUB_OFFLINE = "from fieldguide.settings import resolve_settings; print(resolve_settings().hub_offline)"


def in_a_process(code: str, data_dir: Path, **variables: str) -> str:
    clean = {name: value for name, value in os.environ.items() if not re.search("HF_HUB|FIELDGUIDE", name)}
    environment = {**clean, "FIELDGUIDE_DATA_DIR": str(data_dir), **variables}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize("variables", [{}, {"HF_HUB_OFFLINE": "0"}], ids=str)
def test_a_user_who_does_not_work_offline_has_the_hub_asked(tmp_path, variables):
    assert in_a_process(HUB_OFFLINE, tmp_path, **variables) == "False"


def test_a_user_who_sets_hf_hub_offline_to_false_has_the_hub_asked(tmp_path):
    assert in_a_process(HUB_OFFLINE, tmp_path, HF_HUB_OFFLINE="false") == "False"


@pytest.mark.parametrize("value", ["1", "ON"])
def test_a_user_who_sets_hf_hub_offline_has_no_hub_asked(tmp_path, value):
    assert in_a_process(HUB_OFFLINE, tmp_path, HF_HUB_OFFLINE=value) == "True"


def test_a_child_process_does_not_take_our_own_hf_hub_offline_for_the_users(tmp_path):
    child = f"import fieldguide, subprocess, sys; subprocess.run([sys.executable, '-c', {HUB_OFFLINE!r}], check=True)"
    assert in_a_process(child, tmp_path) == "False"


def test_hub_offline_in_the_file_is_heeded(tmp_path):
    (tmp_path / "settings.toml").write_text("hub_offline = true", encoding="utf-8")
    assert in_a_process(HUB_OFFLINE, tmp_path) == "True"
