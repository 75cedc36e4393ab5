"""Stand-ins at our own Protocols. They depend on their input: nearness can be counted by hand, prompts are kept."""

import math
import re
import time
import zlib
from collections.abc import Iterator, Sequence

import numpy as np

from fieldguide.errors import Cancelled
from fieldguide.generation.model import Cancellation, Message, PromptPart, ReadProgress, WritingOptions, WrittenToken
from fieldguide.retrieval.embedder import Embedding


class WordCountEmbedder:
    """A text is the count of its words: each word has an axis of its own (by checksum), so shared words mean nearness."""

    def __init__(self, dimension: int = 64, max_tokens: int = 256) -> None:
        self.identity = f"word-count-{dimension}"
        self.dimension = dimension
        self.max_tokens = max_tokens
        self.embedded: list[str] = []
        self.whole_words: dict[str, dict[str, int]] = {}

    def count_tokens(self, text: str) -> int:
        return len(re.findall(r"\w+|[^\w\s]", text))

    def token_ids(self, text: str) -> list[int]:
        return [zlib.crc32(word.encode()) for word in re.findall(r"\w+", text.lower()) or [""]]

    def token_spans(self, text: str) -> list[tuple[int, int]]:
        return [match.span() for match in re.finditer(r"\w+", text)] or [(0, 0)]

    def embed(self, texts: Sequence[str]) -> list[Embedding]:
        self.embedded += texts
        return [self._embed(text) for text in texts]

    def embed_question(self, question: str) -> Embedding:
        return self.embed([question])[0]

    def _embed(self, text: str) -> Embedding:
        words = re.findall(r"\w+", text.lower()) or [""]
        tokens = np.zeros((len(words), self.dimension), np.float32)
        for row, word in enumerate(words):
            tokens[row, zlib.crc32(word.encode()) % self.dimension] = 1.0
        total = tokens.sum(axis=0)
        return Embedding((total / np.linalg.norm(total)).astype(np.float32), tokens)


class ScriptedModel:
    """Says the replies it was given, in turn, word by word; keeps every prompt it was shown.

    It leans to refuse (log-probability -0.01) when no content word of the question stands in any passage, else hardly
    (-5): so refusals depend on what was retrieved. Of a reply with "perhaps" in it, it is unsure.
    """

    name = fingerprint = "scripted"

    def __init__(self, replies: Sequence[str] = (), *, context_length: int = 4096, steps: int = 2) -> None:
        self.context_length = context_length
        self.prompts: list[list[PromptPart]] = []
        self.closed = False
        self.warmed: list[str] = []
        self._replies = list(replies)
        self._steps = steps
        self._forbidden: list[str] = []

    def render(self, messages: Sequence[Message]) -> list[PromptPart]:
        parts = []
        for message in messages:
            parts += [PromptPart("template", f"<{message.role}>"), *message.parts]
        return [*parts, PromptPart("template", "<assistant>")]

    def count_tokens(self, parts: Sequence[PromptPart]) -> list[int]:
        return [len(part.text.split()) for part in parts]

    def read(self, prompt: Sequence[PromptPart], cancellation: Cancellation) -> Iterator[ReadProgress]:
        self.prompts.append(list(prompt))
        total = sum(self.count_tokens(prompt))
        for step in range(self._steps + 1):
            if cancellation.is_cancelled:
                raise Cancelled()
            yield ReadProgress(total * step // self._steps, total, 0)

    def cached(self, prompt: Sequence[PromptPart]) -> list[bool]:
        return [part.text in self.warmed for part in prompt if part.kind == "passage"]

    def warm(self, prompt: Sequence[PromptPart], cancellation: Cancellation) -> None:
        for part in prompt:
            if part.kind == "passage":
                if cancellation.is_cancelled:
                    raise Cancelled()
                self.warmed.append(part.text)

    def log_probability(self, text: str) -> float:
        prompt = self.prompts[-1]
        asked = {w for part in prompt if part.kind == "question" for w in re.findall(r"[a-z]{4,}", part.text.lower())}
        given = {w for part in prompt if part.kind == "passage" for w in re.findall(r"[a-z]{4,}", part.text.lower())}
        return -5.0 if (asked - {"question", "what", "when"}) & given else -0.01

    def log_probability_of(self, text: str, cancellation: Cancellation) -> float:
        """-0.1 for a word that stands in a passage of the prompt, -3 for any other."""
        given = {w for part in self.prompts[-1] if part.kind == "passage" for w in re.findall(r"\w+", part.text.lower())}
        return sum(-0.1 if word in given else -3.0 for word in re.findall(r"\w+", text.lower()))

    def values(self) -> None:
        return None

    def write(self, options: WritingOptions, cancellation: Cancellation) -> Iterator[WrittenToken]:
        reply = self._replies.pop(0) if self._replies else "The hive holds bees."
        for word in re.findall(r"\S+\s*", reply)[: options.max_tokens]:
            if cancellation.is_cancelled:
                raise Cancelled()
            yield WrittenToken(word, math.log(0.5 if "perhaps" in reply.lower() else 0.95))

    def close(self) -> None:
        self.closed = True


class SlowModel(ScriptedModel):
    """Takes its time with every word, until it is stopped."""

    def write(self, options: WritingOptions, cancellation: Cancellation) -> Iterator[WrittenToken]:
        for token in super().write(options, cancellation):
            time.sleep(0.25)
            yield token
