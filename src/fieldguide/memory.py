"""Whether memory is what is missing: libraries that get none say so in many ways, or not at all."""

import errno
from contextlib import suppress
from pathlib import Path

_SIGNS = ("failed to map segment", "Cannot allocate memory", "can't allocate memory", "bad_alloc", "can't start new thread")
_LITTLE = 0.25  # of what this process may have


def is_short_of_memory(error: BaseException | None = None) -> bool:
    """Whether this failure, or any at this moment, comes of a want of memory."""
    if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM:
        return True
    return any(sign in str(error) for sign in _SIGNS) or _is_near_its_limit()


def _is_near_its_limit() -> bool:
    """Whether a limit on this process (ulimit -v, as service managers set it) is nearly reached."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit != resource.RLIM_INFINITY:
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            return limit - pages * resource.getpagesize() < _LITTLE * limit
    return False
