"""A GGUF model in this process, through llama.cpp's C interface (llama-cpp-python's low-level bindings).

The high-level `Llama` class cannot tell documents from control tokens, cannot be stopped while it reads, and hides the
memory that a passage cache needs; the calls below are few.
"""

import codecs
import ctypes
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from fieldguide.errors import Cancelled, GenerationError, WeightsError
from fieldguide.generation import chat_template
from fieldguide.generation.model import Cancellation, Message, PromptPart, ReadProgress, WritingOptions, WrittenToken

_SEQUENCE = 0
_READ_AT_ONCE = 128  # a step of progress every second or two; smaller steps read more slowly
_ABORTED = 2  # llama_decode's answer when the abort callback ended it
_GGUF_MAGIC = b"GGUF"


@llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
def _discard_log(level: int, text: bytes, data: object) -> None:
    """llama.cpp writes pages to the terminal otherwise; failures come back as return codes."""


class LlamaModel:
    """One GGUF file, loaded. Use it from one thread at a time.

    Raises WeightsError when the file cannot be loaded, GenerationError when it has no chat template.
    """

    def __init__(self, path: Path, *, context_length: int, threads: int) -> None:
        _require_gguf(path)
        llama_cpp.llama_log_set(_discard_log, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        self.name = path.stem
        self._context: Any = None
        self._model: Any = llama_cpp.llama_model_load_from_file(str(path).encode(), _model_parameters())
        if not self._model:
            raise WeightsError(
                f"{path} cannot be loaded: the file is cut short, or its kind of model is not known to llama.cpp.",
                "Check it with: fieldguide models verify",
            )
        self._vocabulary = llama_cpp.llama_model_get_vocab(self._model)
        self._vocabulary_size = llama_cpp.llama_vocab_n_tokens(self._vocabulary)
        template = llama_cpp.llama_model_chat_template(self._model, None)
        if not template:
            self.close()
            raise GenerationError(f"{path} has no chat template.", "Choose a model that was trained to chat ('instruct').")
        self._template = template.decode()
        self.context_length = min(context_length, int(llama_cpp.llama_model_n_ctx_train(self._model)))
        parameters = llama_cpp.llama_context_default_params()
        parameters.n_ctx = self.context_length
        parameters.n_batch = parameters.n_ubatch = _READ_AT_ONCE
        parameters.n_threads = parameters.n_threads_batch = threads
        self._context = llama_cpp.llama_init_from_model(self._model, parameters)
        if not self._context:
            self.close()
            raise GenerationError(
                f"There is not enough memory for {self.context_length} tokens of context.",
                "Set a smaller one: FIELDGUIDE_CONTEXT_LENGTH=2048",
            )
        self._memory = llama_cpp.llama_get_memory(self._context)
        self._held: list[int] = []  # the tokens whose keys and values are in memory, from position 0

    def render(self, messages: Sequence[Message]) -> list[PromptPart]:
        """The messages in the chat template of the GGUF file, ready for an answer."""
        beginning, end = (self._token_text(token) for token in self._edge_tokens())
        return chat_template.render(self._template, messages, beginning=beginning, end=end)

    def count_tokens(self, parts: Sequence[PromptPart]) -> list[int]:
        """The size of each part in tokens."""
        return [len(self._tokenize(part)) for part in parts]

    def read(self, prompt: Sequence[PromptPart], cancellation: Cancellation) -> Iterator[ReadProgress]:
        """Read the prompt, as far as it is not in memory already from the question before.

        Raises Cancelled, or GenerationError when the prompt is longer than the context.
        """
        tokens = [token for part in prompt for token in self._tokenize(part)]
        if len(tokens) >= self.context_length:
            raise GenerationError(
                f"The prompt has {len(tokens)} tokens, but the context holds {self.context_length}.",
                "Ask a shorter question or set fewer passages.",
            )
        # The last token is always read anew: what to write next is known only right after it.
        shared = min(_common_start(self._held, tokens), len(tokens) - 1)
        self._forget_from(shared)
        yield ReadProgress(shared, len(tokens), shared)
        while len(self._held) < len(tokens):
            position = len(self._held)
            self._decode(tokens[position : position + _READ_AT_ONCE], cancellation)
            yield ReadProgress(len(self._held), len(tokens), shared)

    def log_probability(self, text: str) -> float:
        """How likely the next token is the first one of `text`, as a natural logarithm; after `read`."""
        return float(_log_softmax(self._logits())[self._first_token(text)])

    def write(self, options: WritingOptions, cancellation: Cancellation) -> Iterator[WrittenToken]:
        """Write after what was read, until the model ends or `max_tokens` are written; raises Cancelled."""
        random = np.random.default_rng(options.seed)
        # A character may be spread over several tokens: text comes out when it is whole.
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        for written in range(options.max_tokens):
            log_probabilities = _log_softmax(self._logits())
            if written == 0 and options.forbidden_start:
                log_probabilities[self._first_token(options.forbidden_start)] = -np.inf
            token = _choose(log_probabilities, options.temperature, random)
            if llama_cpp.llama_vocab_is_eog(self._vocabulary, token) or len(self._held) + 1 >= self.context_length:
                return
            yield WrittenToken(
                decoder.decode(self._token_bytes(token)),
                float(log_probabilities[token]),
                self._likeliest(log_probabilities, options.alternatives),
            )
            self._decode([token], cancellation)

    def close(self) -> None:
        """Release the model's memory."""
        if self._context:
            llama_cpp.llama_free(self._context)
        if self._model:
            llama_cpp.llama_model_free(self._model)
        self._context = self._model = None

    def _decode(self, tokens: Sequence[int], cancellation: Cancellation) -> None:
        """Run the model over tokens at the end of what it holds; the last one's logits are kept."""
        batch = llama_cpp.llama_batch_init(len(tokens), 0, 1)
        try:
            batch.n_tokens = len(tokens)
            for i, token in enumerate(tokens):
                batch.token[i], batch.pos[i] = token, len(self._held) + i
                batch.n_seq_id[i], batch.seq_id[i][0] = 1, _SEQUENCE
                batch.logits[i] = int(i == len(tokens) - 1)
            llama_cpp.llama_set_abort_callback(self._context, _STOP_IF_CANCELLED, ctypes.c_void_p(cancellation.address))
            code = _ABORTED if cancellation.is_cancelled else llama_cpp.llama_decode(self._context, batch)
        finally:
            llama_cpp.llama_batch_free(batch)
        if code:
            self._forget_from(len(self._held))  # what was read of this batch is of no known length
            raise Cancelled() if code == _ABORTED else GenerationError(f"llama.cpp could not compute (code {code}).")
        self._held += tokens

    def _forget_from(self, position: int) -> None:
        llama_cpp.llama_memory_seq_rm(self._memory, _SEQUENCE, position, -1)
        del self._held[position:]

    def _tokenize(self, part: PromptPart) -> list[int]:
        """Only the template's own text may become control tokens; documents and questions never."""
        data = part.text.encode()
        out = (llama_cpp.llama_token * (len(data) + 8))()
        control = part.kind == "template"
        count = llama_cpp.llama_tokenize(self._vocabulary, data, len(data), out, len(out), False, control)
        return list(out[:count])

    def _first_token(self, text: str) -> int:
        return self._tokenize(PromptPart("question", text))[0]

    def _token_bytes(self, token: int, *, control: bool = False) -> bytes:
        piece = ctypes.create_string_buffer(256)
        length = llama_cpp.llama_token_to_piece(self._vocabulary, token, piece, len(piece), 0, control)
        return piece.raw[: max(length, 0)]

    def _token_text(self, token: int) -> str:
        return self._token_bytes(token, control=True).decode("utf-8", "replace") if token >= 0 else ""

    def _edge_tokens(self) -> tuple[int, int]:
        return llama_cpp.llama_vocab_bos(self._vocabulary), llama_cpp.llama_vocab_eos(self._vocabulary)

    def _logits(self) -> NDArray[np.float32]:
        pointer = llama_cpp.llama_get_logits_ith(self._context, -1)
        return np.ctypeslib.as_array(pointer, shape=(self._vocabulary_size,))

    def _likeliest(self, log_probabilities: NDArray[np.float32], count: int) -> tuple[tuple[str, float], ...]:
        if not count:
            return ()
        best = np.argpartition(log_probabilities, -count)[-count:]
        best = best[np.argsort(-log_probabilities[best])]
        return tuple((self._token_text(int(token)), float(log_probabilities[token])) for token in best)


def _model_parameters() -> Any:  # noqa: ANN401 - a ctypes structure of the binding
    parameters = llama_cpp.llama_model_default_params()
    # Repacked and AMX buffers off: measured on two cores they read 10 to 20 % slower and load twice as long, and code that
    # GCC 12 makes for AMX crashes on processors that have it.
    parameters.use_extra_bufts = False
    return parameters


def _stop_if_cancelled() -> Any:  # noqa: ANN401 - a ctypes function pointer
    c_library = ctypes.cdll.msvcrt if sys.platform == "win32" else ctypes.CDLL(None)
    return ctypes.cast(c_library.strlen, llama_cpp.ggml_abort_callback)


_STOP_IF_CANCELLED = _stop_if_cancelled()


def _require_gguf(path: Path) -> None:
    try:
        with path.open("rb") as stream:
            magic = stream.read(len(_GGUF_MAGIC))
    except OSError as error:
        raise WeightsError(f"The model file {path} cannot be read: {error.strerror or error}.", "Give another path.") from error
    if magic != _GGUF_MAGIC:
        raise WeightsError(f"{path} is not a GGUF file.", "Give the path of a model in GGUF form.")


def _common_start(first: Sequence[int], second: Sequence[int]) -> int:
    for i, (a, b) in enumerate(zip(first, second, strict=False)):
        if a != b:
            return i
    return min(len(first), len(second))


def _log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    shifted = logits - logits.max()
    return np.asarray(shifted - np.log(np.exp(shifted).sum()), np.float32)


def _choose(log_probabilities: NDArray[np.float32], temperature: float, random: np.random.Generator) -> int:
    if temperature <= 0:
        return int(log_probabilities.argmax())
    weights = np.exp(_log_softmax(log_probabilities / temperature))
    return int(random.choice(len(weights), p=weights / weights.sum()))
