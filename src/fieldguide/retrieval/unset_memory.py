"""Memory that was freed is blanked while Chroma works, as its index files take along memory that nobody has set.

hnswlib allocates room for a hundred vectors or more and writes all of it to disk, used or not. Without this, files of a
collection held whatever the process had freed before: texts of removed documents among it. Only glibc can be told so.
"""

import ctypes
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_M_PERTURB = -6  # of mallopt(3): fill what is allocated and what is freed with bytes made of this value; 0 ends it
_ANY_BYTE = 0xFF

_lock = threading.Lock()
_within = 0


@contextmanager
def blanked() -> Iterator[None]:
    """Blank what is allocated, in this whole process, for as long as the `with` lasts; may be nested, from any thread."""
    _change(1)
    try:
        yield
    finally:
        _change(-1)


def _change(by: int) -> None:
    global _within
    with _lock:
        _within += by
        _set(_ANY_BYTE if _within else 0)


def _set(byte: int) -> None:
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "mallopt"):
        library.mallopt(_M_PERTURB, byte)
