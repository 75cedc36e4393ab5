"""Vectors on a real Chroma server, as several copies of Fieldguide share them."""

from dataclasses import replace

import chromadb
import pytest

from browser import free_port
from fakes import ScriptedModel, WordCountEmbedder
from fieldguide.assembly import Fieldguide
from fieldguide.errors import RemoteError
from fieldguide.events import Failed, Finished
from fieldguide.retrieval.vector_store import ChromaVectorStore, ServedVectorStore
from servers import Proxy, chroma_server
from test_vector_store import EAST, fill

GOOD = "The queen lays up to 2,000 eggs a day."
QUESTION = "How many eggs does the queen lay?"


@pytest.fixture
def chroma(tmp_path):
    with chroma_server(tmp_path / "server") as url:
        yield url


@pytest.fixture
def copy_on(settings, tmp_path):
    """A copy of the app with a data folder of its own, its vectors on a server."""
    made = []

    def copy_on(url: str, name: str = "one") -> Fieldguide:
        fieldguide = Fieldguide(replace(settings, data_dir=tmp_path / name, chroma_url=url))
        fieldguide._load_embedder = lambda report: WordCountEmbedder()
        fieldguide._load_model = lambda: ScriptedModel([GOOD] * 9)
        made.append(fieldguide)
        return fieldguide

    yield copy_on
    for fieldguide in made:
        fieldguide.close()


def collections(url: str) -> dict[str, int]:
    host, port = url.removeprefix("http://").split(":")
    client = chromadb.HttpClient(host, int(port))
    return {collection.name: collection.count() for collection in client.list_collections()}


def answer(fieldguide: Fieldguide):
    return list(fieldguide.answer(QUESTION))[-1]


def test_a_server_finds_what_the_embedded_chroma_finds(chroma, tmp_path):
    embedded, served = ChromaVectorStore(tmp_path / "here"), ServedVectorStore(chroma, "vectors")
    for store in (embedded, served):
        fill(store)
        store.remove(["west"])
    assert served.count() == 3
    assert served.ids() == embedded.ids()
    assert dict(served.nearest(EAST, 9)) == pytest.approx(dict(embedded.nearest(EAST, 9)), abs=1e-6)
    assert {i: v.tolist() for i, v in served.vectors().items()} == {i: v.tolist() for i, v in embedded.vectors().items()}
    embedded.close()
    served.close()


def test_a_question_is_answered_over_a_server_and_two_copies_share_the_guides_vectors(chroma, copy_on):
    assert isinstance(answer(copy_on(chroma, "one")), Finished)
    there = collections(chroma)
    assert list(there.values()) == [8]
    assert isinstance(answer(copy_on(chroma, "two")), Finished)
    assert collections(chroma) == there


def test_a_search_over_a_server_finds_what_one_in_the_folder_finds(chroma, copy_on):
    def found(fieldguide):
        list(fieldguide.loading())
        hits = fieldguide.search("Who built the Quillon lighthouse?", 8).hits
        return [(hit.chunk.id, hit.rank_by_meaning, hit.rank_by_keywords, round(hit.score, 3)) for hit in hits]

    assert found(copy_on(chroma, "there")) == found(copy_on("", "here"))


def test_own_documents_go_to_the_server_and_leave_it_again(chroma, copy_on, tmp_path):
    path = tmp_path / "clock.txt"
    path.write_text("The Brackwater clock strikes thirteen.")
    fieldguide = copy_on(chroma)
    list(fieldguide.loading())
    before = collections(chroma)
    fieldguide.own.add([str(path)], "notes")
    (name,) = set(collections(chroma)) - set(before)
    assert collections(chroma)[name] == 1
    assert "thirteen" in fieldguide.search("Brackwater clock", 1, ["notes"]).hits[0].chunk.text
    fieldguide.own.reindex("notes")
    assert collections(chroma)[name] == 1
    fieldguide.own.delete("notes")
    assert collections(chroma) == before


def test_an_index_in_a_folder_moves_to_a_server_once_one_is_named(chroma, copy_on):
    assert isinstance(answer(copy_on("", "same")), Finished)
    assert collections(chroma) == {}
    assert isinstance(answer(copy_on(chroma, "same")), Finished)
    assert list(collections(chroma).values()) == [8]


def test_a_server_that_goes_away_is_named_in_one_line_and_works_again_when_it_is_back(tmp_path, copy_on):
    port = free_port()
    with chroma_server(tmp_path / "server", port) as url:
        fieldguide = copy_on(url)
        assert isinstance(answer(fieldguide), Finished)
    gone = answer(fieldguide)
    assert isinstance(gone, Failed)
    assert url in gone.message
    assert "chroma_url" in gone.remedy
    assert "\n" not in gone.message
    with chroma_server(tmp_path / "server", port):
        assert isinstance(answer(fieldguide), Finished)


def test_a_server_that_is_busy_for_a_moment_is_asked_again(chroma, tmp_path):
    proxy = Proxy(chroma)
    store = ServedVectorStore(proxy.url, "vectors")
    fill(store)
    proxy.hang_up()
    proxy.refuse = 2
    assert [i for i, _ in store.nearest(EAST, 2)] == ["east", "north-east"]
    assert proxy.refuse == 0
    store.close()
    proxy.close()


def test_nobody_there_leaves_no_half_built_index(copy_on, tmp_path):
    fieldguide = copy_on(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(RemoteError, match="cannot be used"):
        list(fieldguide.loading())
    assert not list((tmp_path / "one" / "index").glob("generation-*"))
