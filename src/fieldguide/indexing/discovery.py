"""Which files are meant: by name, by folder, by pattern."""

import fnmatch
import glob
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fieldguide.indexing.loading.kinds import readable_name

_SKIPPED_FOLDERS = {"__pycache__", "node_modules"}  # and those that are hidden


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file to ingest under a name, or the reason why it cannot be."""

    path: Path
    name: str
    problem: str = ""
    replaces: str = ""  # the document that it is a newer version of, though its file was another


def find_files(wanted: Sequence[str], include: Sequence[str] = (), exclude: Sequence[str] = ()) -> Iterator[FoundFile]:
    """The files that paths and patterns name, folders with all below them, each once.

    In folders, hidden files are left out, and so is what does not match `include` or matches `exclude`. Names are relative
    to the folder that was named.
    """
    seen: set[Path] = set()
    for text in wanted:
        # A file may have a name that looks like a pattern, or like a home folder.
        named = text if os.path.lexists(text) else os.path.expanduser(text)
        matches = [named] if os.path.lexists(named) else sorted(glob.glob(named, recursive=True))
        if not matches:
            yield FoundFile(Path(text), _name(text), "There is no such file.")
        for match in matches:
            path = Path(os.path.abspath(match))
            found = _below(path, include, exclude) if os.path.isdir(path) else iter([FoundFile(path, _name(path.name))])
            for file in found:
                if file.path not in seen:
                    seen.add(file.path)
                    yield file


def _below(root: Path, include: Sequence[str], exclude: Sequence[str]) -> Iterator[FoundFile]:
    problems: list[OSError] = []
    # Links to folders are not followed, so no loop of them can catch us.
    for folder, folders, names in os.walk(root, onerror=problems.append):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".")
            and name not in _SKIPPED_FOLDERS
            and not _matches(os.path.relpath(os.path.join(folder, name), root), exclude)
        )
        for name in sorted(names):
            path = Path(folder) / name
            relative = path.relative_to(root).as_posix()
            if name.startswith(".") or _matches(relative, exclude) or (include and not _matches(relative, include)):
                continue
            yield FoundFile(path, _name(relative))
    for error in problems:
        path = Path(error.filename or root)
        yield FoundFile(path, _name(path.name), f"The folder cannot be read: {error.strerror}.")


def _matches(relative: str, patterns: Sequence[str]) -> bool:
    return any(
        fnmatch.fnmatch(relative, pattern) or fnmatch.fnmatch(os.path.basename(relative), pattern) for pattern in patterns
    )


def _name(text: str) -> str:
    return readable_name(text)
