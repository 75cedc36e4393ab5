"""One process at a time: a lock on a file, with word to the user when another process holds it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


@contextmanager
def exclusive(path: Path, tell_waiting: Callable[[], None]) -> Iterator[None]:
    """Hold the lock for as long as the `with` lasts; `tell_waiting` is called once when it must be waited for."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        tell_waiting()
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
