import threading

from fieldguide.answering.waiting_line import WaitingLine


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
