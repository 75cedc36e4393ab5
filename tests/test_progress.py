"""Events gathered to redraws."""

import threading

from fieldguide.events import Checked, Event, Quoted, Reading, Rewritten, Token
from fieldguide.interfaces.web import progress
from fieldguide.interfaces.web.progress import _REDRAW_SECONDS, batches
from fieldguide.types import Sentence


def test_words_that_come_faster_than_the_page_can_be_drawn_share_a_redraw():
    tokens = [Token(f"{n} ", 0.0) for n in range(200)]
    drawn = list(batches(iter(tokens)))
    assert len(drawn) < 20
    assert [event for batch in drawn for event in batch] == tokens


def test_a_redraw_gathers_what_comes_within_50_to_100_milliseconds():
    assert 0.05 <= _REDRAW_SECONDS <= 0.1


def test_words_are_drawn_before_the_next_one_comes():
    drawn = threading.Event()

    def slow():
        yield Token("One ", 0.0)
        assert drawn.wait(20)
        yield Token("two.", 0.0)

    coming = batches(slow())
    assert next(coming) == [Token("One ", 0.0)]
    drawn.set()
    assert next(coming) == [Token("two.", 0.0)]


def test_what_is_found_is_drawn_at_once_and_verdicts_together(monkeypatch):
    found: list[Event] = [Rewritten("Q?", False), Quoted(())]
    read: list[Event] = [Reading(1, 2, 0), Reading(2, 2, 0)]
    checked: list[Event] = [Checked(Sentence("One.", "weak"), ()), Checked(Sentence("Two.", "weak"), ())]
    assert list(batches(iter([*found, *read, *checked])))[:2] == [[found[0]], [found[1]]]
    monkeypatch.setattr(progress, "_REDRAW_SECONDS", 5.0)
    assert list(batches(iter(checked))) == [checked]
