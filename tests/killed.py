"""An ingest in a process of its own, to be killed. It prints `ready`, and then how many documents it has reported as done."""

import subprocess
import sys
from pathlib import Path

_HERE = Path(__file__).parent


def start_ingest(data: Path, documents: Path) -> "subprocess.Popen[str]":
    """Start it and wait until it is about to begin."""
    command = [sys.executable, str(_HERE / "killed.py"), str(data), str(documents)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert child.stdout
    assert child.stdout.readline() == "ready\n"
    return child


def main(data: Path, documents: str) -> None:
    from fakes import WordCountEmbedder
    from fieldguide.indexing.discovery import find_files
    from fieldguide.indexing.ingest import IngestReport, ingest
    from fieldguide.indexing.library import Library
    from fieldguide.indexing.loading.pool import LoaderPool

    embedder = WordCountEmbedder()
    collection = Library(data).create("mine", embedder)

    def told(report: IngestReport) -> None:
        print(report.added + report.changed, flush=True)  # noqa: T201

    print("ready", flush=True)  # noqa: T201
    with LoaderPool(1) as pool, collection.writing(lambda: None):
        ingest(collection, list(find_files([documents])), embedder, pool, told)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
