"""A few long-lived children that read files; one that hangs or breaks is ended and replaced."""

import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from fieldguide.errors import DocumentError
from fieldguide.indexing.loading.child import LOADING_SECONDS, SECONDS
from fieldguide.indexing.loading.reading import Loaded, from_json

READ_FILES = (sys.executable, "-m", "fieldguide.indexing.loading.child")
_FILES_A_CHILD = 1000  # then a new one: libraries that leak do so in small portions


class LoaderPool:
    """Reads files in child processes; use it in a `with`, from any thread."""

    def __init__(self, size: int = 2, seconds: float = SECONDS, command: Sequence[str] = READ_FILES) -> None:
        self._seconds = seconds
        self._idle: queue.SimpleQueue[_Child] = queue.SimpleQueue()
        self._children = [_Child(command) for _ in range(size)]
        for child in self._children:
            self._idle.put(child)

    def __enter__(self) -> "LoaderPool":
        return self

    def __exit__(self, *_: object) -> None:
        for child in self._children:
            child.end()

    def load(self, path: Path) -> Loaded:
        """Read one file; raises DocumentError with the reason why it cannot be."""
        child = self._idle.get()
        try:
            return child.load(path, self._seconds)
        finally:
            self._idle.put(child)

    def load_all(self, paths: Iterable[Path]) -> "Iterator[tuple[Path, Loaded | DocumentError]]":
        """Read files side by side and give them in order; only a few are held in memory at a time."""
        waiting = iter(paths)
        with ThreadPoolExecutor(len(self._children)) as threads:
            ahead = [(path, threads.submit(self.load, path)) for path in islice(waiting, 2 * len(self._children))]
            try:
                while ahead:
                    path, future = ahead.pop(0)
                    yield path, _outcome(future)
                    ahead += [(path, threads.submit(self.load, path)) for path in islice(waiting, 1)]
            finally:
                for _, future in ahead:
                    future.cancel()


def _outcome(future: "Future[Loaded]") -> Loaded | DocumentError:
    try:
        return future.result()
    except DocumentError as error:
        return error


def _next_line(process: "subprocess.Popen[bytes]", seconds: float, too_slow: threading.Event) -> bytes:
    """What the child says next; it is ended when it takes too long."""

    def stop() -> None:
        too_slow.set()
        process.kill()

    clock = threading.Timer(seconds, stop)
    clock.start()
    try:
        assert process.stdout
        return process.stdout.readline()
    finally:
        clock.cancel()


class _Child:
    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._served = 0

    def load(self, path: Path, seconds: float) -> Loaded:
        if self._served >= _FILES_A_CHILD:
            self.end()
        process = self._process or self._start()
        self._served += 1
        try:
            assert process.stdin
            process.stdin.write(json.dumps(os.fspath(path)).encode() + b"\n")
            process.stdin.flush()
        except OSError:
            pass  # it has ended: so have its replies
        too_slow = threading.Event()
        line = b""
        if _next_line(process, LOADING_SECONDS, too_slow) == b"\n":
            line = _next_line(process, seconds, too_slow)
        if not line.endswith(b"\n"):
            self.end()
            if too_slow.is_set():
                raise DocumentError(f"Reading it took longer than {seconds:g} s.")
            raise DocumentError("Reading it broke the process that did so: the file is damaged, or needs too much memory.")
        if line.startswith(b'{"error"'):
            raise DocumentError(json.loads(line)["error"])
        return from_json(line)

    def _start(self) -> "subprocess.Popen[bytes]":
        self._served = 0
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        return self._process

    def end(self) -> None:
        process, self._process = self._process, None
        if process:
            process.kill()
            process.communicate()
