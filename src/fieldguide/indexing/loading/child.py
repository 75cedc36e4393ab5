"""The child process that reads strangers' files: one path a line on standard input; back come two lines for each.

The first is empty: the libraries that are needed are loaded, and the time for the file begins. The second is a JSON object.

It limits itself before the first file: memory, time for each file, and no byte written to any file. Whatever a file does to
it, the parent goes on with another child.
"""

import json
import os
import signal
import stat
import sys
from collections.abc import Callable
from pathlib import Path

from fieldguide.errors import DocumentError
from fieldguide.indexing.loading.kinds import checked_kind, kind_by_name, readable_name
from fieldguide.indexing.loading.reading import Loaded, Structured, loaded, to_json

MAX_BYTES = 100_000_000
MAX_CHARACTERS = 10_000_000
MAX_MEMORY = 2_000_000_000
SECONDS = 20
LOADING_SECONDS = 120  # of libraries, on a machine with much else to do


def main() -> None:
    """Serve until the parent closes the line."""
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not stand between the replies
    _limit()
    for line in sys.stdin.buffer:
        path = Path(json.loads(line))
        _reader(kind_by_name(path))
        replies.write(b"\n")
        replies.flush()
        _alarm(SECONDS + 5)  # the parent ends us sooner; without a parent nobody would
        replies.write(_reply(path))
        replies.flush()
        _alarm(0)


def _limit() -> None:
    try:
        import resource
    except ImportError:  # Windows: the parent's clock is what remains
        return
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))


def _alarm(seconds: int) -> None:
    if hasattr(signal, "alarm"):
        signal.alarm(seconds)


def _reply(path: Path) -> bytes:
    try:
        return to_json(read_file(path))
    except DocumentError as error:
        reason = str(error)
    except MemoryError:
        reason = f"It needs more than {MAX_MEMORY // 1_000_000_000} GB of memory to be read."
    except RecursionError:
        reason = "It is nested too deeply."
    except Exception as error:  # a damaged file: the libraries raise whatever they meet
        reason = f"It is damaged, or not what its name says ({type(error).__name__}: {' '.join(str(error).split())[:120]})."
    return json.dumps({"error": reason}).encode() + b"\n"


def read_file(path: Path) -> Loaded:
    """Read one file; raises DocumentError, or what a library meets in a damaged one."""
    raw = _content(path)
    kind = checked_kind(path, raw[:8192])
    found = _reader(kind)(raw)
    if len(found.text) > MAX_CHARACTERS:
        raise DocumentError(f"It holds more than {MAX_CHARACTERS // 1_000_000} million characters.", "Cut it into parts.")
    if not any(section.units for section in found.sections):
        raise DocumentError("It holds no text.")
    return loaded(readable_name(path.name), readable_name(path.stem), raw, kind, found)


def _content(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb") as stream:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise DocumentError("It is no file, but a pipe, a device or the like.")
            if status.st_size > MAX_BYTES:
                raise DocumentError(f"It is larger than {MAX_BYTES // 1_000_000} MB.", "Cut it into parts.")
            raw = stream.read(MAX_BYTES)
    except OSError as error:
        raise DocumentError(f"It cannot be read: {error.strerror or error}.") from error
    if not raw:
        raise DocumentError("It is empty (0 bytes).")
    return raw


def _reader(kind: str) -> Callable[[bytes], Structured]:
    """The function that reads this kind; its libraries are loaded on first use."""
    from fieldguide.indexing.loading import texts

    simple = {
        "text": texts.read_text,
        "markdown": texts.read_markdown,
        "code": texts.read_code,
        "rst": texts.read_rst,
        "html": texts.read_html,
        "notebook": texts.read_notebook,
        "csv": texts.read_csv,
    }
    if kind in simple:
        return simple[kind]
    from fieldguide.indexing.loading import office

    return {
        "pdf": office.read_pdf,
        "docx": office.read_docx,
        "pptx": office.read_pptx,
        "xlsx": office.read_xlsx,
        "epub": office.read_epub,
    }[kind]


if __name__ == "__main__":
    main()
