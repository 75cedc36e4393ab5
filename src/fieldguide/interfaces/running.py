"""A Fieldguide that already runs on this machine: how it makes itself known, and how another process asks it.

It writes its address into the data folder. Whoever finds it there asks it only if it answers, and would answer as one's own
settings demand: it is asked for its settings each time, as the page can change them.
"""

import hashlib
import http.client
import json
import queue
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import TypeAdapter

from fieldguide import events
from fieldguide.errors import Cancelled, SettingsError
from fieldguide.events import Event, Failed, Finished
from fieldguide.files import write_durably
from fieldguide.generation.model import Cancellation
from fieldguide.settings import Settings
from fieldguide.types import Turn

_FILE = "running.json"
_STATUS_SECONDS = 10.0  # it may be busy; where nobody listens, that is known at once
_POLL_SECONDS = 0.1
_WITHOUT_INFLUENCE = {"host", "port", "threads", "hub_endpoint", "hub_offline", "token", "token_file", "hosts"} | {
    "requests_per_minute",
    "shutdown_seconds",
}  # on what an answer says
_LOST = Failed("The running Fieldguide broke off the answer.", "Ask again; without it, fieldguide ask loads its own.")


@contextmanager
def announced(settings: Settings, url: str, instance: str) -> Iterator[None]:
    """Let others on this machine find this process for as long as the `with` lasts."""
    path = settings.data_dir / _FILE
    with suppress(OSError):  # whoever cannot write there has been told; nobody finds us, no more
        path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(path, json.dumps({"url": url, "instance": instance}))
    try:
        yield
    finally:
        if _read(path).get("instance") == instance:
            path.unlink(missing_ok=True)


class RunningFieldguide:
    """Another process that answers over HTTP, with the same event stream."""

    def __init__(self, url: str, settings: str = "", token: str = "") -> None:
        self.url = url
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._settings = settings  # a fingerprint: what an answer must be made with
        self._address = urlsplit(url)

    def answer(
        self,
        question: str,
        history: Sequence[Turn] = (),
        *,
        cancellation: Cancellation | None = None,
        collections: Sequence[str] = (),
    ) -> Iterator[Event]:
        """The event stream of one question; a broken connection ends it as Failed."""
        earlier = [asdict(turn) for turn in history]
        content = {"question": question, "history": earlier, "settings": self._settings, "collections": list(collections)}
        asked = json.dumps(content)
        connection = self._connection(None)
        try:
            connection.connect()
        except OSError:
            yield _LOST
            return
        line_open = connection.sock
        lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()

        def receive() -> None:
            with suppress(OSError, http.client.HTTPException), closing(connection):
                connection.request("POST", "/api/ask", asked, {"Content-Type": "application/json"} | self._headers)
                for line in connection.getresponse():
                    lines.put(line)
            lines.put(b"")

        threading.Thread(target=receive, name="receive", daemon=True).start()
        try:
            while True:
                if cancellation and cancellation.is_cancelled:
                    stop = Cancelled()
                    yield Failed(stop.message, stop.remedy, "cancelled")
                    return
                try:
                    event = _event(lines.get(timeout=_POLL_SECONDS))
                except queue.Empty:
                    continue
                yield event
                if isinstance(event, Finished | Failed):
                    return
        finally:
            with suppress(OSError):
                line_open.shutdown(socket.SHUT_RDWR)  # wakes the thread that receives, and stops the computation there

    def status(self) -> dict[str, Any]:
        """What it says of itself; empty when it does not answer."""
        connection = self._connection(_STATUS_SECONDS)
        try:
            connection.request("GET", "/api/status", headers=self._headers)
            return _as_object(connection.getresponse().read())
        except (OSError, http.client.HTTPException):
            return {}
        finally:
            connection.close()

    def _connection(self, timeout: float | None) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self._address.hostname or "", self._address.port, timeout=timeout)


def require_free_port(host: str, port: int) -> None:
    """Raise SettingsError where nothing can be served there."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        with socket.socket(family) as probe:
            # As servers do: a port in its cooling-off time after a restart is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise SettingsError(
            f"Port {port} on {host} cannot be used: {error.strerror}.",
            f"Choose another one: fieldguide chat --port {port + 1}",
        ) from error


def find_running(settings: Settings) -> RunningFieldguide | None:
    """The Fieldguide that runs on the same data folder and would answer the same, if there is one."""
    found = _read(settings.data_dir / _FILE)
    if not found:
        return None
    running = RunningFieldguide(str(found.get("url")), fingerprint(settings), settings.token)
    status = running.status()
    same = status.get("instance") == found.get("instance") and status.get("settings") == fingerprint(settings)
    return running if same else None


def _read(path: Path) -> dict[str, Any]:
    try:
        return _as_object(path.read_bytes())
    except OSError:
        return {}


def _as_object(data: bytes) -> dict[str, Any]:
    """The JSON object in the data; empty where there is none."""
    try:
        found = json.loads(data)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def fingerprint(settings: Settings) -> str:
    """What two processes that would answer alike have in common."""
    relevant = {name: str(value) for name, value in asdict(settings).items() if name not in _WITHOUT_INFLUENCE}
    return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()


def _event(line: bytes) -> Event:
    """A line of the stream as the event that it was; whatever is no event means that the stream broke."""
    try:
        content = json.loads(line)
        kind = getattr(events, content.pop("event"))
        event: Event = TypeAdapter(kind).validate_python(content)
    except (ValueError, KeyError, AttributeError, TypeError):
        return _LOST
    return event
