"""Folders that are watched while the page runs, and what is uploaded: what is put there, changed or taken away follows."""

import errno
import shutil
import threading
import time
from pathlib import Path

import pytest

from fakes import WordCountEmbedder
from fieldguide.errors import DocumentError, SearchIndexError
from fieldguide.indexing.library import GUIDES, Library
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


def test_a_watched_folder_that_is_empty_is_a_disk_that_is_not_plugged_in(own, tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    own.watch("mine", [folder])
    (folder / "a.txt").write_text("The light burns oil.")
    own.refresh("mine")
    (folder / "a.txt").rename(tmp_path / "a.txt")
    own.refresh("mine")
    assert [d.name for d in own.library.collection("mine").store.documents()] == ["a.txt"]


def test_a_folder_that_is_none_makes_no_collection(own, tmp_path):
    with pytest.raises(DocumentError, match="is no folder"):
        own.watch("mine", [tmp_path / "nowhere"])
    with pytest.raises(DocumentError, match="no files"):
        own.add([], "mine")
    assert own.collection_names() == [GUIDES]


def test_one_collection_that_cannot_be_followed_does_not_keep_the_others_from_it(own, tmp_path, watched):
    class Other(WordCountEmbedder):
        identity = "another"

    own.library.create("broken", Other())
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "b.txt").write_text("The light is red.")
    own.watch("broken", [folder])
    (watched / "a.txt").write_text("The light burns oil.")
    wait_for(own, {"a.txt": "The light burns oil."})


NO_REPORT, GOING_ON = (lambda _: None), threading.Event()


def uploaded(own, tmp_path, *contents, name="note.txt"):
    files = []
    for number, content in enumerate(contents):
        path = tmp_path / f"upload-{number}"
        path.write_bytes(content)
        files.append((name, path))
    return own.upload("mine", files, NO_REPORT, GOING_ON)


def kept(own):
    collection = own.library.collection("mine")
    texts = {d.name: collection.store.text(d.name) for d in collection.store.documents()}
    assert {d.origin for d in collection.store.documents()} == set((collection.folder / "files").glob("*/*"))
    assert len(list((collection.folder / "files").iterdir())) == len(texts)
    return texts


def test_a_newer_version_of_an_upload_takes_its_place(own, tmp_path):
    uploaded(own, tmp_path, b"The light burns oil.")
    assert uploaded(own, tmp_path, b"The light burns gas.").changed == 1
    assert kept(own) == {"note.txt": "The light burns gas."}
    assert uploaded(own, tmp_path, b"The light burns gas.").unchanged == 1
    assert kept(own) == {"note.txt": "The light burns gas."}


def test_two_uploads_of_one_name_are_two_documents(own, tmp_path):
    uploaded(own, tmp_path, b"The light burns oil.")
    uploaded(own, tmp_path, b"The light burns gas.", b"The light is red.")
    assert kept(own) == {"note.txt": "The light burns gas.", "note (2).txt": "The light is red."}


def test_a_newer_version_that_is_a_copy_of_another_goes_and_the_rest_of_the_batch_stays(own, tmp_path):
    uploaded(own, tmp_path, b"The light burns oil.", name="a.txt")
    uploaded(own, tmp_path, b"The light burns gas.", name="b.txt")
    files = [("a.txt", tmp_path / "copy"), ("c.txt", tmp_path / "new")]
    for (_, path), content in zip(files, (b"The light burns gas.", b"The light is red."), strict=True):
        path.write_bytes(content)
    report = own.upload("mine", files, NO_REPORT, GOING_ON)
    assert (report.added, report.skipped) == (1, [("a.txt", "It holds the same as b.txt.")])
    assert kept(own) == {"b.txt": "The light burns gas.", "c.txt": "The light is red."}
    collection = own.library.collection("mine")
    assert collection.store.is_purged
    assert collection.vectors.ids() == collection.store.ids()


def test_what_a_kill_left_of_a_removal_does_not_cost_the_next_upload(own, tmp_path):
    uploaded(own, tmp_path, b"The light burns oil.", name="a.txt")
    own.library.collection("mine").store.remove_document("a.txt")  # and no more
    uploaded(own, tmp_path, b"The light is red.", name="b.txt")
    assert kept(own) == {"b.txt": "The light is red."}


def test_uploads_stay_when_the_data_folder_has_moved(own, tmp_path):
    uploaded(own, tmp_path, b"The light burns oil.", name="a.txt")
    own.library.close()
    (tmp_path / "data").rename(tmp_path / "elsewhere")
    moved = OwnDocuments(Library(tmp_path / "elsewhere"), WordCountEmbedder, tmp_path / "passage-cache")
    uploaded(moved, tmp_path, b"The light is red.", name="b.txt")
    files = (moved.library.collection("mine").folder / "files").glob("*/*")
    assert {path.name for path in files} == {"a.txt", "b.txt"}
    moved.library.close()


def test_a_newer_version_that_cannot_be_read_leaves_the_earlier_one(own, tmp_path):
    uploaded(own, tmp_path, b"The light burns oil.")
    assert uploaded(own, tmp_path, b"\0\0\0\0").skipped
    assert kept(own) == {"note.txt": "The light burns oil."}
    own.reindex("mine")
    assert kept(own) == {"note.txt": "The light burns oil."}


def test_an_upload_for_which_there_is_no_room_leaves_what_was_there(own, tmp_path, monkeypatch):
    uploaded(own, tmp_path, b"The light burns oil.")

    def full(source, target):
        Path(target).write_bytes(b"The li")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(SearchIndexError, match="No space left"):
        uploaded(own, tmp_path, b"The light burns gas.")
    assert kept(own) == {"note.txt": "The light burns oil."}


def test_a_name_that_is_too_long_for_a_file_is_cut(own, tmp_path):
    uploaded(own, tmp_path, b"The light burns oil.", name="\u706f" * 100 + ".txt")
    (name,) = kept(own)
    assert name.endswith("\u706f.txt")


def test_what_is_removed_with_a_document_goes_back_to_its_first_version(own, tmp_path):
    """A model may have read the first version: what it kept then has to go, too."""
    uploaded(own, tmp_path, b"The light burns oil.")
    first = own.library.collection("mine").store.document("note.txt").added
    time.sleep(1.1)  # times are kept in seconds
    uploaded(own, tmp_path, b"The light burns gas.")
    assert own.library.collection("mine").store.document("note.txt").added == first
