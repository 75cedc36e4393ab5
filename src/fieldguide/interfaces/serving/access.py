"""Who may use a server that others can reach: whoever has a token, in a header or, in a browser, in a cookie got for it."""

import hashlib
import hmac
import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from fieldguide.errors import SettingsError
from fieldguide.interfaces.serving.limits import CLIENT_HEADER, RateLimit
from fieldguide.interfaces.serving.problems import problem
from fieldguide.settings import Settings

COOKIE = "fieldguide-session"
_LOGIN = "/login"
_OPEN = {"/healthz", "/readyz", "/gradio_api/startup-events"}  # Gradio asks for the last one itself, as it starts
WRONG_TOKENS_PER_MINUTE = 10
_SHORTEST = 16
_MONTH = 30 * 24 * 3600
_PAGE = (Path(__file__).parent / "login.html").read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Keys:
    """The tokens that open this server, each with the name of whoever holds it."""

    tokens: tuple[tuple[str, str], ...]

    def holder(self, given: str) -> str | None:
        """Whose token it is; how long that takes to say does not depend on how much of it is right."""
        return self._found((name, token) for name, token in self.tokens if _equal(token, given))

    def session(self, holder: str) -> str:
        """What a browser keeps instead of the token: from it, the token cannot be had."""
        token = next(token for name, token in self.tokens if name == holder)
        return hmac.new(token.encode(), b"fieldguide session", hashlib.sha256).hexdigest()

    def holder_of_session(self, given: str) -> str | None:
        """Whose session it is."""
        return self._found((name, token) for name, token in self.tokens if _equal(self.session(name), given))

    @staticmethod
    def _found(matching: Iterator[tuple[str, str]]) -> str | None:
        names = [name for name, _ in matching]  # all are compared, whatever the first ones say
        return names[0] if names else None


def keys_for(settings: Settings) -> Keys | None:
    """The tokens to be asked for; None on this machine alone, where none are set. Raises SettingsError where they must be."""
    tokens = [("token", settings.token)] if settings.token else []
    if settings.token_file:
        tokens += _from_file(Path(settings.token_file).expanduser())
    for name, token in tokens:
        if len(token) < _SHORTEST or not token.isascii() or not token.isprintable() or " " in token:
            raise SettingsError(
                f"The token '{name}' must be at least {_SHORTEST} letters, digits and signs long, without blanks.",
                "Make one with: openssl rand -hex 24",
            )
    if tokens:
        return Keys(tuple(tokens))
    if is_loopback(settings.host):
        return None
    raise SettingsError(
        f"Others can reach {settings.host}, and no token is set that they would have to know.",
        "Set FIELDGUIDE_TOKEN or give --token-file FILE; make a token with: openssl rand -hex 24",
    )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def client_of(request: Request) -> str:
    """Who asks, as far as turns and limits go; '' where everybody on this machine is the same."""
    return request.headers.get(CLIENT_HEADER, "")


class Access:
    """ASGI middleware that lets in whoever has a token, and notes in a header who that is. Without keys, everybody may."""

    def __init__(self, app: ASGIApp, keys: Keys | None, failures: RateLimit) -> None:
        self._app, self._keys, self._failures = app, keys, failures

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it with a refusal, or with the form that asks for the token."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        # Nobody says of himself who he is.
        scope["headers"] = [(name, value) for name, value in scope["headers"] if name != CLIENT_HEADER.encode()]
        address = scope["client"][0] if scope.get("client") else ""
        if self._keys is None:
            await self._app(scope, receive, send)
            return
        if holder := self._holder(headers):
            scope["headers"].append((CLIENT_HEADER.encode(), f"{holder}@{address}".encode()))
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        elif scope["path"] == _LOGIN:
            await (await self._login(Request(scope, receive), address))(scope, receive, send)
        elif scope["path"] in _OPEN:
            await self._app(scope, receive, send)
        else:
            await self._refusal(scope, headers, address)(scope, receive, send)

    def _holder(self, headers: Headers) -> str | None:
        assert self._keys
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return self._keys.holder(given.strip())
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return None
        return self._keys.holder_of_session(cookie.value) if cookie else None

    def _refusal(self, scope: Scope, headers: Headers, address: str) -> Response:
        if "authorization" in headers and (seconds := self._failures.hit(address)):
            return problem(scope["path"], 429, "Too many wrong tokens came from there.", "Wait.", seconds)
        if scope["method"] in ("GET", "HEAD") and "text/html" in headers.get("accept", ""):
            return RedirectResponse(_LOGIN, 303)
        return problem(scope["path"], 401, "A token is needed.", "Send it: Authorization: Bearer TOKEN.")

    async def _login(self, request: Request, address: str) -> Response:
        assert self._keys
        if request.method != "POST":
            return HTMLResponse(_PAGE.replace("{problem}", ""))
        given = parse_qs((await request.body()).decode("utf-8", "replace")).get("token", [""])[0].strip()
        holder = self._keys.holder(given)
        if holder is None:
            if seconds := self._failures.hit(address):
                return problem(_LOGIN, 429, "Too many wrong tokens came from there.", "Wait.", seconds)
            return HTMLResponse(_PAGE.replace("{problem}", "This token is not known."), 401)
        answer = RedirectResponse("/", 303)
        secure = request.url.scheme == "https"
        value = self._keys.session(holder)
        answer.set_cookie(COOKIE, value, max_age=_MONTH, httponly=True, samesite="lax", secure=secure)
        return answer


def _equal(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode("utf-8", "replace"))


def _from_file(path: Path) -> list[tuple[str, str]]:
    """One token a line, behind the name of its holder where there is one: `anna 6f2c...`."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} cannot be read: {error}.", "Write one token a line into it.") from error
    words = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    if not words:
        raise SettingsError(f"{path} holds no token.", "Write one token a line into it.")
    named = [(" ".join(given[:-1]) or f"token {number}", given[-1]) for number, given in enumerate(words, 1)]
    if len({name for name, _ in named}) < len(named):
        raise SettingsError(f"{path} names someone twice.", "Give each token a name of its own.")
    return named
