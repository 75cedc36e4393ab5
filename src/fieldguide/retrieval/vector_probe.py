"""Whether a Chroma folder can be opened without harm: tried in a child process first, because damage in it can end a process.

    python -m fieldguide.retrieval.vector_probe FOLDER

A folder that still is as it was left after it was last opened needs no trial, which would take a second and a half each time.
"""

import hashlib
import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

_STAMP = "as-left.json"  # beside the folder: the SHA-256 of its files
_SECONDS = 120
_BLOCK = 1 << 20
_READ = 1000  # vectors: all of half a million would not fit into memory


def note_as_left(folder: Path) -> None:
    """Remember how the folder's files are now; where that cannot be written, the next opening tries them again."""
    temporary = folder.with_name(f"{_STAMP}.{os.getpid()}")
    with suppress(OSError):
        temporary.write_text(json.dumps(_sums(folder)), encoding="utf-8")
        os.replace(temporary, folder.with_name(_STAMP))


def problem_of(folder: Path) -> str:
    """What is wrong with the folder; '' where it can be opened."""
    if not folder.exists() or _is_as_left(folder):
        return ""
    command = [sys.executable, "-m", "fieldguide.retrieval.vector_probe", str(folder)]
    try:
        trial = subprocess.run(command, capture_output=True, timeout=_SECONDS, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return f"opening them took longer than {_SECONDS} s"
    except OSError:
        return ""  # no process can be had: the folder is opened untried
    if trial.returncode == 0:
        return ""
    if trial.returncode < 0:
        return f"opening them broke the process that tried (signal {-trial.returncode})"
    return trial.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2] or "they are damaged"


def _is_as_left(folder: Path) -> bool:
    try:
        return bool(json.loads(folder.with_name(_STAMP).read_bytes()) == _sums(folder))
    except (OSError, ValueError):
        return False


def _sums(folder: Path) -> dict[str, str]:
    sums = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest = hashlib.sha256()
            with path.open("rb") as stream:
                while block := stream.read(_BLOCK):
                    digest.update(block)
            sums[path.relative_to(folder).as_posix()] = digest.hexdigest()
    return sums


def main(folder: Path) -> None:
    """Open it, read vectors from all over it and search once."""
    from fieldguide.retrieval.vector_store import ChromaVectorStore

    with suppress(ImportError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    store = ChromaVectorStore(folder, is_tried=True)
    ids = sorted(store.ids())
    some = ids[:: -(-len(ids) // _READ) or 1]
    vectors = store.vectors(some) if some else {}
    if len(ids) != store.count() or len(vectors) != len(some):
        sys.exit("some vectors are missing")
    for vector in list(vectors.values())[:1]:
        store.nearest(vector, len(vectors))


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except Exception as error:
        sys.exit(" ".join(str(error).split()))
