"""The state of a sequence as llama.cpp writes it: reading values out of it, and moving it to another position.

Layout (`llama_kv_cache::state_write_meta` and `state_write_data` of llama.cpp, little endian): 12 bytes of head and the number
of cells; of each cell its position, the number of its sequences (1) and the sequence; whether values are transposed, and the
number of layers; per layer the type and size of a row, and the keys of all cells; per layer the type, the size of an element,
the number of values of a cell, and the transposed values. Whatever is laid out otherwise is left alone.
"""

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fieldguide.types import FloatMatrix

_F16 = 1  # ggml's number for it
_HEAD, _CELL = 16, 12  # bytes


@dataclass(frozen=True, slots=True)
class Rotation:
    """Rotary position embedding (RoFormer, arXiv 2104.09864) over the whole width of a head.

    `halves`: number i is paired with the one half a head further on (NeoX), not with its neighbour.
    """

    head_width: int
    base: float
    halves: bool

    def turn(self, distance: int) -> tuple[FloatMatrix, FloatMatrix]:
        """Cosines and sines that move a key on: (head_width / 2,) each."""
        pairs = np.arange(0, self.head_width, 2)
        angles = distance * self.base ** (-pairs / self.head_width)
        return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)


def move(state: bytearray, distance: int, rotation: Rotation) -> bool:
    """Move all cells of a state on, in place; False, and nothing is changed, when it is not laid out as expected."""
    keys = _keys(state)
    if keys is None or keys.shape[2] % rotation.head_width:
        return False
    if not distance:
        return True
    layers, cells, width = keys.shape
    heads = keys.reshape(layers, cells, width // rotation.head_width, rotation.head_width)
    if not np.shares_memory(heads, keys):
        return False
    half = rotation.head_width // 2
    first, second = (heads[..., :half], heads[..., half:]) if rotation.halves else (heads[..., ::2], heads[..., 1::2])
    x, y = first.astype(np.float32), second.astype(np.float32)
    cosine, sine = rotation.turn(distance)
    first[...], second[...] = x * cosine - y * sine, x * sine + y * cosine
    _positions(state, cells)[...] += distance
    return True


def are_alike(one: bytes | bytearray, other: bytes | bytearray) -> bool:
    """Whether two states hold the same positions and, but for rounding, the same keys."""
    ours, theirs = _keys(one), _keys(other)
    if ours is None or theirs is None or ours.shape != theirs.shape:
        return False
    same_places = np.array_equal(_positions(one, ours.shape[1]), _positions(other, theirs.shape[1]))
    near = np.allclose(ours.astype(np.float32), theirs.astype(np.float32), rtol=0.005, atol=0.01)
    return bool(same_places and near)


def values_of_one_token(state: bytes) -> FloatMatrix | None:
    """The values in the state of a sequence with a single cell, (layers, width); None when it is laid out otherwise."""
    values = _values(state)
    return None if values is None or values.shape[2] != 1 else values[..., 0].astype(np.float32)


def keys_and_values(state: bytes | bytearray) -> tuple[NDArray[np.float16], NDArray[np.float16]] | None:
    """In their places, (layers, cells, width) each; None when the state is laid out in another way."""
    keys, values = _keys(state), _values(state)
    return None if keys is None or values is None else (keys, values.mT)


def _keys(state: bytes | bytearray) -> NDArray[np.float16] | None:
    """The keys, (layers, cells, width), in their place in the state."""
    try:
        (cells,) = struct.unpack_from("<I", state, _HEAD - 4)
        start = _HEAD + cells * _CELL + 8
        transposed, layers = struct.unpack_from("<II", state, start - 8)
        kind, row = struct.unpack_from("<iQ", state, start)
        shape, strides = (layers, cells, row // 2), (12 + cells * row, row, 2)
        heads = [struct.unpack_from("<iQ", state, start + layer * strides[0]) for layer in range(layers)]
        if not cells or transposed != 1 or kind != _F16 or set(heads) != {(kind, row)}:
            return None
        return np.ndarray(shape, np.float16, state, start + 12, strides)
    except (struct.error, ValueError, TypeError):
        return None


def _values(state: bytes | bytearray) -> NDArray[np.float16] | None:
    """The values, (layers, width, cells), in their place in the state."""
    keys = _keys(state)
    if keys is None:
        return None
    layers, cells, row = keys.shape
    start = _HEAD + cells * _CELL + 8 + layers * (12 + cells * row * 2)
    try:
        _, _, width = struct.unpack_from("<iII", state, start)
        stride = 12 + width * cells * 2
        heads = {struct.unpack_from("<iII", state, start + layer * stride) for layer in range(layers)}
    except struct.error:
        return None
    if heads != {(_F16, 2, width)} or start + layers * stride != len(state):
        return None
    return np.ndarray((layers, width, cells), np.float16, state, start + 12, (stride, cells * 2, 2))


def _positions(state: bytes | bytearray, cells: int) -> NDArray[np.int32]:
    return np.ndarray((cells,), np.int32, state, _HEAD, (_CELL,))
