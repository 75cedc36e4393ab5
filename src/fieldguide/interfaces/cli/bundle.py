"""`fieldguide bundle` and `fieldguide licences`: what Fieldguide is made of, to take along and to know."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fieldguide import locations
from fieldguide.interfaces.bundle.distributions import licence_of, needed
from fieldguide.interfaces.bundle.making import make_bundle
from fieldguide.interfaces.cli.terminal import LoadingDisplay
from fieldguide.settings import resolve_settings
from fieldguide.weights.catalog import load_catalog

_NEEDED = ("default", "embedder")


def bundle(folder: Path, models: Sequence[str], flags: Mapping[str, Any]) -> None:
    """Make the folder and say how large it became."""
    settings = resolve_settings(flags)
    with LoadingDisplay() as display:
        make_bundle(folder, settings, needed(), list(dict.fromkeys([*_NEEDED, *models])), display.show)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    sys.stdout.write(f"{folder} holds {size / 1e9:.1f} GB. Where there is no network: sh {folder.name}/setup.sh\n")


def licences(*, as_json: bool) -> None:
    """Print a line for each package that is needed and for each entry of the catalogue of weights."""
    rows = [("package", made.metadata["Name"], made.version, licence_of(made)) for made in needed()]
    rows += [("weights", weights.name, "", weights.licence) for weights in load_catalog(locations.catalog_file())]
    if as_json:
        found = [dict(zip(("kind", "name", "version", "licence"), row, strict=True)) for row in rows]
        sys.stdout.write(json.dumps(found, ensure_ascii=False) + "\n")
        return
    for kind, name, version, licence in rows:
        sys.stdout.write(f"{kind:<8} {name:<42} {version:<14} {licence}\n")
