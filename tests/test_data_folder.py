"""The data folder's form: noted, kept, brought up to date, and never touched by an older program."""

import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from fakes import ScriptedModel, WordCountEmbedder
from fieldguide import data_folder
from fieldguide.assembly import Fieldguide
from fieldguide.data_folder import form_of, newest_form, prepare
from fieldguide.errors import DataFolderError
from fieldguide.interfaces import cli
from fieldguide.interfaces.conversation_store import ConversationStore
from fieldguide.settings import resolve_settings
from make_data_folder import CONVERSATION, OWNER, QUESTION

FORMS = sorted((Path(__file__).parent / "data_folders").glob("form-*.tar.gz"))


def test_a_new_folder_is_of_the_newest_form(settings):
    Fieldguide(settings).close()
    assert (settings.data_dir / "version").read_text() == f"{newest_form()}\n"


def test_a_folder_from_before_there_were_versions_is_of_form_1(tmp_path):
    (tmp_path / "conversations").mkdir()
    assert form_of(tmp_path) == 1


def test_a_folder_of_a_newer_program_is_refused_and_left_as_it_is(tmp_path, monkeypatch, capsys):
    (tmp_path / "version").write_text("99")
    monkeypatch.setenv("FIELDGUIDE_DATA_DIR", str(tmp_path))
    with pytest.raises(SystemExit) as end:
        cli.main(["search", "bees"])
    told = capsys.readouterr().err
    assert end.value.code == 1
    assert "written by a newer Fieldguide" in told
    assert told.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["version"]
    assert (tmp_path / "version").read_text() == "99"


@pytest.mark.parametrize("content", [b"\xff one", b"", b"0", b"-1"])
def test_a_damaged_version_says_how_to_mend_it(tmp_path, content):
    (tmp_path / "version").write_bytes(content)
    with pytest.raises(DataFolderError) as told:
        prepare(tmp_path)
    assert "is damaged" in told.value.message
    assert f"write the number {newest_form()}" in told.value.remedy


@pytest.fixture
def two_steps(monkeypatch):
    """A later program, which knows of two changes of form since the first."""

    def first(folder: Path) -> None:
        (folder / "old-name").rename(folder / "new-name")

    def second(folder: Path) -> None:
        with (folder / "new-name").open("a") as out:
            out.write("moved twice")

    steps = [first, second]
    monkeypatch.setattr(data_folder, "MIGRATIONS", steps)
    return steps


def test_an_older_folder_is_brought_forward_a_step_at_a_time(tmp_path, two_steps):
    (tmp_path / "old-name").write_text("kept, ")
    prepare(tmp_path)
    assert (tmp_path / "new-name").read_text() == "kept, moved twice"
    assert form_of(tmp_path) == 3
    prepare(tmp_path)  # nothing is done twice
    assert (tmp_path / "new-name").read_text() == "kept, moved twice"


def test_a_folder_half_way_takes_only_the_steps_that_are_left(tmp_path, two_steps):
    (tmp_path / "version").write_text("2\n")
    (tmp_path / "new-name").write_text("kept, ")
    prepare(tmp_path)
    assert (tmp_path / "new-name").read_text() == "kept, moved twice"


def test_a_step_that_fails_is_told_and_taken_again_later(tmp_path, two_steps):
    with pytest.raises(DataFolderError, match="cannot be brought to its new form"):
        prepare(tmp_path)  # there is no old-name
    assert form_of(tmp_path) == 1
    (tmp_path / "old-name").write_text("kept, ")
    prepare(tmp_path)
    assert form_of(tmp_path) == 3


def test_there_is_a_folder_of_every_form_so_far():
    assert [path.name for path in FORMS] == [f"form-{number}.tar.gz" for number in range(1, newest_form() + 1)]


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_a_folder_of_every_form_so_far_can_be_used(path, tmp_path, toy_folder):
    with tarfile.open(path) as packed:
        packed.extractall(tmp_path, filter="data")
    settings = resolve_settings({"data_dir": tmp_path / "data", "guides_dir": toy_folder}, {})
    assert settings.passages == 3  # from its settings.toml
    fieldguide = Fieldguide(replace(settings))
    fieldguide._load_embedder = lambda report: WordCountEmbedder()
    fieldguide._load_model = lambda: ScriptedModel()
    assert form_of(settings.data_dir) == newest_form()
    list(fieldguide.loading())
    (hit,) = fieldguide.search(QUESTION, 1, ["town notes"]).hits
    assert "strikes thirteen" in hit.chunk.text
    (exchange,) = ConversationStore(settings.data_dir / "conversations").load(OWNER, CONVERSATION).exchanges
    assert exchange.question == QUESTION
    assert "strikes thirteen" in exchange.answer.retrieved[0].chunk.text
    fieldguide.close()
