"""One ranking from the rankings of several collections.

Their scores can be held against each other where the question's words were weighed for all of them together (`search.weigh`):
they are then the scores that one collection of all passages would give.
"""

from collections.abc import Sequence
from dataclasses import replace

from fieldguide.retrieval.search import QUOTES
from fieldguide.types import SearchResult


def merge(results: Sequence[SearchResult], limit: int) -> SearchResult:
    """The best hits and sentences of all results. Ranks by meaning and by keywords stay those within a hit's collection."""
    if len(results) == 1:
        return results[0]
    best = sorted((hit for result in results for hit in result.hits), key=lambda hit: -hit.score)[:limit]
    among = {hit.chunk.id for hit in best}
    told = [quote for result in results for quote in result.quotes if quote.chunk.id in among]
    quotes = sorted(told, key=lambda quote: -quote.score)[:QUOTES]
    similarities = {i: score for result in results for i, score in result.similarities.items()}
    return SearchResult(tuple(replace(hit, rank=rank) for rank, hit in enumerate(best, 1)), similarities, tuple(quotes))
