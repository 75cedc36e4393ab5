"""What takes too long for every run of the tests: thousands of damaged files, and kills at hundreds of moments.

    python tests/endurance.py [--mutations 10000] [--kills 200] [--report evaluation/reports/endurance.md]

Ends with status 1 when a reader breaks its promises (an answer or a reason for each file, within its time, and not one byte
written) or a kill loses what was reported as done.
"""

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from fakes import WordCountEmbedder
from fieldguide.errors import DocumentError
from fieldguide.indexing.chunking import chunk_document
from fieldguide.indexing.discovery import find_files
from fieldguide.indexing.ingest import ingest
from fieldguide.indexing.library import Library
from fieldguide.indexing.loading.child import SECONDS
from fieldguide.indexing.loading.pool import LoaderPool
from killed import start_ingest
from mutations import damaged_files


def fuzz(count: int, folder: Path, seed: int = 0) -> tuple[Counter[str], float]:
    """Load damaged files; gives how many came to what, and the longest time that one took."""
    came: Counter[str] = Counter()
    slowest, embedder = 0.0, WordCountEmbedder()
    with LoaderPool(1) as pool:
        for path in damaged_files(folder, count, seed):
            started = time.perf_counter()
            try:
                loaded = pool.load(path)
            except DocumentError as error:
                reason = str(error)
                came["ended by its limits" if "took longer" in reason or "broke the process" in reason else "refused"] += 1
            else:
                chunk_document(loaded.document, embedder.count_tokens, 200, loaded.sections)
                came["read"] += 1
            slowest = max(slowest, time.perf_counter() - started)
            path.unlink()
    written = list(folder.rglob("*"))
    assert not written, f"files were written: {written}"
    return came, slowest


def kill_at_random(times: int, folder: Path, seed: int = 0) -> Counter[str]:
    """Kill an ingest at random moments, each time going on with what the last one left."""
    chance, came = random.Random(seed), Counter[str]()
    documents, data = folder / "documents", folder / "data"
    documents.mkdir(parents=True)
    for number in range(300):
        (documents / f"{number}.txt").write_text(f"Light number {number} stands at the coast and burns oil.")
    for turn in range(times):
        for number in chance.sample(range(300), 60):  # something to do each time
            (documents / f"{number}.txt").write_text(f"Light number {number} was painted in year {turn} by the keeper.")
        child = start_ingest(data, documents)
        time.sleep(chance.random() * 1.5)
        child.send_signal(signal.SIGKILL)
        told = child.communicate()[0].split()
        came["killed while writing" if child.returncode == -signal.SIGKILL else "had ended before"] += 1
        library = Library(data)
        collection = library.collection("mine")
        collection.search("Which light?", 1, WordCountEmbedder())
        finished = [document for document in collection.store.documents() if document.sha256]
        assert collection.vectors.ids() == collection.store.ids()
        assert all(len(collection.store.passages_of(d.name)) >= d.passages > 0 for d in finished)
        changed = sum(f"in year {turn} " in collection.store.text(d.name) for d in finished)
        assert changed >= (int(told[-1]) if told and turn else 0), (changed, told[-1])
        library.close()
    library = Library(data)
    collection = library.collection("mine")
    with LoaderPool(1) as pool, collection.writing(lambda: None):
        ingest(collection, list(find_files([str(documents)])), WordCountEmbedder(), pool, lambda _: None)
    assert collection.vectors.ids() == collection.store.ids()
    assert collection.store.count() == len(collection.store.documents()) == 300
    library.close()
    return came


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutations", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--report", type=Path, default=Path("evaluation/reports/endurance.md"))
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "fuzz").mkdir()
        came, slowest = fuzz(asked.mutations, folder / "fuzz")
        kills = kill_at_random(asked.kills, folder / "kills")
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    lines = [
        "# Endurance",
        "",
        f"Commit {commit}. `make endurance` makes this report.",
        "",
        "| | |",
        "|---|---|",
        f"| damaged files, of every format | {asked.mutations:,} |",
        *(f"| {what} | {count:,} |" for what, count in sorted(came.items())),
        f"| longest time for one file (limit {SECONDS} s) | {slowest:.1f} s |",
        "| files written by readers | 0 |",
        f"| ingests killed at a random moment | {asked.kills} |",
        *(f"| {what} | {count} |" for what, count in sorted(kills.items())),
        "| documents lost that were reported as done | 0 |",
        "| collections that could not be searched afterwards | 0 |",
    ]
    asked.report.parent.mkdir(parents=True, exist_ok=True)
    asked.report.write_text("\n".join(lines) + "\n")
    sys.stdout.write(asked.report.read_text())


if __name__ == "__main__":
    main()
