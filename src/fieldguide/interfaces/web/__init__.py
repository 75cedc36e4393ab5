"""The chat page. This package imports Gradio first of all, and without what makes that slow."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def _no_type_stubs() -> Iterator[None]:
    """Gradio (6.31) writes type stubs of its components into its own folder at every import: half of the six seconds it takes.

    It leaves out classes whose source file cannot be found, so for the time of the import none of its own can.
    """
    getfile = inspect.getfile

    def not_gradio(thing: object) -> str:
        if isinstance(thing, type) and thing.__module__.startswith("gradio."):
            raise OSError("no type stubs wanted")
        return getfile(thing)  # type: ignore[arg-type]

    inspect.getfile = not_gradio  # type: ignore[assignment]
    try:
        yield
    finally:
        inspect.getfile = getfile


with _no_type_stubs():
    import gradio  # noqa: F401
