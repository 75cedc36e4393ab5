"""Real disks that are full or closed to writing: small file systems in memory, in a namespace of their own."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
INGEST = """
import json, sys
from pathlib import Path
from fakes import WordCountEmbedder
from fieldguide.errors import FieldguideError
from fieldguide.indexing.library import Library
from fieldguide.indexing.own_documents import OwnDocuments
data, folder = Path(sys.argv[1]), sys.argv[2]
library = Library(data)
own = OwnDocuments(library, WordCountEmbedder, data / "passage-cache")
done = []
def tell(loading): done.append(loading.detail)
try:
    own.add([folder], "mine", tell)
    outcome = "done"
except FieldguideError as error:
    outcome = str(error)
try:
    collection = library.collection("mine")
    finished = [d.name for d in collection.store.documents() if d.sha256]
    hits = collection.search("Which light is number 0?", 3, WordCountEmbedder()).hits
    found = [hit.chunk.document for hit in hits]
    print(json.dumps({"outcome": outcome, "finished": len(finished), "found": found}))
except FieldguideError as error:
    print(json.dumps({"outcome": outcome, "after": str(error)}))
"""


@pytest.fixture
def in_namespace():
    """Run shell commands where file systems can be mounted that nobody else sees."""
    if not shutil.which("unshare") or subprocess.run(["unshare", "-rm", "true"], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a file system of his own")

    def run(script: str, **variables: object) -> list[dict]:
        environment = {**os.environ, "PYTHONPATH": f"{HERE}:{HERE.parent / 'src'}", "INGEST": INGEST, "PYTHON": sys.executable}
        environment |= {name: str(value) for name, value in variables.items()}
        done = subprocess.run(["unshare", "-rm", "sh", "-ec", script], capture_output=True, text=True, env=environment)
        assert "Traceback" not in done.stderr, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]

    return run


@pytest.fixture
def lights(tmp_path):
    folder = tmp_path / "lights"
    folder.mkdir()
    for number in range(400):
        (folder / f"{number:03}.txt").write_text(
            f"Light is number {number}. " + f"It burns oil number {number} at night. " * 20
        )
    return folder


def test_a_full_disk_is_told_and_what_was_done_can_be_searched(in_namespace, lights, tmp_path):
    (tmp_path / "disk").mkdir()
    full, after = in_namespace(
        'mount -t tmpfs -o size=6m none "$DISK"; "$PYTHON" -c "$INGEST" "$DISK" "$LIGHTS"; '
        'mount -o remount,size=200m "$DISK"; "$PYTHON" -c "$INGEST" "$DISK" "$LIGHTS"',
        DISK=tmp_path / "disk",
        LIGHTS=lights,
    )
    assert "cannot be written: " in full["outcome"]
    assert "full" in full["outcome"] or "No space left" in full["outcome"]
    assert "Make room" in full["outcome"]
    assert 0 < full["finished"] < 400
    assert full["found"]
    assert after["outcome"] == "done"  # with more room, it goes on
    assert after["finished"] == 400


def test_a_disk_that_is_closed_to_writing_is_told(in_namespace, lights, tmp_path):
    (tmp_path / "disk").mkdir()
    for number in range(50, 400):
        (lights / f"{number:03}.txt").unlink()
    first, closed = in_namespace(
        'mount -t tmpfs -o size=200m none "$DISK"; "$PYTHON" -c "$INGEST" "$DISK" "$LIGHTS"; '
        'echo "One more light." > "$LIGHTS/more.txt"; mount -o remount,ro "$DISK"; "$PYTHON" -c "$INGEST" "$DISK" "$LIGHTS"',
        DISK=tmp_path / "disk",
        LIGHTS=lights,
    )
    assert first["outcome"] == "done"
    assert "cannot be written: Read-only file system." in closed["outcome"]
    assert "the folder is closed to writing. Open it to writing" in closed["after"]


def test_a_full_disk_before_the_first_document_is_one_line(in_namespace, lights, tmp_path):
    (tmp_path / "disk").mkdir()
    (full,) = in_namespace(
        'mount -t tmpfs -o size=32k none "$DISK"; "$PYTHON" -c "$INGEST" "$DISK" "$LIGHTS"',
        DISK=tmp_path / "disk",
        LIGHTS=lights,
    )
    assert "cannot be written" in full["outcome"]
    assert "\n" not in full["outcome"]
