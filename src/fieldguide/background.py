"""Work beside the caller, and a thing that many use at once while now and then one replaces it."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any, TypeVar

Made = TypeVar("Made")


def in_background(make: Callable[[], Made]) -> "Future[Made]":
    """Make something in a thread of its own; what goes wrong is handed to whoever waits for it."""
    future: Future[Made] = Future()

    def run() -> None:
        try:
            future.set_result(make())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name=make.__name__, daemon=True).start()
    return future


def failed(future: "Future[Any]") -> bool:
    """Whether it is over and nothing was made."""
    return future.done() and future.exception() is not None


class SharedUse:
    """Many use a thing together; whoever replaces it waits until nobody does, and who comes after waits for that."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._users = 0
        self._replacing = False

    @contextmanager
    def together(self) -> Iterator[None]:
        """Use it for as long as the `with` lasts."""
        with self._changed:
            self._changed.wait_for(lambda: not self._replacing)
            self._users += 1
        try:
            yield
        finally:
            with self._changed:
                self._users -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Have it to oneself for as long as the `with` lasts."""
        with self._changed:
            self._changed.wait_for(lambda: not self._replacing)
            self._replacing = True
            self._changed.wait_for(lambda: not self._users)
        try:
            yield
        finally:
            with self._changed:
                self._replacing = False
                self._changed.notify_all()
