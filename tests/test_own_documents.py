"""Folders that are watched while the page runs: what is put there, changed or taken away follows."""

import threading
import time

import pytest

from fakes import WordCountEmbedder
from fieldguide.errors import DocumentError
from fieldguide.indexing.library import Library
from fieldguide.indexing.own_documents import OwnDocuments


@pytest.fixture
def own(tmp_path):
    library = Library(tmp_path / "data")
    yield OwnDocuments(library, WordCountEmbedder, tmp_path / "passage-cache")
    library.close()


@pytest.fixture
def watched(own, tmp_path):
    """A folder that is looked at all the time."""
    folder, end = tmp_path / "watched", threading.Event()
    folder.mkdir()
    own.watch("mine", [folder])
    thread = threading.Thread(target=own.keep_up, args=(end,), kwargs={"seconds": 0.05})
    thread.start()
    yield folder
    end.set()
    thread.join()


def wait_for(own, texts):
    """Until the collection holds these texts and no others."""
    deadline = time.monotonic() + 60
    store = own.library.collection("mine").store
    while {d.name: store.text(d.name) for d in store.documents() if d.sha256} != texts:
        assert time.monotonic() < deadline, [d.name for d in store.documents()]
        time.sleep(0.05)


def test_what_is_put_into_a_watched_folder_changed_or_taken_out_follows_by_itself(own, watched):
    (watched / "a.txt").write_text("The light burns oil.")
    (watched / "empty.txt").touch()  # is refused once, and keeps nobody busy
    wait_for(own, {"a.txt": "The light burns oil."})
    (watched / "b.txt").write_text("The light is red.")
    (watched / "a.txt").write_text("The light burns gas now.")
    wait_for(own, {"a.txt": "The light burns gas now.", "b.txt": "The light is red."})
    (watched / "b.txt").unlink()
    wait_for(own, {"a.txt": "The light burns gas now."})
    hits = own.library.collection("mine").search("Does the light burn gas?", 1, WordCountEmbedder()).hits
    assert [hit.chunk.document for hit in hits] == ["a.txt"]


def test_a_watched_folder_that_is_gone_takes_nothing_with_it(own, tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    own.watch("mine", [folder])
    (folder / "a.txt").write_text("The light burns oil.")
    own.refresh("mine")
    folder.rename(tmp_path / "not plugged in")
    own.refresh("mine")
    assert [d.name for d in own.library.collection("mine").store.documents()] == ["a.txt"]


def test_a_folder_that_is_none_is_not_watched(own, tmp_path):
    with pytest.raises(DocumentError, match="is no folder"):
        own.watch("mine", [tmp_path / "nowhere"])
