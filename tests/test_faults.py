"""Kills, damage, want of room and of memory: nothing that was reported as done is lost, and what is wrong is named."""

import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from browser import free_port
from endurance_faults import KILLED, flip_everywhere, kill
from fieldguide.indexing.index import open_index


@pytest.mark.parametrize("name", KILLED)
def test_what_is_killed_while_it_writes_loses_nothing_that_was_reported_as_done(name, tmp_path):
    came = kill(name, 5, tmp_path / name)
    assert came["killed at work"] >= 1


def test_a_flipped_byte_in_any_file_of_the_data_folder_is_named_mended_or_harmless(tmp_path):
    came = flip_everywhere(1, tmp_path)
    assert sum(came.values()) >= 12


def can_mount() -> bool:
    if not shutil.which("unshare"):
        return False
    return subprocess.run(["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True).returncode == 0


@pytest.mark.skipif(not can_mount(), reason="no tiny disk can be mounted here")
def test_a_full_disk_is_named_by_every_writer_and_loses_nothing(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    script = f"mount -t tmpfs -o size=8m tmpfs {disk} && exec {sys.executable} {Path(__file__).parent / 'full_disk.py'} {disk}"
    result = subprocess.run(["unshare", "-rm", "sh", "-c", script], capture_output=True, text=True, timeout=200)
    assert result.returncode == 0, result.stderr
    came = json.loads(result.stdout)
    for name in ("index", "conversation", "collection", "weights"):
        assert "Make room" in came["said"][name], came["said"]
    assert came["said"]["states"] == ""  # a state that cannot be kept is read again
    assert came["after"] == came["before"]


def a_page_that_answers(settings, url_file) -> None:
    """`fieldguide chat` around a model that takes its time; told the address when it is there."""
    from fakes import SlowModel, WordCountEmbedder
    from fieldguide.assembly import Fieldguide
    from fieldguide.interfaces.cli import chat as command

    Fieldguide._load_model = lambda self, wanted=None: SlowModel(["The queen lays up to 2,000 eggs a day. " * 20])
    Fieldguide._load_embedder = lambda self, report: WordCountEmbedder()
    command.resolve_settings = lambda flags: replace(settings, port=free_port())
    command.chat({}, browser=False)
    url_file.write_text("ended in order")


def test_a_service_manager_may_end_the_page_in_the_middle_of_an_answer(settings, tmp_path):
    context, told = multiprocessing.get_context("spawn"), tmp_path / "told"
    for turn in range(2):  # what the first leaves, the second goes on with
        process = context.Process(target=a_page_that_answers, args=(settings, told))
        process.start()
        announced = settings.data_dir / "running.json"
        while not announced.exists():
            assert process.is_alive()
            time.sleep(0.1)
        url = json.loads(announced.read_text())["url"]
        with httpx.stream(
            "POST", f"{url}api/ask", json={"question": "How many eggs does the queen lay?"}, timeout=120
        ) as answer:
            for line in answer.iter_lines():
                if json.loads(line)["event"] == "Token":
                    process.terminate()
                    break
        process.join(30)
        assert process.exitcode == 0, turn
        assert told.read_text() == "ended in order"
        assert not announced.exists()
        told.unlink()
        open_index(settings.data_dir).close()


@pytest.mark.weights
@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory are kept by Linux alone")
@pytest.mark.parametrize("megabytes", [300, 800, 1500])
def test_a_limit_on_memory_is_one_clear_line(megabytes, settings, tiny_model_path, embedder_folder):
    command = f"ulimit -v {megabytes * 1024} && exec {sys.executable} -m fieldguide ask 'How many eggs does the queen lay?'"
    environment = {
        **os.environ,
        "FIELDGUIDE_MODELS": str(tiny_model_path.parent),
        "FIELDGUIDE_GUIDES_DIR": str(settings.guides_dir),
        "FIELDGUIDE_DATA_DIR": str(settings.data_dir),
        "FIELDGUIDE_MODEL": "tiny",
    }
    result = subprocess.run(["sh", "-c", command], capture_output=True, text=True, env=environment, timeout=300)
    assert result.returncode == 1, result.stderr
    assert result.stdout == ""
    assert "not enough memory" in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr
