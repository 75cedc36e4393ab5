"""Fifty users for half a minute, with a scripted model; `make endurance` does it for ten minutes with the real one."""

import asyncio
import os
import sys
from collections import Counter

import pytest

from load import Load, measure, report, server

QUESTIONS = ["How many bees live in a hive?", "Who built the Quillon lighthouse?", "Why are there tides?"]


@pytest.fixture
def scripted(settings, monkeypatch) -> str:
    """A program that serves scripted answers over the toy corpus."""
    for name in ("data_dir", "guides_dir"):
        monkeypatch.setenv(f"FIELDGUIDE_{name.upper()}", str(getattr(settings, name)))
    return os.path.join(os.path.dirname(__file__), "serve_scripted.py")


def test_fifty_users_are_all_answered_in_turn(scripted):
    with server([sys.executable, scripted, "5", "0.01"], 50) as (url, tokens, process):
        load = asyncio.run(measure(url, tokens, process, QUESTIONS, 30.0))
    assert load.broken_promises() == []
    assert min(load.polite) >= 1
    assert load.turned_away == 0


def test_what_no_line_can_hold_is_turned_away_and_answered_later(scripted):
    with server([sys.executable, scripted, "20", "0.01"], 70) as (url, tokens, process):
        load = asyncio.run(measure(url, tokens, process, QUESTIONS, 5.0))
    assert load.turned_away > 0
    assert load.errors == []
    assert max(load.positions) <= 63


def kept() -> Load:
    fair = Counter(dict.fromkeys(range(30), 5))
    return Load(30, 60.0, fair, waits=[3.0, 4.0], positions=[28], off_by=[-1.0, 2.0], memory=[700.0] + [800.0] * 20)


def test_a_report_says_what_was_seen():
    text = report(kept(), "a test")
    assert "150, 150.0 a minute" in text
    assert "Every promise was kept." in text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"errors": ["ReadError: gone"]}, "gone"),
        ({"positions": [3]}, "never longer than 3"),
        ({"answered": Counter({n: 5 if n else 20 for n in range(30)})}, "the greedy one got 20"),
        ({"answered": Counter({n: n % 10 for n in range(30)})}, "some got 9 answers, some 0"),
        ({"seconds": 600.0, "memory": [float(800 + 5 * n) for n in range(40)]}, "memory grew by"),
    ],
)
def test_a_broken_promise_is_told(change, said):
    load = kept()
    for name, value in change.items():
        setattr(load, name, value)
    assert said in report(load, "a test").split("Broken promises")[1]
