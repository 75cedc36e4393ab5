"""What happens when the disk is full, on a real one that is tiny: run in a namespace where it can be mounted.

    unshare -rm sh -c 'mount -t tmpfs -o size=8m tmpfs FOLDER && python tests/full_disk.py FOLDER'

Each writer works once, then finds the disk full, and works again when there is room. Prints what each said, as JSON.
"""

import json
import shutil
import sys
from pathlib import Path

import writers
from fakes import WordCountEmbedder
from fieldguide.errors import FieldguideError
from fieldguide.generation.passage_cache import PassageCache
from fieldguide.indexing.discovery import find_files
from fieldguide.indexing.index import build_index
from fieldguide.indexing.ingest import ingest
from fieldguide.indexing.library import Library
from fieldguide.indexing.loading.pool import LoaderPool
from fieldguide.interfaces.conversation_store import ConversationStore
from fieldguide.interfaces.conversations import Conversation, Exchange
from fieldguide.weights.download import Hub, pull


def fill(folder: Path) -> None:
    """Leave nothing."""
    with (folder / "filler").open("wb", buffering=0) as out:
        try:
            while True:
                out.write(bytes(4096))
        except OSError:
            pass


def build(data: Path) -> None:
    build_index(writers.documents(1), WordCountEmbedder(), data, lambda *_: None)


def converse(data: Path) -> None:
    ConversationStore(data / "conversations").save(
        writers.OWNER, Conversation(writers.CONVERSATION, exchanges=(Exchange("Why?", written="word " * 5000),))
    )


def add_documents(data: Path) -> None:
    more = data.parent.parent / "more"
    library = Library(data)
    try:
        collection = library.collection("mine")
        with LoaderPool(1) as pool, collection.writing(lambda: None):
            ingest(collection, list(find_files([str(more)])), WordCountEmbedder(), pool, lambda _: None)
    finally:
        library.close()


def fetch(data: Path) -> None:
    pull(writers.weights(b"GGUF" + bytes(9_000_000)), data / "models", Hub("http://127.0.0.1:9"), lambda _: None)


def keep_state(data: Path) -> None:
    PassageCache(data / "passage-cache", 10**9).put(writers.key(5, 5), bytes(100_000))


WRITERS = {"index": build, "conversation": converse, "collection": add_documents, "weights": fetch, "states": keep_state}


def main(mount: Path) -> None:
    data, result = mount / "data", mount.parent / "result.json"
    (mount.parent / "more").mkdir()
    for number in range(40):
        (mount.parent / "more" / f"{number}.txt").write_text(f"Harbour {number} has {number} boats. " * 50)
    writers.write_everything(data)
    writers.read_everything(data, result)
    before = json.loads(result.read_text())
    said = {}
    for name, write in WRITERS.items():
        fill(mount)
        try:
            write(data)
            said[name] = ""
        except FieldguideError as error:
            said[name] = str(error)
        finally:
            (mount / "filler").unlink()
    writers.read_everything(data, result)
    after = json.loads(result.read_text())
    for name, write in WRITERS.items():
        if name != "weights":  # for which nobody listens
            write(data)
    sys.stdout.write(json.dumps({"said": said, "before": before, "after": after}) + "\n")


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    main(folder)
    shutil.rmtree(folder / "data")
