"""`fieldguide chat`: serve the page on this machine and open it."""

import os
import secrets
import socket
import sys
import threading
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

from fieldguide.errors import FieldguideError, SettingsError
from fieldguide.interfaces.cli.terminal import show_loading
from fieldguide.interfaces.running import announced
from fieldguide.settings import resolve_settings

if TYPE_CHECKING:
    from fieldguide.assembly import Fieldguide


def chat(*, port: int | None = None, browser: bool = True, model: str | None = None, data_dir: Path | None = None) -> None:
    """Serve until Ctrl-C. The page is there at once; weights, index and model follow in the background."""
    settings = resolve_settings({"port": port, "model": model, "data_dir": data_dir})
    _require_free_port(settings.host, settings.port)
    sys.stderr.write("Starting the page ...\n")
    from fieldguide.assembly import Fieldguide

    fieldguide = Fieldguide(settings)
    # llama.cpp loads beside Python; the embedder's libraries would only slow down the import of the page's.
    fieldguide.start(with_retrieval=False)
    from fieldguide.interfaces.api import create_api
    from fieldguide.interfaces.web.app import create_app, launch

    instance = secrets.token_hex(8)
    url = launch(create_app(fieldguide), settings.host, settings.port, create_api(fieldguide, instance))
    sys.stderr.write(f"Fieldguide is at {url} (Ctrl-C ends it).\n")
    if browser and _has_screen():
        webbrowser.open(url)
    with announced(settings, url, instance):
        try:
            _show_loading(fieldguide)
            threading.Event().wait()
        except KeyboardInterrupt:
            sys.stderr.write("\nGood-bye.\n")


def _show_loading(fieldguide: "Fieldguide") -> None:
    """The page shows the same; a failure is told here and there, and the next question tries again."""
    try:
        show_loading(fieldguide.loading())
    except FieldguideError as error:
        sys.stderr.write(f"fieldguide: {error}\n")
    else:
        sys.stderr.write("Ready.\n")
        fieldguide.warm_in_background()
        threading.Thread(target=fieldguide.own.keep_up, args=(threading.Event(),), name="watch", daemon=True).start()


def _has_screen() -> bool:
    """Without a screen, Python would open a browser of text in the terminal."""
    return sys.platform in {"darwin", "win32"} or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


def _require_free_port(host: str, port: int) -> None:
    with socket.socket() as probe:
        # As servers do: a port in its cooling-off time after a restart is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise SettingsError(
                f"Port {port} on {host} cannot be used: {error.strerror}.",
                f"Choose another one: fieldguide chat --port {port + 1}",
            ) from error
