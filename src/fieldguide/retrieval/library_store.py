"""The passages of one collection of documents in one SQLite file that grows and shrinks: the truth about the collection.

One transaction adds a few passages or finishes a document, so a kill at any moment leaves a file to search. What Chroma has
to be told is noted in the same transaction (`unsynced`) and struck off when Chroma has it: whoever opens the collection next
tells it the rest.
"""

import json
import os
import sqlite3
import threading
import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from fieldguide.errors import MAKE_ROOM, SearchIndexError
from fieldguide.retrieval.library_tables import StoredDocument, stored_document
from fieldguide.retrieval.passage_store import PassageStore, is_out_of_room, quantize
from fieldguide.retrieval.projection import reduce
from fieldguide.types import Chunk, FloatMatrix, FloatVector

_DOCUMENT = "name, title, kind, origin, size, modified, sha256, added, note, passages"
_WRITER_WAITS = 60.0  # seconds for another process to end its transaction


class LibraryStore(PassageStore):
    """Raises SearchIndexError when the file is missing or damaged, sqlite3.Error when it cannot be written."""

    _checks_passages = True

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._total = None
        try:
            self._db = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode=rw", uri=True, check_same_thread=False, timeout=_WRITER_WAITS
            )
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.execute("PRAGMA secure_delete = ON")  # what is removed is overwritten
            self.directions = self._read_directions()
            self._seen = self._data_version()
        except (sqlite3.Error, ValueError) as error:
            raise self._damaged(error) from error

    def changed_elsewhere(self) -> bool:
        """Whether another process has written since this was last asked."""
        version = self._data_version()
        changed, self._seen = version != self._seen, version
        if changed:
            self.directions = self._read_directions()
            with self._lock:
                self._total = None
        return changed

    # What is in it

    def settings(self) -> dict[str, str]:
        """The collection's name and how it is indexed."""
        return dict(self._rows("SELECT key, value FROM settings", ()))

    def change_settings(self, **values: str) -> None:
        """Change settings."""
        with self._lock, self._db:
            self._db.executemany("INSERT OR REPLACE INTO settings VALUES (?, ?)", values.items())

    def document_count(self) -> int:
        """How many documents there are."""
        return int(self._rows("SELECT count(*) FROM documents", ())[0][0])

    def documents(self) -> list[StoredDocument]:
        """All documents, by name."""
        return [stored_document(row) for row in self._rows(f"SELECT {_DOCUMENT} FROM documents ORDER BY name", ())]

    def documents_like(self, part: str, start: int, count: int) -> tuple[int, list[StoredDocument]]:
        """How many documents have this in their names, and some of them in order of their names."""
        like = (f"%{part.translate({ord(c): chr(92) + c for c in '%_' + chr(92)})}%",)
        where = "FROM documents WHERE name LIKE ? ESCAPE '\\'"
        rows = self._rows(f"SELECT {_DOCUMENT} {where} ORDER BY name LIMIT ? OFFSET ?", (*like, count, start))
        return int(self._rows(f"SELECT count(*) {where}", like)[0][0]), [stored_document(row) for row in rows]

    def document(self, name: str) -> StoredDocument | None:
        """The document of this name."""
        return self._document_where("name", name)

    def document_from(self, origin: Path) -> StoredDocument | None:
        """The document that came from this file."""
        return self._document_where("origin", os.fsencode(origin))

    def document_with(self, sha256: str) -> StoredDocument | None:
        """A document with this content."""
        return self._document_where("sha256", sha256)

    def _document_where(self, column: str, value: str | bytes) -> StoredDocument | None:
        return next(map(stored_document, self._rows(f"SELECT {_DOCUMENT} FROM documents WHERE {column} = ?", (value,))), None)

    def text(self, name: str) -> str:
        """A document's whole text; '' where it is unknown."""
        rows = self._rows("SELECT text FROM documents WHERE name = ?", (name,))
        with self._as_damage():
            return zlib.decompress(rows[0][0]).decode() if rows and rows[0][0] else ""

    def passages_of(self, name: str, start: int = 0, count: int = -1) -> list[Chunk]:
        """A document's passages in reading order: all, or so many from there on."""
        statement = "SELECT id FROM passages WHERE document = ? ORDER BY start, number LIMIT ? OFFSET ?"
        return self.chunks([i for (i,) in self._rows(statement, (name, count, start))])

    def ids(self) -> set[str]:
        """Ids of all passages."""
        return {i for (i,) in self._rows("SELECT id FROM passages", ())}

    def begin(self, document: StoredDocument) -> None:
        """Note a document that is about to be ingested; one that is there already stays as it is."""
        with self._lock, self._db:
            self._db.execute(
                f"INSERT OR IGNORE INTO documents ({_DOCUMENT}, text) VALUES (?, ?, ?, ?, 0, 0, '', ?, '', 0, x'')",
                (document.name, document.title, document.kind, os.fsencode(document.origin), document.added),
            )

    def add_passages(
        self,
        chunks: Sequence[Chunk],
        vectors: Sequence[FloatVector],
        token_vectors: Sequence[FloatMatrix],
        token_ids: Sequence[Sequence[int]],
    ) -> None:
        """Store passages with their vectors: all or none."""
        with self._lock, self._db:
            numbers = self._insert(chunks, token_vectors, token_ids)
            halves = [np.asarray(vector, np.float16).tobytes() for vector in vectors]
            tokens = [np.unique(np.array(ids, np.uint32)).tobytes() for ids in token_ids]
            self._db.executemany("INSERT INTO vectors VALUES (?, ?, ?)", zip(numbers, halves, tokens, strict=True))
            self._note(chunk.id for chunk in chunks)

    def finish(self, document: StoredDocument, text: str, chunks: Sequence[Chunk]) -> None:
        """All of the document's passages are stored: from now on these and no others are it, at these places."""
        kept = {chunk.id for chunk in chunks}
        with self._lock, self._db:
            here = self._db.execute("SELECT number, id FROM passages WHERE document = ?", (document.name,)).fetchall()
            self._delete([(number, i) for number, i in here if i not in kept])
            self._db.executemany(
                "UPDATE passages SET start = ?, end = ? WHERE id = ?", [(chunk.start, chunk.end, chunk.id) for chunk in chunks]
            )
            d = document
            values = (d.title, d.kind, os.fsencode(d.origin), d.size, d.modified, d.sha256, d.note)
            self._db.execute(
                "UPDATE documents SET title = ?, kind = ?, origin = ?, size = ?, modified = ?, sha256 = ?, note = ?, "
                "passages = ?, text = ? WHERE name = ?",
                (*values, len(chunks), zlib.compress(text.encode("utf-8", "replace")), d.name),
            )

    def touch(self, name: str, size: int, modified: int, origin: Path | None = None) -> None:
        """Note that a file was looked at and holds the same as before, perhaps in another place."""
        with self._lock, self._db:
            self._db.execute("UPDATE documents SET size = ?, modified = ? WHERE name = ?", (size, modified, name))
            if origin:
                self._db.execute("UPDATE OR IGNORE documents SET origin = ? WHERE name = ?", (os.fsencode(origin), name))

    def remove_document(self, name: str) -> None:
        """Forget a document: its text, its passages, their words and vectors."""
        with self._lock, self._db:
            self._delete(self._db.execute("SELECT number, id FROM passages WHERE document = ?", (name,)).fetchall())
            self._db.execute("DELETE FROM documents WHERE name = ?", (name,))
            self._db.execute("INSERT OR REPLACE INTO settings VALUES ('unpurged', '1')")

    @property
    def is_purged(self) -> bool:
        """Whether no file holds anything any more of the documents that were removed."""
        return not self._rows("SELECT 1 FROM settings WHERE key = 'unpurged'", ())

    def purge(self) -> None:
        """Have the files themselves forget what was removed: words stay in a keyword index until its parts are merged."""
        with self._lock:
            with self._db:
                self._db.execute("INSERT INTO keywords (keywords) VALUES ('optimize')")
                self._db.execute("DELETE FROM settings WHERE key = 'unpurged'")
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def clear_passages(self, dimension: int) -> None:
        """Forget all passages, but not which documents there are; Chroma's are gone already."""
        with self._lock, self._db:
            self._total = None
            self._db.execute("INSERT INTO keywords (keywords) VALUES ('delete-all')")
            for table in ("passages", "vectors", "token_frequency", "unsynced"):
                self._db.execute(f"DELETE FROM {table}")
            self._db.execute("UPDATE documents SET sha256 = '', passages = 0")
            self._set_directions(np.eye(dimension, dtype=np.float32))
        self.directions = self._read_directions()

    def _delete(self, rows: Sequence[tuple[int, str]]) -> None:
        self._total = None
        for number, i in rows:
            title, path, text = self._db.execute(
                "SELECT title, heading_path, text FROM passages WHERE number = ?", (number,)
            ).fetchone()
            section = " > ".join(json.loads(path))
            # An index without a copy of its texts has to be told what to strike out.
            self._db.execute(
                "INSERT INTO keywords (keywords, rowid, title, section, text) VALUES ('delete', ?, ?, ?, ?)",
                (number, title, section, text),
            )
            (tokens,) = self._db.execute("SELECT tokens FROM vectors WHERE number = ?", (number,)).fetchone()
            self._db.executemany(
                "UPDATE token_frequency SET passages = passages - 1 WHERE token = ?",
                [(int(token),) for token in np.frombuffer(tokens, np.uint32)],
            )
            self._db.execute("DELETE FROM passages WHERE number = ?", (number,))
            self._db.execute("DELETE FROM vectors WHERE number = ?", (number,))
            self._note([i])
        self._db.execute("DELETE FROM token_frequency WHERE passages <= 0")

    def unsynced(self, limit: int) -> list[str]:
        """Ids of passages that were added or removed since Chroma was told."""
        return [i for (i,) in self._rows("SELECT id FROM unsynced LIMIT ?", (limit,))]

    def mark_unsynced(self, ids: Sequence[str]) -> None:
        """Have Chroma told of these."""
        with self._lock, self._db:
            self._note(ids)

    def mark_synced(self, ids: Sequence[str]) -> None:
        """Chroma has been told of these."""
        with self._lock, self._db:
            self._db.executemany("DELETE FROM unsynced WHERE id = ?", [(i,) for i in ids])

    def stored_vectors(self, ids: Sequence[str]) -> dict[str, FloatVector]:
        """Vectors by passage id, for those that are there; for at most some hundred."""
        marks = ", ".join("?" * len(ids))
        rows = self._rows(f"SELECT id, vector FROM vectors JOIN passages USING (number) WHERE id IN ({marks})", tuple(ids))
        return {i: np.frombuffer(vector, np.float16).astype(np.float32) for i, vector in rows}

    def _note(self, ids: Iterable[str]) -> None:
        self._db.executemany("INSERT OR IGNORE INTO unsynced VALUES (?)", [(i,) for i in ids])

    # Fewer numbers for each token

    def reduce_tokens(self, directions: FloatMatrix) -> None:
        """Keep token vectors along these directions from now on, those that are stored included."""
        with self._lock, self._db:
            for (number,) in self._db.execute("SELECT number FROM passages").fetchall():
                scales, integers = self._db.execute(
                    "SELECT scales, token_vectors FROM passages WHERE number = ?", (number,)
                ).fetchone()
                whole = self._restored(scales, integers) @ self.directions.T
                fewer_scales, fewer = quantize(reduce(whole, directions))
                self._db.execute(
                    "UPDATE passages SET scales = ?, token_vectors = ? WHERE number = ?",
                    (fewer_scales.tobytes(), fewer.tobytes(), number),
                )
            self._set_directions(directions)
        self.directions = self._read_directions()
        with self._lock, suppress(sqlite3.OperationalError):  # others may be reading: then the room is used later
            self._db.execute("VACUUM")

    def _set_directions(self, directions: FloatMatrix) -> None:
        values = (len(directions), np.asarray(directions, np.float32).tobytes())
        self._db.execute("UPDATE directions SET dimension = ?, matrix = ?", values)

    def _data_version(self) -> int:
        return int(self._rows("PRAGMA data_version", ())[0][0])

    def _damaged(self, error: Exception) -> SearchIndexError:
        folder = self._path.parent
        if not os.access(folder, os.W_OK):  # SQLite needs to write where it reads what others may write, too
            return SearchIndexError(
                f"The collection in {folder} cannot be used: the folder is closed to writing.",
                "Open it to writing, or choose another folder with --data-dir.",
            )
        again = "Remove that folder, and ingest its files again: fieldguide ingest PATH..."
        remedy = MAKE_ROOM if is_out_of_room(error) else again
        return SearchIndexError(f"The collection in {folder} cannot be used: {error}.", remedy)
