"""One answer at a time: a fair line in front of the model, with places that can be shown and how long they will take."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import zip_longest

from fieldguide.errors import Cancelled, QueueFullError
from fieldguide.events import Queued
from fieldguide.generation.model import Cancellation

POLL_SECONDS = 0.2  # how often whoever waits looks up, to show its place or to be stopped
LIMIT = 64  # questions in the line; whoever comes then is told to come again
LIMIT_PER_CLIENT = 8
_TURNS_KEPT = 20  # their mean length is what a turn is expected to take
_USUAL_TURN = 5.0  # seconds, as long as none was seen


@dataclass(eq=False, slots=True)
class Ticket:
    """A place in the line."""

    client: str
    is_asked: bool
    began: float = 0.0  # when its turn came


class WaitingLine:
    """Clients take turns, each with its oldest question. The ticket whose turn it is may use the model until it leaves.

    Whoever has had a turn stands behind all who wait then. A client without a name is as many clients as it has questions.
    """

    def __init__(
        self, limit: int = LIMIT, limit_per_client: int = LIMIT_PER_CLIENT, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit, self._limit_per_client, self._clock = limit, limit_per_client, clock
        self._first: Ticket | None = None  # whose turn it is
        self._waiting: dict[str | Ticket, list[Ticket]] = {}  # by client; in the order of their next turns
        self._turns: deque[float] = deque(maxlen=_TURNS_KEPT)
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return bool(self._first) + sum(map(len, self._waiting.values()))

    def enter(self, client: str = "", *, is_asked: bool = True) -> Ticket:
        """Take a place; raises QueueFullError where there is none. What nobody asked for finds one always."""
        with self._changed:
            if is_asked:
                self._require_room(client)
            ticket = Ticket(client, is_asked)
            self._waiting.setdefault(client or ticket, []).append(ticket)
            self._call_next()
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """Give a place up, whether its turn had come or not."""
        with self._changed:
            key = ticket.client or ticket
            if ticket is not self._first:
                self._remove(ticket)
            else:
                self._first = None
                if ticket.is_asked:
                    self._turns.append(self._clock() - ticket.began)
                if others := self._waiting.pop(key, None):
                    self._waiting[key] = others  # at the end
            self._call_next()

    def ahead_of(self, ticket: Ticket, wait_seconds: float) -> int:
        """How many are before this ticket, after waiting for a change for at most so long; 0 means its turn has come."""
        with self._changed:
            if ticket is not self._first:
                self._changed.wait(wait_seconds)
            return 0 if ticket is self._first else self._order().index(ticket) + 1

    def wait(self, ticket: Ticket, cancellation: Cancellation) -> Iterator[Queued]:
        """Where this ticket stands, whenever that changes, until its turn has come. Raises Cancelled."""
        shown = 0
        while ahead := self.ahead_of(ticket, POLL_SECONDS if shown else 0):
            if cancellation.is_cancelled:
                raise Cancelled()
            if ahead != shown:
                shown = ahead
                yield Queued(ahead, self.seconds_until(ahead))

    def seconds_until(self, place: int) -> float | None:
        """About how long it takes until so many have had their turns; None as long as no turn has been seen."""
        with self._changed:
            if not self._turns:
                return None
            under_way = self._clock() - self._first.began if self._first else 0.0
            turn = sum(self._turns) / len(self._turns)
            return round(max(0.0, turn - under_way) + turn * (place - 1), 1)

    def _require_room(self, client: str) -> None:
        first_is_mine = bool(self._first and client and self._first.client == client)
        mine = len(self._waiting.get(client, ())) + first_is_mine
        if len(self) >= self._limit:
            told = f"{len(self)} questions are waiting already."
        elif mine >= self._limit_per_client:
            told = f"{mine} of your questions are waiting already."
        else:
            return
        raise QueueFullError(told, self.seconds_until(1) or _USUAL_TURN)

    def _order(self) -> list[Ticket]:
        """Who waits, in the order of their turns: first the oldest ticket of each client, then the second ones, and so on."""
        having_a_turn = self._first.client if self._first else ""
        queues = [queue for client, queue in self._waiting.items() if client != having_a_turn]
        queues.append(self._waiting.get(having_a_turn, []))
        return [ticket for one_round in zip_longest(*queues) for ticket in one_round if ticket]

    def _call_next(self) -> None:
        if self._first is None and (order := self._order()):
            self._first = order[0]
            self._first.began = self._clock()
            self._remove(order[0])
        self._changed.notify_all()

    def _remove(self, ticket: Ticket) -> None:
        key = ticket.client or ticket
        self._waiting[key].remove(ticket)
        if not self._waiting[key]:
            del self._waiting[key]
