"""Bring a prompt into the model's memory, reading as little as possible anew.

The rules and examples stay in memory from question to question. Each passage is read once, right behind them and blind to
other passages; its keys and values are kept (`PassageCache`) and moved to wherever a later prompt wants them. Sources: TurboRAG
(arXiv 2410.07590); for reading the first tokens of each passage again in their new place, EPIC (arXiv 2410.15332).

A passage that is not kept yet is read in the same way, so an answer does not depend on what happens to be kept.

What comes behind the passages is read with the adapter that was learnt for it, where there is one; all else is read without.
"""

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, TypeVar

from fieldguide.generation.adapter import Adapter
from fieldguide.generation.llama_context import READ_AT_ONCE, LlamaContext
from fieldguide.generation.model import Cancellation, ReadProgress
from fieldguide.generation.passage_cache import PassageCache
from fieldguide.types import FloatMatrix

_ANSWER, _SCRATCH = 0, 1  # sequences
_WORTH_KEEPING = 64  # tokens; a shorter beginning is read as fast as it is fetched

Tokens = Sequence[int]
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class TokenizedPrompt:
    """A prompt as tokens: what stands before the passages, each passage, and what stands behind them."""

    beginning: Tokens
    passages: tuple[Tokens, ...]
    rest: Tokens

    @property
    def all(self) -> list[int]:
        """The tokens in their order."""
        return [*self.beginning, *(token for passage in self.passages for token in passage), *self.rest]


class PromptReader:
    """Holds one prompt at a time in a context's memory. Without a cache, or where a model's memory cannot be moved, prompts
    are read from front to back, but for the stretch that they share with the one before.
    """

    def __init__(
        self,
        context: LlamaContext,
        cache: PassageCache | None,
        made_by: str,
        *,
        reread: int = 0,
        adapter: Adapter | None = None,
    ) -> None:
        self._context = context
        self._adapter = adapter
        self._adapted_from: int | None = None  # the position from which on what is held was read with the adapter
        self._cache = cache if context.can_move else None
        self._made_by = made_by
        self._reread = reread
        self.held: list[int] = []  # the tokens whose keys and values the answer's sequence has, from position 0

    def cached(self, prompt: TokenizedPrompt) -> list[bool]:
        """Which passages would not have to be read."""
        return [self._cache is not None and self._key(prompt, passage) in self._cache for passage in prompt.passages]

    def read(self, prompt: TokenizedPrompt, cancellation: Cancellation) -> Iterator[ReadProgress]:
        """Make the memory hold the prompt; progress counts tokens. Raises Cancelled."""
        self._start_anew()
        tokens = prompt.all
        before_rest = tokens[: len(tokens) - len(prompt.rest)]
        if self._cache is None or not prompt.rest:
            # The last token is always read anew: what to write next is known only right after it.
            shared = min(_common_start(self.held, tokens), len(tokens) - 1)
            self.forget_from(shared)
            yield (progress := ReadProgress(shared, len(tokens), shared))
            progress = yield from self._read_on(before_rest, progress, cancellation)
            self._adapt(prompt)
            yield from self._read_on(tokens, progress, cancellation)
            return
        self._fetch_beginning(prompt.beginning)
        states = _side_by_side(self._cache.get, [self._key(prompt, passage) for passage in prompt.passages])
        known = tuple(state is not None for state in states)
        there = len(self.held) + sum(len(p) for p, is_known in zip(prompt.passages, known, strict=True) if is_known)
        yield (progress := ReadProgress(there, len(tokens), there, known))
        progress = yield from self._read_on(prompt.beginning, progress, cancellation)
        self._keep_beginning(prompt.beginning)
        for i, passage in enumerate(prompt.passages):
            if states[i] is None:
                progress = yield from self._read_apart(prompt, passage, progress, cancellation)
                states[i] = self._take_scratch(prompt, passage)
        distances = accumulate((len(passage) for passage in prompt.passages), initial=0)
        moved = _side_by_side(self._context.moved, [state or b"" for state in states], distances)
        for number, (passage, state) in enumerate(zip(prompt.passages, moved, strict=True)):
            self._place(passage, state, self._reread if number else 0, cancellation)
        self._adapt(prompt)
        yield from self._read_on(tokens, progress, cancellation)

    def warm(self, prompt: TokenizedPrompt, cancellation: Cancellation) -> None:
        """Read and keep the passages of the prompt that are not kept yet. Raises Cancelled; whole passages stay kept."""
        if self._cache is None:
            return
        self._start_anew()
        for passage, is_kept in zip(prompt.passages, self.cached(prompt), strict=True):
            if is_kept:
                continue
            self._fetch_beginning(prompt.beginning)
            for _ in self._read_on(prompt.beginning, ReadProgress(0, 0, 0), cancellation):
                pass
            self._keep_beginning(prompt.beginning)
            for _ in self._read_apart(prompt, passage, ReadProgress(0, 0, 0), cancellation):
                pass
            self._take_scratch(prompt, passage)

    def extend(self, token: int, cancellation: Cancellation) -> None:
        """Read one more token behind what is held."""
        self._context.decode([token], len(self.held), _ANSWER, cancellation)
        self.held.append(token)

    def values(self) -> FloatMatrix | None:
        """The attention values (layers, width) of the last token that is held, where they can be had."""
        return self._context.values(_ANSWER, len(self.held) - 1, _SCRATCH) if self.held else None

    def forget_from(self, position: int) -> None:
        """Drop what is held from there on."""
        if not self._context.forget(_ANSWER, position):  # some models can only forget all
            self._context.forget(_ANSWER, -1)
            position = 0
        del self.held[position:]

    def _start_anew(self) -> None:
        """Back to the weights alone; what was read with the adapter is dropped."""
        self._context.forget(_SCRATCH, -1)  # an earlier reading may have been stopped anywhere
        if (position := self._adapted_from) is not None:
            self._adapted_from = None
            self._context.adapt(None)
            self.forget_from(min(position, len(self.held)))

    def _adapt(self, prompt: TokenizedPrompt) -> None:
        """Read what follows with the adapter, if it was learnt for such prompts."""
        if self._adapter and prompt.passages and self._adapter.fits(prompt.beginning):
            self._adapted_from = len(self.held)
            self._context.adapt(self._adapter.pointer)

    def _read_on(
        self, tokens: Tokens, progress: ReadProgress, cancellation: Cancellation
    ) -> Generator[ReadProgress, None, ReadProgress]:
        """Read what comes after that which is held."""
        start = len(self.held)
        for part in self._decode(tokens[start:], start, _ANSWER, cancellation):
            self.held += part
            yield (progress := progress.after(len(part)))
        return progress

    def _decode(self, tokens: Tokens, position: int, sequence: int, cancellation: Cancellation) -> Iterator[Tokens]:
        """Read tokens into a sequence, batch by batch; yields each batch when it is read."""
        for start in range(0, len(tokens), READ_AT_ONCE):
            part = tokens[start : start + READ_AT_ONCE]
            self._context.decode(part, position + start, sequence, cancellation)
            yield part

    def _fetch_beginning(self, beginning: Tokens) -> None:
        """Cut back to the beginning, fetching it from the cache where that saves reading."""
        assert self._cache is not None
        self.forget_from(_common_start(self.held, beginning))
        if len(beginning) - len(self.held) < _WORTH_KEEPING:
            return
        self.forget_from(0)
        state = self._cache.get(PassageCache.key(self._made_by, beginning))
        if state is not None and self._context.restore(_ANSWER, bytearray(state), 0):
            self.held = list(beginning)

    def _keep_beginning(self, beginning: Tokens) -> None:
        assert self._cache is not None
        key = PassageCache.key(self._made_by, beginning)
        if len(beginning) >= _WORTH_KEEPING and key not in self._cache:
            self._cache.put(key, self._context.state(_ANSWER))

    def _read_apart(
        self, prompt: TokenizedPrompt, passage: Tokens, progress: ReadProgress, cancellation: Cancellation
    ) -> Generator[ReadProgress, None, ReadProgress]:
        """Read a passage behind the beginning in a sequence of its own."""
        position = len(prompt.beginning)
        self._context.share(_ANSWER, _SCRATCH, 0, position)
        for part in self._decode(passage, position, _SCRATCH, cancellation):
            yield (progress := progress.after(len(part)))
        return progress

    def _take_scratch(self, prompt: TokenizedPrompt, passage: Tokens) -> bytes:
        """The passage's own keys and values out of the scratch sequence, kept for later."""
        assert self._cache is not None
        self._context.forget(_SCRATCH, 0, len(prompt.beginning))
        state = self._context.state(_SCRATCH)
        self._context.forget(_SCRATCH, -1)
        self._cache.put(self._key(prompt, passage), state)
        return state

    def _place(self, passage: Tokens, state: tuple[bytearray, int], reread: int, cancellation: Cancellation) -> None:
        """Put a passage behind what is held; its first `reread` tokens are read in their new place, seeing what is before."""
        position, reread = len(self.held), min(reread, len(passage))
        if not self._context.restore(_SCRATCH, *state):
            reread = len(passage)  # llama.cpp refuses what it wrote itself: never seen, and never an error
        if reread:
            for part in self._decode(passage[:reread], position, _ANSWER, cancellation):
                self.held += part
            self._context.forget(_SCRATCH, position, position + reread)
        self._context.share(_SCRATCH, _ANSWER)
        self._context.forget(_SCRATCH, -1)
        self.held += passage[reread:]

    def _key(self, prompt: TokenizedPrompt, passage: Tokens) -> str:
        return PassageCache.key(self._made_by, prompt.beginning, passage)


def _side_by_side(work: Callable[..., Result], *of: Iterable[Any]) -> list[Result]:
    """What comes of each, two at a time: reading, hashing and rotating megabytes leave room for other threads."""
    with ThreadPoolExecutor(2) as workers:
        return list(workers.map(work, *of))


def _common_start(first: Tokens, second: Tokens) -> int:
    for i, (a, b) in enumerate(zip(first, second, strict=False)):
        if a != b:
            return i
    return min(len(first), len(second))
