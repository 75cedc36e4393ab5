"""What llama.cpp holds of a text in its memory: keys and values in cells, each at a position of one or more sequences.

Sequences share one pool of cells, so a stretch that was read in one sequence can be handed to another without a copy.
"""

import ctypes
import sys
from collections.abc import Callable, Sequence
from typing import Any

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from fieldguide.errors import Cancelled, GenerationError
from fieldguide.generation import sequence_state
from fieldguide.generation.model import Cancellation
from fieldguide.types import FloatMatrix

READ_AT_ONCE = 256  # most passages in one go; smaller steps show progress more often, but read more slowly
CELLS = "f16, values transposed"  # how keys and values lie in memory: states of another making cannot be restored
_TRIED, _FAR = 4, 1000  # tokens that are moved to see whether we move them rightly, and how far
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
        # Such models keep more than keys and values: no part of that can be taken or moved, whatever llama.cpp says.
        keeps_more = llama_cpp.llama_model_is_recurrent(model) or llama_cpp.llama_model_is_hybrid(model)
        self.can_move = bool(llama_cpp.llama_memory_can_shift(self._memory)) and not keeps_more
        rotation = _rotation(model)
        try:
            self._rotation = rotation if rotation and self.can_move and self._moves_alike(rotation) else None
        except BaseException:
            self.close()
            raise

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

    def adapt(self, adapter: Any | None) -> None:  # noqa: ANN401 - a pointer of the binding
        """Compute with an adapter from now on, or with the weights alone."""
        count = 0 if adapter is None else 1
        adapters = (llama_cpp.llama_adapter_lora_p_ctypes * count)(*([adapter] if count else []))
        llama_cpp.llama_set_adapters_lora(self._context, adapters, count, (ctypes.c_float * count)(*[1.0] * count))

    def logits(self) -> NDArray[np.float32]:
        """Scores of all tokens after the last one read: (vocabulary,), a view that the next decode overwrites."""
        pointer = llama_cpp.llama_get_logits_ith(self._context, -1)
        return np.ctypeslib.as_array(pointer, shape=(self._vocabulary_size,))

    def forget(self, sequence: int, start: int, end: int = -1) -> bool:
        """Drop positions from `start` to before `end` (-1: to the last) of a sequence; False where only all of it can be."""
        return bool(llama_cpp.llama_memory_seq_rm(self._memory, sequence, start, end))

    def share(self, source: int, target: int, start: int = -1, end: int = -1) -> None:
        """Let `target` hold the cells of `source` too (between two positions; -1: all)."""
        llama_cpp.llama_memory_seq_cp(self._memory, source, target, start, end)

    def state(self, sequence: int) -> bytes:
        """Keys, values and positions of a sequence, as llama.cpp writes them."""
        size = llama_cpp.llama_state_seq_get_size(self._context, sequence)
        buffer = (ctypes.c_uint8 * size)()
        written = llama_cpp.llama_state_seq_get_data(self._context, buffer, size, sequence)
        return bytes(memoryview(buffer)[:written])

    def moved(self, state: bytes, distance: int) -> tuple[bytearray, int]:
        """A state `distance` positions further on, and how many of them are left to llama.cpp; may run beside others."""
        data = bytearray(state)
        done = self._rotation is not None and sequence_state.move(data, distance, self._rotation)
        return data, 0 if done else distance

    def restore(self, sequence: int, state: bytearray, distance: int) -> bool:
        """Make a sequence hold exactly what `moved` gave. False when llama.cpp refuses it (the sequence is empty then)."""
        buffer = (ctypes.c_uint8 * len(state)).from_buffer(state)
        if not llama_cpp.llama_state_seq_set_data(self._context, buffer, len(state), sequence):
            self.forget(sequence, -1)
            return False
        if distance:  # llama.cpp rotates the keys when the model runs next: of all cells, whichever moved
            llama_cpp.llama_memory_seq_add(self._memory, sequence, -1, -1, distance)
        return True

    def values(self, sequence: int, position: int, scratch: int) -> FloatMatrix | None:
        """What each layer's attention would pass on of the token at a position: (layers, width).

        Read out of the memory, without computing; None where llama.cpp lays its states out in another way than expected.
        """
        self.share(sequence, scratch, position, position + 1)
        state = self.state(scratch)
        self.forget(scratch, -1)
        return sequence_state.values_of_one_token(state)

    def _moves_alike(self, rotation: sequence_state.Rotation) -> bool:
        """Whether keys that we rotate come out as those that llama.cpp rotates; tried on a few tokens."""
        token = list(range(_TRIED))
        self.decode(token, 0, 0, Cancellation())
        ours = bytearray(self.state(0))
        llama_cpp.llama_memory_seq_add(self._memory, 0, -1, -1, _FAR)
        self.decode(token[:1], _FAR + _TRIED, 0, Cancellation())
        self.forget(0, _FAR + _TRIED)
        theirs = self.state(0)
        self.forget(0, -1)
        return sequence_state.move(ours, _FAR, rotation) and sequence_state.are_alike(ours, theirs)

    def close(self) -> None:
        """Release the memory."""
        if self._context:
            llama_cpp.llama_free(self._context)
        self._context = None


def _rotation(model: Any) -> sequence_state.Rotation | None:  # noqa: ANN401 - a pointer of the binding
    """How the model turns keys by their position; None where it does so in a way that is not known here."""
    kind = llama_cpp.llama_model_rope_type(model)
    if kind not in (llama_cpp.LLAMA_ROPE_TYPE_NORM, llama_cpp.LLAMA_ROPE_TYPE_NEOX):
        return None
    head_width = llama_cpp.llama_model_n_embd(model) // llama_cpp.llama_model_n_head(model)
    architecture = metadata(llama_cpp.llama_model_meta_val_str, model, "general.architecture")
    base = float(metadata(llama_cpp.llama_model_meta_val_str, model, f"{architecture}.rope.freq_base") or 10_000)
    return sequence_state.Rotation(head_width, base, halves=kind == llama_cpp.LLAMA_ROPE_TYPE_NEOX)


def metadata(read: Callable[..., int], source: Any, key: str) -> str:  # noqa: ANN401 - a pointer of the binding
    """What the file of a model or adapter says under a key, by llama.cpp's function for it; '' where it says nothing."""
    value = ctypes.create_string_buffer(256)
    length = read(source, key.encode(), value, len(value))
    return value.value.decode() if length > 0 else ""


def _stop_if_cancelled() -> Any:  # noqa: ANN401 - a ctypes function pointer
    c_library = ctypes.cdll.msvcrt if sys.platform == "win32" else ctypes.CDLL(None)
    return ctypes.cast(c_library.strlen, llama_cpp.ggml_abort_callback)


_STOP_IF_CANCELLED = _stop_if_cancelled()
