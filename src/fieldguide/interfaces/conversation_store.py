"""The conversations that are kept on this machine: one file each, in a folder for each browser that made them.

    DATA/conversations/OWNER/ID.json            the conversation; an export is the same file
    DATA/conversations/OWNER/ID.json.deleted    the one deleted last, kept until the next deletion

Owner and ID are 32 hexadecimal digits. A file is written beside the old one and moved in its place, so that a kill at any
moment leaves one of the two whole.
"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from fieldguide.errors import MAKE_ROOM, ConversationError
from fieldguide.interfaces.conversations import (
    Conversation,
    Exchange,
    from_json,
    is_identifier,
    new_identifier,
    read_content,
    shortened,
    to_json,
)

LISTED = 50  # where nothing is searched for; older ones come when they are asked for


@dataclass(frozen=True, slots=True)
class Kept:
    """What a list needs to know of a conversation: its name, and all that was said in it, to be searched."""

    id: str
    changed_at: str
    title: str
    said: str

    def mentions(self, words: str) -> bool:
        """Whether all these words occur, anywhere in questions and answers."""
        return all(word in self.said for word in words.casefold().split())


@dataclass(frozen=True, slots=True)
class Listing:
    """An owner's conversations, the latest first, how many older ones there are, and one line for each unusable file."""

    conversations: tuple[Kept, ...]
    older: int
    problems: tuple[str, ...]


class ConversationStore:
    """All conversations of all owners, in one folder. Safe to use from several threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.RLock()
        self._known: dict[str, tuple[tuple[int, int, int, str], Kept | str | None]] = {}  # by path

    def load(self, owner: str, identifier: str) -> Conversation:
        """One conversation; an empty one under a name that is not taken. Raises ConversationError when it is unusable."""
        path = self._path(owner, identifier)
        try:
            return from_json(path.read_bytes(), str(path))
        except FileNotFoundError:
            return Conversation(identifier)
        except OSError as error:
            raise ConversationError(f"{path} cannot be read: {error.strerror or error}.", "Mend or remove the file.") from error

    def save(self, owner: str, conversation: Conversation) -> Conversation:
        """Write it whole or not at all, and give it back with the time of the change."""
        conversation = replace(conversation, changed_at=time.strftime("%Y-%m-%dT%H:%M:%S%z"))
        path = self._path(owner, conversation.id)
        temporary = path.with_name(path.name + ".new")
        try:
            with self._lock:
                path.parent.mkdir(parents=True, exist_ok=True)
                with temporary.open("w", encoding="utf-8") as out:
                    out.write(to_json(conversation))
                    out.flush()
                    os.fsync(out.fileno())
                os.replace(temporary, path)
        except OSError as error:
            raise ConversationError(
                f"The conversation cannot be kept in {path.parent}: {error.strerror or error}.",
                MAKE_ROOM,
            ) from error
        return conversation

    def put(self, owner: str, identifier: str, position: int, exchange: Exchange) -> Conversation:
        """Finish the exchange that was begun at this position.

        Where another tab has gone on with the same conversation meanwhile, the exchange is added at its end. What was deleted
        meanwhile is not kept again.
        """
        with self._lock:
            kept = self.load(owner, identifier)
            begun = kept.exchanges[position] if position < len(kept.exchanges) else None
            ours = begun is not None and begun.question == exchange.question
            if ours:
                exchanges = (*kept.exchanges[:position], exchange, *kept.exchanges[position + 1 :])
            else:
                exchanges = (*kept.exchanges, exchange)
            held, path = replace(kept, exchanges=exchanges), self._path(owner, identifier)
            if not path.exists() and path.with_name(path.name + ".deleted").exists():
                return held  # deleted while the answer was written: it stays so
            return self.save(owner, held)

    def list(self, owner: str, words: str = "", limit: int | None = LISTED) -> Listing:
        """The owner's latest conversations, or all that mention these words, and what cannot be used."""
        files = sorted(_files(self._folder / owner), reverse=True) if is_identifier(owner) else []
        older = max(len(files) - limit, 0) if limit and not words.strip() else 0
        found = [self._glanced(file) for file in files[: len(files) - older]]
        kept = [one for one in found if isinstance(one, Kept) and one.mentions(words)]
        kept.sort(key=lambda one: (one.changed_at, one.id), reverse=True)
        return Listing(tuple(kept), older, tuple(sorted(one for one in found if isinstance(one, str))))

    def _glanced(self, file: tuple[int, int, int, str]) -> Kept | str | None:
        """What a file holds, or why it cannot be used; read again only when it has changed."""
        path = file[-1]
        known = self._known.get(path)
        if known and known[0] == file:
            return known[1]
        found: Kept | str | None
        try:
            found = _glance(Path(path).read_bytes(), path)
        except ConversationError as error:
            found = str(error)
        except (KeyError, TypeError):
            found = f"{path} is damaged."
        except OSError as error:
            return f"{path} cannot be read: {error.strerror or error}."
        self._known[path] = (file, found)
        return found

    def delete(self, owner: str, identifier: str) -> None:
        """Put it aside; the one put aside before is gone for good."""
        path = self._path(owner, identifier)
        with self._lock, _write_errors(path):
            for older in path.parent.glob("*.deleted"):
                older.unlink(missing_ok=True)
            os.replace(path, path.with_name(path.name + ".deleted"))

    def restore(self, owner: str, identifier: str) -> None:
        """Take the deletion back."""
        path = self._path(owner, identifier)
        with self._lock, _write_errors(path):
            os.replace(path.with_name(path.name + ".deleted"), path)

    def add_copy(self, owner: str, text: str, origin: str) -> Conversation:
        """Keep an exported conversation under a name of its own, beside what is there."""
        return self.save(owner, replace(from_json(text, origin), id=new_identifier()))

    def _path(self, owner: str, identifier: str) -> Path:
        if not (is_identifier(owner) and is_identifier(identifier)):
            raise ConversationError("There is no such conversation.", "Reload the page.")
        return self._folder / owner / f"{identifier}.json"


def _files(folder: Path) -> Iterator[tuple[int, int, int, str]]:
    """When each file was changed, its size and number, by which a change is known, and its path."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(".json"):
                try:
                    stat = entry.stat()
                except OSError:  # it has gone meanwhile
                    continue
                yield stat.st_mtime_ns, stat.st_size, stat.st_ino, entry.path


def _glance(text: bytes, origin: str) -> Kept | None:
    """What a list needs; None where nothing was asked yet. Checking all of each file would take a list of many seconds."""
    held = read_content(text, origin)
    try:
        said = [(e["question"], e["answer"]["text"] if e["answer"] else e["written"]) for e in held["exchanges"]]
        title = shortened(said[0][0]) if said else ""
        kept = Kept(Path(origin).stem, held["changed_at"], title, " ".join(map(" ".join, said)).casefold())
    except (KeyError, TypeError):
        from_json(text, origin)  # which tells what is wrong with it
        raise
    return kept if said else None


@contextmanager
def _write_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConversationError(f"{path} cannot be changed: {error.strerror or error}.", "Reload the page.") from error
