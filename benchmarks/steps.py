"""How long single steps take inside a larger call."""

import time
from typing import Any


def time_calls(part: object, name: str, steps: dict[str, list[float]]) -> None:
    """From now on, every call of this method of `part` adds its milliseconds to `steps` under the method's name."""
    method = getattr(part, name)

    def timed(*arguments: Any) -> Any:  # noqa: ANN401 - stands for any method
        began = time.perf_counter()
        try:
            return method(*arguments)
        finally:
            steps.setdefault(name, []).append(1000 * (time.perf_counter() - began))

    setattr(part, name, timed)
