"""Misspelt words are corrected for the search, and nothing else is."""

import pytest

from fakes import WordCountEmbedder
from fieldguide.retrieval.passage_store import PassageStore
from fieldguide.retrieval.spelling import corrected, edit_distance
from fieldguide.types import Chunk

TEXT = "A diffusion model learns to remove noise from an image. Experts of a mixture are active for each token."


@pytest.fixture
def store(tmp_path):
    embedder = WordCountEmbedder()
    chunk = Chunk("one", "guide.md", "Guide", ("Guide",), TEXT, 0, len(TEXT))
    (embedding,) = embedder.embed([TEXT])
    store = PassageStore(tmp_path / "passages.sqlite", directions=embedding.token_vectors.T[:, :4])
    store.add([chunk], [embedding.token_vectors[:, :4]], [embedder.token_ids(TEXT)])
    yield store
    store.close()


@pytest.fixture
def embedder():
    embedder = WordCountEmbedder()
    known = f"{TEXT} module medal what bicycle nose".lower().replace(".", "").split()
    for word in known:
        embedder.whole_words.setdefault(word[0], {})[word] = embedder.token_ids(word)[0]
    return embedder


@pytest.mark.parametrize(
    ("asked", "searched"),
    [
        ("whats a difusion modle", "whats a diffusion model"),  # no passage has "what"
        ("Difusion of nosie?", "diffusion of noise?"),
        ("how manny experst are activ per tokn", "how manny experts are activ per token"),  # the keyword index cuts to stems
        ("remove niose from a bycicle", "remove noise from a bycicle"),  # no passage speaks of bicycles
        ("the medal of a bicycle", "the medal of a bicycle"),  # known words stay, whether passages have them or not
        ("Is Modle a model?", "Is Modle a model?"),  # a name
        ("MODLE 8x7b tokn2", "MODLE 8x7b tokn2"),
        ("diffusions, noises", "diffusions, noises"),
        ("", ""),
    ],
)
def test_what_is_searched_for(asked, searched, embedder, store):
    assert corrected(asked, embedder, [store]) == searched


def test_without_whole_words_nothing_is_corrected(store):
    assert corrected("a difusion modle", WordCountEmbedder(), [store]) == "a difusion modle"


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [("model", "model", 0), ("modle", "model", 1), ("modl", "model", 1), ("modell", "model", 1), ("nodel", "model", 1)],
)
def test_letters_apart(one, other, distance):
    assert edit_distance(one, other, 2) == edit_distance(other, one, 2) == distance


def test_far_apart_is_more_than_most():
    assert edit_distance("abcd", "abcdefg", 2) == 3
    assert edit_distance("kitten", "sitting", 2) == 3
