"""One answer at a time: a fair line in front of the model, with positions that can be shown."""

import threading
from collections import deque

POLL_SECONDS = 0.2  # how often whoever waits looks up, to show its place or to be stopped


class Ticket:
    """A place in the line."""


class WaitingLine:
    """First come, first served. The holder of the first place may use the model until it leaves."""

    def __init__(self) -> None:
        self._tickets: deque[Ticket] = deque()
        self._changed = threading.Condition()

    def enter(self) -> Ticket:
        """Take the last place."""
        ticket = Ticket()
        with self._changed:
            self._tickets.append(ticket)
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """Give a place up, whether its turn had come or not."""
        with self._changed:
            self._tickets.remove(ticket)
            self._changed.notify_all()

    def ahead_of(self, ticket: Ticket, wait_seconds: float) -> int:
        """How many are before this ticket, after waiting for a change for at most so long; 0 means its turn has come."""
        with self._changed:
            if self._tickets.index(ticket):
                self._changed.wait(wait_seconds)
            return self._tickets.index(ticket)
