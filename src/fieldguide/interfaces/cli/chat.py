"""`fieldguide chat` and `fieldguide serve`: the page and its interfaces for programs, until somebody ends them."""

import os
import secrets
import signal
import sys
import threading
import webbrowser
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fieldguide.errors import FieldguideError
from fieldguide.interfaces.cli.terminal import show_loading
from fieldguide.interfaces.running import announced, require_free_port
from fieldguide.proxies import http_client
from fieldguide.settings import resolve_settings

if TYPE_CHECKING:
    from fieldguide.interfaces.serving.service import Service


def chat(flags: Mapping[str, Any], *, browser: bool = True) -> None:
    """Serve until Ctrl-C or SIGTERM. The page is there at once; weights, index and model follow in the background."""
    settings = resolve_settings(flags)
    from fieldguide.interfaces.serving.access import keys_for

    keys = keys_for(settings)
    require_free_port(settings.host, settings.port)
    http_client().close()  # Gradio makes one at its import, and breaks where it cannot
    sys.stderr.write("Starting the page ...\n")
    from fieldguide.interfaces.serving.service import Service

    service = Service(settings)
    service.unnamed_client = "others" if keys else ""
    # llama.cpp loads beside Python; the embedder's libraries would only slow down the import of the page's.
    service.start(with_retrieval=False)
    from fieldguide.interfaces.api import create_api
    from fieldguide.interfaces.mcp_server import over_http
    from fieldguide.interfaces.web.app import create_app, launch

    instance = secrets.token_hex(8)
    page = create_app(service)
    url = launch(page, settings.host, settings.port, create_api(service, instance), keys=keys, agents=over_http(service))
    sys.stderr.write(f"Fieldguide is at {url} (Ctrl-C ends it).\n")
    if browser and _has_screen():
        webbrowser.open(url)
    signal.signal(signal.SIGTERM, _as_interrupt)
    with announced(settings, url, instance):
        try:
            _show_loading(service)
            threading.Event().wait()
        except KeyboardInterrupt:
            _end(service, settings.shutdown_seconds)
    page.close(verbose=False)  # what was said last is still sent


def _as_interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _end(service: "Service", seconds: int) -> None:
    """Let the answers under way finish; a second Ctrl-C does not wait for that."""
    if count := service.under_way:
        noun = "question" if count == 1 else "questions"
        sys.stderr.write(f"\nWaiting up to {seconds} s for {count} {noun} under way (Ctrl-C: end at once) ...")
    try:
        service.end(seconds)
    except KeyboardInterrupt:
        service.end(0)
    sys.stderr.write("\nGood-bye.\n")


def _show_loading(service: "Service") -> None:
    """The page shows the same; a failure is told here and there, and the next question tries again."""
    try:
        show_loading(service.loading())
    except FieldguideError as error:
        sys.stderr.write(f"fieldguide: {error}\n")
    else:
        sys.stderr.write("Ready.\n")
        service.warm_in_background()
    threading.Thread(target=service.own.keep_up, args=(threading.Event(),), name="watch", daemon=True).start()


def _has_screen() -> bool:
    """Without a screen, Python would open a browser of text in the terminal."""
    return sys.platform in {"darwin", "win32"} or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
