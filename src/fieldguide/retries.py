"""Asking a server again when it fails for a moment, after waits of random length, so that many do not come at once."""

from collections.abc import Callable
from typing import TypeVar

from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

Result = TypeVar("Result")
_TIMES = 3


def patiently(ask: Callable[[], Result], passing: Callable[[BaseException], bool]) -> Result:
    """What `ask` gives; failures that `passing` takes for passing ones are tried again, and the last of them is raised."""
    waits = wait_random_exponential(multiplier=0.25, max=2)
    again = Retrying(stop=stop_after_attempt(_TIMES), wait=waits, retry=retry_if_exception(passing), reraise=True)
    return again(ask)
