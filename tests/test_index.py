"""The index on disk: built, brought up to date, swapped whole, and mended after damage."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from fakes import WordCountEmbedder
from fieldguide.errors import SearchIndexError
from fieldguide.indexing import index as index_module
from fieldguide.indexing.documents import corpus_hash, read_folder
from fieldguide.indexing.index import build_index, current_generation, open_index, read_manifest
from fieldguide.retrieval.search import Searcher

PASSAGES = 8  # of the toy corpus
QUESTION = "Who built the Quillon lighthouse?"


@pytest.fixture
def data_dir(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def build(toy_folder, data_dir):
    """Build from the toy folder as it stands; a new embedder each time, unless one is given."""

    def build(embedder=None, report=lambda *_: None, **options):
        return build_index(read_folder(toy_folder), embedder or WordCountEmbedder(), data_dir, report, **options)

    return build


@pytest.fixture
def built(build, data_dir):
    """The folder of the generation in use, after a first build."""
    build()
    return generation_folder(data_dir)


def generation_folder(data_dir: Path) -> Path:
    return data_dir / "index" / current_generation(data_dir)


def find(index, question: str = QUESTION) -> str:
    """The text of the best passage."""
    return Searcher(WordCountEmbedder(), index.vector_store, index.passage_store).search(question, 1).hits[0].chunk.text


def ask(data_dir: Path, question: str = QUESTION) -> str:
    index = open_index(data_dir)
    try:
        return find(index, question)
    finally:
        index.close()


def assert_whole(data_dir: Path, passages: int = PASSAGES) -> None:
    """The generation in use has every passage in both stores, under the same ids, and says so."""
    index = open_index(data_dir)
    ids = [chunk.id for chunk in index.passage_store.chunks()]
    assert len(ids) == passages == index.manifest.passages
    assert set(index.vector_store.vectors()) == set(ids)
    assert set(index.passage_store.token_vectors(ids)) == set(ids)
    index.close()


def edit(folder: Path, name: str, old: str, new: str) -> None:
    path = folder / name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


class FailingEmbedder(WordCountEmbedder):
    """Embeds this many texts and then fails, as a process does that is killed."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self._after = after

    def embed(self, texts):
        if len(self.embedded) + len(texts) > self._after:
            raise RuntimeError("killed")
        return super().embed(texts)


class HookedEmbedder(WordCountEmbedder):
    """Does something else in the middle of a build."""

    def __init__(self, hook) -> None:
        super().__init__()
        self._hook = hook

    def embed(self, texts):
        self._hook()
        return super().embed(texts)


# Building and reopening


def test_a_build_embeds_every_passage(build):
    summary = build()
    assert (summary.passages, summary.embedded, summary.changed) == (PASSAGES, PASSAGES, True)


def test_a_built_index_is_whole(built, data_dir):
    assert_whole(data_dir)


def test_an_opened_index_finds_passages(built, data_dir):
    assert ask(data_dir) == "The Quillon lighthouse was built by Marta Jevons in 1911. It is 37 metres tall."


def test_the_manifest_says_what_the_index_was_made_of(built, data_dir, toy_documents):
    manifest = read_manifest(data_dir)
    assert manifest.documents == ("bees.md", "bread.md", "lighthouses.md", "tides.md", "wasps.md")
    assert (manifest.passages, manifest.embedder, manifest.dimension) == (PASSAGES, "word-count-64", 64)
    assert manifest.corpus == corpus_hash(toy_documents)


def test_the_embedder_reads_title_and_headings_with_a_passage(build):
    embedder = WordCountEmbedder()
    build(embedder)
    assert "Bees > What do bees eat?\nBees eat nectar and pollen. They do not eat wood." in embedder.embedded


def test_progress_is_reported_to_the_end(build):
    steps = []
    build(report=lambda *step: steps.append(step))
    assert steps[0] == ("Cutting documents into passages", 0, 5)
    assert ("Cutting documents into passages", 5, 5) in steps
    assert steps[-1] == ("Embedding passages", PASSAGES, PASSAGES)


def test_without_a_build_there_is_no_index_and_the_remedy_is_to_ingest(data_dir):
    assert current_generation(data_dir) is None
    assert read_manifest(data_dir) is None
    with pytest.raises(SearchIndexError, match="There is no index") as caught:
        open_index(data_dir)
    assert "fieldguide ingest" in caught.value.remedy


@pytest.mark.parametrize("text", ["", "# Only a heading\n"])
def test_documents_without_text_are_refused_and_the_old_index_stays(build, built, toy_folder, data_dir, text):
    for path in toy_folder.glob("*.md"):
        path.write_text(text)
    with pytest.raises(SearchIndexError, match="no text"):
        build()
    assert_whole(data_dir)


# Bringing up to date


def test_a_build_that_is_up_to_date_embeds_nothing_and_changes_nothing(build, built, data_dir):
    files = [data_dir / "index" / "CURRENT", built / "manifest.json", built / "passages.sqlite"]
    before = [path.read_bytes() for path in files]
    embedder = WordCountEmbedder()
    summary = build(embedder)
    assert (summary.passages, summary.embedded, summary.changed) == (PASSAGES, 0, False)
    assert embedder.embedded == []
    assert generation_folder(data_dir) == built
    assert [path.read_bytes() for path in files] == before


def test_only_the_changed_passages_of_a_changed_document_are_embedded(build, built, toy_folder, data_dir):
    edit(toy_folder, "bees.md", "nectar and pollen", "nectar and cake")
    embedder = WordCountEmbedder()
    summary = build(embedder)
    assert embedder.embedded == ["Bees > What do bees eat?\nBees eat nectar and cake. They do not eat wood."]
    assert (summary.passages, summary.embedded, summary.changed) == (PASSAGES, 1, True)
    assert_whole(data_dir)


def test_a_changed_passage_is_found_and_its_old_text_is_gone(build, built, toy_folder, data_dir):
    edit(toy_folder, "lighthouses.md", "Marta Jevons", "Otto Brandt")
    build()
    assert "Otto Brandt" in ask(data_dir)
    index = open_index(data_dir)
    assert not [chunk for chunk in index.passage_store.chunks() if "Marta" in chunk.text]
    index.close()


def vectors_of(data_dir: Path) -> dict[str, np.ndarray]:
    """The vector of each passage, and under it those of its tokens."""
    index = open_index(data_dir)
    vectors = index.vector_store.vectors()
    tokens = index.passage_store.token_vectors(list(vectors))
    index.close()
    return {i: np.vstack([vectors[i], tokens[i]]) for i in vectors}


def test_kept_passages_keep_their_vectors_through_many_builds(build, built, toy_folder, data_dir):
    before = vectors_of(data_dir)
    for turn in range(5):
        (toy_folder / "bread.md").write_text(f"# Bread\n\nLoaf number {turn}.\n")
        build()
    after = vectors_of(data_dir)
    kept = set(before) & set(after)
    assert len(kept) == PASSAGES - 1
    assert all(np.allclose(before[i], after[i], atol=1e-6) for i in kept)


def test_a_passage_that_only_moved_has_its_new_place(build, built, toy_folder, data_dir):
    edit(toy_folder, "bees.md", "Bees live in hives.", "Bees live in hives, trees and walls.")
    embedder = WordCountEmbedder()
    build(embedder)
    assert len(embedder.embedded) == 1
    text = (toy_folder / "bees.md").read_text(encoding="utf-8")
    index = open_index(data_dir)
    moved = [chunk for chunk in index.passage_store.chunks() if chunk.document == "bees.md"]
    assert [text[chunk.start : chunk.end] for chunk in moved] == [chunk.text for chunk in moved]
    index.close()


def test_a_removed_document_is_found_no_more(build, built, toy_folder, data_dir):
    (toy_folder / "wasps.md").unlink()
    embedder = WordCountEmbedder()
    summary = build(embedder)
    assert (summary.passages, embedder.embedded) == (PASSAGES - 1, [])
    assert "Wasp" not in ask(data_dir, "What are wasp nests made of?")
    assert_whole(data_dir, PASSAGES - 1)


def test_a_new_document_costs_only_its_own_passages(build, built, toy_folder, data_dir):
    (toy_folder / "ants.md").write_text("# Ants\n\nAnts walk.\n")
    embedder = WordCountEmbedder()
    build(embedder)
    assert embedder.embedded == ["Ants > Ants\nAnts walk."]
    assert ask(data_dir, "Do ants walk?") == "Ants walk."


def test_rebuild_embeds_everything_again(build, built, data_dir):
    embedder = WordCountEmbedder()
    summary = build(embedder, rebuild=True)
    assert (len(embedder.embedded), summary.changed) == (PASSAGES, True)
    assert generation_folder(data_dir) != built


def test_another_embedder_embeds_everything_again(build, built, data_dir):
    embedder = WordCountEmbedder(dimension=32)
    build(embedder)
    assert len(embedder.embedded) == PASSAGES
    assert (read_manifest(data_dir).embedder, read_manifest(data_dir).dimension) == ("word-count-32", 32)


@pytest.mark.parametrize("version", ["FORMAT_VERSION", "CHUNKER_VERSION"])
def test_an_index_of_another_version_is_built_anew(build, built, monkeypatch, version):
    monkeypatch.setattr(index_module, version, 1000)
    embedder = WordCountEmbedder()
    build(embedder)
    assert len(embedder.embedded) == PASSAGES


def test_an_index_of_another_form_is_not_opened(built, data_dir, monkeypatch):
    monkeypatch.setattr(index_module, "FORMAT_VERSION", 1000)
    with pytest.raises(SearchIndexError) as caught:
        open_index(data_dir)
    assert "fieldguide ingest" in caught.value.remedy


# Swapping


def test_an_index_opened_before_a_build_can_be_searched_during_and_after_it(build, built, toy_folder, data_dir):
    old = open_index(data_dir)
    edit(toy_folder, "lighthouses.md", "Marta Jevons", "Otto Brandt")
    found_meanwhile = []
    build(HookedEmbedder(lambda: found_meanwhile.append(find(old))))
    assert "Marta Jevons" in found_meanwhile[0]
    assert "Marta Jevons" in find(old)
    assert "Otto Brandt" in ask(data_dir)
    old.close()


def test_an_index_opened_during_a_build_is_the_old_one(build, built, toy_folder, data_dir):
    edit(toy_folder, "lighthouses.md", "Marta Jevons", "Otto Brandt")
    found_meanwhile = []
    build(HookedEmbedder(lambda: found_meanwhile.append(ask(data_dir))))
    assert "Marta Jevons" in found_meanwhile[0]


def test_the_generation_before_stays_and_older_ones_go(build, data_dir):
    for _ in range(4):
        build(rebuild=True)
    folders = sorted(path.name for path in (data_dir / "index").glob("generation-*"))
    assert folders == ["generation-000003", "generation-000004"]
    assert current_generation(data_dir) == "generation-000004"


# A build that dies midway


@pytest.fixture
def long_guide(toy_folder, built):
    """A guide with more new passages than are embedded at once, so that a build can die between two writes."""
    sections = [f"## Section {number}\n\nThis is part {number}.\n" for number in range(100)]
    (toy_folder / "long.md").write_text("# Long\n\n" + "\n".join(sections))


def test_a_build_that_dies_midway_leaves_the_old_index_as_it_was(build, built, long_guide, data_dir):
    with pytest.raises(RuntimeError, match="killed"):
        build(FailingEmbedder(after=90))
    assert generation_folder(data_dir) == built
    assert "Marta Jevons" in ask(data_dir)
    assert_whole(data_dir)


def test_the_build_after_one_that_died_works(build, built, long_guide, data_dir):
    with pytest.raises(RuntimeError, match="killed"):
        build(FailingEmbedder(after=90))
    assert build().passages == PASSAGES + 100
    assert_whole(data_dir, PASSAGES + 100)


def test_a_first_build_that_dies_leaves_no_index_and_the_next_one_works(build, data_dir):
    with pytest.raises(RuntimeError, match="killed"):
        build(FailingEmbedder(after=0))
    assert current_generation(data_dir) is None
    build()
    assert_whole(data_dir)


# Damage


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


DAMAGE = {
    "no manifest": ("manifest.json", Path.unlink),
    "half a manifest": ("manifest.json", cut_in_half),
    "a manifest of another shape": ("manifest.json", lambda path: path.write_text('{"documents": []}')),
    "no passages": ("passages.sqlite", Path.unlink),
    "empty passages": ("passages.sqlite", lambda path: path.write_bytes(b"")),
    "half the passages": ("passages.sqlite", cut_in_half),
    "passages overwritten": ("passages.sqlite", lambda path: path.write_bytes(b"no database " * 1000)),
    "vectors overwritten": ("chroma/chroma.sqlite3", lambda path: path.write_bytes(b"no database " * 1000)),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_a_damaged_index_is_refused_with_a_remedy(built, data_dir, kind):
    name, damage = DAMAGE[kind]
    damage(built / name)
    with pytest.raises(SearchIndexError) as caught:
        ask(data_dir)
    assert "fieldguide ingest" in caught.value.remedy


@pytest.mark.parametrize("kind", DAMAGE)
def test_the_next_build_mends_a_damaged_index(build, built, data_dir, kind):
    name, damage = DAMAGE[kind]
    damage(built / name)
    assert build().changed
    assert_whole(data_dir)


def test_lost_vectors_are_mended_by_the_next_build(build, built, data_dir):
    index = open_index(data_dir)
    index.vector_store._collection.delete(ids=[index.passage_store.chunks()[0].id])
    index.close()
    assert build().changed
    assert_whole(data_dir)


def damage_pages(path: Path) -> None:
    """All pages but the first three: the tables are still there, and what is in them is not."""
    content = path.read_bytes()
    path.write_bytes(content[: 3 * 4096] + b"\xff" * (len(content) - 3 * 4096))


def test_damage_inside_the_passages_is_refused_when_it_is_met_and_rebuild_mends_it(build, built, data_dir):
    damage_pages(built / "passages.sqlite")
    with pytest.raises(SearchIndexError) as caught:
        ask(data_dir)
    assert "ingest --rebuild" in caught.value.remedy
    build(rebuild=True)
    assert_whole(data_dir)


def test_a_lost_pointer_to_the_generation_in_use_is_mended_by_the_next_build(build, built, data_dir):
    (data_dir / "index" / "CURRENT").unlink()
    with pytest.raises(SearchIndexError, match="There is no index"):
        open_index(data_dir)
    build()
    assert_whole(data_dir)


@pytest.mark.parametrize("folder", ["data", "data/index"])
def test_a_file_where_a_folder_should_be_is_an_error_with_a_remedy(build, tmp_path, data_dir, folder):
    (tmp_path / folder).parent.mkdir(exist_ok=True)
    (tmp_path / folder).write_text("no folder")
    with pytest.raises(SearchIndexError, match="cannot be written") as written:
        build()
    with pytest.raises(SearchIndexError, match="cannot be read") as opened:
        open_index(data_dir)
    assert "--data-dir" in written.value.remedy
    assert "--data-dir" in opened.value.remedy


@pytest.mark.parametrize("content", [b"junk\n", b"generation-x\n", b"\xff\xfe"])
def test_an_unreadable_pointer_is_mended_by_the_next_build(build, built, data_dir, content):
    (data_dir / "index" / "CURRENT").write_bytes(content)
    build()
    assert_whole(data_dir)


def test_an_index_without_its_vectors_is_refused(built, data_dir):
    for path in sorted((built / "chroma").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    with pytest.raises(SearchIndexError):
        open_index(data_dir)


def test_damage_inside_the_passages_does_not_stop_a_build_of_changed_guides(build, built, toy_folder, data_dir):
    damage_pages(built / "passages.sqlite")
    edit(toy_folder, "bees.md", "nectar and pollen", "nectar and cake")
    build()
    assert_whole(data_dir)


# Two builders at once


def test_a_second_builder_waits_for_the_first_and_finds_its_work_done(build, data_dir):
    first_is_building, second_waits = threading.Event(), threading.Event()
    waiting = "Waiting for another process that builds the index"

    def hold_on() -> None:
        first_is_building.set()
        assert second_waits.wait(30)

    with ThreadPoolExecutor() as pool:
        first = pool.submit(build, HookedEmbedder(hold_on))
        assert first_is_building.wait(30)
        second = pool.submit(build, report=lambda what, *_: second_waits.set() if what == waiting else None)
        assert (first.result(60).changed, second.result(60).changed) == (True, False)
    assert_whole(data_dir)


def start(toy_folder: Path, data_dir: Path, embedder: str) -> subprocess.Popen:
    """A process of its own that imports what it needs, says so, and builds when it is told to."""
    script = f"""
import os, sys
from pathlib import Path
from fakes import WordCountEmbedder
from fieldguide.indexing.documents import read_folder
from fieldguide.indexing.index import build_index
class Dying(WordCountEmbedder):
    def embed(self, texts):
        os._exit(9)
documents = read_folder(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
build_index(documents, {embedder}(), Path(sys.argv[2]), lambda *_: None, rebuild=True)
"""
    command = [sys.executable, "-c", script, str(toy_folder), str(data_dir)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=Path(__file__).parent, **pipes)


def finish(processes: list[subprocess.Popen]) -> list[int]:
    """Let them build, all at once, and give their exit codes."""
    for process in processes:
        assert process.stdout.readline() == "ready\n", process.stderr.read()
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        process.communicate(timeout=60)
    return [process.returncode for process in processes]


def test_two_processes_that_build_at_once_both_succeed_and_leave_one_whole_index(toy_folder, data_dir):
    builders = [start(toy_folder, data_dir, "WordCountEmbedder") for _ in range(2)]
    assert finish(builders) == [0, 0]
    assert current_generation(data_dir) == "generation-000002"
    assert_whole(data_dir)


def test_a_process_that_dies_on_the_spot_leaves_the_old_index_and_no_lock(build, built, toy_folder, data_dir):
    assert finish([start(toy_folder, data_dir, "Dying")]) == [9]
    assert generation_folder(data_dir) == built
    assert "Marta Jevons" in ask(data_dir)
    assert build(rebuild=True).changed
    assert_whole(data_dir)
