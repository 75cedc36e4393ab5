"""Texts to vectors, with sentence-transformers: one vector for the whole text, and one for each of its tokens.

Both come out of the same pass through the model: the vector of a text is the mean of its token vectors, and the token
vectors themselves serve late interaction (ColBERT, arXiv 2004.12832).
"""

import hashlib
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fieldguide.errors import WeightsError
from fieldguide.retrieval.question_adapter import QuestionAdapter, load_pairs
from fieldguide.types import FloatMatrix, FloatVector

_BATCH = 32


@dataclass(frozen=True, slots=True)
class Embedding:
    """A text in numbers: `vector` (d,) and `token_vectors` (tokens, d), all of length 1."""

    vector: FloatVector
    token_vectors: FloatMatrix


class Embedder(Protocol):
    """What turns texts into vectors."""

    @property
    def identity(self) -> str:
        """Changes when `embed` would give the same text another vector."""

    @property
    def dimension(self) -> int:
        """How many numbers a vector has."""

    @property
    def max_tokens(self) -> int:
        """Tokens beyond this are ignored by the model."""

    @property
    def whole_words(self) -> Mapping[str, Mapping[str, int]]:
        """Words in small letters that are one token each, with its id, by first letter; none where that cannot be told."""

    def count_tokens(self, text: str) -> int:
        """How many tokens the text has, with the model's own start and end tokens."""

    def token_ids(self, text: str) -> list[int]:
        """The tokens of the text that `embed` gives vectors for, in their order."""

    def token_spans(self, text: str) -> list[tuple[int, int]]:
        """Where those tokens stand in the text, from and to."""

    def embed(self, texts: Sequence[str]) -> list[Embedding]:
        """Embed texts in order."""

    def embed_question(self, question: str) -> Embedding:
        """Embed what is searched for: where questions were learnt, nearer to what answers it than `embed` would put it."""


class SentenceTransformerEmbedder:
    """A sentence-transformers model from a local folder, on the CPU. Threads take turns, a batch each."""

    def __init__(self, folder: Path, threads: int) -> None:
        import torch  # heavy (seconds): only when a model is loaded
        import transformers
        from sentence_transformers import SentenceTransformer
        from threadpoolctl import threadpool_limits

        torch.set_num_threads(threads)
        # NumPy's threads spin for a while after each product, and hold up torch's: the slowest searches took twice as long.
        threadpool_limits(1, user_api="blas")
        transformers.utils.logging.disable_progress_bar()
        try:
            self._model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
        except Exception as error:  # the library raises whatever its file readers raise
            raise WeightsError(
                f"The embedder in {folder} cannot be loaded: {error}.",
                "Check it with: fieldguide models verify embedder",
            ) from error
        self._folder = folder
        self._lock = threading.Lock()
        tokenizer: Any = self._model.tokenizer
        self._special_ids = frozenset(tokenizer.all_special_ids)
        # A copy: the model's own is set to cut at each use, and counting must not be cut.
        self._tokenizer = type(tokenizer.backend_tokenizer).from_str(tokenizer.backend_tokenizer.to_str())
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        learnt = load_pairs(self.identity).items()
        self._question_adapter = QuestionAdapter(
            self._model, {name: (torch.from_numpy(down), torch.from_numpy(up)) for name, (down, up) in learnt}
        )

    @cached_property
    def identity(self) -> str:
        """SHA-256 over the weights and the files that decide how they are used."""
        digest = hashlib.sha256()
        for path in sorted(p for p in self._folder.rglob("*") if p.suffix in {".safetensors", ".json", ".txt"}):
            with path.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
        return digest.hexdigest()

    @property
    def dimension(self) -> int:
        """How many numbers a vector has."""
        return int(self._model.get_embedding_dimension())

    @property
    def max_tokens(self) -> int:
        """Tokens beyond this are ignored by the model."""
        return int(self._model.max_seq_length)

    @cached_property
    def whole_words(self) -> Mapping[str, Mapping[str, int]]:
        """Words in small letters that are one token each, with its id, by first letter; none where that cannot be told."""
        if not getattr(self._tokenizer.model, "continuing_subword_prefix", None):  # WordPiece marks what continues a word
            return {}
        by_letter: dict[str, dict[str, int]] = {}
        for word, i in self._tokenizer.get_vocab().items():
            if word.isalpha() and word.islower():
                by_letter.setdefault(word[0], {})[word] = i
        return by_letter

    def count_tokens(self, text: str) -> int:
        """How many tokens the text has, with the model's own start and end tokens."""
        return len(self._tokenizer.encode(text).ids)

    def token_ids(self, text: str) -> list[int]:
        """The tokens of the text that `embed` gives vectors for, in their order."""
        return [i for i, _ in self._tokens(text)]

    def token_spans(self, text: str) -> list[tuple[int, int]]:
        """Where those tokens stand in the text, from and to."""
        return [span for _, span in self._tokens(text)]

    def _tokens(self, text: str) -> list[tuple[int, tuple[int, int]]]:
        room = self.max_tokens - 2  # start and end
        encoded = self._tokenizer.encode(text, add_special_tokens=False)
        tokens = zip(encoded.ids, encoded.offsets, strict=True)
        return [(i, span) for i, span in tokens if i not in self._special_ids][:room]

    def embed(self, texts: Sequence[str]) -> list[Embedding]:
        """Embed texts in order.

        Texts of like length go together, so that little is computed for padding.
        """
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]), reverse=True)
        results: list[Embedding | None] = [None] * len(texts)
        for start in range(0, len(order), _BATCH):
            batch = order[start : start + _BATCH]
            with self._lock:
                features = self._encode([texts[i] for i in batch])
            for i, feature in zip(batch, features, strict=True):
                results[i] = self._embedding(feature)
        return [result for result in results if result is not None]

    def embed_question(self, question: str) -> Embedding:
        """Embed what is searched for, with what was learnt for questions."""
        with self._lock, self._question_adapter.on():
            (feature,) = self._encode([question])
        return self._embedding(feature)

    def _encode(self, batch: list[str]) -> list[dict[str, Any]]:
        features: list[dict[str, Any]] = self._model.encode(
            batch, output_value=None, batch_size=_BATCH, show_progress_bar=False
        )
        return features

    def _embedding(self, feature: dict[str, Any]) -> Embedding:
        ids = feature["input_ids"].numpy()
        # Start, end and padding tokens carry no word of the text.
        words = feature["attention_mask"].numpy().astype(bool) & ~np.isin(ids, list(self._special_ids))
        tokens = feature["token_embeddings"].numpy()[words]
        return Embedding(_unit(feature["sentence_embedding"].numpy()), _unit(tokens))


def _unit(vectors: FloatMatrix) -> FloatMatrix:
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-9), np.float32)
