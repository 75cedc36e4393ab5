"""Passages in SQLite: kept whole, found by words, never upset by a question."""

import sqlite3
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fieldguide.errors import SearchIndexError
from fieldguide.retrieval import passage_store
from fieldguide.retrieval.passage_store import PassageStore, inverse_frequency, quantize
from fieldguide.types import Chunk

BEES = Chunk("bees", "insects.md", "Insects", ("Bees", "Nests"), "Bees live in hives.", 10, 29)
WASPS = Chunk("wasps", "insects.md", "Insects", ("Wasps",), "They chew wood near the pond.", 40, 69)
CAFE = Chunk("cafe", "towns.md", "Towns", ("Food",), "The café at the pier sells bread.", 0, 33)
CHUNKS = [WASPS, BEES, CAFE]
DIRECTIONS = np.eye(4, dtype=np.float32)


def numbers(rows: int, columns: int = 4) -> np.ndarray:
    """Vectors of length 1 that look unordered and are the same in every run."""
    vectors = np.sin(np.outer(np.arange(1, rows + 1), np.arange(1, columns + 1) ** 1.3) + 0.5)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "passages.sqlite"


@pytest.fixture
def store(path):
    store = PassageStore(path, DIRECTIONS)
    store.add(CHUNKS, [numbers(3), numbers(1), numbers(0)], [[7, 8, 8], [7], []])
    yield store
    store.close()


def test_passages_come_back_as_they_were_added(store):
    assert store.chunks() == CHUNKS


def test_passages_are_there_when_the_file_is_opened_again(store, path):
    reader = PassageStore(path)
    assert reader.chunks() == CHUNKS
    reader.close()


def test_passages_asked_for_by_id_come_in_the_order_of_the_ids(store):
    assert store.chunks(["cafe", "wasps"]) == [CAFE, WASPS]


def test_an_unknown_id_is_passed_over(store):
    assert store.chunks(["nobody", "bees"]) == [BEES]


def test_no_ids_give_no_passages(store):
    assert store.chunks([]) == []


def test_more_ids_than_sqlite_takes_at_once_are_no_trouble(store):
    assert store.chunks([*map(str, range(300_000)), "bees"]) == [BEES]


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("hive", ["bees"]),
        ("living", ["bees"]),
        ("CHEWED", ["wasps"]),
        ("cafe", ["cafe"]),
        ("Cafés?", ["cafe"]),
    ],
)
def test_a_word_is_found_by_its_stem_whatever_its_case_and_accents(store, question, expected):
    assert store.by_keywords(question, 10) == expected


def test_a_word_of_the_headings_is_found(store):
    assert store.by_keywords("nests", 10) == ["bees"]


def test_a_word_of_the_title_is_found(store):
    assert store.by_keywords("towns", 10) == ["cafe"]


def test_one_common_word_is_enough(store):
    assert store.by_keywords("zebra bread", 10) == ["cafe"]


def test_a_word_of_very_many_passages_is_left_out_where_others_remain(path, monkeypatch):
    monkeypatch.setattr(passage_store, "_COMMON_FROM", 2)
    store = PassageStore(path, DIRECTIONS)
    chunks = [Chunk(str(i), "d.md", "T", ("H",), "A bee." if i else "A hive.", 0, 0) for i in range(4)]
    store.add(chunks, [numbers(1)] * 4, [[1]] * 4)
    assert store.by_keywords("bee or hive", 10) == ["0"]
    assert store.by_keywords("bee", 10) == ["1", "2", "3"]


def test_only_so_many_passages_are_scored_those_of_the_rarest_words_first(path, monkeypatch):
    monkeypatch.setattr(passage_store, "_COMMON_FROM", 1)
    monkeypatch.setattr(passage_store, "_COMMON_IN_ONE_OF", 1)
    monkeypatch.setattr(passage_store, "_SCORED", 5)
    store = PassageStore(path, DIRECTIONS)
    texts = ["A bee.", *["A hive."] * 2, *["A wasp."] * 4, *["A light."] * 9]
    store.add([Chunk(str(i), "d.md", "T", ("H",), t, 0, 0) for i, t in enumerate(texts)], [numbers(1)] * 16, [[1]] * 16)
    assert set(store.by_keywords("bee hive", 10)) == {"0", "1", "2"}
    assert set(store.by_keywords("bee hive wasp light", 10)) == {"0", "1", "2"}  # the wasps would be two too many
    assert set(store.by_keywords("bee wasp", 10)) == {"0", "3", "4", "5", "6"}
    assert store.by_keywords("light", 10) == []  # tells too few apart: the search by meaning decides


def test_the_passage_with_more_of_the_words_comes_first(store):
    assert store.by_keywords("bees chew wood", 10) == ["wasps", "bees"]


def test_a_word_in_the_heading_counts_more_than_one_in_the_text(path):
    store = PassageStore(path, DIRECTIONS)
    in_text = Chunk("text", "d.md", "T", ("Wasps",), "Bees.", 0, 0)
    in_heading = Chunk("heading", "d.md", "T", ("Bees",), "Wasps.", 0, 0)
    store.add([in_text, in_heading], [numbers(0), numbers(0)], [[], []])
    assert store.by_keywords("bees", 10) == ["heading", "text"]
    store.close()


def test_no_more_passages_are_found_than_asked_for(store):
    assert len(store.by_keywords("hives, wood or bread", 10)) == 3
    assert len(store.by_keywords("hives, wood or bread", 2)) == 2


def test_mere_grammar_brings_no_passage_but_where_nothing_else_is_asked(store):
    assert store.by_keywords("at the hives", 10) == ["bees"]
    assert len(store.by_keywords("at the", 10)) == 2


@pytest.mark.parametrize(
    "question", ["", " ", '"', "*", "''", "NEAR(", "( AND )", "_", "?!", "^", "-", "\x00", "{x} : ", "zebra"]
)
def test_a_question_without_a_known_word_finds_nothing(path, question):
    store = PassageStore(path, DIRECTIONS)
    store.add([BEES], [numbers(1)], [[7]])
    assert store.by_keywords(question, 10) == []
    store.close()


@pytest.mark.parametrize(
    "question", ['"hive', "hive*", "NEAR(hive", "hive AND", "NOT hive", "text:hive", "-hive", "hive; DROP TABLE x", 'a"hive"b']
)
def test_the_query_language_of_sqlite_means_nothing_in_a_question(store, question):
    assert store.by_keywords(question, 1) == ["bees"]


def test_a_question_of_thousands_of_words_is_answered(store):
    assert store.by_keywords(" ".join(f"zebra{number}" for number in range(3000)) + " hive", 10) == ["bees"]


@given(st.text(max_size=40))
@settings(derandomize=True, max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_question_raises(store, question):
    assert set(store.by_keywords(question, 10)) <= {"bees", "wasps", "cafe"}


def test_several_threads_may_ask_at_once(store):
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: store.by_keywords("hive", 1), range(100))) == [["bees"]] * 100


def test_the_directions_of_token_vectors_are_kept(path):
    directions = numbers(5, 3)
    PassageStore(path, directions).close()
    reader = PassageStore(path)
    assert np.array_equal(reader.directions, directions)
    reader.close()


def test_token_vectors_come_back_nearly_the_same(store):
    assert np.allclose(store.token_vectors(["wasps"])["wasps"], numbers(3), atol=1 / 254)


def test_a_passage_without_tokens_has_an_empty_matrix(store):
    assert store.token_vectors(["cafe"])["cafe"].shape == (0, 4)


def test_token_vectors_of_unknown_ids_are_left_out(store):
    assert set(store.token_vectors(["bees", "nobody"])) == {"bees"}


def test_a_vector_becomes_whole_numbers_up_to_127_and_a_scale():
    scales, integers = quantize(np.array([[1.0, -0.5, 0.0]], np.float32))
    assert integers.tolist() == [[127, -64, 0]]
    assert scales[0] == pytest.approx(1 / 127)


def test_a_vector_of_zeros_stays_zero():
    scales, integers = quantize(np.zeros((1, 3), np.float32))
    assert (integers * scales[:, None]).tolist() == [[0.0, 0.0, 0.0]]


def test_eight_bits_cost_less_than_a_hundredth_of_a_similarity():
    vectors = numbers(100, 384)
    scales, integers = quantize(vectors)
    restored = integers * scales[:, None]
    assert np.abs(vectors @ vectors.T - vectors @ restored.T).max() < 0.01


def test_when_one_passage_cannot_be_added_none_is(store):
    ants = Chunk("ants", "insects.md", "Insects", ("Ants",), "Ants walk.", 0, 0)
    with pytest.raises((SearchIndexError, sqlite3.IntegrityError)):
        store.add([ants, BEES], [numbers(1), numbers(1)], [[7], [7]])
    assert store.chunks() == CHUNKS
    assert store.by_keywords("ants", 10) == []


def test_a_missing_file_is_refused_with_a_remedy(path):
    with pytest.raises(SearchIndexError) as caught:
        PassageStore(path)
    assert "ingest --rebuild" in caught.value.remedy
    assert not path.exists()


@pytest.mark.parametrize("content", [b"", b"no database at all " * 500])
def test_a_file_that_is_no_store_is_refused_with_a_remedy(path, content):
    path.write_bytes(content)
    with pytest.raises(SearchIndexError) as caught:
        PassageStore(path)
    assert "ingest --rebuild" in caught.value.remedy


def test_a_file_cut_short_is_refused_with_a_remedy(store, path):
    store.close()
    path.write_bytes(path.read_bytes()[:-8192])
    with pytest.raises(SearchIndexError) as caught:
        PassageStore(path).by_keywords("hive", 10)
    assert "ingest --rebuild" in caught.value.remedy


def test_an_opened_store_cannot_be_written(store, path):
    reader = PassageStore(path)
    with pytest.raises((SearchIndexError, sqlite3.OperationalError)):
        reader.add([Chunk("ants", "d.md", "T", ("S",), "Ants.", 0, 0)], [numbers(1)], [[7]])
    reader.close()


def test_a_folder_with_odd_characters_is_no_trouble(tmp_path):
    folder = tmp_path / "what? #1 100%"
    folder.mkdir()
    PassageStore(folder / "passages.sqlite", DIRECTIONS).close()
    reader = PassageStore(folder / "passages.sqlite")
    assert reader.chunks() == []
    reader.close()


def test_a_token_is_the_rarer_the_fewer_passages_hold_it(store):
    # of 3 passages 2 hold token 7, 1 (twice over) holds token 8, none holds token 9
    expected = [np.log1p((3 - n + 0.5) / (n + 0.5)) for n in (2, 1, 0)]
    rarity = inverse_frequency(store.frequency([7, 8, 9]), store.count())
    assert rarity == pytest.approx(expected, abs=1e-6)
    assert all(rarity > 0)


def test_frequencies_grow_with_later_passages(store):
    assert store.frequency([8]) == [1]
    store.add([Chunk("later", "d.md", "T", ("S",), "Later.", 0, 0)], [numbers(1)], [[8]])
    assert store.frequency([8]) == [2]


def test_scores_by_keywords_are_higher_for_better_passages_and_given_to_no_others(store):
    scores = store.keyword_scores("bees wood pond", 3)
    assert list(scores) == store.by_keywords("bees wood pond", 3)
    assert set(scores) == {"bees", "wasps"}
    assert all(score > 0 for score in scores.values())
