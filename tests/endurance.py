"""What takes too long for every run of the tests: thousands of damaged files, and kills at hundreds of moments.

    python tests/endurance.py [--mutations 10000] [--kills 200] [--report evaluation/reports/endurance.md]

Ends with status 1 when a reader breaks its promises (an answer or a reason for each file, within its time, and not one byte
written) or a kill loses what was reported as done. A busy machine makes it slower, and nothing else: a file that took too
long is read once more before it counts.
"""

import argparse
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import coverage

from covered_child import LOADERS
from fakes import WordCountEmbedder
from fieldguide.errors import DocumentError
from fieldguide.indexing.chunking import chunk_document
from fieldguide.indexing.collection import Collection
from fieldguide.indexing.library import Library
from fieldguide.indexing.loading.child import SECONDS
from fieldguide.indexing.loading.pool import READ_FILES, LoaderPool
from killed import Started, seconds_of_an_ingest
from mutations import damaged_files, seeds

_DOCUMENTS = 300
_CHANGED = 200  # of them, before each ingest that is killed
_AT_ONCE = 100  # damaged files that are on disk
Told = Callable[[str], None]


@dataclass(slots=True)
class Fuzzed:
    """What damaged files came to."""

    came: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    failures: list[str] = field(default_factory=list)


def fuzz(count: int, folder: Path, seed: int = 0, tell: Told = lambda _: None, command: Sequence[str] = READ_FILES) -> Fuzzed:
    """Load damaged files; whatever is neither a document nor refused with a reason is a failure."""
    found, embedder = Fuzzed(), WordCountEmbedder()

    def take(path: Path, *, again: bool = False) -> tuple[str, float]:
        began = time.perf_counter()
        try:
            loaded = pool.load(path)
            chunk_document(loaded.document, embedder.count_tokens, 200, loaded.sections)
            came = "read"
        except DocumentError as error:
            came = _refused(str(error))
            if came == "ended: took too long" and not again:
                return take(path, again=True)
        except Exception as error:
            found.failures.append(f"{path.name}, seed {seed}: {type(error).__name__}: {error}")
            came = "failed"
        seconds = time.perf_counter() - began
        path.unlink()
        return came, seconds

    files = damaged_files(folder, count, seed)
    with LoaderPool(2, command=command) as pool, ThreadPoolExecutor(2) as threads:
        while some := list(islice(files, _AT_ONCE)):
            for came, seconds in threads.map(take, some):
                found.came[came] += 1
                found.slowest = max(found.slowest, seconds)
            tell(f"{sum(found.came.values()):,} of {count:,} damaged files: {dict(found.came)}")
    if written := list(folder.rglob("*")):
        found.failures.append(f"files were written: {written}")
    return found


def _refused(reason: str) -> str:
    if "took longer" in reason:
        return "ended: took too long"
    return "ended: broke its process" if "broke the process" in reason else "refused"


@contextmanager
def lines_of_children(folder: Path) -> Iterator[set[tuple[str, int]]]:
    """Collects the lines of the loaders that children ran: file and number."""
    lines: set[tuple[str, int]] = set()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(folder / "lines"))
        os.environ["LINES_TO"] = str(folder / "lines")

        def receive() -> None:
            while message := receiver.recv(1 << 20):
                lines.update((name, number) for name, number in json.loads(message))

        thread = threading.Thread(target=receive)
        thread.start()
        yield lines
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", str(folder / "lines"))
        thread.join()


def covered_fuzz(count: int, folder: Path, tell: Told) -> tuple[Fuzzed, dict[str, tuple[int, int]]]:
    """The same with the lines that were run: of each file of the loaders, how many of how many."""
    here = coverage.Coverage(data_file=None, config_file=False, include=[f"{LOADERS}/reading.py"], messages=False)
    here.start()  # what children send is read in this process
    with lines_of_children(folder) as lines:
        (folder / "fuzz").mkdir()
        found = fuzz(
            count, folder / "fuzz", tell=tell, command=[sys.executable, str(Path(__file__).parent / "covered_child.py")]
        )
    here.stop()
    lines |= {("reading.py", number) for number in here.get_data().lines(str(LOADERS / "reading.py")) or ()}
    share = {}
    for name in ("child.py", "kinds.py", "reading.py", "texts.py", "office.py"):
        statements = here.analysis2(str(LOADERS / name))[1]
        share[name] = (sum((name, number) in lines for number in statements), len(statements))
    return found, share


def kill_at_random(times: int, folder: Path, seed: int = 0, tell: Told = lambda _: None) -> Counter[str]:
    """Kill an ingest at random moments, each time going on with what the last one left."""
    chance, came = random.Random(seed), Counter[str]()
    documents, data = folder / "documents", folder / "data"
    documents.mkdir(parents=True)
    for number in range(_DOCUMENTS):
        (documents / f"{number}.txt").write_text(f"Light number {number} stands at the coast and burns oil.")
    seconds_of_an_ingest(data, documents)
    whole = 0.0
    for turn in range(times + 1):
        for number in chance.sample(range(_DOCUMENTS), _CHANGED):  # something to do each time
            (documents / f"{number}.txt").write_text(f"Light number {number} was painted in year {turn} by the keeper.")
        if not turn:  # how long nobody kills it for
            whole = seconds_of_an_ingest(data, documents)
            continue
        library = Library(data)
        before = _up_to_date(library.collection("mine"), documents)
        library.close()
        started = Started(data, documents)
        if chance.random() < 0.5:  # much of its time goes into opening: half of the kills come among the reports
            was_killed = started.kill(chance.random() * whole / 10, once=chance.randrange(1, _CHANGED))
        else:
            was_killed = started.kill(chance.random() * whole)
        when = "after some documents were reported as done" if started.done else "before any document was"
        came[f"killed at work, {when}" if was_killed else "had ended before the kill"] += 1
        library = Library(data)
        collection = library.collection("mine")
        hits = collection.search("Which light stands at the coast?", 1, WordCountEmbedder()).hits
        assert hits, "nothing is found after a kill"
        _check_whole(collection)
        done = _up_to_date(collection, documents) - before
        assert done >= started.done, f"{started.done} documents were reported as done, {done} are there"
        library.close()
        tell(f"{turn} of {times} kills: {dict(came)}")
    seconds_of_an_ingest(data, documents)
    library = Library(data)
    _check_whole(library.collection("mine"))
    store = library.collection("mine").store
    assert store.count() == len(store.documents()) == _DOCUMENTS
    assert _up_to_date(library.collection("mine"), documents) == _DOCUMENTS
    library.close()
    return came


def _up_to_date(collection: Collection, documents: Path) -> int:
    """How many documents are known as their files are."""
    store = collection.store
    return sum(store.text(d.name) == (documents / d.name).read_text() for d in store.documents() if d.sha256)


def _check_whole(collection: Collection) -> None:
    assert collection.vectors.ids() == collection.store.ids()
    for document in collection.store.documents():
        if document.sha256:
            # Those of its newer version may be there already.
            assert len(collection.store.passages_of(document.name)) >= document.passages > 0


def _tell(text: str) -> None:
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {text}\n")
    sys.stderr.flush()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mutations", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--report", type=Path, default=Path("evaluation/reports/endurance.md"))
    asked = parser.parse_args()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    report = asked.report.absolute()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        elsewhere = folder / "elsewhere"  # where a careless library would write
        elsewhere.mkdir()
        os.chdir(elsewhere)
        os.environ |= {"TMPDIR": str(elsewhere), "HOME": str(elsewhere)}
        fuzzed, share = covered_fuzz(asked.mutations, folder, _tell)
        if written := list(elsewhere.rglob("*")):
            fuzzed.failures.append(f"files were written: {written}")
        minutes = (time.perf_counter() - began) / 60
        for failure in fuzzed.failures:
            _tell(failure)
        kills = kill_at_random(asked.kills, folder / "kills", tell=_tell)
        os.chdir(report.parents[0] if report.parent.is_dir() else "/")
    ran, there = (sum(column) for column in zip(*share.values(), strict=True))
    lines = [
        "# Endurance",
        "",
        f"Commit {commit}. `make endurance` makes this report.",
        "",
        "| | |",
        "|---|---|",
        f"| damaged copies of {len(seeds())} files, of every format | {asked.mutations:,} |",
        *(f"| {what} | {count:,} |" for what, count in sorted(fuzzed.came.items())),
        f"| longest time for one file, loading libraries included (limit {SECONDS} s without) | {fuzzed.slowest:.1f} s |",
        f"| time for all, two at a time | {minutes:.0f} min |",
        f"| failures of readers; files that they wrote | {len(fuzzed.failures)} |",
        f"| lines of the loaders that were run | {ran} of {there} ({100 * ran / there:.0f} %) |",
        *(
            f"| of `{name}` | {some} of {all_lines} ({100 * some / all_lines:.0f} %) |"
            for name, (some, all_lines) in share.items()
        ),
        f"| ingests killed at a random moment | {asked.kills} |",
        *(f"| {what} | {count} |" for what, count in sorted(kills.items())),
        "| documents lost that were reported as done | 0 |",
        "| collections that could not be searched afterwards | 0 |",
    ]
    report.parent.mkdir(parents=True, exist_ok=True)
    report.write_text("\n".join(lines) + "\n")
    sys.stdout.write(report.read_text())
    sys.exit(1 if fuzzed.failures else 0)


if __name__ == "__main__":
    main()
