"""One folder with wheels, weights, the index and a script that sets Fieldguide up from them, anywhere of the same kind."""

import os
import platform
import shutil
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import Distribution
from pathlib import Path

from fieldguide import locations
from fieldguide.errors import BundleError
from fieldguide.events import Loading
from fieldguide.indexing.index import current_generation
from fieldguide.interfaces.bundle.packing import pack
from fieldguide.settings import Settings
from fieldguide.weights.catalog import load_catalog
from fieldguide.weights.download import verify

_SETUP = """#!/bin/sh
# Sets Fieldguide up in this folder, without a network: ./setup.sh, then ./fieldguide
set -eu
here=$(cd "$(dirname "$0")" && pwd)
python=${{PYTHON:-python{version}}}
found=$("$python" -c 'import platform, sys; print(*sys.version_info[:2], platform.system(), platform.machine())' || true)
if [ "$found" != "{kind}" ]; then
    echo "This bundle needs Python {version} on {system} ({machine}); PYTHON=... names another one." >&2
    exit 1
fi
echo "Installing packages ..."
"$python" -m venv --clear "$here/environment"
"$here/environment/bin/python" -m pip install --quiet --no-index --no-deps "$here"/wheels/*.whl
cat > "$here/fieldguide" <<'END'
#!/bin/sh
here=$(cd "$(dirname "$0")" && pwd)
export FIELDGUIDE_MODELS="${{FIELDGUIDE_MODELS:-$here/models}}" FIELDGUIDE_DATA_DIR="${{FIELDGUIDE_DATA_DIR:-$here/data}}"
export HF_HUB_OFFLINE=1
exec "$here/environment/bin/python" -m fieldguide "$@"
END
chmod +x "$here/fieldguide"
"$here/fieldguide" models verify
echo "Done. Start it with: $here/fieldguide"
"""


def make_bundle(
    folder: Path,
    settings: Settings,
    distributions: Sequence[Distribution],
    models: Sequence[str],
    report: Callable[[Loading], None],
) -> None:
    """Fill a new folder; raises BundleError when it is not empty or cannot be written, WeightsError for damaged weights."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise BundleError(f"{folder} is not empty.", "Name a new folder.")
        try:
            _fill(folder, settings, distributions, models, report)
        except BaseException:  # the folder was empty, and can be filled by the next try
            for path in folder.iterdir():
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise BundleError(f"{error.filename or folder} cannot be written: {reason}.", "Make room or name another.") from error


def _fill(
    folder: Path,
    settings: Settings,
    distributions: Sequence[Distribution],
    models: Sequence[str],
    report: Callable[[Loading], None],
) -> None:
    _take_index(settings.data_dir, folder / "data")
    for label in models:
        _take_weights(label, settings, folder / "models", report)
    (folder / "wheels").mkdir()
    for number, made in enumerate(distributions, 1):
        pack(made, folder / "wheels")
        report(Loading("Packing wheels", number / len(distributions), f"{number} of {len(distributions)}"))
    _write_setup(folder / "setup.sh")


def _take_weights(label: str, settings: Settings, target: Path, report: Callable[[Loading], None]) -> None:
    weights = load_catalog(locations.catalog_file()).find(label)
    verify(weights, settings.models_dir, report)
    for file in weights.files:
        there = weights.file_path(target, file)
        there.parent.mkdir(parents=True, exist_ok=True)
        _copy(weights.file_path(settings.models_dir, file), there)


def _take_index(data_dir: Path, target: Path) -> None:
    """The guides' index in use; conversations and own documents stay where they are."""
    generation = current_generation(data_dir)
    if generation is None:
        raise BundleError(f"There is no index in {data_dir}.", "Build it with: fieldguide ingest")
    shutil.copytree(data_dir / "index" / generation, target / "index" / generation)
    (target / "index" / "CURRENT").write_text(generation + "\n", encoding="utf-8")  # which may be another one there by now


def _write_setup(path: Path) -> None:
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    kind = f"{version.replace('.', ' ')} {platform.system()} {platform.machine()}"
    path.write_text(_SETUP.format(version=version, kind=kind, system=platform.system(), machine=platform.machine()))
    path.chmod(0o755)


def _copy(source: Path, target: Path) -> None:
    """The same file under another name where the disk is the same: a gigabyte need not be written twice."""
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copyfile(source, target)
