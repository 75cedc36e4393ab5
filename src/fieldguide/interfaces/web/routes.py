"""Plain pages beside the chat: a guide's whole text, what can be asked, and conversations to save.

Nothing in a request is used as a path: passages are looked up in the index, guides by name among the known ones.
"""

from collections.abc import Callable
from html import escape

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from fieldguide.assembly import Fieldguide
from fieldguide.errors import FieldguideError, SearchIndexError
from fieldguide.indexing.documents import body_start
from fieldguide.interfaces.conversation_store import ConversationStore
from fieldguide.interfaces.conversations import to_json
from fieldguide.interfaces.receipts import to_markdown
from fieldguide.interfaces.web import welcome
from fieldguide.interfaces.web.looks import GUIDE_CSS
from fieldguide.markdown import as_html
from fieldguide.types import Chunk, Document


def routes(fieldguide: Fieldguide, store: ConversationStore) -> list[Route]:
    """The pages, to be served beside the chat."""

    def guide(request: Request) -> Response:
        try:
            found = fieldguide.chunks([request.path_params["chunk"]])
        except SearchIndexError as error:
            if fieldguide.still_loading:
                raise HTTPException(503, "The guides are still being indexed. Try again in a moment.") from error
            raise
        document = fieldguide.library.own_document(found[0]) if found else None
        document = document or next((d for d in fieldguide.guides() if found and d.name == found[0].document), None)
        if document is None:
            raise HTTPException(404, "This passage is no longer in the library. Ask again to find the newest.")
        return HTMLResponse(guide_page(document, found[0]))

    def topics(_: Request) -> Response:
        return HTMLResponse(welcome.topics(fieldguide.guides()))

    def export(request: Request) -> Response:
        kind = request.path_params["kind"]
        held = store.load(request.path_params["owner"], request.path_params["conversation"])
        if not held.exchanges or kind not in ("md", "json"):
            raise HTTPException(404, "There is no such conversation.")
        text, media = (to_markdown(held), "text/markdown") if kind == "md" else (to_json(held), "application/json")
        name = f'attachment; filename="fieldguide-{held.id[:8]}.{kind}"'
        return Response(text, media_type=media, headers={"content-disposition": name})

    return [
        Route("/guide/{chunk}", _told(guide)),
        Route("/topics", _told(topics)),
        Route("/conversations/{owner}/{conversation}.{kind}", _told(export)),
    ]


def _told(page: Callable[[Request], Response]) -> Callable[[Request], Response]:
    """The same page; what goes wrong is told in one line of text."""

    def answer(request: Request) -> Response:
        try:
            return page(request)
        except HTTPException as error:
            return PlainTextResponse(error.detail, error.status_code)
        except FieldguideError as error:
            return PlainTextResponse(str(error), 404)

    return answer


def guide_page(document: Document, chunk: Chunk) -> str:
    """The guide as it stands in its file, with the passage marked."""
    offset = body_start(document.text)
    text, start, end = document.text[offset:], chunk.start - offset, chunk.end - offset
    # The file may be newer than the index: then the passage is looked for, and where it is gone nothing is marked.
    if start < 0 or start == end or text[start:end] not in chunk.text:
        start = text.find(chunk.text)
        end = start + len(chunk.text)
    note = "" if start >= 0 else "<p role='note'>The guide has changed since it was indexed.</p>"
    body = as_html(text, start, end, "passage") if start >= 0 else as_html(text)
    title = escape(document.title)
    heading = "" if "<h1>" in body else f"<h1>{title}</h1>"
    return (
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{title}</title>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'><meta name='color-scheme' content='light dark'>"
        f"<style>{GUIDE_CSS}</style></head><body><main>{note}"
        f"<p class='place'>{escape(document.name)} &middot; {escape(chunk.section)}</p>"
        f"<div class='fg-text'>{heading}{body}</div></main></body></html>"
    )
