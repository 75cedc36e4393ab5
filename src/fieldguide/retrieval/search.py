"""From a question to ranked passages.

Two searches, by meaning and by keywords, are fused by reciprocal rank (Cormack et al. 2009). The best of the fused list are
re-ranked by late interaction: for each word of the question its best match among the words of the passage, averaged, where
rare words count for more than common ones. A little of the passage's nearness as a whole is added.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from fieldguide.retrieval.embedder import Embedder, Embedding
from fieldguide.retrieval.passage_store import PassageStore, inverse_frequency
from fieldguide.retrieval.projection import reduce
from fieldguide.retrieval.spelling import corrected
from fieldguide.retrieval.vector_store import VectorStore
from fieldguide.sentences import split_sentences
from fieldguide.types import Chunk, FloatMatrix, FloatVector, Hit, Quote, SearchResult

RANKING_VERSION = 5  # raise it when a question would find otherwise in the same index: it tells evaluation runs apart
CANDIDATES = 60
SCORES_KEPT_UP_TO = 5000  # passages; beyond that a score for every passage would swell the trace
_QUOTED_HITS = 8  # best hits whose sentences are looked at
QUOTES = 6
_QUOTED_FROM_SCORE = 0.4  # of the answerable dev questions, one in twenty has no sentence that fits as well
_FUSION_CONSTANT = 60
WHOLE_PASSAGE_SHARE = 0.2  # measured on the dev questions: docs/evaluation.md


class Search(Protocol):
    """What finds passages: in one collection, or in several."""

    def corrected(self, question: str) -> str:
        """The question with its misspelt words as the passages spell them."""

    def search(self, question: str, limit: int) -> SearchResult:
        """The best passages for the question."""

    def rank(self, question: str, chunks: Sequence[Chunk]) -> SearchResult:
        """Given passages as hits, ranked as a search would rank them."""


SearchIn = Callable[[tuple[str, ...]], Search]  # over the collections of these names; over all where none is named


@dataclass(frozen=True, slots=True)
class Searcher:
    """A question to hits, over one opened index."""

    embedder: Embedder
    vector_store: VectorStore
    passage_store: PassageStore

    def corrected(self, question: str) -> str:
        """The question with its misspelt words as the passages spell them."""
        return corrected(question, self.embedder, [self.passage_store])

    def search(self, question: str, limit: int, weighed: "Weighed | None" = None) -> SearchResult:
        """The `limit` best passages for the question, and the similarity of all passages where there are few enough.

        Where other collections are searched for the same question, `weighed` has its words weighed for all of them.
        """
        asked = self.asked(question, weighed)
        found = self.rankings(question, asked)
        best = found.best[:limit]
        chunks = {chunk.id: chunk for chunk in self.passage_store.chunks(best)}
        best = [i for i in best if i in chunks]  # a document may be taken out while its passages are ranked
        hits = tuple(
            Hit(chunks[i], rank, found.scores[i], _rank(found.meaning, i), _rank(found.keywords, i), found.fused.index(i) + 1)
            for rank, i in enumerate(best, 1)
        )
        kept = found.similarities if found.count <= SCORES_KEPT_UP_TO else {}
        quotes = self._quotes(asked, hits, found.token_vectors)
        return SearchResult(hits, {i: round(score, 4) for i, score in kept.items()}, quotes)

    def rankings(self, question: str, asked: "Asked") -> "Rankings":
        """Both searches, what fusion makes of them, and the scores that re-ranking gives."""
        count = self.vector_store.count()
        wanted = count if count <= SCORES_KEPT_UP_TO else CANDIDATES
        nearest = self.vector_store.nearest(asked.vector, wanted)
        by_meaning = [i for i, _ in nearest[:CANDIDATES]]
        by_keywords = self.passage_store.by_keywords(question, CANDIDATES)
        fused = fuse([by_meaning, by_keywords])[:CANDIDATES]

        vectors = self.passage_store.token_vectors(fused)
        similarities = dict(nearest)
        whole = similarities | self._similarities(asked.vector, [i for i in fused if i not in similarities])
        scores = {i: combined(asked.likeness(vectors[i]), whole[i]) for i in fused if i in vectors and i in whole}
        return Rankings(by_meaning, by_keywords, fused, scores, similarities, vectors, count)

    def rank(self, question: str, chunks: Sequence[Chunk], known: Sequence[Embedding] | None = None) -> SearchResult:
        """Given passages as hits, ranked as a search would rank them; nothing is looked up, nor embedded where it is known."""
        asked = self.asked(question)
        embedded = self.embedder.embed([chunk.embedded_text for chunk in chunks]) if known is None else known
        similarities = {c.id: float(asked.vector @ e.vector) for c, e in zip(chunks, embedded, strict=True)}
        directions = self.passage_store.directions
        vectors = {c.id: reduce(e.token_vectors, directions) for c, e in zip(chunks, embedded, strict=True)}
        scores = {i: combined(asked.likeness(vectors[i]), similarities[i]) for i in vectors}
        by_meaning = sorted(similarities, key=lambda i: -similarities[i])
        best = sorted(chunks, key=lambda chunk: -scores[chunk.id])
        hits = tuple(
            Hit(chunk, rank, scores[chunk.id], by_meaning.index(chunk.id) + 1, None, by_meaning.index(chunk.id) + 1)
            for rank, chunk in enumerate(best, 1)
        )
        quotes = self._quotes(asked, hits, vectors)
        return SearchResult(hits, {i: round(score, 4) for i, score in similarities.items()}, quotes)

    def asked(self, question: str, weighed: "Weighed | None" = None) -> "Asked":
        """The question in the numbers that passages are compared by."""
        weighed = weighed or weigh(question, self.embedder, [self.passage_store])
        embedding = weighed.embedding
        return Asked(embedding.vector, reduce(embedding.token_vectors, self.passage_store.directions), weighed.rarity)

    def reduced(self, text: str) -> FloatMatrix:
        """The vectors of a text's tokens along the library's directions."""
        return reduce(self.embedder.embed([text])[0].token_vectors, self.passage_store.directions)

    def _similarities(self, vector: FloatVector, ids: Sequence[str]) -> dict[str, float]:
        """Cosine of passages that the search by meaning did not bring."""
        return {i: float(vector @ found) for i, found in self.vector_store.vectors(ids).items()} if ids else {}

    def _quotes(self, asked: "Asked", hits: Sequence[Hit], vectors: Mapping[str, FloatMatrix]) -> tuple[Quote, ...]:
        """The sentences of the best hits that fit the question best, by the tokens that stand in them."""
        quotes = []
        for hit in hits[:_QUOTED_HITS]:
            chunk, matches = hit.chunk, asked.tokens @ vectors[hit.chunk.id].T
            spans = self.embedder.token_spans(chunk.embedded_text)[: matches.shape[1]]
            embedded_from, passage_from = (len(text) - len(chunk.text) for text in (chunk.embedded_text, chunk.passage))
            for sentence in split_sentences(chunk.text):
                start, end = embedded_from + sentence.start, embedded_from + sentence.end
                inside = [n for n, (a, b) in enumerate(spans) if a >= start and b <= end]
                score = round(weighted_best(matches[:, inside], asked.rarity), 4)
                quotes.append(Quote(sentence.text, chunk, passage_from + sentence.start, passage_from + sentence.end, score))
        fitting = [quote for quote in quotes if quote.score >= _QUOTED_FROM_SCORE]
        return tuple(sorted(fitting, key=lambda quote: -quote.score)[:QUOTES])


@dataclass(frozen=True, slots=True)
class Weighed:
    """A question as the embedder has it, and how rare each of its tokens is (q,) in all that is searched."""

    embedding: Embedding
    rarity: FloatVector


def weigh(question: str, embedder: Embedder, stores: Sequence[PassageStore]) -> Weighed:
    """Weigh the words of a question over several collections as if they were one: only then do their scores compare."""
    embedding, ids = embedder.embed_question(question), embedder.token_ids(question)
    frequency = np.sum([store.frequency(ids) for store in stores], axis=0)
    rarity = inverse_frequency(frequency, sum(store.count() for store in stores))
    return Weighed(embedding, rarity[: len(embedding.token_vectors)])


@dataclass(frozen=True, slots=True)
class Asked:
    """The question in numbers: vector (d,), tokens along the library's directions (q, r), and how rare each is (q,)."""

    vector: FloatVector
    tokens: FloatMatrix
    rarity: FloatVector

    def likeness(self, token_vectors: FloatMatrix) -> float:
        """How well these tokens (p, r) match the question's."""
        return late_interaction(self.tokens, token_vectors, self.rarity)


@dataclass(frozen=True, slots=True)
class Rankings:
    """A search at work: passage ids by each ranking, best first, and the numbers behind them."""

    meaning: Sequence[str]
    keywords: Sequence[str]
    fused: Sequence[str]
    scores: Mapping[str, float]  # after re-ranking
    similarities: dict[str, float]  # cosines; of all passages where there are few enough
    token_vectors: Mapping[str, FloatMatrix]
    count: int  # passages that were searched

    @property
    def best(self) -> list[str]:
        """Ids by their scores after re-ranking."""
        return sorted(self.scores, key=lambda i: -self.scores[i])


def combined(words: float, whole: float) -> float:
    """One score from the match of the words and the nearness of the passage as a whole, at most 1."""
    return (words + WHOLE_PASSAGE_SHARE * whole) / (1 + WHOLE_PASSAGE_SHARE)


def fuse(rankings: Sequence[Sequence[str]]) -> list[str]:
    """Merge rankings: an id's score is the sum of 1 / (60 + rank) over the rankings that have it."""
    scores: dict[str, float] = {}
    for ranking in rankings:
        for rank, i in enumerate(ranking, 1):
            scores[i] = scores.get(i, 0.0) + 1.0 / (_FUSION_CONSTANT + rank)
    return sorted(scores, key=lambda i: (-scores[i], i))


def late_interaction(question: FloatMatrix, passage: FloatMatrix, weights: FloatVector) -> float:
    """Weighted mean over question tokens of the best cosine with a passage token.

    question (q, d) and passage (p, d) of unit length; weights (q,), above 0.
    """
    return weighted_best(question @ passage.T, weights)


def weighted_best(matches: FloatMatrix, weights: FloatVector) -> float:
    """The mean of the best match in each row of (q, p), by weights (q,); 0 where there is nothing to match."""
    return float(matches.max(axis=1) @ weights / weights.sum()) if matches.size else 0.0


def _rank(ranking: Sequence[str], wanted: str) -> int | None:
    return ranking.index(wanted) + 1 if wanted in ranking else None
