"""`fieldguide doctor`: all in order, and each thing damaged in turn, found and told how to mend."""

import errno
import hashlib
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from browser import free_port
from conftest import TOY_CORPUS
from fakes import WordCountEmbedder
from fieldguide import engines, locations
from fieldguide.assembly import Fieldguide
from fieldguide.errors import FieldguideError
from fieldguide.interfaces import cli
from fieldguide.interfaces.cli import doctor as command
from fieldguide.interfaces.conversation_store import ConversationStore
from fieldguide.interfaces.conversations import Conversation, Exchange
from fieldguide.interfaces.doctor import alone
from fieldguide.interfaces.doctor.checks import check_all
from fieldguide.settings import resolve_settings
from servers import chroma_server

_MODEL, _EMBEDDER = b"GGUF and then weights", b"weights of an embedder"
_CATALOG = """
[[model]]
name = "small"
role = "chat"
label = "default"
description = ""
licence = "Apache-2.0"
[[model.file]]
path = "small.gguf"
size = {model_size}
sha256 = "{model_hash}"
[[model.source]]
kind = "hugging-face"
repository = "someone/small"

[[model]]
name = "vectors"
role = "embedder"
label = "embedder"
description = ""
licence = "Apache-2.0"
folder = "vectors"
[[model.file]]
path = "weights.bin"
size = {embedder_size}
sha256 = "{embedder_hash}"
[[model.source]]
kind = "hugging-face"
repository = "someone/vectors"
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folders of a Fieldguide in which everything is there: small weights, an index, a collection, a conversation."""
    folder = tmp_path_factory.mktemp("built")
    for name in ("models/vectors", "guides"):
        (folder / name).mkdir(parents=True)
    (folder / "models" / "small.gguf").write_bytes(_MODEL)
    (folder / "models" / "vectors" / "weights.bin").write_bytes(_EMBEDDER)
    for name, text in TOY_CORPUS.items():
        (folder / "guides" / name).write_text(text)
    (folder / "clock.txt").write_text("The Brackwater clock strikes thirteen.")
    (folder / "catalog.toml").write_text(
        _CATALOG.format(
            model_size=len(_MODEL),
            model_hash=hashlib.sha256(_MODEL).hexdigest(),
            embedder_size=len(_EMBEDDER),
            embedder_hash=hashlib.sha256(_EMBEDDER).hexdigest(),
        )
    )
    fieldguide = Fieldguide(resolve_settings(_places(folder), {}))
    fieldguide._load_embedder = lambda report: WordCountEmbedder()
    list(fieldguide.loading(with_model=False))
    fieldguide.own.add([str(folder / "clock.txt")], "notes")
    fieldguide.close()
    ConversationStore(folder / "data" / "conversations").save(
        "a" * 32, Conversation("b" * 32, exchanges=(Exchange("What is it?", failure="Stopped."),))
    )
    return folder


def _places(folder: Path) -> dict[str, Path]:
    return {"data_dir": folder / "data", "models_dir": folder / "models", "guides_dir": folder / "guides"}


@pytest.fixture
def whole(built, tmp_path, monkeypatch):
    """Settings over a copy of it."""
    shutil.copytree(built, tmp_path / "copy")
    monkeypatch.setattr(locations, "catalog_file", lambda: tmp_path / "copy" / "catalog.toml")
    monkeypatch.setattr(engines, "load_embedder", lambda settings, report: WordCountEmbedder())
    settings = resolve_settings(_places(tmp_path / "copy"), {})
    return replace(settings, port=free_port(), passage_cache_gb=0.0)


def findings(settings) -> dict[str, tuple[str, str]]:
    return {f.about: (f.message, f.remedy) for f in check_all(settings, lambda _: None) if not f.ok}


def one(paths) -> Path:
    (path,) = paths
    return path


def generation(settings) -> Path:
    return one((settings.data_dir / "index").glob("generation-*"))


def test_a_whole_fieldguide_has_no_finding(whole):
    assert findings(whole) == {}


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def drop_passages(settings) -> None:
    with sqlite3.connect(generation(settings) / "passages.sqlite") as db:
        db.execute("DELETE FROM passages WHERE number = 1")


def drop_collection_passage(settings) -> None:
    with sqlite3.connect(one((settings.data_dir / "collections").glob("*/library.sqlite"))) as db:
        db.execute("DELETE FROM passages")


def other_dimension(settings) -> None:
    path = generation(settings) / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"dimension": 32}))


DAMAGES = {
    "weights gone": (lambda s: (s.models_dir / "small.gguf").unlink(), "language model", "is missing", "models pull default"),
    "a bit of the weights": (lambda s: flip(s.models_dir / "small.gguf"), "language model", "SHA-256", "models pull default"),
    "weights cut short": (
        lambda s: (s.models_dir / "vectors" / "weights.bin").write_bytes(b"w"),
        "embedder",
        "1 bytes instead of",
        "models pull embedder",
    ),
    "newer data folder": (
        lambda s: (s.data_dir / "version").write_text("99"),
        "data folder",
        "newer Fieldguide",
        "Bring Fieldguide up to date",
    ),
    "damaged version": (lambda s: (s.data_dir / "version").write_text("?"), "data folder", "is damaged", "write the number"),
    "no index": (lambda s: shutil.rmtree(s.data_dir / "index"), "index", "There is none", "fieldguide ingest"),
    "no manifest": (lambda s: (generation(s) / "manifest.json").unlink(), "index", "manifest", "fieldguide ingest"),
    "another dimension": (other_dimension, "index", "of 32 numbers", "fieldguide ingest"),
    "a changed guide": (
        lambda s: (s.guides_dir / "bees.md").write_text("# Bees\n\nOther bees.\n"),
        "index",
        "other guides",
        "fieldguide ingest",
    ),
    "no guides": (lambda s: shutil.rmtree(s.guides_dir), "index", "holds no Markdown files", "guides"),
    "passages lost": (drop_passages, "index", "passages.sqlite is not what was written", "ingest --rebuild"),
    "passages overwritten": (
        lambda s: (generation(s) / "passages.sqlite").write_bytes(b"no database " * 999),
        "index",
        "passages.sqlite is not what was written",
        "ingest --rebuild",
    ),
    "vectors overwritten": (
        lambda s: (generation(s) / "chroma" / "chroma.sqlite3").write_bytes(b"no database " * 999),
        "index",
        "file is not a database",
        "ingest --rebuild",
    ),
    "a collection's passages lost": (drop_collection_passage, "collections", "'notes' has", "collections reindex 'notes'"),
    "a conversation cut short": (
        lambda s: one((s.data_dir / "conversations").glob("*/*.json")).write_text("{"),
        "conversations",
        "is not a whole JSON file",
        "Remove that file",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_each_damage_is_found_and_told_with_what_mends_it(whole, name):
    damage, about, said, remedy = DAMAGES[name]
    damage(whole)
    found = findings(whole)
    assert set(found) - {"index" if about == "embedder" else ""} == {about}  # an index is held against its embedder
    assert said in found[about][0]
    assert remedy in found[about][1]


def test_a_port_that_another_program_has_is_found(whole):
    with socket.create_server(("127.0.0.1", whole.port)):
        assert "cannot be used" in findings(whole)["port"][0]
    assert "--port" in str(findings(replace(whole, host="192.0.2.1"))["port"])


def test_a_disk_without_room_is_found(whole, monkeypatch):
    usage = shutil.disk_usage(".")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10**8))
    assert "0.1 GB free" in findings(whole)["disk"][0]


def test_telemetry_that_somebody_switched_on_is_found(whole, monkeypatch):
    monkeypatch.setenv("ANONYMIZED_TELEMETRY", "True")
    assert "ANONYMIZED_TELEMETRY is 'True'" in findings(whole)["telemetry"][0]


def test_servers_that_are_not_there_are_found(whole):
    nobody = f"http://127.0.0.1:{free_port()}"
    found = findings(replace(whole, chroma_url=nobody, llm_url=f"{nobody}/v1"))
    assert nobody in found["Chroma server"][0]
    assert nobody in found["language model"][0]
    assert "chroma_url" in found["Chroma server"][1]
    assert "llm_url" in found["language model"][1]


def test_a_chroma_server_that_is_there_is_no_finding(whole, tmp_path):
    with chroma_server(tmp_path / "server") as url:
        assert "Chroma server" not in findings(replace(whole, chroma_url=url))


@pytest.fixture
def run(whole, monkeypatch, capsys):
    """Run `fieldguide doctor`; gives exit status and standard output."""

    def run(*arguments):
        monkeypatch.setattr(command, "resolve_settings", lambda flags: whole)
        status = 0
        try:
            cli.main(["doctor", *arguments])
        except SystemExit as end:
            status = end.code or 0
        return status, capsys.readouterr().out

    return run


def test_the_command_prints_what_is_in_order_and_ends_well(run):
    status, out = run()
    assert status == 0
    assert "FINDING" not in out
    assert out.count("ok ") == 11


def test_the_command_prints_the_remedy_under_each_finding_and_ends_with_1(run, whole):
    (whole.models_dir / "small.gguf").unlink()
    (whole.data_dir / "version").write_text("99")
    status, out = run()
    assert status == 1
    assert out.count("FINDING") == 2
    assert "fieldguide models pull default" in out
    status, out = run("--json")
    assert status == 1
    assert [finding["about"] for finding in json.loads(out) if not finding["ok"]] == ["language model", "data folder"]


# With the network cut


@pytest.fixture
def asked(settings, toy_folder):
    return replace(settings, model="tiny", answer_tokens=16)


@pytest.mark.weights
@pytest.mark.parametrize("namespaces", [True, False])
def test_a_whole_question_is_answered_with_the_network_cut(asked, monkeypatch, tiny_model_path, embedder_folder, namespaces):
    if not namespaces:
        monkeypatch.setattr(alone, "can_cut_the_network", lambda: False)
    elif not alone.can_cut_the_network():
        pytest.skip("this kernel allows no namespaces")
    finding = alone.prove_offline(asked)
    assert finding.ok, finding
    assert "a question was answered" in finding.message
    assert ("network namespace" if namespaces else "guard") in finding.message


def test_weights_that_would_have_to_be_fetched_are_a_finding_when_the_network_is_cut(asked, tmp_path):
    finding = alone.prove_offline(replace(asked, models_dir=tmp_path / "empty"))
    assert not finding.ok
    assert "models pull" in finding.remedy


@pytest.mark.parametrize(
    ("failure", "is_cut"), [(OSError(errno.ENETUNREACH, "unreachable"), True), (TimeoutError(), False), (None, False)]
)
def test_the_proof_refuses_to_run_where_the_network_is_open(monkeypatch, failure, is_cut):
    def connect(address, timeout):
        if failure:
            raise failure
        return socket.socket()

    monkeypatch.setattr(socket, "create_connection", connect)
    if is_cut:
        alone._require_no_way_out()
    else:
        with pytest.raises(FieldguideError, match="not cut"):
            alone._require_no_way_out()


def test_the_guard_ends_a_child_that_calls_out(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(alone._GUARD)
    inner = "import socket; socket.create_connection(('192.0.2.1', 80), 1)"
    code = f"import subprocess, sys; sys.exit(subprocess.run([sys.executable, '-c', {inner!r}]).returncode)"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(tmp_path)}, capture_output=True, text=True
    )
    assert done.returncode == 97
    assert "outside call" in done.stderr


def test_with_servers_there_is_nothing_to_prove(asked):
    assert "nothing to prove" in alone.prove_offline(replace(asked, llm_url="http://127.0.0.1:9/v1")).message
