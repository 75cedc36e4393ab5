"""What llama.cpp holds of a text in its memory: keys and values in cells, each at a position of one or more sequences.

Sequences share one pool of cells, so a stretch that was read in one sequence can be handed to another without a copy.
"""

import ctypes
import struct
import sys
from collections.abc import Sequence
from typing import Any

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from fieldguide.errors import Cancelled, GenerationError
from fieldguide.generation.model import Cancellation
from fieldguide.types import FloatMatrix

READ_AT_ONCE = 128  # a step of progress every second or two; smaller steps read more slowly
CELLS = "f16, values transposed"  # how keys and values lie in memory: states of another making cannot be restored
_BEFORE_LAYERS = 28  # bytes: magic, streams, cells, and the one cell's position and sequence
_ABORTED = 2  # llama_decode's answer when the abort callback ended it


class LlamaContext:
    """A llama.cpp context with two sequences. Use it from one thread at a time.

    Raises GenerationError when there is not enough memory for `length` cells.
    """

    def __init__(self, model: Any, *, length: int, threads: int) -> None:  # noqa: ANN401 - a pointer of the binding
        parameters = llama_cpp.llama_context_default_params()
        parameters.n_ctx = length
        parameters.n_batch = parameters.n_ubatch = READ_AT_ONCE
        parameters.n_threads = parameters.n_threads_batch = threads
        parameters.n_seq_max, parameters.kv_unified = 2, True
        # Measured on two cores behind 1,900 tokens: 25 tokens, as a question has, are read in 0.7 s without flash attention and
        # in 1.0 s with it, single ones written 12 % faster; long stretches take the same time.
        parameters.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
        self._vocabulary_size = llama_cpp.llama_vocab_n_tokens(llama_cpp.llama_model_get_vocab(model))
        self._context: Any = llama_cpp.llama_init_from_model(model, parameters)
        if not self._context:
            raise GenerationError(
                f"There is not enough memory for {length} tokens of context.",
                "Set a smaller one: FIELDGUIDE_CONTEXT_LENGTH=2048",
            )
        self._memory = llama_cpp.llama_get_memory(self._context)
        self.can_move = bool(llama_cpp.llama_memory_can_shift(self._memory))

    def decode(self, tokens: Sequence[int], position: int, sequence: int, cancellation: Cancellation) -> None:
        """Run the model over at most READ_AT_ONCE tokens; the last one's logits are kept.

        Raises Cancelled, or GenerationError when llama.cpp cannot compute; nothing of these tokens is held then.
        """
        batch = llama_cpp.llama_batch_init(len(tokens), 0, 1)
        try:
            batch.n_tokens = len(tokens)
            for i, token in enumerate(tokens):
                batch.token[i], batch.pos[i] = token, position + i
                batch.n_seq_id[i], batch.seq_id[i][0] = 1, sequence
                batch.logits[i] = int(i == len(tokens) - 1)
            llama_cpp.llama_set_abort_callback(self._context, _STOP_IF_CANCELLED, ctypes.c_void_p(cancellation.address))
            code = _ABORTED if cancellation.is_cancelled else llama_cpp.llama_decode(self._context, batch)
        finally:
            llama_cpp.llama_batch_free(batch)
        if code:
            self.forget(sequence, position)  # what was read of this batch is of no known length
            raise Cancelled() if code == _ABORTED else GenerationError(f"llama.cpp could not compute (code {code}).")

    def logits(self) -> NDArray[np.float32]:
        """Scores of all tokens after the last one read: (vocabulary,), a view that the next decode overwrites."""
        pointer = llama_cpp.llama_get_logits_ith(self._context, -1)
        return np.ctypeslib.as_array(pointer, shape=(self._vocabulary_size,))

    def forget(self, sequence: int, start: int, end: int = -1) -> None:
        """Drop positions from `start` to before `end` (-1: to the last) of a sequence."""
        llama_cpp.llama_memory_seq_rm(self._memory, sequence, start, end)

    def move(self, sequence: int, distance: int) -> None:
        """Shift all positions of a sequence; keys are rotated when the model runs next."""
        if distance:
            llama_cpp.llama_memory_seq_add(self._memory, sequence, -1, -1, distance)

    def share(self, source: int, target: int, start: int = -1, end: int = -1) -> None:
        """Let `target` hold the cells of `source` too (between two positions; -1: all)."""
        llama_cpp.llama_memory_seq_cp(self._memory, source, target, start, end)

    def state(self, sequence: int) -> bytes:
        """Keys, values and positions of a sequence, as llama.cpp writes them."""
        size = llama_cpp.llama_state_seq_get_size(self._context, sequence)
        buffer = (ctypes.c_uint8 * size)()
        written = llama_cpp.llama_state_seq_get_data(self._context, buffer, size, sequence)
        return bytes(memoryview(buffer)[:written])

    def restore(self, sequence: int, state: bytes) -> bool:
        """Make a sequence hold exactly this state; False when llama.cpp refuses it (the sequence is empty then)."""
        buffer = (ctypes.c_uint8 * len(state)).from_buffer_copy(state)
        if llama_cpp.llama_state_seq_set_data(self._context, buffer, len(state), sequence):
            return True
        self.forget(sequence, -1)
        return False

    def values(self, sequence: int, position: int, scratch: int) -> FloatMatrix | None:
        """What each layer's attention would pass on of the token at a position: (layers, width).

        Read out of the memory, without computing; None where llama.cpp lays its states out in another way than expected.
        """
        self.share(sequence, scratch, position, position + 1)
        state = self.state(scratch)
        self.forget(scratch, -1)
        return values_of_one_token(state)

    def close(self) -> None:
        """Release the memory."""
        if self._context:
            llama_cpp.llama_free(self._context)
        self._context = None


def values_of_one_token(state: bytes) -> FloatMatrix | None:
    """The values in the state of a sequence with a single cell, (layers, width); None when it is laid out otherwise.

    The layout is that of `llama_kv_cache::state_write_data`: per layer the type, the size of a row and the key; then per
    layer the type, the size of an element, their number and the (transposed) value, both in 16 bits.
    """
    try:
        transposed, layers = struct.unpack_from("<II", state, _BEFORE_LAYERS)
        offset = _BEFORE_LAYERS + 8
        for _ in range(layers):
            offset += 12 + struct.unpack_from("<iQ", state, offset)[1]
        values = []
        for _ in range(layers):
            kind, size, width = struct.unpack_from("<iII", state, offset)
            if (transposed, kind, size) != (1, llama_cpp.GGML_TYPE_F16, 2):
                return None
            values.append(np.frombuffer(state, np.float16, width, offset + 12))
            offset += 12 + 2 * width
    except (struct.error, ValueError):
        return None
    if offset != len(state) or len({len(value) for value in values}) != 1:
        return None
    return np.stack(values).astype(np.float32)


def _stop_if_cancelled() -> Any:  # noqa: ANN401 - a ctypes function pointer
    c_library = ctypes.cdll.msvcrt if sys.platform == "win32" else ctypes.CDLL(None)
    return ctypes.cast(c_library.strlen, llama_cpp.ggml_abort_callback)


_STOP_IF_CANCELLED = _stop_if_cancelled()
