"""From a question to ranked passages.

Two searches, by meaning and by keywords, are fused by reciprocal rank (Cormack et al. 2009); the best of the fused list
are re-ranked by late interaction: for each word of the question its best match among the words of the passage, averaged.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fieldguide.retrieval.embedder import Embedder
from fieldguide.retrieval.passage_store import PassageStore
from fieldguide.retrieval.vector_store import VectorStore
from fieldguide.types import FloatMatrix, Hit, SearchResult

CANDIDATES = 60
SCORES_KEPT_UP_TO = 5000  # passages; beyond that a score for every passage would swell the trace
_FUSION_CONSTANT = 60


@dataclass(frozen=True, slots=True)
class Searcher:
    """A question to hits, over one opened index."""

    embedder: Embedder
    vector_store: VectorStore
    passage_store: PassageStore

    def search(self, question: str, limit: int) -> SearchResult:
        """The `limit` best passages for the question, and the similarity of all passages where there are few enough."""
        embedding = self.embedder.embed([question])[0]
        count = self.vector_store.count()
        wanted = count if count <= SCORES_KEPT_UP_TO else CANDIDATES
        nearest = self.vector_store.nearest(embedding.vector, wanted)
        by_meaning = [i for i, _ in nearest[:CANDIDATES]]
        by_keywords = self.passage_store.by_keywords(question, CANDIDATES)
        fused = fuse([by_meaning, by_keywords])[:CANDIDATES]

        vectors = self.passage_store.token_vectors(fused, self.embedder.dimension)
        scores = {i: late_interaction(embedding.token_vectors, vectors[i]) for i in fused if i in vectors}
        best = sorted(scores, key=lambda i: -scores[i])[:limit]
        chunks = {chunk.id: chunk for chunk in self.passage_store.chunks(best)}
        hits = tuple(
            Hit(chunks[i], rank, scores[i], _rank(by_meaning, i), _rank(by_keywords, i), fused.index(i) + 1)
            for rank, i in enumerate(best, 1)
        )
        similarities = dict(nearest) if count <= SCORES_KEPT_UP_TO else {}
        return SearchResult(hits, {i: round(score, 4) for i, score in similarities.items()})


def fuse(rankings: Sequence[Sequence[str]]) -> list[str]:
    """Merge rankings: an id's score is the sum of 1 / (60 + rank) over the rankings that have it."""
    scores: dict[str, float] = {}
    for ranking in rankings:
        for rank, i in enumerate(ranking, 1):
            scores[i] = scores.get(i, 0.0) + 1.0 / (_FUSION_CONSTANT + rank)
    return sorted(scores, key=lambda i: (-scores[i], i))


def late_interaction(question: FloatMatrix, passage: FloatMatrix) -> float:
    """Mean over question tokens of the best cosine with a passage token; question (q, d), passage (p, d), unit length."""
    if not len(question) or not len(passage):
        return 0.0
    return float(np.mean((question @ passage.T).max(axis=1)))


def _rank(ranking: Sequence[str], wanted: str) -> int | None:
    return ranking.index(wanted) + 1 if wanted in ranking else None
