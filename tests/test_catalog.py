"""The catalogue that ships with Fieldguide, and how entries are found in it."""

import re
from pathlib import Path

import pytest

from fieldguide import locations
from fieldguide.errors import WeightsError
from fieldguide.weights.catalog import Catalog, HuggingFaceSource, Weights, WeightsFile, WheelSource, chat_models, load_catalog


@pytest.fixture
def catalog() -> Catalog:
    return load_catalog(locations.catalog_file())


def folder_of_two() -> Weights:
    files = (WeightsFile("config.json", 3, "0" * 64), WeightsFile("deep/weights.bin", 5, "0" * 64))
    return Weights("pair", "pair", "embedder", "Two files.", "MIT", files, (), folder="pair")


def test_the_catalogue_knows_four_models(catalog):
    assert [entry.label for entry in catalog] == ["default", "fast", "tiny", "embedder"]


def test_every_hash_is_64_hex_digits(catalog):
    assert all(re.fullmatch(r"[0-9a-f]{64}", file.sha256) for entry in catalog for file in entry.files)


def test_every_file_has_a_size(catalog):
    assert all(file.size > 0 for entry in catalog for file in entry.files)


def test_every_model_has_a_wheel_source_since_that_one_needs_no_hub(catalog):
    assert all(any(isinstance(source, WheelSource) for source in entry.sources) for entry in catalog)


def test_hugging_face_is_tried_before_pypi(catalog):
    kinds = [type(source) for source in catalog.find("default").sources]
    assert kinds == [HuggingFaceSource, WheelSource]


def test_every_model_of_one_file_is_gguf_and_has_no_folder(catalog):
    alone = [entry for entry in catalog if len(entry.files) == 1]
    assert [entry.label for entry in alone] == ["default", "fast", "tiny"]
    assert all(entry.files[0].path.endswith(".gguf") and not entry.folder for entry in alone)


def test_every_model_of_many_files_has_a_folder_and_a_path_in_its_member(catalog):
    many = [entry for entry in catalog if len(entry.files) > 1]
    members = [source.member for entry in many for source in entry.sources if isinstance(source, WheelSource)]
    assert all(entry.folder for entry in many)
    assert members
    assert all("{path}" in member for member in members)


def test_a_model_is_found_by_its_label(catalog):
    assert catalog.find("tiny").name == "smollm2-135m-instruct"


def test_a_model_is_found_by_its_name(catalog):
    assert catalog.find("smollm2-135m-instruct").label == "tiny"


def test_an_unknown_name_is_an_error_that_lists_the_known_ones(catalog):
    with pytest.raises(WeightsError, match="no model 'huge'") as caught:
        catalog.find("huge")
    assert all(entry.label in caught.value.remedy and entry.name in caught.value.remedy for entry in catalog)


def test_a_missing_catalogue_is_an_error_that_names_the_file(tmp_path):
    with pytest.raises(WeightsError, match=r"nowhere\.toml cannot be read"):
        load_catalog(tmp_path / "nowhere.toml")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("[[model", id="not TOML"),
        pytest.param("", id="no model"),
        pytest.param("[[model]]\nname = 'x'", id="no file"),
        pytest.param("[[model]]\nfile = [{path = 'x'}]\nsource = []", id="a file without size"),
        pytest.param("[[model]]\nfile = []\nsource = [{kind = 'carrier pigeon'}]", id="an unknown source"),
        pytest.param("[[model]]\nfile = []\nsource = []\ncolour = 'red'", id="an unknown field"),
    ],
)
def test_a_catalogue_of_another_form_is_an_error(tmp_path, text):
    path = tmp_path / "catalog.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(WeightsError, match="cannot be read"):
        load_catalog(path)


def test_the_size_of_a_model_is_that_of_all_its_files():
    assert folder_of_two().size == 8


def test_a_model_with_a_folder_is_loaded_from_that_folder():
    weights = folder_of_two()
    assert weights.path(Path("models")) == Path("models/pair")
    assert weights.file_path(Path("models"), weights.files[1]) == Path("models/pair/deep/weights.bin")


def test_a_model_without_a_folder_is_loaded_from_its_file(catalog):
    assert catalog.find("tiny").path(Path("models")) == Path("models/SmolLM2-135M-Instruct.Q4_1.gguf")


def test_a_model_is_present_only_with_every_file_in_full_size(tmp_path):
    weights = folder_of_two()
    first, second = (weights.file_path(tmp_path, file) for file in weights.files)
    second.parent.mkdir(parents=True)

    first.write_bytes(b"abc")
    assert not weights.is_present(tmp_path)
    second.write_bytes(b"abcd")
    assert not weights.is_present(tmp_path)
    second.write_bytes(b"abcde")
    assert weights.is_present(tmp_path)


def test_default_fast_and_whatever_file_is_here_may_be_chosen(catalog, tmp_path):
    (tmp_path / "other.gguf").write_bytes(b"")
    (tmp_path / "notes.txt").write_bytes(b"")
    (tmp_path / catalog.find("default").files[0].path).write_bytes(b"")
    chosen = chat_models(catalog, tmp_path)
    assert chosen == {"default": "Default", "fast": "Fast", str(tmp_path / "other.gguf"): "other"}
