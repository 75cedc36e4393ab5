"""Passages in one SQLite file: their text, a keyword index over it (FTS5, ranked by BM25), and their token vectors.

Kept together so that one transaction adds or removes all of a passage. Token vectors are stored along fewer directions
(`projection`) and as 8-bit integers with one scale per vector: a twelfth of the space of all their 32-bit numbers.
"""

import json
import re
import sqlite3
import threading
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fieldguide.errors import MAKE_ROOM, SearchIndexError
from fieldguide.types import Chunk, FloatMatrix, FloatVector
from fieldguide.words import STOP_WORDS

SCHEMA = """
CREATE TABLE passages (
    number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, document TEXT NOT NULL, title TEXT NOT NULL,
    heading_path TEXT NOT NULL, text TEXT NOT NULL, start INTEGER NOT NULL, end INTEGER NOT NULL,
    scales BLOB NOT NULL, token_vectors BLOB NOT NULL
);
CREATE TABLE directions (dimension INTEGER NOT NULL, matrix BLOB NOT NULL);
CREATE TABLE token_frequency (token INTEGER PRIMARY KEY, passages INTEGER NOT NULL);
CREATE VIRTUAL TABLE keywords USING fts5 (
    title, section, text, content='', tokenize='porter unicode61 remove_diacritics 2'
);
"""
_BUILD_AGAIN = "Build the index again: fieldguide ingest --rebuild"
_COLUMNS = "id, document, title, heading_path, text, start, end"
_WORD = re.compile(r"\w+")
_IDS_AT_ONCE = 900  # SQLite bounds the values of one statement
# In a large library, words of so many passages tell few of them apart and cost most of the time of a search.
_COMMON_FROM, _COMMON_IN_ONE_OF = 1000, 20
_SCORED = 10_000  # passages that keyword search may score for one question: it stays quick in a library of any size
_SECTION_WEIGHT = 1.5  # a question word in the heading says more than one in the text


class PassageStore:
    """The SQLite file; raises SearchIndexError when it is missing or damaged. Safe to use from several threads.

    It is created where `directions` (d, r) are given, those along which token vectors are stored.
    """

    _checks_passages = False  # what a passage says against its id, which is made of that; an index is checked as a whole

    def __init__(self, path: Path, directions: FloatMatrix | None = None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._total: int | None = None
        try:
            mode = "ro" if directions is None else "rwc"
            self._db = sqlite3.connect(f"{path.absolute().as_uri()}?mode={mode}", uri=True, check_same_thread=False)
            if directions is not None:
                self._db.executescript(SCHEMA)
                with self._db:
                    matrix = np.asarray(directions, np.float32).tobytes()
                    self._db.execute("INSERT INTO directions VALUES (?, ?)", (len(directions), matrix))
            self.directions = self._read_directions()
        except (sqlite3.Error, ValueError) as error:
            raise self._damaged(error) from error

    def add(self, chunks: Sequence[Chunk], token_vectors: Sequence[FloatMatrix], token_ids: Sequence[Sequence[int]]) -> None:
        """Store passages with the ids of their tokens and their vectors along the directions (tokens, r): all or none."""
        with self._lock, self._db:
            self._insert(chunks, token_vectors, token_ids)

    def _insert(
        self, chunks: Sequence[Chunk], token_vectors: Sequence[FloatMatrix], token_ids: Sequence[Sequence[int]]
    ) -> list[int]:
        """Add passages inside a transaction; gives their numbers."""
        self._total = None
        counts = Counter(token for ids in token_ids for token in set(ids))
        self._db.executemany(
            "INSERT INTO token_frequency VALUES (?, ?) "
            "ON CONFLICT (token) DO UPDATE SET passages = passages + excluded.passages",
            counts.items(),
        )
        numbers = []
        for chunk, vectors in zip(chunks, token_vectors, strict=True):
            scales, integers = quantize(vectors)
            path = json.dumps(chunk.heading_path)
            row = (chunk.id, chunk.document, chunk.title, path, chunk.text, chunk.start, chunk.end)
            cursor = self._db.execute(
                f"INSERT INTO passages ({_COLUMNS}, scales, token_vectors) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (*row, scales.tobytes(), integers.tobytes()),
            )
            self._db.execute(
                "INSERT INTO keywords (rowid, title, section, text) VALUES (?, ?, ?, ?)",
                (cursor.lastrowid, chunk.title, chunk.section, chunk.text),
            )
            numbers.append(int(cursor.lastrowid or 0))
        return numbers

    def chunks(self, ids: Iterable[str] | None = None) -> list[Chunk]:
        """The passages with these ids, in their order; without ids all, in the order in which they were added."""
        if ids is None:
            with self._as_damage():
                return [self._chunk(row) for row in self._rows(f"SELECT {_COLUMNS} FROM passages ORDER BY number", ())]
        wanted = list(ids)
        with self._as_damage():
            found = {row[0]: self._chunk(row) for row in self._rows_by_id(_COLUMNS, wanted)}
        return [found[i] for i in wanted if i in found]

    def by_keywords(self, question: str, limit: int) -> list[str]:
        """Ids of passages that share words with the question, best BM25 score first."""
        return list(self.keyword_scores(question, limit))

    def keyword_scores(self, question: str, limit: int) -> dict[str, float]:
        """The same with their scores, higher is better; a passage without a word of the question is not there."""
        every = {word.lower() for word in _WORD.findall(question)}
        words = every - STOP_WORDS or every  # mere grammar stands in every passage: it says little, and costs most
        total = self.count()
        if total > _COMMON_FROM:
            words = self._telling(words, max(_COMMON_FROM, total // _COMMON_IN_ONE_OF))
        if not words:
            return {}
        query = " OR ".join(f'"{word}"' for word in sorted(words))
        rows = self._rows(
            "SELECT p.id, found.rank FROM (SELECT rowid, rank FROM keywords WHERE keywords MATCH ? "
            f"AND rank MATCH 'bm25(1.0, {_SECTION_WEIGHT}, 1.0)' ORDER BY rank, rowid LIMIT ?) AS found "
            "JOIN passages p ON p.number = found.rowid ORDER BY found.rank, p.number",
            (query, limit),
        )
        return {i: -float(rank) for i, rank in rows}  # FTS5 gives the better ones the lower number

    def count(self) -> int:
        """How many passages there are."""
        with self._lock:
            if self._total is None:
                try:
                    self._total = int(self._db.execute("SELECT count(*) FROM passages").fetchone()[0])
                except sqlite3.Error as error:
                    raise self._damaged(error) from error
            return self._total

    def has_word(self, word: str) -> bool:
        """Whether the keyword index finds the word in a passage."""
        return self._passages_with(word, 1) > 0

    def _telling(self, words: set[str], common: int) -> set[str]:
        """The words that are not common, from the rarest on, as long as few enough passages have to be scored."""
        counts = {word: self._passages_with(word, _SCORED + 1) for word in words}
        counts = {word: count for word, count in counts.items() if count <= common} or counts
        telling, scored = set(), 0
        for count, word in sorted((count, word) for word, count in counts.items()):
            scored += count
            if scored <= _SCORED:
                telling.add(word)
        return telling

    def _passages_with(self, word: str, limit: int) -> int:
        statement = "SELECT count(*) FROM (SELECT 1 FROM keywords WHERE keywords MATCH ? LIMIT ?)"
        return int(self._rows(statement, (f'"{word}"', limit))[0][0])

    def token_vectors(self, ids: Sequence[str]) -> dict[str, FloatMatrix]:
        """Token vectors along the directions (tokens, r) by passage id, widened to 32-bit numbers again."""
        rows = self._rows_by_id("id, scales, token_vectors", ids)
        with self._as_damage():
            return {i: self._restored(scales, integers) for i, scales, integers in rows}

    def frequency(self, token_ids: Sequence[int]) -> FloatVector:
        """In how many passages each token stands."""
        marks = ",".join("?" * len(token_ids))
        found = dict(self._rows(f"SELECT token, passages FROM token_frequency WHERE token IN ({marks})", tuple(token_ids)))
        return np.array([found.get(token, 0) for token in token_ids], np.float32)

    def close(self) -> None:
        """Release the file, once whoever reads it has done so: closing it under a reader ends the process."""
        with self._lock:
            self._db.close()

    def _chunk(self, row: tuple[Any, ...]) -> Chunk:
        i, document, title, heading_path, text, start, end = row
        chunk = Chunk(i, document, title, tuple(json.loads(heading_path)), text, start, end)
        if self._checks_passages and chunk.content_id not in i:
            raise ValueError(f"a passage of {document} is not what was written")
        return chunk

    def _read_directions(self) -> FloatMatrix:
        ((dimension, matrix),) = self._db.execute("SELECT dimension, matrix FROM directions")
        return np.frombuffer(matrix, np.float32).reshape(dimension, -1)

    def _restored(self, scales: bytes, integers: bytes) -> FloatMatrix:
        """The inverse of `quantize`, as stored: (tokens, r)."""
        matrix = np.frombuffer(integers, np.int8).reshape(-1, self.directions.shape[1])
        restored: FloatMatrix = matrix * np.frombuffer(scales, np.float32)[:, None]
        return restored

    def _rows_by_id(self, columns: str, ids: Sequence[str]) -> list[tuple[Any, ...]]:
        rows: list[tuple[Any, ...]] = []
        for start in range(0, len(ids), _IDS_AT_ONCE):
            some = tuple(ids[start : start + _IDS_AT_ONCE])
            rows += self._rows(f"SELECT {columns} FROM passages WHERE id IN ({','.join('?' * len(some))})", some)
        return rows

    def _rows(self, statement: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        with self._as_damage(), self._lock:
            return self._db.execute(statement, values).fetchall()

    @contextmanager
    def _as_damage(self) -> Iterator[None]:
        """What cannot be read, or is not what can have been written, is damage."""
        try:
            yield
        except (sqlite3.Error, zlib.error, ValueError, TypeError) as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> SearchIndexError:
        remedy = MAKE_ROOM if is_out_of_room(error) else _BUILD_AGAIN
        return SearchIndexError(f"The passages in {self._path} cannot be used: {error}.", remedy)


def is_out_of_room(error: Exception) -> bool:
    """Whether it is the disk that fails, mostly because it is full, and not what lies on it."""
    return getattr(error, "sqlite_errorname", "").startswith(("SQLITE_FULL", "SQLITE_IOERR"))


def inverse_frequency(frequency: FloatVector, total: int) -> FloatVector:
    """How much each token says: BM25's inverse document frequency over the passages, always above 0."""
    return np.asarray(np.log1p((total - frequency + 0.5) / (frequency + 0.5)), np.float32)


def quantize(vectors: FloatMatrix) -> tuple[NDArray[np.float32], NDArray[np.int8]]:
    """Each vector as 8-bit integers and the scale that turns them back: (n,) and (n, d)."""
    scales = (np.abs(vectors).max(axis=1, initial=0.0) / 127).astype(np.float32)
    integers = np.round(vectors / np.maximum(scales, 1e-9)[:, None]).astype(np.int8)
    return scales, integers
