"""What Fieldguide is made of as it is installed here: every distribution that it needs, and under which licence each is."""

import re
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from fieldguide.errors import BundleError

UNKNOWN = "unknown"
_SHORT = 60  # characters: longer ones are whole licence texts, whose first line is their name


def needed(names: Iterable[str] = ("fieldguide",)) -> list[Distribution]:
    """These distributions and all that they need, by name; raises BundleError where one is not installed."""
    found: dict[str, Distribution] = {}
    waiting: list[tuple[str, frozenset[str]]] = [(name, frozenset()) for name in names]
    seen = set()
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            made = found.setdefault(canonicalize_name(name), distribution(name))
        except PackageNotFoundError as error:
            raise BundleError(f"{name} is needed, but not installed.", "Install Fieldguide again.") from error
        for text in made.requires or ():
            requirement = Requirement(text)
            asked = [{"extra": extra} for extra in extras] or [{"extra": ""}]
            if requirement.marker is None or any(requirement.marker.evaluate(environment) for environment in asked):
                waiting.append((requirement.name, frozenset(requirement.extras)))
    return [found[name] for name in sorted(found)]


def licence_of(made: Distribution) -> str:
    """What its metadata says, best source first."""
    if expression := _said(made, "License-Expression"):
        return expression
    classified = [value.rpartition(" :: ")[2] for value in made.metadata.get_all("Classifier") or () if "License ::" in value]
    named = [name for name in classified if name != "OSI Approved"]
    first = next(iter(_said(made, "License").splitlines()), "")
    if first and len(first) <= _SHORT and not re.match(r"(?i)unknown|copyright", first):
        return first
    return ", ".join(named) or _from_files(made)


def _said(made: Distribution, field: str) -> str:
    return next(iter(made.metadata.get_all(field) or ()), "").strip()


def _from_files(made: Distribution) -> str:
    """The first line of a licence file that names a licence."""
    for path in made.files or ():
        if re.match(r"(?i)(licen[cs]e|copying)", path.name):
            text = Path(str(path.locate())).read_text(encoding="utf-8", errors="replace")
            match = re.search(r"MIT License|Apache License|BSD [23]-Clause|Mozilla Public License|ISC License", text)
            if match:
                return match.group(0)
            if "Permission is hereby granted, free of charge" in text:
                return "MIT"
            if "Redistribution and use in source and binary forms" in text:
                return "BSD"
    return UNKNOWN
