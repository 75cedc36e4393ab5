"""Every request over HTTP has an id, which its answer bears as X-Request-Id, and a line in the log."""

import re
import time

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fieldguide.logs import new_id, note, request_id

_HEADER = "X-Request-Id"
_GIVEN = re.compile(r"[\w-]{1,64}")


class RequestLog:
    """ASGI middleware: takes the id that a proxy has given, or makes one; notes method, path, status and seconds."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given, began, status = Request(scope).headers.get(_HEADER, ""), time.perf_counter(), 0
        identifier = given if _GIVEN.fullmatch(given) else new_id()
        request_id.set(identifier)

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[_HEADER] = identifier
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:  # a status of 0: it broke before an answer began
            seconds = round(time.perf_counter() - began, 3)
            about = {"request": identifier, "method": scope["method"], "path": scope["path"]}
            note("request", {**about, "status": status, "seconds": seconds})
