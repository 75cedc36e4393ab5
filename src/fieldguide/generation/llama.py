"""A GGUF model in this process, through llama.cpp's C interface (llama-cpp-python's low-level bindings).

The high-level `Llama` class cannot tell documents from control tokens, cannot be stopped while it reads, and hides the
memory that a passage cache needs; the calls here and in `llama_context` are few.
"""

import codecs
import ctypes
import hashlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import takewhile
from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
from numpy.typing import NDArray

from fieldguide.errors import NEEDS_MEMORY, GenerationError, WeightsError
from fieldguide.generation import chat_template
from fieldguide.generation.adapter import load_adapter
from fieldguide.generation.llama_context import CELLS, READ_AT_ONCE, LlamaContext
from fieldguide.generation.model import Cancellation, Message, PartKind, PromptPart, ReadProgress, WritingOptions, WrittenToken
from fieldguide.generation.passage_cache import PassageCache
from fieldguide.generation.reading import PromptReader, TokenizedPrompt
from fieldguide.memory import is_short_of_memory
from fieldguide.types import FloatMatrix

_GGUF_MAGIC = b"GGUF"
_PARTS_REMEMBERED = 1000
_FINGERPRINT_BYTES = 4 * 1024 * 1024


@llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
def _discard_log(level: int, text: bytes, data: object) -> None:
    """llama.cpp writes pages to the terminal otherwise; failures come back as return codes."""


class LlamaModel:
    """One GGUF file, loaded. Use it from one thread at a time.

    With a `cache`, passages are read once and put together later; `reread` is how many tokens of each are then read again
    in their new place. What was learnt for these weights is used. Raises WeightsError when the file cannot be
    loaded, GenerationError when it has no chat template.
    """

    def __init__(
        self,
        path: Path,
        *,
        context_length: int,
        threads: int,
        cache: PassageCache | None = None,
        reread: int = 0,
    ) -> None:
        _require_gguf(path)
        llama_cpp.llama_log_set(_discard_log, ctypes.c_void_p(0))
        llama_cpp.llama_backend_init()
        self.name = path.stem
        self._context: LlamaContext | None = None
        self._model: Any = llama_cpp.llama_model_load_from_file(str(path).encode(), _model_parameters())
        if not self._model and is_short_of_memory():
            raise GenerationError(f"There is not enough memory to load {path}.", NEEDS_MEMORY)
        if not self._model:
            raise WeightsError(
                f"{path} cannot be loaded: the file is cut short, or its kind of model is not known to llama.cpp.",
                "Check it with: fieldguide models verify",
            )
        self._vocabulary = llama_cpp.llama_model_get_vocab(self._model)
        template = llama_cpp.llama_model_chat_template(self._model, None)
        if not template:
            self.close()
            raise GenerationError(f"{path} has no chat template.", "Choose a model that was trained to chat ('instruct').")
        self._template = template.decode()
        # Each part of a prompt is counted, looked up and read: its tokens are wanted several times.
        self._tokens = lru_cache(_PARTS_REMEMBERED)(self._tokenize_text)
        self.context_length = min(context_length, int(llama_cpp.llama_model_n_ctx_train(self._model)))
        try:
            self.fingerprint = _fingerprint(path)
            self._context = LlamaContext(self._model, length=self.context_length, threads=threads)
        except BaseException:
            self.close()
            raise
        made_by = f"{self.fingerprint} llama-cpp-python {llama_cpp.__version__} {CELLS} {READ_AT_ONCE}"
        adapter = load_adapter(self._model, self.fingerprint)
        self._reader = PromptReader(self._context, cache, made_by, reread=reread, adapter=adapter)

    def render(self, messages: Sequence[Message]) -> list[PromptPart]:
        """The messages in the chat template of the GGUF file, ready for an answer."""
        beginning, end = (self._token_text(token) for token in self._edge_tokens())
        return chat_template.render(self._template, messages, beginning=beginning, end=end)

    def count_tokens(self, parts: Sequence[PromptPart]) -> list[int]:
        """The size of each part in tokens."""
        return [len(self._tokenize(part)) for part in parts]

    def read(self, prompt: Sequence[PromptPart], cancellation: Cancellation) -> Iterator[ReadProgress]:
        """Read the prompt, as far as it was not read before.

        Raises Cancelled, or GenerationError when the prompt is longer than the context.
        """
        tokenized = self._tokenized(prompt)
        length = len(tokenized.all)
        if length >= self.context_length:
            raise GenerationError(
                f"The prompt has {length} tokens, but the context holds {self.context_length}.",
                "Ask a shorter question or set fewer passages.",
            )
        yield from self._reader.read(tokenized, cancellation)

    def cached(self, prompt: Sequence[PromptPart]) -> list[bool]:
        """Which of the prompt's passages need not be read, in its order."""
        return self._reader.cached(self._tokenized(prompt))

    def warm(self, prompt: Sequence[PromptPart], cancellation: Cancellation) -> None:
        """Read and keep the prompt's passages ahead of time, where there is a cache; raises Cancelled."""
        self._reader.warm(self._tokenized(prompt), cancellation)

    def log_probability(self, text: str) -> float:
        """How likely the next token is the first one of `text`, as a natural logarithm; after `read`."""
        return float(_log_softmax(self._logits())[self._first_token(text)])

    def log_probability_of(self, text: str, cancellation: Cancellation) -> float:
        """How likely the model is to write exactly `text` now: the sum over its tokens; after `read`. Raises Cancelled."""
        total = 0.0
        for token in self._tokenize(PromptPart("question", text)):
            total += float(_log_softmax(self._logits())[token])
            self._reader.extend(token, cancellation)
        return total

    def values(self) -> FloatMatrix | None:
        """The attention values (layers, width) of the last token read or written; None where they cannot be had."""
        return self._reader.values()

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
            if llama_cpp.llama_vocab_is_eog(self._vocabulary, token) or len(self._reader.held) + 1 >= self.context_length:
                return
            yield WrittenToken(
                decoder.decode(self._token_bytes(token)),
                float(log_probabilities[token]),
                self._likeliest(log_probabilities, options.alternatives),
            )
            self._reader.extend(token, cancellation)

    def close(self) -> None:
        """Release the model's memory."""
        if self._context:
            self._context.close()
        if self._model:
            llama_cpp.llama_model_free(self._model)
        self._context = self._model = None

    def _tokenized(self, prompt: Sequence[PromptPart]) -> TokenizedPrompt:
        """The prompt with its passages apart; without passages, all before the question counts as the beginning."""
        kinds = [part.kind for part in prompt]
        mark: PartKind = "passage" if "passage" in kinds else "question"
        first = kinds.index(mark) if mark in kinds else 0
        last = first + len(list(takewhile(lambda kind: kind == "passage", kinds[first:])))
        beginning, passages, rest = prompt[:first], prompt[first:last], prompt[last:]
        return TokenizedPrompt(
            [token for part in beginning for token in self._tokenize(part)],
            tuple(self._tokenize(part) for part in passages),
            [token for part in rest for token in self._tokenize(part)],
        )

    def _tokenize(self, part: PromptPart) -> tuple[int, ...]:
        """Only the template's own text may become control tokens; documents and questions never."""
        return self._tokens(part.text, part.kind == "template")

    def _tokenize_text(self, text: str, control: bool) -> tuple[int, ...]:
        data = text.encode()
        out = (llama_cpp.llama_token * (len(data) + 8))()
        count = llama_cpp.llama_tokenize(self._vocabulary, data, len(data), out, len(out), False, control)
        return tuple(out[:count])

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
        assert self._context
        return self._context.logits()

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


def _require_gguf(path: Path) -> None:
    try:
        with path.open("rb") as stream:
            magic = stream.read(len(_GGUF_MAGIC))
    except OSError as error:
        raise WeightsError(f"The model file {path} cannot be read: {error.strerror or error}.", "Give another path.") from error
    if magic != _GGUF_MAGIC:
        raise WeightsError(f"{path} is not a GGUF file.", "Give the path of a model in GGUF form.")


def _fingerprint(path: Path) -> str:
    """Tells weights apart without reading a gigabyte: size, and the first and last megabytes."""
    with path.open("rb") as stream:
        digest = hashlib.sha256(stream.read(_FINGERPRINT_BYTES))
        size = stream.seek(0, 2)
        stream.seek(max(0, size - _FINGERPRINT_BYTES))
        digest.update(stream.read())
    return f"{digest.hexdigest()[:24]} {size}"


def _log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    shifted = logits - logits.max()
    return np.asarray(shifted - np.log(np.exp(shifted).sum()), np.float32)


def _choose(log_probabilities: NDArray[np.float32], temperature: float, random: np.random.Generator) -> int:
    if temperature <= 0:
        return int(log_probabilities.argmax())
    weights = np.exp(_log_softmax(log_probabilities / temperature))
    return int(random.choice(len(weights), p=weights / weights.sum()))
