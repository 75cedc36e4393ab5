"""A search opened up: what every passage of the index scored, which words met, and where it all lies on a flat map.

Made for the Learn view, by the same functions that search.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fieldguide.retrieval.search import CANDIDATES, Asked, Searcher
from fieldguide.types import Chunk, FloatMatrix, FloatVector

_MATCHED = 4  # best passages whose words are compared with the question's one by one
_VECTORS = 2  # best passages whose vector is kept to be looked at
_DIGITS = 3


@dataclass(frozen=True, slots=True)
class PassageScore:
    """One passage of the index beside the question: its scores, its places in the rankings, and its place on the map."""

    id: str
    document: str
    section: str
    start: int
    end: int
    tokens: int
    by_meaning: float
    by_keywords: float
    rank_by_meaning: int
    rank_by_keywords: int | None
    rank_fused: int | None
    rank: int | None
    score: float | None
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class WordMatch:
    """A token of the question and the token of a passage that is nearest to it; offsets count in their texts."""

    question: tuple[int, int]
    passage: tuple[int, int]
    likeness: float
    weight: float  # how rare the token is among the passages: what it counts for


@dataclass(frozen=True, slots=True)
class PassageMatch:
    """A passage as the embedder reads it, with a match for each token of the question."""

    id: str
    text: str
    words: tuple[WordMatch, ...]


@dataclass(frozen=True, slots=True)
class SearchRecord:
    """All that a search computed for one text.

    `map_share` is how much of the differences between passages the two directions of the map show.
    """

    text: str
    passages: tuple[PassageScore, ...]
    matches: tuple[PassageMatch, ...]
    vector: tuple[float, ...]
    vectors: dict[str, tuple[float, ...]]
    x: float
    y: float
    map_share: float


def explain(searcher: Searcher, question: str, given: Sequence[Chunk] | None = None) -> SearchRecord:
    """The search for this text opened up; over `given` passages where the question was answered from exactly those."""
    asked = searcher.asked(question)
    stored = searcher.vector_store.vectors()
    vectors_of_all = np.array(list(stored.values()), np.float32).reshape(-1, len(asked.vector))
    directions, share = map_directions(vectors_of_all)
    if given is None:
        chunks, vectors = searcher.passage_store.chunks(), stored
        found = searcher.rankings(question, asked)
        best, scores, fused, meaning = found.best, found.scores, found.fused, found.meaning
        similarities: Mapping[str, float] = found.similarities
        keywords = searcher.passage_store.keyword_scores(question, len(chunks))
    else:
        chunks = list(given)
        embedded = searcher.embedder.embed([chunk.embedded_text for chunk in chunks])
        vectors = {chunk.id: e.vector for chunk, e in zip(chunks, embedded, strict=True)}
        result = searcher.rank(question, chunks)
        best, scores = [hit.chunk.id for hit in result.hits], {hit.chunk.id: hit.score for hit in result.hits}
        similarities, keywords = result.similarities, {}
        fused = meaning = sorted(similarities, key=lambda i: -similarities[i])
    meaning_ranks = _ranks(sorted(similarities, key=lambda i: -similarities[i]) if similarities else meaning)
    keyword_ranks = _ranks(list(keywords)[:CANDIDATES])
    fused_ranks, ranks = _ranks(fused), _ranks(best)
    known = [chunk for chunk in chunks if chunk.id in meaning_ranks]
    places = {i: _place(vectors[i], directions) for i in vectors}
    by_id = {chunk.id: chunk for chunk in known}
    question_place = _place(asked.vector, directions)
    return SearchRecord(
        question,
        tuple(
            PassageScore(
                chunk.id,
                chunk.document,
                chunk.section,
                chunk.start,
                chunk.end,
                searcher.embedder.count_tokens(chunk.embedded_text),
                _round(similarities.get(chunk.id, 0.0)),
                _round(keywords.get(chunk.id, 0.0)),
                meaning_ranks[chunk.id],
                keyword_ranks.get(chunk.id),
                fused_ranks.get(chunk.id),
                ranks.get(chunk.id),
                _round(scores[chunk.id]) if chunk.id in scores else None,
                *places[chunk.id],
            )
            for chunk in known
        ),
        tuple(_match(searcher, question, asked, by_id[i]) for i in best[:_MATCHED] if i in by_id),
        _rounded(asked.vector),
        {i: _rounded(vectors[i]) for i in best[:_VECTORS] if i in vectors},
        *question_place,
        _round(share),
    )


def map_directions(vectors: FloatMatrix) -> tuple[FloatMatrix, float]:
    """The two directions (d, 2) along which vectors (n, d) differ most (principal components), and the share they show.

    Their signs are fixed by their largest number, so that the same passages always give the same map.
    """
    if len(vectors) < 2:
        return np.zeros((vectors.shape[1], 2), np.float32), 0.0
    _, strengths, rows = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)
    directions = rows[:2].T
    signs = np.sign(directions[np.abs(directions).argmax(axis=0), range(directions.shape[1])])
    total = float((strengths**2).sum())
    return np.asarray(directions * signs, np.float32), float((strengths[:2] ** 2).sum()) / total if total else 0.0


def _match(searcher: Searcher, question: str, asked: Asked, chunk: Chunk) -> PassageMatch:
    text = chunk.embedded_text
    vectors = searcher.passage_store.token_vectors([chunk.id]).get(chunk.id)
    if vectors is None:  # a passage that was given, not found
        vectors = searcher.reduced(text)
    asked_spans = searcher.embedder.token_spans(question)[: len(asked.tokens)]
    spans = searcher.embedder.token_spans(text)[: len(vectors)]
    likenesses = asked.tokens @ vectors[: len(spans)].T
    words = []
    for number, span in enumerate(asked_spans):
        nearest = int(likenesses[number].argmax())
        words.append(
            WordMatch(span, spans[nearest], _round(float(likenesses[number, nearest])), _round(float(asked.rarity[number])))
        )
    return PassageMatch(chunk.id, text, tuple(words))


def _ranks(ids: Sequence[str]) -> dict[str, int]:
    return {i: rank for rank, i in enumerate(ids, 1)}


def _place(vector: FloatVector, directions: FloatMatrix) -> tuple[float, float]:
    x, y = vector @ directions
    return _round(float(x)), _round(float(y))


def _rounded(vector: FloatVector) -> tuple[float, ...]:
    return tuple(_round(float(number)) for number in vector)


def _round(number: float) -> float:
    return round(number, _DIGITS)
