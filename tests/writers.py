"""Everything that writes to disk, one round of each, to be run in a process that is killed. What is done is told in a file.

Each takes the folder to write in, the number of the round, and the file in which it tells, line by line, what is done.
"""

import hashlib
import json
import random
from collections.abc import Callable
from multiprocessing.synchronize import Event
from pathlib import Path

from fakes import WordCountEmbedder
from fieldguide.errors import ConversationError, FieldguideError
from fieldguide.events import Loading
from fieldguide.generation.passage_cache import PassageCache
from fieldguide.indexing.discovery import find_files
from fieldguide.indexing.index import build_index, open_index
from fieldguide.indexing.ingest import ingest
from fieldguide.indexing.library import Library
from fieldguide.indexing.loading.pool import LoaderPool
from fieldguide.interfaces.conversation_store import ConversationStore
from fieldguide.interfaces.conversations import Conversation, Exchange
from fieldguide.retrieval import vector_store  # noqa: F401 - so that the process which forks has it already
from fieldguide.retrieval.search import Searcher
from fieldguide.settings import resolve_settings
from fieldguide.types import Answer, Document, Timings, TokenCounts
from fieldguide.weights.catalog import HuggingFaceSource, Weights, WeightsFile
from fieldguide.weights.download import Hub, pull

OWNER, CONVERSATION = "a" * 32, "b" * 32
SOURCE = HuggingFaceSource("someone/some-model")
DOCUMENTS, STATES, EXCHANGES = 30, 12, 12


def documents(turn: int) -> list[Document]:
    """Documents of which every other one is new in each round."""
    found = []
    for number in range(DOCUMENTS):
        text = f"# Light {number}\n\nLight {number} burns oil.\n\nIt was painted in year {turn if number % 2 else 0}.\n"
        found.append(Document(f"{number}.md", f"Light {number}", "", text, hashlib.sha256(text.encode()).hexdigest()))
    return found


def state(turn: int, number: int) -> bytes:
    """What is kept under a key; many bytes, so that there is time to be killed in the middle."""
    return f"{turn} {number} ".encode() * 100_000


def key(turn: int, number: int) -> str:
    return PassageCache.key("model", (turn,), (number,))


def weights(content: bytes) -> Weights:
    file = WeightsFile("toy.gguf", len(content), hashlib.sha256(content).hexdigest())
    return Weights("toy", "toy", "chat", "A toy.", "MIT", (file,), (SOURCE,))


def write_index(folder: Path, turn: int, tell: Callable[[str], None]) -> None:
    build_index(documents(turn), WordCountEmbedder(), folder, lambda *_: None)
    tell("built")


def write_states(folder: Path, turn: int, tell: Callable[[str], None]) -> None:
    cache = PassageCache(folder, 10**9)
    for number in range(STATES):
        cache.put(key(turn, number), state(turn, number))
        tell(str(number))


def write_conversation(folder: Path, turn: int, tell: Callable[[str], None]) -> None:
    store = ConversationStore(folder)
    for number in range(EXCHANGES):
        held = store.load(OWNER, CONVERSATION)
        store.put(OWNER, CONVERSATION, len(held.exchanges), Exchange(f"Question {turn} {number}?", written="word " * 500))
        tell(f"{turn} {number}")
    other = f"{turn:032x}"
    store.save(OWNER, Conversation(other, exchanges=(Exchange("To be deleted?"),)))
    store.delete(OWNER, other)
    tell(f"deleted {other}")


def write_weights(folder: Path, endpoint: str, tell: Callable[[str], None]) -> None:
    pull(weights(weights_content()), folder, Hub(endpoint), lambda loading: told(loading, tell))
    tell("pulled")


def told(loading: Loading, tell: Callable[[str], None]) -> None:
    tell(f"{loading.what}: {loading.share:.2f}")


def weights_content() -> bytes:
    """Thirty megabytes that are the same in every process."""
    return b"GGUF" + random.Random(7).randbytes(30_000_000)


def run(name: str, folder: Path, turn: int | str, log: Path, begun: Event) -> None:
    """One round of one of them; `begun` once all is imported and the work begins."""
    begun.set()
    with log.open("a") as out:

        def tell(line: str) -> None:
            out.write(line + "\n")
            out.flush()

        globals()[f"write_{name}"](folder, turn, tell)


# A whole data folder, and everything that is read from one


def write_everything(folder: Path) -> None:
    """Guides, a collection, a conversation, states and settings."""
    build_index(documents(0), WordCountEmbedder(), folder, lambda *_: None)
    library = Library(folder)
    collection = library.create("mine", WordCountEmbedder())
    own = folder.with_name("own")
    own.mkdir()
    for number in range(5):
        (own / f"{number}.txt").write_text(f"Tower number {number} stands on rock and has {number + 20} steps.")
    with LoaderPool(1) as pool, collection.writing(lambda: None):
        ingest(collection, list(find_files([str(own)])), WordCountEmbedder(), pool, lambda _: None)
    library.close()
    answer = Answer("Which light?", "Light 3 burns oil.", False, (), (), (), Timings(0, 0, 0, 0), TokenCounts(1, 0, 1))
    ConversationStore(folder / "conversations").save(
        OWNER, Conversation(CONVERSATION, exchanges=(Exchange("Which light?", answer),))
    )
    PassageCache(folder / "passage-cache", 10**9).put(key(0, 0), b"state" * 100)
    (folder / "settings.toml").write_text("passages = 4\n")


def read_everything(folder: Path, result: Path) -> None:
    """What a start and a few questions would read: each part's texts, or the line that users would see."""
    parts: dict[str, Callable[[], object]] = {
        "guides": lambda: read_guides(folder),
        "collection": lambda: read_collection(folder),
        "conversation": lambda: read_conversation(folder),
        "states": lambda: (PassageCache(folder / "passage-cache", 10**9).get(key(0, 0)) or b"").decode(),
        "settings": lambda: resolve_settings({"data_dir": folder}, {}).passages,
    }
    found = {}
    for name, read in parts.items():
        try:
            found[name] = read()
        except FieldguideError as error:
            assert error.remedy, error
            found[name] = {"error": str(error)}
    result.write_text(json.dumps(found))


def read_guides(folder: Path) -> list[str]:
    embedder = WordCountEmbedder()
    build_index(documents(0), embedder, folder, lambda *_: None)  # as at every start: what is damaged is built again
    index = open_index(folder)
    hits = Searcher(embedder, index.vector_store, index.passage_store).search("Which light burns oil?", 50).hits
    index.close()
    return sorted(hit.chunk.passage for hit in hits)


def read_collection(folder: Path) -> list[str]:
    library = Library(folder)
    collection = library.collection("mine")
    hits = collection.search("Which tower has steps?", 50, WordCountEmbedder()).hits
    texts = [collection.store.text(document.name) for document in collection.store.documents()]
    library.close()
    return sorted([*(hit.chunk.passage for hit in hits), *texts])


def read_conversation(folder: Path) -> list[str]:
    store = ConversationStore(folder / "conversations")
    listing = store.list(OWNER)
    if listing.problems:
        raise ConversationError(listing.problems[0], "As it says.")
    held = store.load(OWNER, CONVERSATION)
    return [str(exchange) for exchange in held.exchanges]
