"""What happens on the way, on standard error: bars on a terminal, plain lines elsewhere."""

import queue
import sys
import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn

from fieldguide.errors import QuestionError
from fieldguide.events import Loading
from fieldguide.generation.model import Cancellation

Item = TypeVar("Item")
_LINE_EVERY_SHARE = 0.1


class LoadingDisplay:
    """Shows Loading events; use it in a `with`."""

    def __init__(self) -> None:
        console = Console(stderr=True)
        self._progress = (
            Progress(
                SpinnerColumn(),
                TextColumn("{task.description}", markup=False),
                BarColumn(),
                TextColumn("{task.fields[detail]}", markup=False),
                console=console,
                transient=True,
            )
            if console.is_terminal
            else None
        )
        self._tasks: dict[str, TaskID] = {}
        self._printed: dict[str, float] = {}

    def __enter__(self) -> "LoadingDisplay":
        if self._progress:
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress:
            self._progress.stop()

    def show(self, loading: Loading) -> None:
        """Show one event."""
        if self._progress:
            if loading.what not in self._tasks:
                self._tasks[loading.what] = self._progress.add_task(loading.what, total=None, detail="")
            task = self._tasks[loading.what]
            total = None if loading.share is None else 1.0
            self._progress.update(task, total=total, completed=loading.share or 0.0, detail=loading.detail)
            return
        share = loading.share or 0.0
        is_new = loading.what not in self._printed
        if is_new or (loading.detail and share >= self._printed[loading.what] + _LINE_EVERY_SHARE):
            self._printed[loading.what] = share
            sys.stderr.write(f"{loading.what}{': ' + loading.detail if loading.detail else ''}\n")


def show_loading(events: Iterable[Loading]) -> None:
    """Show Loading events until they end."""
    with LoadingDisplay() as display:
        for event in events:
            display.show(event)


def read_question(argument: str) -> str:
    """The question itself, or standard input where the argument is a dash."""
    if argument != "-":
        return argument
    try:
        return sys.stdin.read()
    except UnicodeDecodeError as error:
        raise QuestionError("Standard input is not UTF-8 text.", "Save the question as UTF-8.") from error


def interruptible(items: Iterator[Item], cancellation: Cancellation) -> Iterator[Item]:
    """Run an iterator in a thread of its own, so that Ctrl-C is heard while native code computes.

    The first Ctrl-C asks the computation to stop and lets the iterator end in its own way.
    """
    results: queue.SimpleQueue[tuple[bool, Item | BaseException | None]] = queue.SimpleQueue()

    def run() -> None:
        try:
            for item in items:
                results.put((True, item))
            results.put((False, None))
        except BaseException as error:  # raised again in the thread that waits
            results.put((False, error))

    threading.Thread(target=run, daemon=True).start()
    while True:
        try:
            going_on, item = results.get()
        except KeyboardInterrupt:
            if cancellation.is_cancelled:
                raise
            cancellation.cancel()
            continue
        if going_on:
            yield item  # type: ignore[misc]
        elif isinstance(item, BaseException):
            raise item
        else:
            return
