"""What a model has read before, kept on disk: the attention keys and values of a stretch of text, ready to be put back.

One file a stretch. Its name says what it was made from (see `PassageCache.key`), its first bytes hold a checksum, and the
files used longest ago go first when the limit is reached. The operating system's page cache keeps what is used often in
memory, so nothing is kept there twice.
"""

import hashlib
import logging
import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

FORMAT_VERSION = 1
_MAGIC = b"FGKV%02d\n" % FORMAT_VERSION
_CHECKSUM_BYTES = 32
_SUFFIX = ".state"

_log = logging.getLogger(__name__)


class PassageCache:
    """States in a folder of at most `limit` bytes. Several processes may use one folder.

    A file that is damaged, foreign or gone counts as not there; a disk that is full or closed to writing means that nothing new
    is kept. Neither is an error: what is missing is read again.
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self._limit = limit

    @staticmethod
    def key(made_by: str, *stretches: Sequence[int]) -> str:
        """The name for tokens behind other tokens, read by one model with one version of llama.cpp."""
        digest = hashlib.sha256(f"{FORMAT_VERSION}\0{made_by}\0".encode())
        for tokens in stretches:
            digest.update(len(tokens).to_bytes(8, "little") + np.asarray(tokens, np.int32).tobytes())
        return digest.hexdigest()[:40]

    def __contains__(self, key: str) -> bool:
        """Whether there is a file of that name; it is checked when it is taken."""
        return self._path(key).exists()

    def get(self, key: str) -> bytes | None:
        """The state, or None where there is none that is whole."""
        path = self._path(key)
        try:
            data = path.read_bytes()
        except OSError:
            return None
        start = len(_MAGIC) + _CHECKSUM_BYTES
        state = data[start:]
        if data[: len(_MAGIC)] != _MAGIC or hashlib.sha256(state).digest() != data[len(_MAGIC) : start]:
            _log.debug("%s is damaged and removed", path)
            with suppress(OSError):
                path.unlink()
            return None
        with suppress(OSError):
            os.utime(path)  # the time of last use decides who goes first
        return state

    def put(self, key: str, state: bytes) -> None:
        """Keep a state, making room by removing those used longest ago."""
        size = len(_MAGIC) + _CHECKSUM_BYTES + len(state)
        if size > self._limit:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._make_room(size)
            with tempfile.NamedTemporaryFile(dir=self._folder, prefix="unfinished-", delete=False) as out:
                try:
                    out.write(_MAGIC + hashlib.sha256(state).digest())
                    out.write(state)
                    out.close()
                    os.replace(out.name, self._path(key))
                except BaseException:
                    with suppress(OSError):
                        os.unlink(out.name)
                    raise
        except OSError as error:
            _log.debug("a passage's state is not kept: %s", error)

    def clear(self) -> int:
        """Remove everything; gives the number of bytes that were there."""
        files = self._files()
        for path, _ in files:
            with suppress(OSError):
                path.unlink()
        return sum(status.st_size for _, status in files)

    def forget_since(self, moment: float) -> None:
        """Remove every state that was kept or used since then: among them are all of passages that came later."""
        for path, status in self._files():
            if status.st_mtime >= moment:
                with suppress(OSError):
                    path.unlink()

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(status.st_size for _, status in self._files())

    @property
    def is_nearly_full(self) -> bool:
        """Whether keeping more would soon cost what is kept."""
        return self.size > 0.9 * self._limit

    def _make_room(self, wanted: int) -> None:
        files = sorted(self._files(), key=lambda file: file[1].st_mtime)
        total = sum(status.st_size for _, status in files)
        for path, status in files:
            if total + wanted <= self._limit:
                return
            with suppress(OSError):
                path.unlink()
            total -= status.st_size

    def _files(self) -> list[tuple[Path, os.stat_result]]:
        found = []
        with suppress(OSError):
            for entry in os.scandir(self._folder):
                with suppress(OSError):  # another process removes files, too
                    if entry.name.endswith(_SUFFIX) or entry.name.startswith("unfinished-"):
                        found.append((Path(entry.path), entry.stat()))
        return found

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}{_SUFFIX}"
