"""`fieldguide models`: the weights."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

from fieldguide import locations
from fieldguide.errors import WeightsError
from fieldguide.interfaces.cli.terminal import LoadingDisplay
from fieldguide.settings import resolve_settings
from fieldguide.weights.catalog import Weights, load_catalog
from fieldguide.weights.download import Hub, pull, verify

_NEEDED_FOR_ANSWERS = ("default", "embedder")


def print_list(*, as_json: bool) -> None:
    """One line per model of the catalogue."""
    settings = resolve_settings()
    catalog = load_catalog(locations.catalog_file())
    if as_json:
        sys.stdout.write(json.dumps([_row(weights, settings.models_dir) for weights in catalog]) + "\n")
        return
    for weights in catalog:
        here = "here" if weights.is_present(settings.models_dir) else "not fetched"
        size = f"{weights.size / 1e6:,.0f} MB"
        sys.stdout.write(f"{weights.label:<9} {weights.name:<28} {size:>9}  {here:<12} {weights.licence}\n")
        sys.stdout.write(f"          {weights.description}\n")


def _row(weights: Weights, models_dir: Path) -> dict[str, str | int | bool]:
    return {
        "label": weights.label,
        "name": weights.name,
        "role": weights.role,
        "bytes": weights.size,
        "licence": weights.licence,
        "present": weights.is_present(models_dir),
        "description": weights.description,
    }


def pull_named(names: Sequence[str] | None) -> None:
    """Fetch weights and print where they stand."""
    settings = resolve_settings()
    hub = Hub(settings.hub_endpoint, settings.hub_offline)
    for weights in _found(names or _NEEDED_FOR_ANSWERS):
        with LoadingDisplay() as display:
            path = pull(weights, settings.models_dir, hub, display.show)
        sys.stdout.write(f"{weights.name}: {path}\n")


def verify_named(names: Sequence[str] | None) -> None:
    """Check weights and say so; raises WeightsError at the first that is not as published."""
    settings = resolve_settings()
    chosen = _found(names) if names else [w for w in load_catalog(locations.catalog_file()) if w.has_files(settings.models_dir)]
    if not chosen:
        raise WeightsError(f"There are no weights in {settings.models_dir}.", "Fetch them with: fieldguide models pull")
    for weights in chosen:
        with LoadingDisplay() as display:
            verify(weights, settings.models_dir, display.show)
        sys.stdout.write(f"{weights.name}: as published\n")


def print_path(name: str) -> None:
    """Where weights stand; raises WeightsError when they are not here."""
    settings = resolve_settings()
    (weights,) = _found([name])
    if not weights.is_present(settings.models_dir):
        raise WeightsError(
            f"'{weights.name}' is not on this machine.", f"Fetch it with: fieldguide models pull {weights.label}"
        )
    sys.stdout.write(f"{weights.path(settings.models_dir)}\n")


def _found(names: Sequence[str]) -> list[Weights]:
    catalog = load_catalog(locations.catalog_file())
    return [catalog.find(name) for name in names]
