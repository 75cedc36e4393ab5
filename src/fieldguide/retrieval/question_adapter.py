"""What was learnt for questions: a small addition to the embedder that brings them nearer to the passages that answer.

Low-rank adaptation (LoRA, Hu et al. 2021, arXiv 2106.09685); `evaluation/tune_questions.py` makes it. Passages are embedded
without it, so that it can change and no index has to.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import resources
from typing import Any

import numpy as np

from fieldguide.types import FloatMatrix

Pairs = Mapping[str, tuple[Any, Any]]  # by the weight's name: (rank, in) and (out, rank), whose product is added to it


class QuestionAdapter:
    """The additions, in their places in a PyTorch model; they count only while it is `on`."""

    def __init__(self, model: Any, pairs: Pairs) -> None:  # noqa: ANN401 - a PyTorch module
        self._is_on = False
        for name, (down, up) in pairs.items():
            model.get_submodule(name).register_forward_hook(self._adding(down, up))

    @contextmanager
    def on(self) -> Iterator[None]:
        """The additions count while the block runs."""
        self._is_on = True
        try:
            yield
        finally:
            self._is_on = False

    def _adding(self, down: Any, up: Any) -> Any:  # noqa: ANN401 - tensors
        def added(module: Any, given: tuple[Any], output: Any) -> Any:  # noqa: ANN401 - as PyTorch calls it
            return output + given[0] @ down.T @ up.T if self._is_on else output

        return added


def load_pairs(identity: str) -> dict[str, tuple[FloatMatrix, FloatMatrix]]:
    """What was learnt for the embedder of this identity; nothing where nothing was."""
    for file in resources.files("fieldguide.retrieval").joinpath("adapters").iterdir():
        if not file.name.endswith(".npz"):
            continue
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as found:
            if str(found["embedder"]) == identity:
                names = [name.removesuffix(".down") for name in found.files if name.endswith(".down")]
                return {
                    name: (found[f"{name}.down"].astype(np.float32), found[f"{name}.up"].astype(np.float32)) for name in names
                }
    return {}
