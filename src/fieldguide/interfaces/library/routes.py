"""The Library page and what its buttons ask for.

Whatever changes something needs a header that no foreign page can send.
"""

import json
import re
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from fieldguide.assembly import Fieldguide
from fieldguide.errors import CollectionError, DocumentError, FieldguideError
from fieldguide.indexing.loading.child import MAX_BYTES
from fieldguide.interfaces.heading import heading
from fieldguide.interfaces.library.work import Work

_HERE = Path(__file__).parent
_BATCH = re.compile(r"[0-9a-f]{16}")
_FILES_A_BATCH = 2000
_ROWS_A_PAGE = 100  # documents of a collection, passages of a document
_CHARACTERS_SHOWN = 200_000
Action = Callable[[dict[str, Any]], None]


def routes(fieldguide: Fieldguide, work: Work) -> list[Route]:
    """The page, its data and its actions, to be served beside the chat."""
    page = _Page(fieldguide, work)
    return [
        Route("/library", _told(page.page)),
        Route("/library/state", _told(page.state)),
        Route("/library/documents", _told(page.documents)),
        Route("/library/document", _told(page.document)),
        Route("/library/upload", _changing(page.upload), methods=["POST"]),
        Route("/library/do/{action}", _changing(page.act), methods=["POST"]),
    ]


class _Page:
    def __init__(self, fieldguide: Fieldguide, work: Work) -> None:
        self._fieldguide = fieldguide
        self._work = work
        self._uploaded: dict[str, dict[str, str]] = {}  # by batch: where a file stands, and what it is called
        own, library = fieldguide.own, fieldguide.library
        self._actions: dict[str, Action] = {
            "ingest": self._ingest,
            "reindex": self._reindex,
            "refresh": self._refresh,
            "cancel": lambda _: work.cancel(),
            "remove": lambda asked: own.remove(asked["collection"], [asked["name"]]),
            "rename": lambda asked: library.rename(asked["collection"], asked["name"]),
            "delete": lambda asked: own.delete(asked["collection"]),
        }

    def page(self, _: Request) -> Response:
        shown = heading("/library", "Library", "Your own documents, kept on this machine and asked together with the guides.")
        return HTMLResponse((_HERE / "library.html").read_text(encoding="utf-8").replace("{heading}", shown))

    def state(self, _: Request) -> Response:
        return JSONResponse({"collections": _collections(self._fieldguide), "work": self._work.state()})

    def documents(self, request: Request) -> Response:
        asked = request.query_params
        collection = self._fieldguide.library.collection(asked.get("collection", ""))
        start = _start(request)
        total, found = collection.store.documents_like(asked.get("part", ""), start, _ROWS_A_PAGE)
        rows = [asdict(d) | {"origin": _shown(d.origin, collection.folder)} for d in found]
        return JSONResponse({"total": total, "start": start, "page": _ROWS_A_PAGE, "rows": rows})

    def document(self, request: Request) -> Response:
        collection = self._fieldguide.library.collection(request.query_params.get("collection", ""))
        name = request.query_params.get("name", "")
        found = collection.store.document(name)
        if found is None:
            raise DocumentError(f"There is no document '{name}' in '{collection.name}'.")
        start, text = _start(request), collection.store.text(name)
        passages = collection.store.passages_of(name, start, _ROWS_A_PAGE)
        facts = f"{found.kind}, {found.size:,} bytes, {found.passages} passages, added {found.added}"
        rest = f"\n\n… {len(text) - _CHARACTERS_SHOWN:,} more characters" if len(text) > _CHARACTERS_SHOWN else ""
        values = {
            "title": escape(found.title),
            "facts": f"{escape(name)} in {escape(collection.name)}: {escape(facts)}",
            "origin": escape(_shown(found.origin, collection.folder)),
            "note": f"<p role='note'>{escape(found.note)}</p>" if found.note else "",
            "pages": _pages({"collection": collection.name, "name": name}, start, len(passages), found.passages),
            "passages": "".join(f"<h2>{escape(p.section)}</h2><pre>{escape(p.text)}</pre>" for p in passages),
            "text": escape(text[:_CHARACTERS_SHOWN] + rest),
        }
        form = (_HERE / "document.html").read_text(encoding="utf-8")
        return HTMLResponse(re.sub(r"\{(\w+)\}", lambda field: values.get(field.group(1), field.group()), form))

    async def upload(self, request: Request) -> Response:
        batch, name = request.query_params.get("batch", ""), request.query_params.get("name", "")
        if not _BATCH.fullmatch(batch) or not name or len(self._uploaded.get(batch, ())) >= _FILES_A_BATCH:
            raise DocumentError("The upload cannot be used.", "Reload the page.")
        place = secrets.token_hex(8)
        path = self._work.uploads / batch / place
        path.parent.mkdir(parents=True, exist_ok=True)
        size = 0
        try:
            with path.open("wb") as out:
                async for piece in request.stream():
                    size += len(piece)
                    if size > MAX_BYTES:
                        raise DocumentError(f"{name} is larger than {MAX_BYTES // 1_000_000} MB.", "Cut it into parts.")
                    await run_in_threadpool(out.write, piece)
        except BaseException:  # a disk that is full, or a browser that has gone: half a file is of no use
            path.unlink(missing_ok=True)
            raise
        self._uploaded.setdefault(batch, {})[place] = name
        return JSONResponse({})

    async def act(self, request: Request) -> Response:
        action = self._actions.get(request.path_params["action"])
        try:
            asked = json.loads(await request.body() or b"{}")
            if action is None or not isinstance(asked, dict):
                return JSONResponse({"problem": "There is no such action."}, 404)
            await run_in_threadpool(action, asked)
        except (ValueError, KeyError, TypeError) as error:
            return JSONResponse({"problem": f"The request cannot be used: {error}."}, 422)
        return JSONResponse({})

    def _ingest(self, asked: dict[str, Any]) -> None:
        collection = self._fieldguide.library.checked_name(asked["collection"])
        files = self._uploaded.pop(asked.get("batch", ""), {})
        if not files:
            raise DocumentError("Nothing was uploaded.", "Choose files first.")
        self._work.add(collection, asked["batch"], files)

    def _reindex(self, asked: dict[str, Any]) -> None:
        own, work, name = self._fieldguide.own, self._work, self._fieldguide.library.collection(asked["collection"]).name
        work.start(f"Indexing {name} again", lambda cancelled: own.reindex(name, work.report, cancelled))

    def _refresh(self, asked: dict[str, Any]) -> None:
        own, work, name = self._fieldguide.own, self._work, self._fieldguide.library.collection(asked["collection"]).name
        work.start(f"Looking for changes in {name}", lambda cancelled: own.refresh(name, work.report, cancelled))


def _collections(fieldguide: Fieldguide) -> list[dict[str, Any]]:
    states = [collection.state() for collection in fieldguide.library.collections()]
    return [asdict(state) | {"watched": list(map(str, state.watched))} for state in states]


def _start(request: Request) -> int:
    """The row that a page begins with."""
    text = request.query_params.get("start", "0")
    return int(text) if text.isdecimal() and len(text) < 10 else 0


def _pages(where: dict[str, str], start: int, count: int, total: int) -> str:
    """Which passages are shown, and the way to those before and after; nothing where all are shown."""
    if total <= _ROWS_A_PAGE:
        return ""
    ways = {"Earlier": start - _ROWS_A_PAGE, "Later": start + _ROWS_A_PAGE}
    links = [
        f"<a href='?{escape(urlencode(where | {'start': to}))}'>{name}</a>" for name, to in ways.items() if 0 <= to < total
    ]
    return f"<p>Passages {start + 1:,} to {start + count:,} of {total:,}. {' '.join(links)}</p>"


def _shown(origin: Path, folder: Path) -> str:
    return "uploaded" if origin.is_relative_to(folder) else str(origin).encode("utf-8", "replace").decode()


def _told(answer: Callable[[Request], Response]) -> Callable[[Request], Response]:
    """The same; what goes wrong is told in one line."""

    def told(request: Request) -> Response:
        try:
            return answer(request)
        except FieldguideError as error:
            return PlainTextResponse(str(error), 404 if isinstance(error, CollectionError | DocumentError) else 500)

    return told


def _changing(answer: Callable[[Request], Awaitable[Response]]) -> Callable[[Request], Awaitable[Response]]:
    """The same for our own page only; what goes wrong is told in one line."""

    async def told(request: Request) -> Response:
        if request.headers.get("x-fieldguide") != "library":
            return JSONResponse({"problem": "Only the Library page itself may ask for this."}, 403)
        try:
            return await answer(request)
        except FieldguideError as error:
            return JSONResponse({"problem": str(error)}, 409)
        except OSError as error:
            return JSONResponse({"problem": f"The upload cannot be kept: {error.strerror or error}. Make room."}, 507)

    return told
