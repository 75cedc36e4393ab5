"""`fieldguide ingest PATH...`, `fieldguide documents` and `fieldguide collections`: one's own documents."""

import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from fieldguide.assembly import Fieldguide
from fieldguide.errors import Cancelled, DocumentError
from fieldguide.indexing.collection import Collection
from fieldguide.indexing.ingest import IngestReport
from fieldguide.indexing.library import GUIDES
from fieldguide.indexing.loading.kinds import short_name
from fieldguide.indexing.own_documents import summary
from fieldguide.interfaces.cli.terminal import LoadingDisplay, show_loading
from fieldguide.settings import resolve_settings

_SKIPPED_SHOWN = 40
Flags = Mapping[str, Any]


def ingest_paths(
    paths: Sequence[str],
    collection: str,
    flags: Flags,
    patterns: tuple[Sequence[str], Sequence[str]],
    *,
    chunk_tokens: int | None,
    as_json: bool,
) -> None:
    """Put files into a collection and say what came of each; `patterns` are what to include and exclude in folders."""
    include, exclude = patterns

    def run(made: Fieldguide, display: LoadingDisplay, cancelled: threading.Event) -> IngestReport:
        return made.own.add(
            paths, collection, display.show, cancelled, include=include, exclude=exclude, chunk_tokens=chunk_tokens
        )

    _work(flags, run, as_json=as_json)


def reindex(name: str, flags: Flags, *, as_json: bool) -> None:
    """Cut and embed a collection again."""
    _work(flags, lambda made, display, cancelled: made.own.reindex(name, display.show, cancelled), as_json=as_json)


def refresh(made: Fieldguide, *, as_json: bool) -> None:
    """Take up what changed on disk in all collections."""
    for collection in made.library.collections():
        show_loading(made.loading(with_model=False))
        with LoadingDisplay() as display, _ctrl_c() as cancelled:
            report = made.own.refresh(collection.name, display.show, cancelled)
        if cancelled.is_set():
            raise Cancelled
        if report and not as_json:
            sys.stdout.write(f"{collection.name}: ")
            _print_report(report)


def _work(flags: Flags, work: Callable[[Fieldguide, LoadingDisplay, threading.Event], IngestReport], *, as_json: bool) -> None:
    made = Fieldguide(resolve_settings(flags))
    show_loading(made.loading(with_model=False))
    with LoadingDisplay() as display, _ctrl_c() as cancelled:
        report = work(made, display, cancelled)
    if as_json:
        sys.stdout.write(json.dumps(asdict(report), ensure_ascii=False) + "\n")
    else:
        _print_report(report)
    made.close()
    if report.skipped and not (report.added or report.changed or report.unchanged):
        raise DocumentError("None of the files could be ingested.", "The reasons stand above.")


def _print_report(report: IngestReport) -> None:
    sys.stdout.write(summary(report) + "\n")
    sys.stdout.flush()
    rows = [*report.skipped, *report.notes]
    if rows:
        table = Table("file", "why it was skipped, or what is missing of it", box=None, padding=(0, 2, 0, 0))
        for name, reason in rows[:_SKIPPED_SHOWN]:
            table.add_row(_printable(name), reason)
        if len(rows) > _SKIPPED_SHOWN:
            table.add_row("...", f"and {len(rows) - _SKIPPED_SHOWN} more; --json lists all")
        Console(markup=False, highlight=False).print(table)


@contextmanager
def _ctrl_c() -> Iterator[threading.Event]:
    """The first Ctrl-C asks the work to end after the step it is in; what is done is kept."""
    cancelled = threading.Event()

    def cancel(*_: object) -> None:
        if cancelled.is_set():
            raise KeyboardInterrupt
        cancelled.set()
        sys.stderr.write("Stopping; what is done is kept.\n")

    before = signal.signal(signal.SIGINT, cancel) if threading.current_thread() is threading.main_thread() else None
    try:
        yield cancelled
    finally:
        if before is not None:
            signal.signal(signal.SIGINT, before)


# fieldguide documents


def list_documents(name: str | None, flags: Flags, *, as_json: bool) -> None:
    """Print the documents of one collection, or of all."""
    made = Fieldguide(resolve_settings(flags))
    collections = [made.library.collection(name)] if name else made.library.collections()
    rows = [(collection.name, document) for collection in collections for document in collection.store.documents()]
    if as_json:
        objects = [{"collection": of, **asdict(document), "origin": _printable(str(document.origin))} for of, document in rows]
        sys.stdout.write(json.dumps(objects, ensure_ascii=False) + "\n")
    elif not rows:
        sys.stdout.write("There are no documents of your own yet. Add some: fieldguide ingest PATH...\n")
    else:
        table = Table("collection", "document", "kind", "passages", "size", "added", "from", box=None, padding=(0, 2, 0, 0))
        for of, d in rows:
            state = str(d.passages) if d.sha256 else "unfinished"
            table.add_row(of, d.name, d.kind, state, _size(d.size), d.added[:10], _printable(str(d.origin)))
        Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else 200).print(table)
    made.close()


def show_document(name: str, collection: str | None, flags: Flags, *, passages: bool, as_json: bool) -> None:
    """Print what is known of a document, and its text or passages."""
    made = Fieldguide(resolve_settings(flags))
    found, document = _find(made, name, collection)
    text = found.store.text(document.name)
    pieces = found.store.passages_of(document.name)
    if as_json:
        content = {**asdict(document), "origin": _printable(str(document.origin)), "collection": found.name, "text": text}
        content["passages"] = [{"section": piece.section, "text": piece.text} for piece in pieces]
        sys.stdout.write(json.dumps(content, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write(
            f"{document.title}\n{document.name} in {found.name}: {document.kind}, {_size(document.size)}, "
            f"{document.passages} passages, added {document.added}\nfrom {_printable(str(document.origin))}\n"
            f"{document.note + chr(10) if document.note else ''}\n"
        )
        body = "\n\n".join(f"[{piece.section}]\n{piece.text}" for piece in pieces) if passages else text
        sys.stdout.write(body.rstrip() + "\n")
    made.close()


def remove_documents(names: Sequence[str], collection: str | None, flags: Flags) -> None:
    """Forget documents."""
    made = Fieldguide(resolve_settings(flags))
    found = [(_find(made, name, collection)[0].name, name) for name in dict.fromkeys(names)]  # before any of them is gone
    for where in dict.fromkeys(where for where, _ in found):
        those = [name for of, name in found if of == where]
        made.own.remove(where, those)
        sys.stdout.write("".join(f"{name} is no longer in {where}.\n" for name in those))
    made.close()


def export_documents(folder: Path, collection: str, flags: Flags) -> None:
    """Write the text of every document of a collection into a folder."""
    made = Fieldguide(resolve_settings(flags))
    store = made.library.collection(collection).store
    documents = store.documents()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number, document in enumerate(documents, 1):
            # Names come from strangers' files: none of their parts may lead out of the folder.
            plain = "-".join(part for part in document.name.replace("\\", "/").split("/") if part not in ("", ".", ".."))
            (folder / f"{number:05}-{short_name(plain)}.txt").write_text(store.text(document.name), encoding="utf-8")
    except OSError as error:
        raise DocumentError(f"{folder} cannot be written: {error.strerror or error}.", "Choose another folder.") from error
    sys.stdout.write(f"{len(documents)} documents were written to {folder}.\n")
    made.close()


def _find(made: Fieldguide, name: str, collection: str | None) -> tuple[Collection, Any]:
    collections = [made.library.collection(collection)] if collection else made.library.collections()
    found = [(one, document) for one in collections if (document := one.store.document(name))]
    if not found:
        raise DocumentError(f"There is no document '{name}'.", "See: fieldguide documents list")
    if len(found) > 1:
        names = ", ".join(one.name for one, _ in found)
        raise DocumentError(f"There is a document '{name}' in {names}.", "Say which with --collection.")
    return found[0]


# fieldguide collections


def list_collections(flags: Flags, *, as_json: bool) -> None:
    """Print what can be asked."""
    made = Fieldguide(resolve_settings(flags))
    rows: list[dict[str, Any]] = []
    for one in made.library.collections():
        state = one.state()
        rows.append({**asdict(state), "bytes": one.size(), "watched": list(map(str, state.watched))})
    if as_json:
        sys.stdout.write(json.dumps([{"name": GUIDES, "built_in": True}, *rows], ensure_ascii=False) + "\n")
    else:
        table = Table("collection", "documents", "passages", "size", "notes", box=None, padding=(0, 2, 0, 0))
        table.add_row(GUIDES, "", "", "", "built in")
        for row in rows:
            notes = [f"watches {', '.join(row['watched'])}"] if row["watched"] else []
            notes += ["needs re-indexing"] if row["needs_reindexing"] else []
            table.add_row(row["name"], str(row["documents"]), str(row["passages"]), _size(row["bytes"]), "; ".join(notes))
        Console(markup=False, highlight=False, width=None if sys.stdout.isatty() else 200).print(table)
    made.close()


def rename_collection(name: str, new: str, flags: Flags) -> None:
    """Give a collection another name."""
    made = Fieldguide(resolve_settings(flags))
    made.library.rename(name, new)
    sys.stdout.write(f"{name} is now called {new}.\n")
    made.close()


def delete_collection(name: str, flags: Flags) -> None:
    """Forget a collection."""
    made = Fieldguide(resolve_settings(flags))
    made.own.delete(name)
    sys.stdout.write(f"{name} is gone. The files it was made from are where they were.\n")
    made.close()


def change_collection(
    name: str,
    flags: Flags,
    patterns: tuple[Sequence[str], Sequence[str]],
    *,
    chunk_tokens: int | None,
    watch: Sequence[Path],
    unwatch: bool,
) -> None:
    """Change how a collection is indexed and what it watches."""
    made = Fieldguide(resolve_settings(flags))
    if chunk_tokens is not None:
        made.library.check_size(chunk_tokens)
    if watch or unwatch:
        if watch and name not in made.library.names():
            show_loading(made.loading(with_model=False))  # a new collection has to know its embedder
        made.own.watch(name, watch)
        where = ", ".join(map(str, watch))
        sys.stdout.write(f"{name} watches {where}, while the page runs.\n" if watch else f"{name} watches no folder.\n")
    collection = made.library.collection(name)
    named = zip(("include", "exclude"), patterns, strict=True)
    changes = {key: json.dumps([value for value in values if value]) for key, values in named if values}
    if chunk_tokens is not None:
        changes["chunk_tokens"] = str(chunk_tokens)
    with collection.writing(lambda: None):
        collection.store.change_settings(**changes)
    if chunk_tokens is not None:
        sys.stdout.write(f"{name} needs re-indexing: fieldguide collections reindex '{name}'\n")
    made.close()


def _size(count: int) -> str:
    size, unit = float(count), "B"
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            break
        size /= 1000
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"


def _printable(path: str) -> str:
    return os.fsencode(path).decode("utf-8", "replace").replace("\n", "\ufffd")
