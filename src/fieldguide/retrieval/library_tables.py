"""The tables of a collection of own documents, and what stands in the one of the documents."""

import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fieldguide.retrieval.passage_store import SCHEMA

_OWN_SCHEMA = """
CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE documents (
    number INTEGER PRIMARY KEY, name TEXT UNIQUE NOT NULL, title TEXT NOT NULL, kind TEXT NOT NULL, origin BLOB UNIQUE NOT NULL,
    size INTEGER NOT NULL, modified INTEGER NOT NULL, sha256 TEXT NOT NULL, added TEXT NOT NULL, note TEXT NOT NULL,
    passages INTEGER NOT NULL, text BLOB NOT NULL
);
CREATE INDEX documents_by_content ON documents (sha256);
CREATE INDEX passages_of_document ON passages (document, start);
CREATE TABLE vectors (number INTEGER PRIMARY KEY, vector BLOB NOT NULL, tokens BLOB NOT NULL);
CREATE TABLE unsynced (id TEXT PRIMARY KEY);
"""


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """What a collection knows of a document; one whose ingest was cut short has no `sha256` yet.

    `modified` is the file's time in nanoseconds, `added` when it was ingested.
    """

    name: str
    title: str
    kind: str
    origin: Path
    size: int
    modified: int
    sha256: str
    added: str
    note: str = ""
    passages: int = 0


def create_library(path: Path, dimension: int, settings: dict[str, str]) -> None:
    """Make the file of an empty collection. Its first passages keep all numbers of their token vectors."""
    db = sqlite3.connect(path)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.executescript(SCHEMA + _OWN_SCHEMA)
        with db:
            whole = np.eye(dimension, dtype=np.float32).tobytes()
            db.execute("INSERT INTO directions VALUES (?, ?)", (dimension, whole))
            db.executemany("INSERT INTO settings VALUES (?, ?)", settings.items())
    finally:
        db.close()


def stored_document(row: tuple[Any, ...]) -> StoredDocument:
    """A document from its row in the table."""
    name, title, kind, origin, *rest = row
    return StoredDocument(name, title, kind, Path(os.fsdecode(origin)), *rest)
