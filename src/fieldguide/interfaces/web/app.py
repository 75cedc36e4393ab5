"""The chat page in Gradio. `create_app` builds it, `launch` serves it; what it does stands in `asking` and `shelf`."""

import threading
from dataclasses import fields
from typing import Any

import gradio as gr
from gradio import http_server
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.types import ASGIApp

from fieldguide.answering.waiting_line import LIMIT
from fieldguide.interfaces.api import PATHS
from fieldguide.interfaces.conversation_store import ConversationStore
from fieldguide.interfaces.conversations import Conversation
from fieldguide.interfaces.learn import plotting
from fieldguide.interfaces.learn.page import add_learn_page
from fieldguide.interfaces.library.routes import routes as library_routes
from fieldguide.interfaces.library.work import Work
from fieldguide.interfaces.request_log import RequestLog
from fieldguide.interfaces.serving.access import Keys
from fieldguide.interfaces.serving.guards import guards
from fieldguide.interfaces.serving.service import Service
from fieldguide.interfaces.web.asking import Asking, drawn
from fieldguide.interfaces.web.looks import CSS, HEAD, theme
from fieldguide.interfaces.web.parts import Parts, build_parts
from fieldguide.interfaces.web.policy import StayOnThisMachine
from fieldguide.interfaces.web.routes import routes
from fieldguide.interfaces.web.shelf import Shelf
from fieldguide.proxies import reach_directly

_MANY_AT_ONCE = 2 * LIMIT  # waiting happens in our own line, where its position can be shown
_THREADS = 4 * LIMIT  # each who waits holds one, and a stop must never wait for one


def create_app(fieldguide: Service) -> gr.Blocks:
    """The page, ready to be launched or driven by a test."""
    store = ConversationStore(fieldguide.settings.data_dir / "conversations")
    with gr.Blocks(title="Fieldguide", analytics_enabled=False, fill_width=True) as page:
        parts = build_parts(drawn(fieldguide, Conversation(""), ""), fieldguide.models(), fieldguide.settings.model)
        asking = Asking(fieldguide, store, parts)
        _wire(page, parts, asking, Shelf(fieldguide, store, parts, asking.leave))
    add_learn_page(page, fieldguide)
    page.fieldguide = fieldguide
    own = [*routes(fieldguide, store), *library_routes(fieldguide, Work(fieldguide)), *plotting.routes()]
    page.fieldguide_routes = own
    return page


def _wire(page: gr.Blocks, parts: Parts, asking: Asking, shelf: Shelf) -> None:
    everything = [getattr(parts, field.name) for field in fields(parts)]
    quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
    silent: dict[str, Any] = {**quiet, "queue": False}
    at_once: dict[str, Any] = {**silent, "outputs": everything}
    answering: dict[str, Any] = {**quiet, "outputs": everything, "concurrency_limit": _MANY_AT_ONCE}
    # Gradio's "once" would drop a question that comes between an answer's last redraw and its end. `Asking` tells them apart.
    asked: dict[str, Any] = {**answering, "trigger_mode": "multiple"}
    clicked: dict[str, Any] = {**at_once, "trigger_mode": "multiple"}  # nor may it drop the second of two quick clicks
    place = [parts.owner, parts.current]
    how = [parts.length, parts.alone, parts.where]
    script = parts.announcer

    gr.on([parts.question.submit, parts.send.click], asking.respond, [parts.question, parts.editing, *place, *how], **asked)
    script.ask(asking.respond_to_click, [*place, *how], **asked)
    parts.stop.click(asking.stop, None, None, **silent)

    page.load(shelf.arrive, [parts.owner, parts.last], **at_once)
    script.open(shelf.open, parts.owner, **clicked)
    parts.new.click(shelf.new, parts.owner, **clicked)
    parts.search.change(shelf.search, [parts.search, *place], **at_once)
    script.delete(shelf.delete, [parts.search, *place], **clicked)
    script.list_all(shelf.list_all, place, **clicked)
    script.restore(shelf.restore, parts.owner, **clicked)
    script.add_copy(shelf.add_copy, parts.owner, **clicked)
    script.edit(shelf.edit, place, **clicked)
    script.cancel(shelf.cancel_edit, **clicked)
    parts.model.input(asking.choose_model, parts.model, **answering, trigger_mode="always_last")
    page.unload(asking.leave)


class _Server(http_server.Server):  # type: ignore[misc] # Gradio tells no types
    """Gradio's server, which may take as long as it needs: Gradio gives up after five seconds, too few for a busy machine."""

    def run_in_thread(self) -> None:
        """Return once it serves; raises ServerFailedToStartError when it has ended instead."""
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        while not self.started:
            self.thread.join(0.01)
            if not self.thread.is_alive():
                raise http_server.ServerFailedToStartError("The server ended before it could serve.")


def launch(
    page: gr.Blocks, host: str, port: int, api: ASGIApp, keys: Keys | None = None, agents: Starlette | None = None
) -> str:
    """Serve the page in the background, with the API and agents beside it, to holders of the keys; return its address."""
    reach_directly(host)  # Gradio asks its own server once, through a proxy where one is set
    http_server.Server = _Server
    page.queue(default_concurrency_limit=_MANY_AT_ONCE)
    page.launch(
        server_name=host,
        server_port=port,
        share=False,
        inbrowser=False,
        prevent_thread_lock=True,
        quiet=True,
        run_history=False,
        ssr_mode=False,
        max_threads=_THREADS,
        _frontend=False,  # else the start fails on a busy machine, where the page takes longer than Gradio's three seconds
        footer_links=[],
        theme=theme(),
        css=CSS,
        head=HEAD,
        app_kwargs={
            "middleware": [
                Middleware(RequestLog),
                Middleware(StayOnThisMachine),
                *guards(page.fieldguide, keys, api, PATHS),
            ],
            "routes": [*(agents.routes if agents else ()), *page.fieldguide_routes],
            "lifespan": (lambda _: agents.router.lifespan_context(agents)) if agents else None,
            "docs_url": None,
            "redoc_url": None,
        },
    )
    shown = "127.0.0.1" if host in ("0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    return f"http://{shown}:{port}/"
