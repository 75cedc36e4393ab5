"""The real embedder (all-MiniLM-L6-v2): lengths, nearness, and vectors that depend on their text alone."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_info

from fieldguide import locations
from fieldguide.errors import WeightsError
from fieldguide.indexing.chunking import chunk_document
from fieldguide.indexing.documents import read_folder
from fieldguide.indexing.index import CHUNK_TOKENS
from fieldguide.retrieval.embedder import SentenceTransformerEmbedder

pytestmark = pytest.mark.weights

BEES = "Bees turn nectar into honey."
LONG = "The lighthouse keeper climbed the stairs again. " * 20
TOO_LONG = "word " * 400


@pytest.fixture(scope="module")
def model(embedder_folder):
    return SentenceTransformerEmbedder(embedder_folder, threads=1)


@pytest.fixture
def copy(embedder_folder, tmp_path):
    """The folder again, its large files as links."""
    copy = tmp_path / "copy"
    shutil.copytree(embedder_folder, copy, copy_function=lambda source, target: Path(target).symlink_to(source))
    return copy


def change(linked: Path) -> None:
    """Give the copy a file of its own that says the same in other bytes."""
    text = linked.read_text(encoding="utf-8")
    linked.unlink()
    linked.write_text(text + "\n", encoding="utf-8")


def cosine(model, one: str, other: str) -> float:
    first, second = model.embed([one, other])
    return float(first.vector @ second.vector)


def test_a_vector_has_384_numbers(model):
    embedding = model.embed([BEES])[0]
    assert model.dimension == 384
    assert embedding.vector.shape == (384,)
    assert embedding.token_vectors.shape[1] == 384


def test_every_vector_has_length_one(model):
    for embedding in model.embed([BEES, LONG]):
        assert np.linalg.norm(embedding.vector) == pytest.approx(1.0, abs=1e-5)
        assert np.linalg.norm(embedding.token_vectors, axis=1) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize(
    ("text", "near", "far"),
    [
        ("How do bees make honey?", "Honeybees turn nectar into honey.", "The stock market fell on Monday."),
        ("Who built the lighthouse?", "Marta Jevons constructed the tower at sea.", "Knead the dough and let it rise."),
        ("Why does the sea rise and fall?", "Tides follow the Moon.", "A wasp nest is made of paper."),
    ],
)
def test_a_near_meaning_is_nearer_than_a_far_one(model, text, near, far):
    assert cosine(model, text, near) > cosine(model, text, far) + 0.2


def test_there_is_one_token_vector_for_each_token_of_the_text(model):
    # bees, turn, nectar, into, honey and the full stop; counting adds the model's own start and end tokens
    assert model.count_tokens(BEES) == 6 + 2
    assert len(model.embed([BEES])[0].token_vectors) == 6


def test_the_start_and_end_tokens_are_counted_but_have_no_vectors(model):
    assert model.count_tokens("") == 2
    assert model.embed([""])[0].token_vectors.shape == (0, 384)


def test_an_empty_text_has_a_vector_without_holes(model):
    assert np.isfinite(model.embed([""])[0].vector).all()


def test_a_text_gets_the_same_vectors_alone_and_beside_a_longer_one(model):
    alone = model.embed([BEES])[0]
    beside = model.embed([BEES, LONG])[0]
    assert alone.token_vectors.shape == beside.token_vectors.shape
    assert np.allclose(alone.vector, beside.vector, atol=1e-4)
    assert np.allclose(alone.token_vectors, beside.token_vectors, atol=1e-4)


def test_results_come_in_the_order_of_the_texts(model):
    texts = [f"{'very ' * (number % 7)}short text number {number}" for number in range(40)]  # more than one batch
    for text, embedding in zip(texts, model.embed(texts), strict=True):
        assert np.allclose(embedding.vector, model.embed([text])[0].vector, atol=1e-4)


def test_no_texts_give_no_embeddings(model):
    assert model.embed([]) == []


def test_a_text_beyond_the_limit_is_counted_whole_and_embedded_up_to_the_limit(model):
    assert model.max_tokens == 256
    assert len(model.embed([TOO_LONG])[0].token_vectors) == 254
    assert model.count_tokens(TOO_LONG) == 402


def test_what_stands_beyond_the_limit_changes_no_vector(model):
    first, second = model.embed([TOO_LONG, TOO_LONG + "bees"])
    assert np.allclose(first.vector, second.vector, atol=1e-5)


def test_no_passage_of_the_guides_is_beyond_the_limit(model):
    for document in read_folder(locations.guides_folder()):
        for chunk in chunk_document(document, model.count_tokens, CHUNK_TOKENS):
            assert model.count_tokens(chunk.embedded_text) <= CHUNK_TOKENS


def test_the_identity_is_the_same_each_time_and_in_a_copy(model, copy):
    assert model.identity == SentenceTransformerEmbedder(copy, threads=1).identity


def test_the_identity_changes_with_a_file_of_the_model(model, copy):
    change(copy / "config.json")
    assert model.identity != SentenceTransformerEmbedder(copy, threads=1).identity


def nearness(model, question: str, passage: str) -> float:
    return float(model.embed_question(question).vector @ model.embed([passage])[0].vector)


def test_a_question_in_everyday_words_is_nearer_to_what_answers_it_than_a_passage_of_the_same_words_would_be(model):
    question = "What is it called when a chatbot swears that something is true which it has made up?"
    passage = "Hallucination: a language model states something false as if it were a fact."
    assert nearness(model, question, passage) > cosine(model, question, passage)


def test_a_question_is_embedded_with_what_was_learnt_and_a_passage_without_it(model, copy):
    change(copy / "config.json")
    plain = SentenceTransformerEmbedder(copy, threads=1)  # nothing was learnt for an embedder of another identity
    before, asked, after = model.embed([BEES])[0], model.embed_question(BEES), model.embed([BEES])[0]
    assert not np.allclose(asked.vector, before.vector, atol=1e-3)
    assert asked.token_vectors.shape == before.token_vectors.shape
    assert np.linalg.norm(asked.token_vectors, axis=1) == pytest.approx(1.0, abs=1e-5)
    for without in (after, plain.embed([BEES])[0], plain.embed_question(BEES)):
        np.testing.assert_allclose(without.vector, before.vector, atol=1e-6)


def test_threads_that_embed_questions_and_passages_at_once_do_not_change_each_others_vectors(model):
    question, passage = model.embed_question(BEES).vector, model.embed([BEES])[0].vector
    with ThreadPoolExecutor(4) as threads:
        asked = [threads.submit(model.embed_question, BEES) for _ in range(20)]
        read = [threads.submit(model.embed, [BEES]) for _ in range(20)]
    for one, other in zip(asked, read, strict=True):
        np.testing.assert_allclose(one.result().vector, question, atol=1e-6)
        np.testing.assert_allclose(other.result()[0].vector, passage, atol=1e-6)


def test_a_folder_without_a_model_is_refused_with_a_remedy(tmp_path):
    with pytest.raises(WeightsError, match="cannot be loaded") as caught:
        SentenceTransformerEmbedder(tmp_path, threads=1)
    assert "models verify embedder" in caught.value.remedy


def test_numpy_keeps_to_one_thread_beside_a_loaded_embedder(model):
    assert {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"} == {1}
