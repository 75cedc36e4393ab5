"""What was learnt for one model and one prompt: a small adapter that lets the model read passages better.

Low-rank adaptation (LoRA, Hu et al. 2021, arXiv 2106.09685) in llama.cpp's own form; `evaluation/tune_adapter.py` makes it.
Passages are read by the weights alone; only the question and the answer are read and written with the adapter. So what is kept
of passages stays as it is.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import llama_cpp
import numpy as np

from fieldguide.generation.llama_context import metadata


@dataclass(frozen=True, slots=True)
class Adapter:
    """One that is loaded, for prompts with this beginning."""

    pointer: Any
    beginning: str  # the digest of its tokens

    def fits(self, tokens: Sequence[int]) -> bool:
        """Whether it was learnt for this beginning."""
        return self.beginning == digest(tokens)


def load_adapter(model: Any, fingerprint: str) -> Adapter | None:  # noqa: ANN401 - a pointer of the binding
    """What was learnt for these weights, where anything was; llama.cpp releases it together with the model."""
    for file in resources.files("fieldguide.generation").joinpath("adapters").iterdir():
        if not file.name.endswith(".gguf"):
            continue
        with resources.as_file(file) as path:
            pointer = llama_cpp.llama_adapter_lora_init(model, str(path).encode())
        # Of another architecture or size: nothing comes of it.
        if pointer and _told(pointer, "weights") == fingerprint:
            return Adapter(pointer, _told(pointer, "beginning"))
    return None


def digest(tokens: Sequence[int]) -> str:
    """Tells one beginning from another."""
    return hashlib.sha256(np.asarray(tokens, np.int32).tobytes()).hexdigest()[:24]


def _told(adapter: Any, key: str) -> str:  # noqa: ANN401 - a pointer of the binding
    return metadata(llama_cpp.llama_adapter_meta_val_str, adapter, f"fieldguide.{key}")
