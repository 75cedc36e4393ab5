"""Collections of own documents: they grow and shrink a document at a time, and a kill at any moment leaves one to search."""

import os
import signal
import sqlite3
import threading
import time
from pathlib import Path

import pytest

from fakes import WordCountEmbedder
from fieldguide.errors import CollectionError, SearchIndexError
from fieldguide.indexing import collection as collection_module
from fieldguide.indexing.discovery import find_files
from fieldguide.indexing.ingest import ingest
from fieldguide.indexing.library import Library
from fieldguide.indexing.loading.pool import LoaderPool
from killed import start_ingest
from sample_files import FACT, OTHER, SAMPLES

QUESTION = "Who built the Quillon lighthouse?"


@pytest.fixture(scope="module")
def pool():
    with LoaderPool(2) as pool:
        yield pool


@pytest.fixture
def library(tmp_path):
    library = Library(tmp_path / "data")
    yield library
    library.close()


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "quillon.md").write_text(f"# Lights\n\n## Quillon\n\n{FACT}\n\n## Others\n\n{OTHER}\n")
    (folder / "tides.txt").write_text("Tides follow the Moon.")
    return folder


@pytest.fixture
def add(library, pool):
    """Ingest paths into a collection; a new embedder each time, unless one is given."""

    def add(*paths, name="mine", embedder=None, is_cancelled=lambda: False, progress=lambda _: None):
        embedder = embedder or WordCountEmbedder()
        collection = library.create(name, embedder)
        with collection.writing(lambda: None):
            return ingest(collection, list(find_files(list(map(str, paths)))), embedder, pool, progress, is_cancelled)

    return add


def best(library, question=QUESTION, name="mine"):
    hits = library.collection(name).search(question, 3, WordCountEmbedder()).hits
    return hits[0].chunk.text if hits else ""


def assert_whole(collection) -> None:
    """SQLite and Chroma agree, and every finished document has its passages."""
    store = collection.store
    assert collection.vectors.ids() == store.ids()
    assert not store.unsynced(1)
    for document in store.documents():
        if document.sha256:
            passages = store.passages_of(document.name)
            assert len(passages) == document.passages
            assert all(store.text(document.name)[p.start : p.end] in p.text for p in passages)


def test_files_of_a_folder_are_found_by_a_question(add, library, folder):
    report = add(folder)
    assert (report.added, report.passages, report.embedded, report.skipped) == (2, 3, 3, [])
    assert best(library) == FACT
    assert_whole(library.collection("mine"))


def test_every_format_is_ingested_and_found(add, library, tmp_path):
    for name, (content, _) in SAMPLES.items():
        (tmp_path / name).write_bytes(content)
    report = add(*(tmp_path / name for name in SAMPLES))
    assert (report.added, report.skipped) == (len(SAMPLES), [])
    for document in library.collection("mine").store.documents():
        assert any("Quillon" in passage.text for passage in library.collection("mine").store.passages_of(document.name))


def test_a_second_ingest_embeds_nothing(add, folder):
    add(folder)
    report = add(folder, embedder=(embedder := WordCountEmbedder()))
    assert (report.unchanged, report.added, report.changed, embedder.embedded) == (2, 0, 0, [])


def test_a_file_that_was_only_touched_is_read_but_not_embedded(add, folder):
    add(folder)
    os.utime(folder / "quillon.md", ns=(1, 1))
    assert add(folder).unchanged == 2


def test_only_changed_passages_of_a_changed_file_are_embedded(add, library, folder):
    add(folder)
    path = folder / "quillon.md"
    path.write_text(path.read_text().replace("Marta Jevons", "Otto Brandt"))
    report = add(folder, embedder=(embedder := WordCountEmbedder()))
    assert (report.changed, report.unchanged, len(embedder.embedded)) == (1, 1, 1)
    assert "Otto Brandt" in best(library)
    assert not [chunk for chunk in library.collection("mine").store.chunks() if "Jevons" in chunk.text]
    assert_whole(library.collection("mine"))


def test_the_same_content_twice_is_stored_once(add, library, folder):
    (folder / "copy.md").write_bytes((folder / "quillon.md").read_bytes())
    report = add(folder)
    assert report.added == 2
    assert report.skipped == [("quillon.md", "It holds the same as copy.md.")]
    assert add(folder).embedded == 0


def test_a_file_that_moved_is_the_same_document(add, library, folder):
    add(folder)
    (folder / "quillon.md").rename(folder / "lights.md")
    report = add(folder)
    assert (report.unchanged, report.embedded, report.skipped) == (2, 0, [])
    assert library.collection("mine").store.document("quillon.md").origin == folder / "lights.md"


def test_files_of_the_same_name_are_told_apart(add, library, tmp_path):
    for folder, text in (("a", FACT), ("b", OTHER)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "note.txt").write_text(text)
    add(tmp_path / "a" / "note.txt", tmp_path / "b" / "note.txt")
    assert [d.name for d in library.collection("mine").store.documents()] == ["note (2).txt", "note.txt"]


def test_bad_files_are_skipped_with_reasons_and_the_rest_go_in(add, library, folder):
    (folder / "empty.txt").touch()
    (folder / "cut.pdf").write_bytes(b"%PDF-1.4\n1 0 obj")
    (folder / "loop").symlink_to(folder)
    (folder / "nowhere.txt").symlink_to(folder / "missing")
    (folder / "two\nlines.txt").write_text("A name of two lines.")
    report = add(folder, folder / "no-such-file.txt")
    assert report.added == 3
    skipped = sorted(Path(name).name for name, _ in report.skipped)
    assert skipped == ["cut.pdf", "empty.txt", "no-such-file.txt", "nowhere.txt"]
    assert best(library) == FACT


def test_a_pattern_names_files_and_patterns_choose_in_folders(folder):
    (folder / "deep").mkdir()
    (folder / "deep" / "old.md").write_text("Old.")
    assert [f.name for f in find_files([str(folder / "*.md")])] == ["quillon.md"]
    assert [f.name for f in find_files([str(folder)], include=["*.md"])] == ["quillon.md", "deep/old.md"]
    assert [f.name for f in find_files([str(folder)], exclude=["deep", "*.txt"])] == ["quillon.md"]


def test_a_removed_document_leaves_no_trace(add, library, folder, tmp_path):
    add(folder)
    collection = library.collection("mine")
    with collection.writing(lambda: None):
        gone = collection.remove(["quillon.md"])
    assert [chunk.text for chunk in gone] == [FACT, OTHER]
    assert collection.store.by_keywords("Quillon Jevons", 5) == []
    assert [d.name for d in collection.store.documents()] == ["tides.txt"]
    assert_whole(collection)
    collection.close()
    library._opened.clear()
    for path in (collection.folder).rglob("*"):
        assert not path.is_file() or b"jevon" not in path.read_bytes().lower(), path


def test_word_counts_go_down_with_a_document(add, library, folder):
    add(folder / "tides.txt")
    before = library.collection("mine").store.rarity(WordCountEmbedder().token_ids("the moon quillon")).tolist()
    add(folder)
    collection = library.collection("mine")
    with collection.writing(lambda: None):
        collection.remove(["quillon.md"])
    assert collection.store.rarity(WordCountEmbedder().token_ids("the moon quillon")).tolist() == before


def test_cancelling_keeps_what_is_done(add, library, tmp_path):
    for number in range(300):
        (tmp_path / f"{number:03}.txt").write_text(f"Light number {number} stands at the coast.")
    seen = []
    report = add(tmp_path, is_cancelled=lambda: bool(seen) and seen[-1] >= 64, progress=lambda r: seen.append(r.added))
    assert report.cancelled
    assert 64 <= report.added < 300
    assert len(library.collection("mine").store.documents()) == report.added
    assert_whole(library.collection("mine"))


def test_token_vectors_take_less_room_once_there_are_many(add, library, folder, monkeypatch):
    monkeypatch.setattr(collection_module, "_REDUCED_FROM", 3)
    wide = WordCountEmbedder(200)
    add(folder, embedder=wide)
    collection = library.collection("mine")
    assert collection.store.directions.shape == (200, 128)
    assert collection.search(QUESTION, 1, wide).hits[0].chunk.text == FACT


# Several collections


def test_collections_are_searched_alone_and_together(add, library, folder, toy_documents, tmp_path):
    from fieldguide.indexing.index import build_index

    embedder = WordCountEmbedder()
    build_index(toy_documents, embedder, tmp_path / "data", lambda *_: None)
    add(folder)
    (tmp_path / "note.txt").write_text("The Quillon lighthouse was painted red in 1950.")
    add(tmp_path / "note.txt", name="notes")
    assert library.names() == ["guides", "mine", "notes"]
    question = "Quillon lighthouse"
    alone = {name: library.search(embedder, [name]).search(question, 3).hits for name in library.names()}
    assert {hit.chunk.document for hit in alone["notes"]} == {"note.txt"}
    together = library.search(embedder).search(question, 9).hits
    assert {"lighthouses.md", "quillon.md", "note.txt"} <= {hit.chunk.document for hit in together}
    assert [hit.rank for hit in together] == list(range(1, len(together) + 1))
    assert library.chunks([hit.chunk.id for hit in together]) == [hit.chunk for hit in together]


def test_a_collection_is_renamed_and_deleted(add, library, folder):
    add(folder)
    library.rename("mine", "coast")
    assert best(library, name="coast") == FACT
    where = library.collection("coast").folder
    library.delete("coast")
    assert library.names() == ["guides"]
    assert not where.exists()
    assert (folder / "quillon.md").exists()


@pytest.mark.parametrize("name", ["", "guides", "../up", "a/b", "x" * 61, "two\nlines"])
def test_names_that_cannot_be_are_refused(library, name):
    with pytest.raises(CollectionError):
        library.create(name, WordCountEmbedder())


def test_an_unknown_collection_is_refused_with_those_there_are(add, library, folder):
    add(folder)
    with pytest.raises(CollectionError, match="guides, mine"):
        library.search(WordCountEmbedder(), ["yours"])


def test_another_embedder_is_told_to_index_again(add, library, folder):
    add(folder)
    with pytest.raises(SearchIndexError, match="reindex"):
        library.collection("mine").search(QUESTION, 1, WordCountEmbedder(32))


# Damage, kills, other processes


def test_what_chroma_lost_is_told_it_again(add, library, folder):
    add(folder)
    collection = library.collection("mine")
    collection.vectors.remove(sorted(collection.store.ids())[:2])
    collection.vectors.add(["nobody"], collection.store.stored_vectors(list(collection.store.ids())).popitem()[1][None])
    assert best(library) == FACT
    assert_whole(collection)


def test_a_reader_sees_what_another_opener_wrote(add, library, folder, tmp_path, pool):
    add(folder / "tides.txt")
    assert best(library) == "Tides follow the Moon."
    other = Library(tmp_path / "data")
    collection = other.collection("mine")
    with collection.writing(lambda: None):
        ingest(collection, list(find_files([str(folder)])), WordCountEmbedder(), pool, lambda _: None)
    assert best(library) == FACT
    other.close()


def test_two_ingests_at_once_leave_a_whole_collection(add, library, folder, tmp_path):
    for number in range(60):
        (folder / f"{number}.txt").write_text(f"Light number {number} stands at the coast.")
    library.create("mine", WordCountEmbedder())
    threads = [threading.Thread(target=add, args=(folder,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(library.collection("mine").store.documents()) == 62
    assert_whole(library.collection("mine"))


def test_a_folder_that_cannot_be_written_is_one_clear_line(add, library, folder, monkeypatch):
    add(folder / "tides.txt")

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(library.collection("mine").store, "add_passages", full)
    with pytest.raises(SearchIndexError, match="disk is full") as caught:
        add(folder)
    assert "Make room" in caught.value.remedy


@pytest.mark.parametrize("after", [0.0, 0.1, 0.25, 0.5, 0.9])
def test_a_kill_loses_nothing_that_was_reported_done(add, library, folder, tmp_path, after):
    for number in range(200):
        (folder / f"{number}.txt").write_text(f"Light number {number} stands at the coast and burns oil.")
    (folder / "quillon.md").rename(folder / "!first.md")
    child = start_ingest(tmp_path / "data", folder)
    time.sleep(after)
    child.send_signal(signal.SIGKILL)
    told = child.communicate()[0].split()
    done = int(told[-1]) if told else 0
    collection = library.collection("mine")
    collection.search(QUESTION, 1, WordCountEmbedder())  # opens, and tells Chroma what it missed
    assert_whole(collection)
    assert sum(bool(document.sha256) for document in collection.store.documents()) >= done
    add(folder)
    assert len(collection.store.documents()) == 202
    assert_whole(collection)
    assert best(library) == FACT
