"""What was learnt for one model and one prompt: small changes to the keys and values of the prompt's beginning.

Prefix tuning (Li and Liang 2021, arXiv 2101.00190), begun where a written prompt left off, as Cartridges are (Eyuboglu et al.
2025, arXiv 2506.06266); `evaluation/tune_prefix.py` makes it. Passages are read behind the beginning as it was written; only
the question and the answer see the changed one. So what is kept of passages stays as it is, and not one token more is read.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from fieldguide.generation import sequence_state
from fieldguide.types import FloatMatrix

Steps = NDArray[np.int8]


@dataclass(frozen=True, slots=True, eq=False)
class TunedPrefix:
    """Changes of keys and values, each (layers, cells, width) in steps of (layers, 1, width), for one beginning."""

    beginning: str  # the digest of its tokens
    keys: Steps
    key_steps: FloatMatrix
    values: Steps
    value_steps: FloatMatrix

    def fits(self, tokens: Sequence[int]) -> bool:
        """Whether it was learnt for this beginning."""
        return self.beginning == digest(tokens)

    def changed(self, state: bytes) -> bytes | None:
        """The beginning's state as it was learnt; None where states are laid out in another way."""
        data = bytearray(state)
        there = sequence_state.add(data, self.keys * self.key_steps, self.values * self.value_steps)
        return bytes(data) if there else None


def tuned_prefix_for(fingerprint: str) -> TunedPrefix | None:
    """What was learnt for these weights, where anything was."""
    for file in resources.files("fieldguide.generation").joinpath("prefixes").iterdir():
        if not file.name.endswith(".npz"):
            continue
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as found:
            about = json.loads(str(found["about"]))
            if about["weights"] == fingerprint:
                names = ("keys", "key_steps", "values", "value_steps")
                return TunedPrefix(about["beginning"], *(found[name] for name in names))
    return None


def digest(tokens: Sequence[int]) -> str:
    """Tells one beginning from another."""
    return hashlib.sha256(np.asarray(tokens, np.int32).tobytes()).hexdigest()[:24]
