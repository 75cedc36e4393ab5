"""A guide cut by counting words, and three questions that are searched for among its pieces.

Where the small model is not there, only the words are looked at: whether one piece holds all that a question needs.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from fieldguide.errors import Cancelled
from fieldguide.generation.model import Cancellation
from fieldguide.retrieval.embedder import Embedding
from fieldguide.retrieval.search import Searcher
from fieldguide.types import Chunk, Document

GUIDE = "generative-model-families.md"
_BATCH = 32  # pieces embedded between two looks at whether to stop
Cuts = Sequence[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Fact:
    """A question, and the words that must stand in one passage for it to be answered."""

    question: str
    needs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a question: pieces that hold all it needs, and the ranking of a search, where there was one.

    Both name pieces by their number, from 0.
    """

    fact: Fact
    whole: tuple[int, ...]
    ranking: tuple[int, ...] | None = None

    def place(self) -> int | None:
        """The place of the best piece that holds it all, from 1; None where there is none, or no search."""
        ranking = self.ranking or ()
        return next((place for place, number in enumerate(ranking, 1) if number in self.whole), None)

    def fails(self, read: int) -> bool:
        """Whether none of the passages that would be read holds all that the question needs."""
        return not self.whole if self.ranking is None else (self.place() or read + 1) > read


FACTS = (
    Fact("Who introduced GANs, and when?", ("adversarial networks (GANs) were introduced", "2014", "Goodfellow")),
    Fact("What does the discriminator of a GAN do?", ("generative adversarial network (GAN)", "discriminator", "separate")),
    Fact(
        "Which parts does a VAE pair, and what is between them?",
        ("pairs an encoder", "probability distribution", "decoder of the VAE"),
    ),
)


def cut(text: str, size: int, overlap: int) -> list[tuple[int, int]]:
    """Passages of `size` words, each beginning `overlap` words before the last one ended; from and to, in characters."""
    words = [match.span() for match in re.finditer(r"\S+", text)]
    step = max(1, size - min(overlap, size // 2))
    cuts = []
    for first in range(0, len(words), step):
        last = min(first + size, len(words)) - 1
        cuts.append((words[first][0], words[last][1]))
        if last == len(words) - 1:
            break
    return cuts


def looked_at(text: str, cuts: Cuts) -> list[Outcome]:
    """Each question with the pieces that hold all it needs; nothing is searched."""
    pieces = [" ".join(text[start:end].split()) for start, end in cuts]
    return [
        Outcome(fact, tuple(n for n, piece in enumerate(pieces) if all(need in piece for need in fact.needs))) for fact in FACTS
    ]


def searched(searcher: Searcher, document: Document, cuts: Cuts, cancellation: Cancellation) -> Iterator[int | list[Outcome]]:
    """Embed the pieces, yielding how many are done, and rank them for each question; raises Cancelled."""
    pieces = [
        Chunk(str(number), document.name, document.title, (), document.text[start:end], start, end)
        for number, (start, end) in enumerate(cuts)
    ]
    embedded: list[Embedding] = []
    while len(embedded) < len(pieces):
        if cancellation.is_cancelled:
            raise Cancelled()
        batch = pieces[len(embedded) : len(embedded) + _BATCH]
        embedded += searcher.embedder.embed([piece.embedded_text for piece in batch])
        yield len(embedded)
    outcomes = []
    for outcome in looked_at(document.text, cuts):
        hits = searcher.rank(outcome.fact.question, pieces, embedded).hits
        outcomes.append(replace(outcome, ranking=tuple(int(hit.chunk.id) for hit in hits)))
    yield outcomes
