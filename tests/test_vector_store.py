"""Vectors in Chroma: the nearest first, with their cosine, kept on disk."""

import os
import subprocess
import sys

import numpy as np
import pytest

from fieldguide.errors import SearchIndexError
from fieldguide.retrieval.vector_store import ChromaVectorStore

# Cosines to east by hand: 1, 0.8, 0, -1.
VECTORS = {"east": (1.0, 0.0), "north-east": (0.8, 0.6), "north": (0.0, 1.0), "west": (-1.0, 0.0)}
EAST = np.array([1.0, 0.0], np.float32)


def fill(store: ChromaVectorStore) -> None:
    store.add(list(VECTORS), np.array(list(VECTORS.values()), np.float32))


@pytest.fixture
def store(tmp_path):
    store = ChromaVectorStore(tmp_path / "chroma")
    yield store
    store.close()


def test_the_nearest_come_first(store):
    fill(store)
    assert [i for i, _ in store.nearest(EAST, 4)] == ["east", "north-east", "north", "west"]


def test_nearness_is_the_cosine(store):
    fill(store)
    assert [cosine for _, cosine in store.nearest(EAST, 4)] == pytest.approx([1.0, 0.8, 0.0, -1.0], abs=1e-6)


def test_the_length_of_the_question_does_not_matter(store):
    fill(store)
    assert dict(store.nearest(7 * EAST, 4)) == pytest.approx(dict(store.nearest(EAST, 4)), abs=1e-6)


def test_no_more_are_found_than_asked_for(store):
    fill(store)
    assert [i for i, _ in store.nearest(EAST, 2)] == ["east", "north-east"]


def test_asking_for_more_than_there_are_gives_all(store):
    fill(store)
    assert len(store.nearest(EAST, 1000)) == 4


def test_a_question_of_zeros_is_answered(store):
    fill(store)
    assert len(store.nearest(np.zeros(2, np.float32), 4)) == 4


def test_an_empty_store_finds_nothing(store):
    assert store.count() == 0
    assert store.nearest(EAST, 3) == []
    assert store.vectors() == {}


def test_adding_nothing_is_allowed(store):
    store.add([], np.zeros((0, 2), np.float32))
    assert store.count() == 0


def test_a_change_while_vectors_are_counted_is_counted_the_next_time(store, monkeypatch):
    collection = store._collection

    class ChangedMeanwhile:
        def count(self):
            counted = collection.count()
            monkeypatch.setattr(store, "_collection", collection)
            fill(store)
            return counted

    monkeypatch.setattr(store, "_collection", ChangedMeanwhile())
    assert store.count() in (0, 4)
    assert store.count() == 4


def test_vectors_come_back_as_they_were_added(store):
    fill(store)
    assert {i: tuple(vector) for i, vector in store.vectors().items()} == {
        i: tuple(np.float32(vector)) for i, vector in VECTORS.items()
    }


def test_an_id_added_again_takes_the_new_vector(store):
    fill(store)
    store.add(["east"], np.array([[0.0, -1.0]], np.float32))
    assert store.count() == 4
    assert store.vectors()["east"].tolist() == [0.0, -1.0]


def test_vectors_are_there_when_the_folder_is_opened_again(store, tmp_path):
    fill(store)
    store.close()
    again = ChromaVectorStore(tmp_path / "chroma")
    assert again.nearest(EAST, 1)[0][0] == "east"
    again.close()


def test_many_vectors_are_all_found_in_order(store):
    # More than one batch of additions, around half a circle: number n lies n steps from east.
    angles = np.arange(1500) * np.pi / 1500
    store.add([str(n) for n in range(1500)], np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32))
    found = store.nearest(EAST, 1500)
    assert store.count() == len(found) == 1500
    assert dict(found) == pytest.approx({str(n): np.cos(angle) for n, angle in enumerate(angles)}, abs=1e-5)
    assert [cosine for _, cosine in found] == sorted((cosine for _, cosine in found), reverse=True)


def test_a_folder_that_holds_no_chroma_database_is_refused_with_a_remedy(tmp_path):
    folder = tmp_path / "chroma"
    folder.mkdir()
    (folder / "chroma.sqlite3").write_bytes(b"no database at all " * 500)
    with pytest.raises(SearchIndexError) as caught:
        ChromaVectorStore(folder)
    assert "ingest --rebuild" in caught.value.remedy


# Leaves a mark all over memory that is allocated and freed again, then has Chroma write. Prints the files that took it along.
LITTERED = """
import ctypes, sys
from pathlib import Path
import numpy as np
from fieldguide.retrieval import unset_memory, vector_store
MARK, library = b"QUILLONMARK", ctypes.CDLL(None)
library.malloc.restype, library.malloc.argtypes, library.free.argtypes = ctypes.c_void_p, [ctypes.c_size_t], [ctypes.c_void_p]
def litter():
    places = []
    for size in (*(39_600,) * 200, *(500, 1000, 4000) * 50):
        places.append(library.malloc(size))
        ctypes.memmove(places[-1], (MARK * (size // len(MARK) + 1))[:size], size)
    for place in places[::2]:  # not all, or they would be joined into one piece
        library.free(place)
if sys.argv[2] == "not blanked":
    unset_memory._set = lambda byte: None
store = vector_store.ChromaVectorStore(Path(sys.argv[1]))
opened = store._open
store._open = lambda: (litter(), opened())
store.add([str(number) for number in range(6)], np.eye(64, dtype=np.float32)[:6])
store.remove(["0"])
store.rewrite(64)
store.close()
print(*sorted(path.name for path in Path(sys.argv[1]).rglob("*") if path.is_file() and MARK in path.read_bytes()))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc can be told to blank what is freed")
@pytest.mark.parametrize(("way", "found"), [("not blanked", True), ("blanked", False)])
def test_what_was_freed_gets_into_the_files_unless_it_is_blanked(tmp_path, way, found):
    environment = {**os.environ, "MALLOC_ARENA_MAX": "1"}  # so that Chroma's threads get what this one has freed
    command = [sys.executable, "-c", LITTERED, str(tmp_path), way]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    assert result.returncode == 0, result.stderr
    assert ("data_level0.bin" in result.stdout) == found
    assert bool(result.stdout.strip()) == found
