"""`fieldguide doctor`: what is in order, what is not, and what mends it."""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from fieldguide.events import Loading
from fieldguide.interfaces.cli.terminal import LoadingDisplay
from fieldguide.interfaces.doctor.alone import prove_offline
from fieldguide.interfaces.doctor.checks import Finding, check_all
from fieldguide.settings import Settings, resolve_settings


def examine(flags: Mapping[str, Any], *, offline: bool, as_json: bool) -> None:
    """Print a line for each check, and under each finding its remedy; exit status 1 where there is a finding."""
    findings = []
    with LoadingDisplay() as display:
        for finding in _findings(resolve_settings(flags), display, offline=offline):
            findings.append(finding)
            if not as_json:
                display.__exit__()  # a bar and lines do not mix
                sys.stdout.write(_text(finding))
                sys.stdout.flush()
                display.__enter__()
    if as_json:
        sys.stdout.write(json.dumps([asdict(finding) for finding in findings], ensure_ascii=False) + "\n")
    if not all(finding.ok for finding in findings):
        sys.exit(1)


def _findings(settings: Settings, display: LoadingDisplay, *, offline: bool) -> Iterator[Finding]:
    yield from check_all(settings, display.show)
    if offline:
        display.show(Loading("Answering a question with the network cut"))
        yield prove_offline(settings)


def _text(finding: Finding) -> str:
    line = f"{'ok     ' if finding.ok else 'FINDING'}  {finding.about}: {finding.message}\n"
    return line + (f"         {finding.remedy}\n" if finding.remedy else "")
