"""An ingest in a process of its own, to be killed. It says first that it begins, then how many documents it reports as done.

The process is forked from one that has loaded all libraries, and reads the files itself: so nearly all of its life is spent
with changing the collection, and a kill at a random moment hits that.
"""

import multiprocessing
import signal
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["killed", "chromadb"])


class InThisProcess:
    """Reads files without a pool of children."""

    def load_all(self, paths: Iterable[Path]) -> Iterator[tuple[Path, object]]:
        from fieldguide.indexing.loading.child import read_file

        return ((path, read_file(path)) for path in paths)


class Started:
    """An ingest that is under way."""

    def __init__(self, data: Path, documents: Path) -> None:
        self._told, theirs = _CONTEXT.Pipe(duplex=False)
        self._process: ForkServerProcess = _CONTEXT.Process(target=_ingest, args=(data, documents, theirs))
        self._process.start()
        theirs.close()
        self.done = self._told.recv()  # 0: it is about to begin

    def kill(self, after: float, once: int = 0) -> bool:
        """Kill it so many seconds after it has reported `once` documents as done; whether it was still at work."""
        with suppress(EOFError):
            while self.done < once:
                self.done = self._told.recv()
        self._process.join(after)
        self._process.kill()
        self.wait()
        return self._process.exitcode == -signal.SIGKILL

    def wait(self) -> None:
        """Wait until it has ended, and note what it had reported as done."""
        try:
            while True:
                self.done = self._told.recv()
        except EOFError:
            self._process.join()


def _ingest(data: Path, documents: Path, told: Connection) -> None:
    from fakes import WordCountEmbedder
    from fieldguide.indexing.discovery import find_files
    from fieldguide.indexing.ingest import ingest
    from fieldguide.indexing.library import Library

    embedder = WordCountEmbedder()
    collection = Library(data).create("mine", embedder)
    told.send(0)
    with collection.writing(lambda: None):
        files = list(find_files([str(documents)]))
        ingest(collection, files, embedder, InThisProcess(), lambda report: told.send(report.added + report.changed))


def seconds_of_an_ingest(data: Path, documents: Path) -> float:
    """How long one takes from its beginning when nobody kills it."""
    started = Started(data, documents)
    began = time.perf_counter()
    started.wait()
    return time.perf_counter() - began
