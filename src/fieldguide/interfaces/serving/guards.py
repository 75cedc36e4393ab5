"""What stands before the page and the interfaces: size, name and origin of a request, its token, and how often one asks."""

import re
import socket
from ipaddress import ip_address

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Receive, Scope, Send

from fieldguide.interfaces.serving.access import WRONG_TOKENS_PER_MINUTE, Access, Keys, is_loopback
from fieldguide.interfaces.serving.limits import RateLimit, TakingTurns, WithinBytes
from fieldguide.interfaces.serving.problems import problem
from fieldguide.interfaces.serving.service import Service
from fieldguide.settings import Settings

_GRADIO = "/gradio_api/"
_NEEDED = (
    "queue/",
    "run/",
    "component_server",
    "heartbeat/",
    "reset",
    "cancel",
    "info",
    "startup-events",
    "theme.css",
    "app_id",
)


def guards(service: Service, keys: Keys | None, api: ASGIApp, paths: tuple[str, ...]) -> list[Middleware]:
    """From the outside in; whatever passes them all goes to the API or, beside it, to the page."""
    settings = service.settings
    return [
        Middleware(WithinBytes, metrics=service.metrics),
        Middleware(OwnSite, names=own_names(settings)),
        Middleware(Access, keys=keys, failures=RateLimit(WRONG_TOKENS_PER_MINUTE)),
        Middleware(TakingTurns, rate=RateLimit(settings.requests_per_minute)),
        Middleware(Beside, other=api, paths=paths),
    ]


class OwnSite:
    """ASGI middleware that answers only under names of this machine, and only its own pages.

    A foreign page may have its name lead here (DNS rebinding), or post here what its visitor does not see. A name is needed
    for the former, so a plain address is always ours. Browsers name the page that asks in Origin.
    """

    def __init__(self, app: ASGIApp, names: frozenset[str]) -> None:
        self._app, self._names = app, names

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers, path = Headers(scope=scope), scope["path"]
        host, origin = headers.get("host", ""), headers.get("origin")
        if not self._is_ours(host):
            told = problem(path, 403, "This server does not answer to that name.", "Set it in FIELDGUIDE_HOSTS.")
        elif origin is not None and not _is_from(origin, host):
            told = problem(path, 403, "Another site's page asked for this.", "Only Fieldguide's own pages may.")
        elif path.startswith(_GRADIO) and not path.removeprefix(_GRADIO).startswith(_NEEDED):
            told = problem(path, 404, "This server has no such page.")  # files, uploads, proxies: the page needs none of them
        else:
            await self._app(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await told(scope, receive, send)

    def _is_ours(self, host: str) -> bool:
        name = re.sub(r":\d*$", "", host.lower())
        try:
            ip_address(name.strip("[]"))
        except ValueError:
            return name in self._names
        return True


def _is_from(origin: str, host: str) -> bool:
    return origin.lower().partition("://")[2] == host.lower()


def own_names(settings: Settings) -> frozenset[str]:
    """What this machine is called by those who may reach it."""
    machine: set[str] = set() if is_loopback(settings.host) else {socket.gethostname(), socket.getfqdn()}
    return frozenset(name.lower() for name in {"localhost", settings.host, *machine, *settings.hosts.replace(",", " ").split()})


class Beside:
    """ASGI middleware that gives some paths to another application."""

    def __init__(self, app: ASGIApp, other: ASGIApp, paths: tuple[str, ...]) -> None:
        self._app, self._other, self._paths = app, other, paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on to whom it belongs."""
        is_theirs = scope["type"] == "http" and scope["path"].startswith(self._paths)
        await (self._other if is_theirs else self._app)(scope, receive, send)
