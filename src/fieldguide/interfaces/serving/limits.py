"""How much may be asked and sent: requests a minute of each client, bytes of each request."""

import time

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fieldguide.indexing.loading.child import MAX_BYTES
from fieldguide.interfaces.serving.metrics import Metrics
from fieldguide.interfaces.serving.problems import problem

CLIENT_HEADER = "x-fieldguide-client"
MAX_REQUEST_BYTES = 2_000_000
_MULTIPART_BYTES = 100_000  # around an uploaded file
# By how a path begins: documents, and what the page's script hands over, a conversation to import among it (page.js).
_UPLOADS = dict.fromkeys(("/library/upload", "/api/documents"), MAX_BYTES + _MULTIPART_BYTES) | {"/gradio_api/run/": 50_000_000}
_COUNTED = ("/v1/", "/api/", "/mcp", "/gradio_api/queue/join")  # what makes the machine work
_REFUSALS = {401, 403, 413, 429, 503}


class RateLimit:
    """So many times within a minute, by name. What is a minute old is forgotten."""

    def __init__(self, per_minute: int) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
        self._item = RateLimitItemPerMinute(per_minute)

    def hit(self, name: str) -> float:
        """Count one; 0 when that was allowed, else the seconds until the next one is."""
        if self._limiter.hit(self._item, name):
            return 0.0
        return max(1.0, self._limiter.get_window_stats(self._item, name).reset_time - time.time())


class TakingTurns:
    """ASGI middleware that turns away a client who asks too often."""

    def __init__(self, app: ASGIApp, rate: RateLimit) -> None:
        self._app, self._rate = app, rate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or say when the next one may come."""
        client = Headers(scope=scope).get(CLIENT_HEADER, "") if scope["type"] == "http" else ""
        if client and scope["method"] == "POST" and scope["path"].startswith(_COUNTED) and (seconds := self._rate.hit(client)):
            told = problem(scope["path"], 429, "You have asked too often within a minute.", "Wait, then ask again.", seconds)
            await told(scope, receive, send)
            return
        await self._app(scope, receive, send)


class WithinBytes:
    """ASGI middleware that turns away what is too large, before it is read, and counts what is turned away by anyone."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on for as long as it keeps within its limit."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = next((most for start, most in _UPLOADS.items() if scope["path"].startswith(start)), MAX_REQUEST_BYTES)
        too_large = problem(scope["path"], 413, f"The request is larger than {limit:,} bytes.", "Send less at once.")
        received, has_begun = 0, False

        async def receive_within_limit() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            # What came without its length, in pieces, is not read on.
            return {"type": "http.disconnect"} if received > limit else message

        async def send_and_count(message: Message) -> None:
            nonlocal has_begun
            if received > limit and not has_begun:
                return  # whatever was made of half a request
            has_begun = True
            if message["type"] == "http.response.start" and message["status"] in _REFUSALS:
                self._metrics.refused(message["status"])
            await send(message)

        announced = Headers(scope=scope).get("content-length", "0")
        if not announced.isdecimal() or int(announced) > limit:
            await too_large(scope, receive, send_and_count)
            return
        try:
            await self._app(scope, receive_within_limit, send_and_count)
        except Exception:
            if received <= limit:
                raise
        if received > limit and not has_begun:
            self._metrics.refused(too_large.status_code)
            await too_large(scope, receive, send)
