"""From a question to ranked passages, by hand-worked numbers over a real Chroma and a real SQLite file."""

import numpy as np
import pytest

from fakes import WordCountEmbedder
from fieldguide.retrieval import projection, search
from fieldguide.retrieval.embedder import Embedding
from fieldguide.retrieval.passage_store import PassageStore
from fieldguide.retrieval.search import Searcher, fuse, late_interaction
from fieldguide.retrieval.vector_store import ChromaVectorStore
from fieldguide.types import Chunk

DIMENSION = 1024  # wide enough for each word used here to have an axis of its own


@pytest.fixture
def searcher_over(tmp_path):
    """A searcher over passages with these ids and texts; vectors count the words of the text alone."""
    opened = []

    def make(texts: dict[str, str], embedder=None) -> Searcher:
        embedder = embedder or WordCountEmbedder(DIMENSION)
        passages, vectors = (
            PassageStore(tmp_path / "p.sqlite", np.eye(DIMENSION, dtype=np.float32)),
            ChromaVectorStore(tmp_path / "chroma"),
        )
        opened.extend([passages, vectors])
        embeddings = WordCountEmbedder(DIMENSION).embed(list(texts.values()))
        passages.add(
            [Chunk(i, "d.md", "T", ("S",), text, 0, len(text)) for i, text in texts.items()],
            [embedding.token_vectors for embedding in embeddings],
            [WordCountEmbedder(DIMENSION).token_ids(text) for text in texts.values()],
        )
        vectors.add(list(texts), np.array([embedding.vector for embedding in embeddings]).reshape(-1, DIMENSION))
        return Searcher(embedder, vectors, passages)

    yield make
    for store in opened:
        store.close()


class SilentEmbedder(WordCountEmbedder):
    """For a question without a single token: no direction and no token vectors."""

    def embed(self, texts):
        return [Embedding(np.zeros(DIMENSION, np.float32), np.zeros((0, DIMENSION), np.float32)) for _ in texts]


def test_fusing_adds_one_over_sixty_plus_the_rank():
    # a: 1/61; b: 1/62 + 1/61; c: 1/62
    assert fuse([["a", "b"], ["b", "c"]]) == ["b", "a", "c"]


def test_fusing_puts_a_place_in_both_rankings_before_the_top_of_one():
    # c: 2/63 = 0.0317; a and b: 1/61 = 0.0164
    assert fuse([["a", "d", "c"], ["b", "e", "c"]])[0] == "c"


def test_fusing_settles_ties_by_id():
    assert fuse([["b"], ["a"]]) == ["a", "b"]


def test_fusing_keeps_the_order_of_a_single_ranking():
    assert fuse([["c", "a", "b"], []]) == ["c", "a", "b"]


def test_fusing_nothing_gives_nothing():
    assert fuse([[], []]) == []


def test_late_interaction_is_the_mean_of_each_question_words_best_match():
    question = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)
    passage = np.array([[1.0, 0.0], [0.6, 0.8]], np.float32)
    # the first word finds itself (1), the second its best match at 0.8
    assert late_interaction(question, passage, np.ones(2, np.float32)) == pytest.approx(0.9)


def test_late_interaction_heeds_a_heavier_word_more():
    question = np.array([[1.0, 0.0], [0.0, 1.0]], np.float32)
    passage = np.array([[1.0, 0.0]], np.float32)
    # matches 1 and 0, weighing 3 and 1
    assert late_interaction(question, passage, np.array([3, 1], np.float32)) == pytest.approx(0.75)


def test_late_interaction_of_a_passage_with_itself_is_one():
    passage = np.array([[1.0, 0.0], [0.6, 0.8]], np.float32)
    assert late_interaction(passage, passage, np.ones(2, np.float32)) == pytest.approx(1.0)


@pytest.mark.parametrize(("question", "passage"), [(0, 2), (2, 0), (0, 0)])
def test_late_interaction_without_words_is_zero(question, passage):
    weights = np.ones(question, np.float32)
    assert late_interaction(np.ones((question, 3), np.float32), np.ones((passage, 3), np.float32), weights) == 0.0


def test_the_passage_with_more_of_the_questions_words_comes_first(searcher_over):
    hits = (
        searcher_over({"a": "wasps chew wood", "b": "queen bees lay eggs", "c": "queen ants walk"}).search("queen bees", 3).hits
    )
    assert [(hit.chunk.id, hit.score) for hit in hits] == [
        # both words match; as a whole, 2 of its 4 words are asked for: cosine 2 / (√2 √4) = 0.707
        ("b", pytest.approx((1 + 0.2 * 0.707) / 1.2, abs=0.01)),
        # "queen" is in 2 of 3 passages: ln(1 + 1.5/2.5) = 0.47, against 0.98 for "bees", in one; cosine 1 / (√2 √3) = 0.408
        ("c", pytest.approx((0.47 / 1.45 + 0.2 * 0.408) / 1.2, abs=0.01)),
        ("a", pytest.approx(0.0, abs=0.01)),
    ]


def test_a_hit_carries_its_place_in_every_ranking(searcher_over):
    # 'bees' by meaning: b (cosine 1), a (0.71), c (0). By keywords: b (the shorter text), a.
    hits = searcher_over({"a": "bees buzz", "b": "bees", "c": "tides"}).search("bees", 3).hits
    by_id = {hit.chunk.id: (hit.rank_by_meaning, hit.rank_by_keywords, hit.rank_fused) for hit in hits}
    assert by_id == {"b": (1, 1, 1), "a": (2, 2, 2), "c": (3, None, 3)}


def test_the_last_word_is_late_interactions_and_the_fused_rank_says_what_was_before(searcher_over):
    # By meaning a comes before b (0.71, 0.53), by keywords b before a: fused they are equal, and a goes first by its id.
    # But b has both words of the question: late interaction gives it 1, and a 0.5.
    long = "bees hive " + " ".join(f"and{number}" for number in range(12))
    hits = searcher_over({"a": "hive", "b": long}).search("bees hive", 2).hits
    assert [(hit.chunk.id, hit.rank_by_meaning, hit.rank_by_keywords) for hit in hits] == [("b", 2, 1), ("a", 1, 2)]
    assert [(hit.rank, hit.rank_fused) for hit in hits] == [(1, 2), (2, 1)]


def test_ranks_count_from_one_and_scores_never_rise(searcher_over):
    hits = searcher_over({"a": "bees buzz", "b": "queen bees", "c": "tides"}).search("queen bees", 3).hits
    assert [hit.rank for hit in hits] == [1, 2, 3]
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_a_passage_that_shares_no_word_has_no_rank_by_keywords(searcher_over):
    (hit,) = searcher_over({"a": "tides follow"}).search("bees", 3).hits
    assert (hit.rank_by_meaning, hit.rank_by_keywords) == (1, None)


def test_a_passage_found_by_keywords_alone_has_no_rank_by_meaning(searcher_over):
    # 'hives' has the stem of 'hive' but is another word to this embedder; sixty passages with 'the' are nearer to it.
    texts = {f"moon-{number}": f"the moon{number}" for number in range(search.CANDIDATES)}
    result = searcher_over({**texts, "hives": "hives"}).search("the hive", 61)
    hit = next(hit for hit in result.hits if hit.chunk.id == "hives")
    assert (hit.rank_by_meaning, hit.rank_by_keywords) == (None, 1)


def test_hits_carry_whole_passages(searcher_over):
    (hit,) = searcher_over({"a": "bees buzz"}).search("bees", 3).hits
    assert hit.chunk == Chunk("a", "d.md", "T", ("S",), "bees buzz", 0, 9)


def test_no_more_hits_come_than_asked_for(searcher_over):
    searcher = searcher_over({"a": "bees buzz", "b": "queen bees", "c": "tides"})
    assert len(searcher.search("bees", 2).hits) == 2


def test_every_passage_has_a_similarity_even_when_it_is_no_hit(searcher_over):
    # 'bees' is one of the two words of a, one of the four different ones of b, and none of c
    texts = {"a": "bees buzz", "b": "bees live in hives", "c": "tides"}
    result = searcher_over(texts).search("bees", 1)
    assert len(result.hits) == 1
    assert result.similarities == {"a": 0.7071, "b": 0.5, "c": 0.0}


def test_an_index_too_large_for_it_gives_no_similarities(searcher_over, monkeypatch):
    monkeypatch.setattr(search, "SCORES_KEPT_UP_TO", 2)
    result = searcher_over({"a": "bees buzz", "b": "queen bees", "c": "tides"}).search("bees", 3)
    assert result.similarities == {}
    assert len(result.hits) == 3


def test_a_question_without_a_token_raises_nothing_and_scores_zero(searcher_over):
    result = searcher_over({"a": "bees buzz", "b": "tides"}, SilentEmbedder(DIMENSION)).search("", 5)
    assert [hit.score for hit in result.hits] == [0.0, 0.0]
    assert result.similarities == {"a": 0.0, "b": 0.0}


def test_an_empty_index_gives_no_hits(searcher_over):
    result = searcher_over({}).search("bees", 3)
    assert (result.hits, result.similarities) == ((), {})


def test_the_same_question_gets_the_same_answer(searcher_over):
    searcher = searcher_over({"a": "bees buzz", "b": "queen bees", "c": "queen bees", "d": "tides"})
    assert searcher.search("queen bees", 4) == searcher.search("queen bees", 4)


def test_the_toy_corpus_answers_from_the_right_guide(toy_searcher):
    hits = toy_searcher.search("Who built the Quillon lighthouse?", 1).hits
    assert (hits[0].chunk.document, hits[0].chunk.section) == ("lighthouses.md", "Who built the Quillon lighthouse?")


def test_given_passages_are_ranked_word_by_word_with_their_place_by_meaning(searcher_over):
    # b has both words of the question, a one. But by meaning a comes first: a has three words with its title and heading,
    # cosine 1 / (sqrt 2 * sqrt 3); b has sixteen, cosine 2 / (sqrt 2 * sqrt 16).
    long = "bees hive " + " ".join(f"and{number}" for number in range(12))
    given = [Chunk(i, "d.md", "T", ("S",), text, 0, len(text)) for i, text in (("a", "hive"), ("b", long))]
    result = searcher_over({"other": "tides"}).rank("bees hive", given)
    assert [(hit.chunk.id, hit.rank, hit.rank_by_meaning, hit.rank_by_keywords) for hit in result.hits] == [
        ("b", 1, 2, None),
        ("a", 2, 1, None),
    ]
    assert result.similarities == {"a": 0.4082, "b": 0.3536}


def test_given_passages_score_as_the_same_passages_do_when_they_are_found(toy_searcher):
    question = "Who built the Quillon lighthouse?"
    found = {hit.chunk.id: hit.score for hit in toy_searcher.search(question, 20).hits}
    ranked = {hit.chunk.id: hit.score for hit in toy_searcher.rank(question, toy_searcher.passage_store.chunks()).hits}
    assert ranked == pytest.approx(found, abs=0.01)


def test_no_given_passages_are_no_hits(toy_searcher):
    assert toy_searcher.rank("Who built the Quillon lighthouse?", []).hits == ()


def test_the_sentences_that_fit_the_question_are_quoted_where_they_stand(toy_searcher):
    result = toy_searcher.search("Who built the Quillon lighthouse in 1911?", 8)
    assert result.quotes[0].text == "The Quillon lighthouse was built by Marta Jevons in 1911."
    assert all(quote.chunk.passage[quote.start : quote.end] == quote.text for quote in result.quotes)
    scores = [quote.score for quote in result.quotes]
    assert scores == sorted(scores, reverse=True)
    given = toy_searcher.rank("Who built the Quillon lighthouse in 1911?", [result.hits[0].chunk])
    assert given.quotes[0] == result.quotes[0]


def test_token_vectors_keep_their_nearness_along_fewer_directions():
    spread = np.diag(np.linspace(1.0, 0.01, 300)).astype(np.float32)  # most of what varies, varies in few directions
    tokens = np.random.default_rng(0).normal(size=(500, 300)).astype(np.float32) @ spread**2
    tokens /= np.linalg.norm(tokens, axis=1, keepdims=True)
    directions = projection.fit(tokens)
    reduced = projection.reduce(tokens, directions)
    assert directions.shape == (300, projection.DIMENSIONS)
    assert np.allclose(directions.T @ directions, np.eye(projection.DIMENSIONS), atol=1e-4)
    assert np.abs(reduced @ reduced.T - tokens @ tokens.T).max() < 0.2


def test_few_dimensions_are_left_as_they_are():
    tokens = np.eye(4, dtype=np.float32)
    assert np.array_equal(projection.reduce(tokens, projection.fit(tokens)), tokens)


def test_a_token_off_all_directions_stays_short():
    directions = np.eye(4, dtype=np.float32)[:, :2]
    off = np.array([[0.01, 0.0, 1.0, 0.0]], np.float32)
    assert np.linalg.norm(projection.reduce(off, directions)) < 0.05
