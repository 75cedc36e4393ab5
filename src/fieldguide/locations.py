"""Where things stand: in a checkout beside the code, after `pip install` inside the package and the user's folders."""

from functools import cache
from pathlib import Path

import platformdirs

_PACKAGE = Path(__file__).parent


@cache
def checkout_root() -> Path | None:
    """The top of the checkout that this code runs from, or None when it was installed from a wheel."""
    root = _PACKAGE.parent.parent
    is_checkout = (root / "pyproject.toml").is_file() and (root / "corpus").is_dir() and (root / "models").is_dir()
    return root if is_checkout else None


def _shipped(relative: str) -> Path:
    return (checkout_root() or _PACKAGE / "data") / relative


def guides_folder() -> Path:
    """The guides that come with Fieldguide."""
    return _shipped("corpus")


def catalog_file() -> Path:
    """The catalogue of weights."""
    return _shipped("models/catalog.toml")


def default_data_folder() -> Path:
    """Index, caches and settings: `.fieldguide` in a checkout, else the user's data folder."""
    root = checkout_root()
    return root / ".fieldguide" if root else Path(platformdirs.user_data_dir("fieldguide"))


def default_models_folder() -> Path:
    """Weights: `models` in a checkout, else beside the user's data."""
    root = checkout_root()
    return root / "models" if root else Path(platformdirs.user_data_dir("fieldguide")) / "models"
