import threading
import tracemalloc

import pytest

from fieldguide.answering import waiting_line
from fieldguide.answering.waiting_line import WaitingLine
from fieldguide.errors import Cancelled, QueueFullError
from fieldguide.generation.model import Cancellation


class Clock:
    """A clock that is set by hand."""

    now = 100.0

    def __call__(self):
        return self.now


def served(line, tickets):
    """Whose turn comes after whose, when each leaves in its turn."""
    order, waiting = [], list(tickets)
    while waiting:
        first = next(ticket for ticket in waiting if line.ahead_of(ticket, 0) == 0)
        order.append(first.client)
        waiting.remove(first)
        line.leave(first)
    return "".join(order)


def test_the_first_to_enter_is_the_first_to_be_served():
    line = WaitingLine()
    first, second, third = line.enter(), line.enter(), line.enter()
    assert [line.ahead_of(ticket, 0) for ticket in (first, second, third)] == [0, 1, 2]
    line.leave(first)
    assert line.ahead_of(second, 0) == 0


def test_leaving_from_the_middle_moves_the_others_up():
    line = WaitingLine()
    first, second, third = line.enter(), line.enter(), line.enter()
    line.leave(second)
    assert (line.ahead_of(first, 0), line.ahead_of(third, 0)) == (0, 1)


def test_waiting_ends_as_soon_as_the_line_moves():
    line = WaitingLine()
    first, second = line.enter(), line.enter()
    threading.Timer(0.05, line.leave, [first]).start()
    assert line.ahead_of(second, 30) == 0


@pytest.mark.parametrize(
    ("entered", "order"),
    [("aaab", "abaa"), ("aaabbb", "ababab"), ("abcabc", "abcabc"), ("aaaabbc", "abcabaa"), ("aab", "aba")],
)
def test_clients_take_turns_however_many_questions_one_has(entered, order):
    line = WaitingLine()
    assert served(line, [line.enter(client) for client in entered]) == order


def test_whoever_asks_again_at_once_does_not_keep_others_waiting():
    line, order = WaitingLine(), []
    tickets = [line.enter(client) for client in "aabcd"]
    for _ in range(12):  # b, c and d come again as soon as they are answered; a has a second question
        first = next(ticket for ticket in tickets if line.ahead_of(ticket, 0) == 0)
        order.append(first.client)
        tickets.remove(first)
        line.leave(first)
        if first.client != "a":
            tickets.append(line.enter(first.client))
    assert "".join(order[:5]) == "abcda"


def test_a_place_that_was_given_up_is_no_turn():
    line = WaitingLine()
    holder, given_up = line.enter("a"), line.enter("b")
    line.leave(given_up)
    other, again = line.enter("c"), line.enter("b")
    assert served(line, [holder, other, again]) == "acb"


def test_the_line_has_an_end_for_everybody_and_for_each():
    line = WaitingLine(limit=5, limit_per_client=2)
    tickets = [line.enter("a"), line.enter("a")]
    with pytest.raises(QueueFullError, match="2 of your questions are waiting already"):
        line.enter("a")
    tickets += [line.enter(client) for client in ("b", "c", "d")]
    with pytest.raises(QueueFullError, match="5 questions are waiting already") as full:
        line.enter("e")
    assert full.value.seconds >= 1
    line.enter(is_asked=False)  # what nobody asked for gives way by itself
    line.leave(tickets[0])
    assert len(line) == 5


def test_how_long_it_takes_is_told_by_the_turns_before():
    clock = Clock()
    line = WaitingLine(clock=clock)
    first, *others = [line.enter() for _ in range(4)]
    places = [next(line.wait(ticket, Cancellation())) for ticket in others]
    assert [(place.position, place.seconds) for place in places] == [(1, None), (2, None), (3, None)]
    clock.now += 4.0
    line.leave(first)
    clock.now += 1.0  # the second has begun a second ago
    assert [next(line.wait(ticket, Cancellation())).seconds for ticket in others[1:]] == [3.0, 7.0]
    clock.now += 60.0  # it takes longer than any before: nothing negative is said
    assert next(line.wait(others[1], Cancellation())).seconds == 0.0


def test_reading_ahead_of_time_does_not_count_as_a_turn():
    clock = Clock()
    line = WaitingLine(clock=clock)
    warming, asked = line.enter(is_asked=False), line.enter()
    clock.now += 50.0
    line.leave(warming)
    assert line.seconds_until(1) is None
    line.leave(asked)


def test_whoever_is_stopped_while_waiting_is_gone_at_once():
    line, cancellation = WaitingLine(), Cancellation()
    line.enter()
    ticket = line.enter()
    waiting = line.wait(ticket, cancellation)
    assert next(waiting).position == 1
    cancellation.cancel()
    with pytest.raises(Cancelled):
        next(waiting)


def test_what_is_kept_of_past_clients_does_not_grow():
    line = WaitingLine()

    def pass_through(count):
        held = line.enter("first")
        for number in range(count):
            ticket = line.enter(f"client {number}")
            line.leave(held)
            held = ticket
        line.leave(held)

    pass_through(100)
    tracemalloc.start()
    pass_through(2000)
    ours = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, waiting_line.__file__)])  # of this thread's work
    grown = sum(one.size for one in ours.statistics("filename"))
    tracemalloc.stop()
    assert grown < 50_000
