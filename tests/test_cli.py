"""The command line in this process, over the toy corpus with a scripted model."""

import io
import json
import os
import subprocess
import sys
import time

import pytest

from fakes import ScriptedModel
from fieldguide.answering.abstain import REFUSAL
from fieldguide.interfaces import cli

GOOD = "The queen lays up to 2,000 eggs a day."
QUESTION = "How many eggs does the queen lay?"


@pytest.fixture
def run(fieldguide_with, monkeypatch, capsys, tmp_path):
    """Run a command line; gives exit status, standard output and standard error."""

    def run(*arguments, replies=(GOOD,), stdin=""):
        made = fieldguide_with(ScriptedModel(list(replies)))
        for module in ("interfaces.cli.library", "assembly"):
            monkeypatch.setattr(f"fieldguide.{module}.Fieldguide", lambda settings: made)
        monkeypatch.setenv("FIELDGUIDE_DATA_DIR", str(tmp_path / "data"))  # not where someone's own Fieldguide may run
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        status = 0
        try:
            cli.main(list(arguments))
        except SystemExit as end:
            status = end.code or 0
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run


def test_ask_prints_the_answer_then_its_numbered_sources(run):
    status, out, _ = run("ask", QUESTION)
    assert status == 0
    assert out.startswith(GOOD)
    assert "[1] bees.md, How many bees live in a hive?" in out
    assert f'"{GOOD}"' in out


def test_ask_json_prints_one_object_and_nothing_else(run):
    status, out, _ = run("ask", QUESTION, "--json")
    assert status == 0
    assert out.count("\n") == 1
    assert json.loads(out)["answer"] == GOOD


def test_a_refusal_is_no_failure(run):
    status, out, _ = run("ask", "Xylophone zebra?", "--json")
    assert status == 0
    assert (json.loads(out)["answer"], json.loads(out)["abstained"]) == (REFUSAL, True)


def test_a_refusal_names_the_closest_passages(run):
    _, out, _ = run("ask", "Xylophone zebra?")
    assert out.startswith(REFUSAL)
    assert "Closest passages" in out


def test_ask_reads_the_question_from_standard_input(run):
    status, out, _ = run("ask", "-", "--json", stdin=f"{QUESTION}\n")
    assert status == 0
    assert json.loads(out)["question"] == QUESTION


@pytest.mark.parametrize(("question", "said"), [("", "empty"), ("why " * 25_000, "2,000")])
def test_a_bad_question_is_one_line_and_exit_1(run, question, said):
    status, out, err = run("ask", question, "--json")
    assert (status, out) == (1, "")
    last = err.strip().splitlines()[-1]
    assert said in last
    assert len(last) < 250
    assert "Traceback" not in err


def test_explain_prints_the_trace(run):
    _, _, err = run("ask", QUESTION, "--explain")
    for kind in ("Rewritten", "Retrieved", "Prompted", "Gated", "Finished"):
        assert f'"event": "{kind}"' in err


def test_without_a_question_ask_is_a_conversation(run):
    status, out, _ = run("ask", replies=[GOOD, "They do not eat wood."], stdin=f"{QUESTION}\n\nWhat do bees not eat?\n")
    assert status == 0
    assert GOOD in out
    assert "They do not eat wood." in out


def test_ask_says_on_demand_that_it_loads_a_fieldguide_of_its_own(run):
    assert "Loading a Fieldguide." in run("ask", QUESTION, "--verbose")[2]
    assert "Loading a Fieldguide." not in run("ask", QUESTION)[2]


def test_search_prints_ranked_passages_with_both_ranks(run):
    status, out, _ = run("search", "Who built the Quillon lighthouse?")
    assert status == 0
    assert out.startswith("1. lighthouses.md, Who built the Quillon lighthouse?")
    assert "meaning" in out
    assert "keywords 1" in out


def test_search_json_can_be_read_by_programs(run):
    _, out, _ = run("search", "Quillon", "--json", "--limit", "2")
    hits = json.loads(out)["hits"]
    assert len(hits) == 2
    assert {"rank", "document", "section", "text", "score", "rank_by_meaning", "rank_by_keywords", "rank_fused"} == set(hits[0])


def test_ingest_can_let_the_model_read_every_passage(run, monkeypatch):
    kept = []
    monkeypatch.setattr(ScriptedModel, "close", lambda model: kept.extend(model.warmed))
    status, out, err = run("ingest", "--warm")
    assert status == 0
    assert f"The index holds {len(kept)} passages" in out
    assert "Reading passages ahead of time" in err
    assert len(kept) == len(set(kept)) > 5


def test_ingest_says_what_it_did_and_then_that_nothing_is_to_do(run):
    assert "passages" in run("ingest")[1]
    assert "up to date" in run("ingest")[1]


@pytest.mark.parametrize("arguments", [["ask", "--nonsense"], ["nonsense"], ["search"], ["chat", "--port", "many"]])
def test_misuse_is_exit_2(run, arguments):
    status, out, err = run(*arguments)
    assert (status, out) == (2, "")
    assert err


@pytest.mark.weights
def test_a_model_path_that_leads_nowhere_is_one_line(tmp_path, embedder_folder):
    command = [sys.executable, "-m", "fieldguide", "ask", "One?", "--json", "--model", str(tmp_path / "none.gguf")]
    environment = {**os.environ, "FIELDGUIDE_DATA_DIR": str(tmp_path)}
    # The other half is still loading when the command ends: it must not be taken down under its own threads.
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert (result.returncode, result.stdout) == (1, "")
    assert "none.gguf cannot be read" in result.stderr.strip().splitlines()[-1]


def test_a_data_folder_that_cannot_be_written_is_one_line(capsys, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SystemExit) as end:
        cli.main(["ingest", "--data-dir", str(tmp_path / "file" / "data")])
    assert end.value.code == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert "cannot be" in error
    assert "--data-dir" in error


def test_help_answers_without_heavy_libraries():
    code = (
        "import sys\nfrom fieldguide.interfaces import cli\n"
        "try: cli.main(['--help'])\nexcept SystemExit: pass\n"
        "print([m for m in ('torch','gradio','chromadb','llama_cpp','sentence_transformers','numpy') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.rstrip().endswith("[]")
    assert "ask" in result.stdout


def test_a_busy_port_is_one_line():
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "fieldguide", "chat", "--no-browser", "--port", str(port)]
        began = time.monotonic()
        result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert result.stderr.strip().startswith(f"fieldguide: Port {port} on 127.0.0.1 cannot be used")
    assert len(result.stderr.strip().splitlines()) == 1
    assert time.monotonic() - began < 30
