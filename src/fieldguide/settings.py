"""One frozen `Settings`, resolved once: flag, then environment, then `settings.toml` in the data folder, then default."""

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import psutil

from fieldguide import locations, offline
from fieldguide.errors import SettingsError

SETTINGS_FILE = "settings.toml"
# The rest are FIELDGUIDE_ and the field's name.
_ENVIRONMENT_NAMES = {"models_dir": "FIELDGUIDE_MODELS", "hub_endpoint": "HF_ENDPOINT"}
_TRUTH = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


def default_threads() -> int:
    """One thread per physical core that this process may use: more only get in each other's way."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(allowed, psutil.cpu_count(logical=False) or allowed))


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set; nobody else reads the environment or a settings file."""

    data_dir: Path
    models_dir: Path
    guides_dir: Path
    # the language model: a label or name of the catalogue, or the path of any GGUF file
    model: str = "default"
    threads: int = 1
    context_length: int = 4096
    # how much is read and written for one question
    passages: int = 4
    passage_cache_gb: float = 2.0
    answer_tokens: int = 220
    temperature: float = 0.0
    seed: int = 0
    # the page
    host: str = "127.0.0.1"
    port: int = 7860
    # servers in place of what this process holds: vectors in Chroma, a language model behind OpenAI's interface (.../v1)
    chroma_url: str = ""
    llm_url: str = ""
    llm_model: str = ""  # one of several that it serves; the first without this
    llm_key: str = field(default="", repr=False)
    # one JSON object a line for each question and request: a file, "-" for standard error, or "" for none
    log: str = ""
    log_texts: bool = False
    # serving others: what they have to know, what else this machine is called, how much each may ask, how long an end may take
    token: str = field(default="", repr=False)
    token_file: str = ""
    hosts: str = ""
    requests_per_minute: int = 60
    shutdown_seconds: int = 30
    # where weights are fetched from first; `hub_offline` skips it
    hub_endpoint: str = "https://huggingface.co"
    hub_offline: bool = False


def resolve_settings(flags: Mapping[str, Any] | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Settle every setting once.

    Flags that are None count as not given. Raises SettingsError for an unknown name or an unusable value, naming where it
    came from.
    """
    environment = os.environ if environment is None else environment
    given = {name: value for name, value in (flags or {}).items() if value is not None}
    from_environment = {}
    for name in (f.name for f in fields(Settings)):
        variable = _environment_name(name)
        if environment.get(variable):
            from_environment[name] = (environment[variable], variable)

    origin = ("--data-dir", given["data_dir"]) if "data_dir" in given else ("FIELDGUIDE_DATA_DIR", None)
    data_dir = origin[1] or from_environment.get("data_dir", (locations.default_data_folder(),))[0]
    values: dict[str, Any] = {
        "data_dir": _convert("data_dir", data_dir, origin[0]),
        "models_dir": locations.default_models_folder(),
        "guides_dir": locations.guides_folder(),
        "threads": default_threads(),
        "hub_offline": offline.hub_refused_by_user,
    }
    for name, value in _read_file(values["data_dir"] / SETTINGS_FILE).items():
        values[name] = _convert(name, value, str(values["data_dir"] / SETTINGS_FILE))
    for name, (value, variable) in from_environment.items():
        values[name] = _convert(name, value, variable)
    for name, value in given.items():
        values[name] = _convert(name, value, "--" + name.replace("_", "-"))
    settings = Settings(**values)
    _check_ranges(settings)
    for name in ("chroma_url", "llm_url"):
        if (url := getattr(settings, name)) and not re.fullmatch(r"https?://[^/\s]+(/\S*)?", url):
            raise SettingsError(f"{name} is '{url}', but must be an address such as http://127.0.0.1:8000.")
    return settings


def _environment_name(field: str) -> str:
    return _ENVIRONMENT_NAMES.get(field, f"FIELDGUIDE_{field.upper()}")


def _read_file(path: Path) -> dict[str, Any]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):  # the latter is named by whoever writes there first
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}.", "Mend or remove the file.") from error
    known = {f.name for f in fields(Settings)} - {"data_dir"}
    for name in content:
        if name not in known:
            raise SettingsError(f"{path}: there is no setting '{name}'.", f"Known: {', '.join(sorted(known))}.")
    return content


def _convert(name: str, value: Any, origin: str) -> Any:  # noqa: ANN401 - a setting may be of any of four types
    kind: Any = {f.name: f.type for f in fields(Settings)}[name]
    try:
        if kind is Path:
            return Path(value).expanduser().absolute()
        if kind is bool and str(value).lower() in _TRUTH:
            return _TRUTH[str(value).lower()]
        if kind is int and isinstance(value, int | str) and not isinstance(value, bool):
            return int(value)
        if kind is float and not isinstance(value, bool):
            return float(value)
        if kind is str and isinstance(value, str):
            return value
    except (TypeError, ValueError, OverflowError, RuntimeError):  # the last: "~someone" who is not known here
        pass
    expected = {Path: "a path", int: "a whole number", float: "a number", str: "text", bool: "true or false"}[kind]
    raise SettingsError(f"{origin} is {value!r}, but must be {expected}.")


def _check_ranges(settings: Settings) -> None:
    ranges = {
        "threads": (1, 512),
        "context_length": (1024, 131072),
        "passages": (1, 20),
        "passage_cache_gb": (0.0, 10_000.0),
        "answer_tokens": (16, 2048),
        "temperature": (0.0, 2.0),
        "seed": (0, 2**32 - 1),
        "port": (1, 65535),
        "requests_per_minute": (1, 100_000),
        "shutdown_seconds": (0, 3600),
    }
    for name, (low, high) in ranges.items():
        value = getattr(settings, name)
        if not low <= value <= high:
            raise SettingsError(f"{name} is {value}, but must be from {low} to {high}.")
    if settings.answer_tokens > settings.context_length // 2:
        raise SettingsError(
            f"answer_tokens is {settings.answer_tokens}: more than half of context_length ({settings.context_length}).",
            "Passages need room, too: set a shorter answer or a longer context.",
        )
