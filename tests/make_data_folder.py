"""Make a data folder as this version of Fieldguide writes it, for the tests of all later ones.

    python tests/make_data_folder.py tests/data_folders/form-1.tar.gz

Run it once for each form of the data folder, with the first program that writes that form, and keep what it made.
"""

import sys
import tarfile
import tempfile
from pathlib import Path

from fakes import ScriptedModel, WordCountEmbedder
from fieldguide import data_folder
from fieldguide.assembly import Fieldguide
from fieldguide.interfaces.conversation_store import ConversationStore
from fieldguide.interfaces.conversations import Conversation, Exchange
from fieldguide.settings import resolve_settings

OWNER, CONVERSATION = "a" * 32, "b" * 32
QUESTION = "What does the Brackwater clock strike?"


def make(folder: Path) -> None:
    """Settings, a collection and a conversation in a data folder."""
    (folder / "guides").mkdir(parents=True)
    (folder / "guides" / "bees.md").write_text("# Bees\n\nBees live in hives.\n")
    (folder / "clock.txt").write_text("The Brackwater clock strikes thirteen.\n")
    data = folder / "data"
    data.mkdir()
    (data / "settings.toml").write_text("passages = 3\n")
    fieldguide = Fieldguide(resolve_settings({"data_dir": data, "guides_dir": folder / "guides"}, {}))
    fieldguide._load_embedder = lambda report: WordCountEmbedder()
    fieldguide._load_model = lambda: ScriptedModel(["The Brackwater clock strikes thirteen."])
    list(fieldguide.loading())
    fieldguide.own.add([str(folder / "clock.txt")], "town notes")
    *_, finished = fieldguide.answer(QUESTION)
    exchange = Exchange(QUESTION, finished.answer)
    ConversationStore(data / "conversations").save(OWNER, Conversation(CONVERSATION, exchanges=(exchange,)))
    fieldguide.close()
    data_folder.prepare(data)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="fieldguide-") as name:
        make(Path(name))
        with tarfile.open(sys.argv[1], "w:gz") as packed:
            packed.add(Path(name) / "data", "data")
