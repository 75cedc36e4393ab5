"""Collections of own documents: they grow and shrink a document at a time, and a kill at any moment leaves one to search."""

import os
import shutil
import sqlite3
import threading
from pathlib import Path

import numpy as np
import pytest

from fakes import WordCountEmbedder
from fieldguide.errors import CollectionError, SearchIndexError
from fieldguide.indexing import collection as collection_module
from fieldguide.indexing.discovery import find_files
from fieldguide.indexing.ingest import ingest
from fieldguide.indexing.library import Library
from fieldguide.indexing.loading.pool import LoaderPool
from killed import Started, seconds_of_an_ingest
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


def test_a_file_that_was_moved_over_another_takes_its_place(add, library, folder):
    add(folder)
    (folder / "quillon.md").rename(folder / "tides.txt")
    report = add(folder)
    store = library.collection("mine").store
    assert (report.skipped, report.embedded) == ([], 0)
    assert [d.origin for d in store.documents()] == [folder / "tides.txt"]
    assert best(library) == FACT
    assert_whole(library.collection("mine"))
    assert add(folder).unchanged == 1


def test_what_a_file_said_before_it_became_a_copy_of_another_is_found_no_more(add, library, folder):
    add(folder)
    other = next(path for path in folder.iterdir() if path.name != "quillon.md")
    other.write_bytes((folder / "quillon.md").read_bytes())
    assert add(folder).skipped == [(other.name, "It holds the same as quillon.md.")]
    assert [d.name for d in library.collection("mine").store.documents()] == ["quillon.md"]
    assert_whole(library.collection("mine"))


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


def places_of(vector, folder):
    """The files in which these numbers stand, as Chroma (32 bits) or our own store (16 bits) writes them."""
    found = set()
    for path in folder.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        for kind, step in ((np.float32, 4), (np.float16, 2)):
            for offset in range(step):
                numbers = np.frombuffer(content[offset : len(content) - (len(content) - offset) % step], kind)
                windows = np.lib.stride_tricks.sliding_window_view(numbers, len(vector)) if len(numbers) >= len(vector) else []
                if len(windows) and (np.abs(np.asarray(windows, np.float32) - vector).max(axis=1) < 1e-3).any():
                    found.add(path.name)
    return found


@pytest.mark.parametrize("others", [0, 30])
def test_a_removed_document_leaves_no_trace(add, library, folder, others):
    for number in range(others):
        (folder / f"{number}.txt").write_text(f"Light number {number} stands at the coast.")
    add(folder)
    collection = library.collection("mine")
    stored = collection.store.stored_vectors([passage.id for passage in collection.store.passages_of("quillon.md")])
    assert places_of(stored[next(iter(stored))], collection.folder) >= {"chroma.sqlite3"}  # so it would be found
    gone = collection.store.passages_of("quillon.md")
    with collection.writing(lambda: None):
        collection.remove(["quillon.md"])
    assert [chunk.text for chunk in gone] == [FACT, OTHER]
    assert collection.store.by_keywords("Quillon Jevons", 5) == []
    assert len(collection.store.documents()) == collection.vectors.count() == others + 1
    assert_whole(collection)
    collection.close()
    library._opened.clear()
    for path in collection.folder.rglob("*"):
        content = path.read_bytes().lower() if path.is_file() else b""
        assert b"jevon" not in content, path
        assert not any(chunk.id.encode() in content for chunk in gone), path
    assert [places_of(vector, collection.folder) for vector in stored.values()] == [set(), set()]
    assert best(library, "Which light follows the Moon?")


def test_a_kill_while_a_document_is_removed_leaves_no_trace_of_it_either(add, library, folder):
    add(folder)
    collection = library.collection("mine")
    stored = collection.store.stored_vectors([passage.id for passage in collection.store.passages_of("quillon.md")])
    collection.store.remove_document("quillon.md")  # and no more: Chroma has not been told, no file rewritten
    library.close()
    assert best(library) == "Tides follow the Moon."
    library.close()
    for path in collection.folder.rglob("*"):
        assert not path.is_file() or b"jevon" not in path.read_bytes().lower(), path
    assert [places_of(vector, collection.folder) for vector in stored.values()] == [set(), set()]


def test_word_counts_go_down_with_a_document(add, library, folder):
    add(folder / "tides.txt")
    before = library.collection("mine").store.frequency(WordCountEmbedder().token_ids("the moon quillon")).tolist()
    add(folder)
    collection = library.collection("mine")
    with collection.writing(lambda: None):
        collection.remove(["quillon.md"])
    assert collection.store.frequency(WordCountEmbedder().token_ids("the moon quillon")).tolist() == before


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


def test_a_large_ingest_takes_less_room_before_it_ends(add, library, folder, monkeypatch):
    monkeypatch.setattr(collection_module, "_REDUCED_WITHIN", 100)
    for number in range(300):
        (folder / f"{number}.txt").write_text(f"Light number {number} stands at the coast.")
    widths = []
    add(
        folder,
        embedder=(wide := WordCountEmbedder(200)),
        progress=lambda r: widths.append(library.collection("mine").store.directions.shape[1]),
    )
    assert {200, 128} == set(widths)
    assert library.collection("mine").search(QUESTION, 1, wide).hits[0].chunk.text == FACT


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


@pytest.mark.parametrize("limit", [1, 2, 9])
def test_no_sentence_is_quoted_of_a_passage_that_is_not_among_the_hits(add, library, folder, toy_documents, tmp_path, limit):
    from fieldguide.answering.injection import without_orders
    from fieldguide.indexing.index import build_index

    embedder = WordCountEmbedder()
    build_index(toy_documents, embedder, tmp_path / "data", lambda *_: None)
    (folder / "sources.md").write_text("The Quillon lighthouse was built in 1911 [12]. Its light is red.")
    add(folder)
    result = library.search(embedder).search("Who built the Quillon lighthouse?", limit)
    shown = without_orders(result)
    assert {quote.chunk.id for quote in shown.quotes} <= {hit.chunk.id for hit in result.hits}
    assert all(quote.chunk.passage[quote.start : quote.end] == quote.text for quote in shown.quotes)
    assert shown.quotes


def test_scores_over_two_collections_are_those_of_one_that_holds_both(add, library, tmp_path, toy_documents):
    from fieldguide.indexing.index import build_index

    build_index(toy_documents[:1], WordCountEmbedder(), tmp_path / "data", lambda *_: None)
    for number in range(40):  # in this one, the word "oil" says nothing and "Quillon" says much
        (tmp_path / f"large-{number}.txt").write_text(f"Light number {number} at the coast burns oil.")
    (tmp_path / "small-1.txt").write_text("Oil lamps are old.")
    (tmp_path / "small-2.txt").write_text("Quillon is a name.")
    large, small = (sorted(tmp_path.glob(f"{name}-*.txt")) for name in ("large", "small"))
    add(*large, name="large")
    add(*small, name="small")
    add(*large, *small, name="both")
    question, embedder = "Does the light at Quillon burn oil?", WordCountEmbedder()

    def ranked(*names):
        hits = library.search(embedder, names).search(question, 10).hits
        return [(hit.chunk.document, round(hit.score, 5)) for hit in hits]

    def alone(name):
        hits = library.collection(name).search(question, 10, embedder).hits
        return {hit.chunk.document: round(hit.score, 5) for hit in hits}

    one, two = ranked("both"), ranked("large", "small")
    assert [score for _, score in two] == [score for _, score in one]
    assert {name for name, score in two if score > one[-1][1]} == {name for name, score in one if score > one[-1][1]}
    # each weighed by itself, the small one would overrate its passages
    assert alone("small")["small-1.txt"] != dict(two).get("small-1.txt", 0.0)


def test_a_damaged_collection_names_its_folder_and_leaves_the_guides_alone(add, library, folder, toy_documents, tmp_path):
    from fieldguide.indexing.index import build_index

    build_index(toy_documents, WordCountEmbedder(), tmp_path / "data", lambda *_: None)
    add(folder)
    where = library.collection("mine").folder
    library.close()
    (where / "library.sqlite").write_bytes(b"no database, but long enough to be looked at" * 100)
    with pytest.raises(SearchIndexError, match=where.name) as caught:
        library.search(WordCountEmbedder()).search(QUESTION, 3)
    assert caught.value.remedy == "Remove that folder, and ingest its files again: fieldguide ingest PATH..."
    assert library.search(WordCountEmbedder(), ["guides"]).search(QUESTION, 3).hits


@pytest.mark.parametrize("damaged", ["chroma.sqlite3", "data_level0.bin", "header.bin", "folder"])
def test_damage_to_chromas_files_is_mended_by_the_next_search(add, library, folder, damaged):
    for number in range(30):
        (folder / f"{number}.txt").write_text(f"Light number {number} stands at the coast.")
    add(folder)
    collection = library.collection("mine")
    collection.vectors.rewrite(64)  # has Chroma write its index
    library.close()
    for path in (collection.folder / "chroma").rglob("*"):
        if path.name == damaged:
            path.write_bytes(b"damaged" * 10)
    if damaged == "folder":
        shutil.rmtree(collection.folder / "chroma")
    assert best(library) == FACT
    assert_whole(library.collection("mine"))


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


@pytest.mark.parametrize("share", [0.0, 0.2, 0.45, 0.7, 0.95])
def test_a_kill_loses_nothing_that_was_reported_done(add, library, folder, tmp_path, share):
    for number in range(200):
        (folder / f"{number}.txt").write_text(f"Light number {number} stands at the coast and burns oil.")
    (folder / "quillon.md").rename(folder / "!first.md")
    whole = seconds_of_an_ingest(tmp_path / "elsewhere", folder)
    started = Started(tmp_path / "data", folder)
    started.kill(share * whole)
    collection = library.collection("mine")
    collection.search(QUESTION, 1, WordCountEmbedder())  # opens, and tells Chroma what it missed
    assert_whole(collection)
    assert sum(bool(document.sha256) for document in collection.store.documents()) >= started.done
    add(folder)
    assert len(collection.store.documents()) == 202
    assert_whole(collection)
    assert best(library) == FACT


def test_two_processes_at_once_leave_a_whole_collection(library, folder, tmp_path):
    for number in range(60):
        (folder / f"{number}.txt").write_text(f"Light number {number} stands at the coast.")
    both = [Started(tmp_path / "data", folder) for _ in range(2)]
    for one in both:
        one.wait()
    assert sorted(one.done for one in both) == [0, 62]
    assert len(library.collection("mine").store.documents()) == 62
    assert_whole(library.collection("mine"))
