"""One's own documents on the command line."""

import json
import os
import signal
import subprocess
import sys

import pytest

from fakes import ScriptedModel, WordCountEmbedder
from fieldguide.indexing.ingest import IngestReport
from fieldguide.indexing.library import Library
from fieldguide.indexing.own_documents import as_loading
from fieldguide.interfaces import cli
from sample_files import FACT, OTHER, SAMPLES, pdf
from test_loading import BAD

QUESTION = "Who built the Quillon lighthouse in 1911?"


@pytest.fixture
def run(fieldguide_with, monkeypatch, capsys, tmp_path):
    """Run a command line; gives exit status, standard output and standard error."""

    def run(*arguments, replies=(FACT,)):
        made = fieldguide_with(ScriptedModel(list(replies)))
        for module in ("interfaces.cli.library", "interfaces.cli.documents", "assembly"):
            monkeypatch.setattr(f"fieldguide.{module}.Fieldguide", lambda settings: made)
        monkeypatch.setenv("FIELDGUIDE_DATA_DIR", str(tmp_path / "data"))
        monkeypatch.setattr(sys.stdout, "isatty", lambda: False, raising=False)
        status = 0
        try:
            cli.main(list(map(str, arguments)))
        except SystemExit as end:
            status = end.code or 0
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "towers.md").write_text(f"# Towers\n\n## Quillon\n\n{FACT}\n")
    (folder / "oil.txt").write_text(OTHER)
    return folder


@pytest.fixture
def ingested(run, folder):
    assert run("ingest", folder, "--collection", "coast")[0] == 0


@pytest.mark.parametrize(
    ("encoding", "shown"), [("utf-8", "φάρος.txt"), ("latin-1", "\\u03c6\\u03ac\\u03c1\\u03bf\\u03c2.txt")]
)
def test_a_terminal_that_cannot_show_a_letter_shows_its_number(run, folder, tmp_path, encoding, shown):
    (folder / "φάρος.txt").write_text("The Greek word for a lighthouse.")
    run("ingest", folder)
    command = [sys.executable, "-m", "fieldguide", "documents", "list", "--data-dir", str(tmp_path / "data")]
    listed = subprocess.run(command, capture_output=True, env={**os.environ, "PYTHONIOENCODING": encoding}, check=True)
    assert shown.encode(encoding) in listed.stdout


def test_ingest_says_what_it_did_and_why_it_skipped(run, folder):
    (folder / "scan.pdf").write_bytes(pdf(""))
    status, out, err = run("ingest", folder)
    assert status == 0
    assert out.startswith("2 added, 0 changed, 0 unchanged, 1 skipped; passages embedded: 2")
    assert "scan.pdf" in out
    assert "scanned" in out
    assert "Ingesting: " in err


def test_every_bad_file_of_a_folder_is_told_with_its_reason_and_the_rest_go_in(run, folder):
    for name, (content, _) in BAD.items():
        (folder / name).write_bytes(content)
    (folder / "loop").symlink_to(folder)
    (folder / "itself.txt").symlink_to(folder / "itself.txt")
    (folder / "two\nlines.txt").write_text("A name of two lines.")
    (folder / "line.txt").write_bytes(b"")
    os.truncate(folder / "line.txt", 200_000_000)
    status, out, _ = run("ingest", folder, folder / ".." / "mine" / "oil.txt", "/proc/self/mem")
    assert status == 0
    assert out.startswith("3 added, 0 changed, 0 unchanged,")
    told = " ".join(out.split())
    for name, (_, reason) in BAD.items():
        assert name in told
        assert reason in told
    for problem in ("larger than 100 MB", "Too many levels of symbolic links", "Input/output error"):
        assert problem in told


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is closed to this user")
def test_a_file_that_may_not_be_read_is_told(run, folder):
    (folder / "oil.txt").chmod(0)
    assert "It cannot be read: Permission denied." in " ".join(run("ingest", folder)[1].split())


def test_patterns_of_files_are_ingested(run, folder):
    status, out, _ = run("ingest", folder / "*.md", folder / "o?l.txt")
    assert status == 0
    assert out.startswith("2 added")


def test_progress_tells_files_passages_rate_and_time_left():
    report = IngestReport(files=200, added=48, passages=130, seconds=12.0)
    report.skipped += [("a.txt", "It is empty.")] * 2
    loading = as_loading(report)
    assert loading.share == 0.25
    assert loading.detail == "50 of 200 files, 130 passages, 4.2 files/s, 36 s left"


def test_ctrl_c_ends_an_ingest_and_keeps_what_is_done(run, folder, monkeypatch):
    for number in range(300):
        (folder / f"{number:03}.txt").write_text(f"Light number {number} stands at the coast.")
    embed = WordCountEmbedder.embed

    def interrupted(self, texts):
        if len(texts) > 30:  # a batch of passages
            os.kill(os.getpid(), signal.SIGINT)
        return embed(self, texts)

    monkeypatch.setattr(WordCountEmbedder, "embed", interrupted)
    status, out, err = run("ingest", folder)
    assert status == 0
    assert out.startswith("Cancelled; what was done is kept. ")
    assert "Stopping; what is done is kept." in err
    assert 0 < len(json.loads(run("documents", "list", "--json")[1])) < 300


def test_ingest_of_nothing_that_can_be_read_is_exit_1(run, tmp_path):
    status, out, err = run("ingest", tmp_path / "nowhere.txt")
    assert status == 1
    assert "There is no such file." in out
    assert "None of the files could be ingested." in err
    (tmp_path / "empty").mkdir()
    assert run("ingest", tmp_path / "empty")[0] == 1


def test_ingest_json_is_one_object(run, folder):
    status, out, _ = run("ingest", folder, "--json", "--include", "*.md")
    assert status == 0
    found = json.loads(out)
    assert (found["files"], found["added"], found["skipped"]) == (1, 1, [])


def test_paths_and_options_of_the_guides_do_not_mix(run, folder):
    assert run("ingest", folder, "--rebuild")[0] == 2


def test_an_answer_cites_an_own_document_with_its_heading(run, ingested):
    _, out, _ = run("ask", QUESTION, "--collection", "coast")
    assert out.startswith(FACT)
    assert "[1] towers.md, Quillon" in out


@pytest.mark.parametrize(
    ("name", "place"),
    [("lights.pdf", "page 2"), ("lights.pptx", "slide 2 > Quillon"), ("lights.docx", "Quillon"), ("lights.py", "lines 1-4")],
)
def test_an_answer_cites_page_slide_heading_or_lines(run, tmp_path, name, place):
    (tmp_path / name).write_bytes(SAMPLES[name][0])
    run("ingest", tmp_path / name, "--collection", "coast")
    assert f"[1] {name}, {place}" in run("ask", QUESTION, "--collection", "coast")[1]


def test_a_search_names_sheet_and_rows(run, tmp_path):
    (tmp_path / "lights.xlsx").write_bytes(SAMPLES["lights.xlsx"][0])
    run("ingest", tmp_path / "lights.xlsx", "--collection", "coast")
    assert "Lighthouses > rows 2-3" in run("search", QUESTION, "--collection", "coast")[1]


def test_ask_searches_all_collections_unless_told_otherwise(run, ingested, folder):
    (folder / "paint.txt").write_text("The Quillon lighthouse was painted red in 1950.")
    run("ingest", folder / "paint.txt", "--collection", "paint")

    def retrieved(*names):
        options = [part for name in names for part in ("--collection", name)]
        found = json.loads(run("ask", QUESTION, "--json", *options)[1])
        return {hit["document"] for hit in found["retrieved"]}

    assert retrieved() >= {"towers.md", "paint.txt", "lighthouses.md"}
    assert retrieved("coast", "paint") == {"towers.md", "oil.txt", "paint.txt"}
    assert retrieved("paint") == {"paint.txt"}


def test_search_looks_where_it_is_told(run, ingested):
    assert "towers.md" in run("search", QUESTION)[1]
    assert "lighthouses.md" in run("search", QUESTION)[1]
    assert "lighthouses.md" not in run("search", QUESTION, "-c", "coast")[1]
    assert "towers.md" not in run("search", QUESTION, "-c", "guides")[1]
    status, _, err = run("search", QUESTION, "-c", "coats")
    assert status == 1
    assert "There is no collection 'coats'. There are: guides, coast." in err


def test_documents_are_listed_shown_exported_and_removed(run, ingested, tmp_path):
    assert "no documents" not in run("documents", "list")[1]
    listed = json.loads(run("documents", "list", "coast", "--json")[1])
    assert [(d["name"], d["passages"], d["collection"]) for d in listed] == [("oil.txt", 1, "coast"), ("towers.md", 1, "coast")]
    assert FACT in run("documents", "show", "towers.md")[1]
    assert "[Quillon]" in run("documents", "show", "towers.md", "--passages")[1]
    run("documents", "export", tmp_path / "out", "--collection", "coast")
    assert [path.name for path in sorted((tmp_path / "out").iterdir())] == ["00001-oil.txt.txt", "00002-towers.md.txt"]
    assert run("documents", "remove", "towers.md")[0] == 0
    assert "towers.md" not in run("documents", "list")[1]
    status, _, err = run("documents", "remove", "towers.md")
    assert (status, err.count("\n")) == (1, 1)


def test_a_changed_file_is_taken_up_by_an_ingest_without_a_path(run, ingested, folder):
    (folder / "oil.txt").write_text("Farrow Point burns gas.")
    assert "coast: 0 added, 1 changed" in run("ingest")[1]
    assert "burns gas" in run("documents", "show", "oil.txt")[1]


def test_a_watched_folder_brings_its_files_and_takes_them_away(run, folder):
    assert run("collections", "set", "coast", "--watch", folder)[0] == 0
    assert "coast: 2 added" in run("ingest")[1]
    (folder / "oil.txt").unlink()
    run("ingest")
    assert "oil.txt" not in run("documents", "list")[1]


def test_collections_are_listed_renamed_indexed_again_and_deleted(run, ingested, folder):
    listed = json.loads(run("collections", "list", "--json")[1])
    assert [(c["name"], c.get("documents")) for c in listed] == [("guides", None), ("coast", 2)]
    assert "needs re-indexing" in run("collections", "set", "coast", "--chunk-tokens", "60")[1]
    assert "needs re-indexing" in run("collections", "list")[1]
    (folder / "oil.txt").unlink()  # its text is still known
    assert "2 added" in run("collections", "reindex", "coast")[1]
    assert "needs re-indexing" not in run("collections", "list")[1]
    assert OTHER in run("documents", "show", "oil.txt")[1]
    run("collections", "rename", "coast", "shore")
    assert run("collections", "delete", "coast")[0] == 1
    assert run("collections", "delete", "shore")[0] == 0
    assert "no documents of your own" in run("documents", "list")[1]


def test_a_data_folder_that_cannot_be_written_is_one_line(run, folder, tmp_path):
    run("search", "bees")
    (tmp_path / "data" / "collections").touch()
    status, _, err = run("ingest", folder)
    assert status == 1
    assert "cannot be written" in err or "cannot be read" in err
    assert "Traceback" not in err


def test_removing_a_document_removes_what_models_keep_of_it(run, ingested, tmp_path):
    states = tmp_path / "data" / "passage-cache"
    states.mkdir()
    (states / "later.state").touch()
    (states / "earlier.state").touch()
    os.utime(states / "earlier.state", (1, 1))
    run("documents", "remove", "towers.md")
    assert [path.name for path in states.iterdir()] == ["earlier.state"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("ingest", "--include", "*.md"),
        ("ingest", "--collection", "coast"),
        ("collections", "set", "coast"),
        ("collections", "set", "coast", "--unwatch", "--watch", "."),
    ],
)
def test_options_that_would_do_nothing_are_told(run, ingested, arguments):
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert "Invalid value" in err


def test_nothing_is_removed_where_one_of_the_names_is_wrong(run, ingested):
    status, _, err = run("documents", "remove", "oil.txt", "nowhere.txt")
    assert status == 1
    assert "There is no document 'nowhere.txt'" in err
    assert "oil.txt" in run("documents", "list")[1]


def test_a_folder_that_is_not_there_makes_no_collection(run, tmp_path):
    assert run("collections", "set", "new", "--watch", tmp_path / "nowhere")[0] == 1
    assert run("collections", "set", "new", "--unwatch")[0] == 1
    (tmp_path / "empty").mkdir()
    assert run("ingest", tmp_path / "empty", "--collection", "new")[0] == 1
    assert "new" not in run("collections", "list")[1]


def test_what_to_include_can_be_taken_back(run, ingested, tmp_path):
    run("collections", "set", "coast", "--include", "*.md")
    run("collections", "set", "coast", "--include", "")
    settings = Library(tmp_path / "data").collection("coast").store.settings()
    assert json.loads(settings["include"]) == []
