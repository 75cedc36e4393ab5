"""Wheels of what is installed here, made again from its files: exactly what was tested, without a network or a compiler."""

import base64
import csv
import hashlib
import io
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from importlib.metadata import Distribution, PackagePath
from pathlib import Path

from fieldguide import locations
from fieldguide.errors import BundleError

_OF_THIS_INSTALLATION = {"INSTALLER", "REQUESTED", "RECORD", "direct_url.json"}


def pack(made: Distribution, folder: Path) -> Path:
    """The wheel of one distribution; raises BundleError where its files are not known or gone."""
    if made.metadata["Name"] == "fieldguide" and (root := locations.checkout_root()):
        return _pack_checkout(root, folder)
    information = next((path.parts[0] for path in made.files or () if path.name == "METADATA"), "")
    if not information.endswith(".dist-info"):
        raise BundleError(f"{made.metadata['Name']} was not installed from a wheel.", "Install it again with pip.")
    stem = information.removesuffix(".dist-info")
    wheel = folder / f"{stem}-{_tag(made)}.whl"
    rows = []
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        for path, inside in _members(made, stem):
            try:
                content = Path(str(path.locate())).read_bytes()
            except OSError as error:
                raise BundleError(f"{path.locate()} is missing or cannot be read.", "Install Fieldguide again.") from error
            packed.writestr(inside, content)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).decode().rstrip("=")
            rows.append((inside, f"sha256={digest}", str(len(content))))
        rows.append((f"{information}/RECORD", "", ""))
        record = io.StringIO()
        csv.writer(record, lineterminator="\n").writerows(rows)
        packed.writestr(f"{information}/RECORD", record.getvalue())
    return wheel


def _members(made: Distribution, stem: str) -> Iterator[tuple[PackagePath, str]]:
    """Its files, and where each stands in a wheel; commands are made anew by pip."""
    commands = {entry.name for entry in made.entry_points}
    for path in made.files or ():
        if path.suffix == ".pyc" or (path.parts[0].endswith(".dist-info") and path.name in _OF_THIS_INSTALLATION):
            continue
        if path.parts[0] != "..":
            yield path, path.as_posix()
            continue
        outside = [part for part in path.parts if part != ".."]
        if outside[0] not in ("bin", "Scripts"):
            yield path, "/".join([f"{stem}.data", "data", *outside])
        elif Path(outside[-1]).stem not in commands:
            yield path, "/".join([f"{stem}.data", "scripts", *outside[1:]])


def _tag(made: Distribution) -> str:
    """The wheel's kinds as its name says them: all Pythons, then all interfaces, then all platforms."""
    lines = (made.read_text("WHEEL") or "").splitlines()
    tags = [line.removeprefix("Tag:").strip().split("-") for line in lines if line.startswith("Tag:")]
    return "-".join(".".join(dict.fromkeys(parts)) for parts in zip(*tags, strict=True)) if tags else "py3-none-any"


def _pack_checkout(root: Path, folder: Path) -> Path:
    build = ("wheel", "--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(root))
    done = subprocess.run([sys.executable, "-m", "pip", *build], capture_output=True, text=True, check=False)
    made = sorted(folder.glob("fieldguide-*.whl"))
    if done.returncode or not made:
        said = (done.stderr.strip().splitlines() or ["no reason"])[-1]
        raise BundleError(f"The wheel of this checkout cannot be built: {said}", "Install hatchling: pip install hatchling")
    return made[-1]
