"""Who is let in, under which names, how often and with how much; docs/threat-model.md names these tests."""

import asyncio
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import replace

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from fakes import ScriptedModel
from fieldguide.answering.waiting_line import LIMIT_PER_CLIENT
from fieldguide.errors import SettingsError
from fieldguide.events import Failed, Loading, Rewritten
from fieldguide.interfaces.api import PATHS, create_api
from fieldguide.interfaces.running import RunningFieldguide, announced, find_running
from fieldguide.interfaces.serving import access
from fieldguide.interfaces.serving.access import Keys, keys_for
from fieldguide.interfaces.serving.guards import guards
from fieldguide.interfaces.serving.limits import MAX_REQUEST_BYTES, WithinBytes
from serving import served

TOKEN, OTHER = "7d1f0b6c2a9e4d58", "c0ffee00c0ffee00c0ffee"
KEYS = Keys((("anna", TOKEN), ("ben", OTHER)))
ANNA, BEN = ({"authorization": f"Bearer {token}"} for token in (TOKEN, OTHER))
ASK = {"question": "Where do bees live?"}
HTML = {"accept": "text/html"}


async def whose_page(request):
    await request.body()
    return PlainTextResponse(access.client_of(request))


@pytest.fixture
def service(fieldguide_with):
    return fieldguide_with(ScriptedModel())


@pytest.fixture
def serve_guarded(fieldguide_with, settings):
    """Serve the interfaces, and a page that says who it takes its visitor for, behind all guards."""

    @contextmanager
    def serve(keys=KEYS, **changes):
        service = fieldguide_with(ScriptedModel())
        service.settings = replace(settings, **changes)
        page = Route("/{path:path}", whose_page, methods=["GET", "POST"])
        app = Starlette(routes=[page], middleware=guards(service, keys, create_api(service, "one"), PATHS))
        with served(app) as url, httpx.Client(base_url=url, timeout=30) as client:
            client.service = service
            yield client
        service.close()

    return serve


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "example.org"])
def test_others_are_let_in_only_with_a_token(settings, host):
    with pytest.raises(SettingsError, match="no token is set"):
        keys_for(replace(settings, host=host))
    assert keys_for(replace(settings, host=host, token=TOKEN)).holder(TOKEN) == "token"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.0.0.8"])
def test_on_this_machine_alone_no_token_is_asked_for_unless_one_is_set(settings, host):
    assert keys_for(replace(settings, host=host)) is None
    assert keys_for(replace(settings, host=host, token=TOKEN))


def test_serve_does_not_start_for_others_without_a_token(tmp_path):
    environment = {**os.environ, "FIELDGUIDE_DATA_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "fieldguide", "serve", "--host", "0.0.0.0"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.count("\n") == 1
    assert "no token is set" in result.stderr


def test_a_file_holds_a_token_for_each_holder(settings, tmp_path):
    file = tmp_path / "tokens"
    file.write_text(f"# who may\nanna {TOKEN}\n\n{OTHER}\n")
    keys = keys_for(replace(settings, host="0.0.0.0", token_file=str(file)))
    assert (keys.holder(TOKEN), keys.holder(OTHER), keys.holder("anna")) == ("anna", "token 2", None)


@pytest.mark.parametrize(
    ("text", "said"), [("", "holds no token"), ("anna short", "at least 16"), (f"a {TOKEN}\na {OTHER}", "names someone twice")]
)
def test_a_file_of_tokens_that_cannot_be_used_is_one_line(settings, tmp_path, text, said):
    file = tmp_path / "tokens"
    file.write_text(text)
    with pytest.raises(SettingsError, match=said):
        keys_for(replace(settings, token_file=str(file)))
    with pytest.raises(SettingsError, match="cannot be read"):
        keys_for(replace(settings, token_file=str(tmp_path / "none")))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/models"),
        ("POST", "/v1/chat/completions"),
        ("POST", "/api/ask"),
        ("DELETE", "/api/documents"),
        ("GET", "/metrics"),
        ("GET", "/openapi.json"),
        ("GET", "/library/state"),
        ("POST", "/gradio_api/queue/join"),
        ("GET", "/conversations/a/b.md"),
        ("POST", "/mcp"),
    ],
)
def test_without_a_token_nothing_is_told_or_done(serve_guarded, method, path):
    with serve_guarded() as client:
        for headers in (
            {},
            {"authorization": f"Bearer {TOKEN}x"},
            {"authorization": TOKEN},
            {"cookie": f"{access.COOKIE}={TOKEN}"},
        ):
            refused = client.request(method, path, headers=headers)
            assert refused.status_code == 401
            assert refused.headers["www-authenticate"] == "Bearer"
            assert "token" in refused.text
        assert client.request(method, path, headers=ANNA).status_code != 401


def test_only_whether_it_lives_and_is_ready_is_told_to_everybody(serve_guarded):
    with serve_guarded() as client:
        assert client.get("/healthz").status_code == 200
        assert client.get("/readyz").status_code == 503


def test_tokens_are_compared_in_constant_time(monkeypatch):
    compared = []
    monkeypatch.setattr(access.hmac, "compare_digest", lambda one, other: compared.append(one) or one == other)
    assert KEYS.holder(TOKEN) == "anna"
    assert len(compared) == 2  # all of them, though the first one matched
    assert KEYS.holder_of_session(KEYS.session("ben")) == "ben"
    assert len(compared) == 4


def test_a_browser_is_asked_for_the_token_once(serve_guarded):
    with serve_guarded() as client:
        sent = client.get("/learn", headers=HTML)
        assert (sent.status_code, sent.headers["location"]) == (303, "/login")
        assert 'type="password"' in client.get("/login", headers=HTML).text
        refused = client.post("/login", data={"token": "wrong"})
        assert refused.status_code == 401
        assert "not known" in refused.text
        opened = client.post("/login", data={"token": f" {TOKEN}\n"})
        assert (opened.status_code, opened.headers["location"]) == (303, "/")
        cookie = opened.headers["set-cookie"]
        assert TOKEN not in cookie
        assert {"HttpOnly", "SameSite=lax"} <= set(cookie.split("; "))
        assert client.get("/", headers=HTML).text == "anna@127.0.0.1"


def test_a_session_ends_with_its_token():
    session = KEYS.session("anna")
    assert Keys((("anna", OTHER),)).holder_of_session(session) is None


def test_guessing_tokens_is_slowed_down(serve_guarded):
    with serve_guarded() as client:
        for _ in range(access.WRONG_TOKENS_PER_MINUTE):
            assert client.post("/login", data={"token": "guess"}).status_code == 401
        for refused in (
            client.post("/login", data={"token": "guess"}),
            client.get("/v1/models", headers={"authorization": "Bearer x"}),
        ):
            assert refused.status_code == 429
            assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert client.get("/v1/models", headers=ANNA).status_code == 200


def test_nobody_says_himself_who_he_is(serve_guarded):
    with serve_guarded() as client:
        assert client.get("/", headers={**ANNA, "x-fieldguide-client": "ben"}).text == "anna@127.0.0.1"
    with serve_guarded(keys=None) as client:
        assert client.get("/", headers={"x-fieldguide-client": "ben"}).text == ""


def test_who_asks_too_often_is_told_when_to_come_again_and_nobody_else_is(serve_guarded):
    with serve_guarded(requests_per_minute=3) as client:
        for _ in range(3):
            assert client.post("/api/search", json=ASK, headers=ANNA).status_code == 200
        refused = client.post("/v1/embeddings", json={}, headers=ANNA)
        assert refused.status_code == 429
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert refused.json()["error"]["type"] == "rate_limit_error"
        assert client.post("/api/search", json=ASK, headers=BEN).status_code == 200
        assert client.get("/v1/models", headers=ANNA).status_code == 200  # looking costs nothing
        assert 'refused_total{status="429"} 1.0' in client.get("/metrics", headers=ANNA).text
    with serve_guarded(keys=None, requests_per_minute=1) as client:  # on this machine alone nothing has changed
        assert [client.post("/api/search", json=ASK).status_code for _ in range(3)] == [200] * 3


@pytest.mark.parametrize("path", ["/api/ask", "/v1/chat/completions", "/login", "/gradio_api/queue/join"])
@pytest.mark.parametrize("size", ["announced", "in pieces"])
def test_what_is_too_large_is_refused(serve_guarded, path, size):
    content = b"x" * (MAX_REQUEST_BYTES + 1)
    with serve_guarded() as client:
        headers = ANNA if path != "/login" else {}
        refused = client.post(path, content=content if size == "announced" else iter([content]), headers=headers)
        assert refused.status_code == 413
        assert "larger than 2,000,000 bytes" in refused.text
        assert 'refused_total{status="413"} 1.0' in client.get("/metrics", headers=ANNA).text


@pytest.mark.parametrize(("headers", "read"), [([(b"content-length", b"2000001")], 0), ([], 21)])
def test_what_is_too_large_is_not_read(service, headers, read):
    pieces, sent = [], []

    async def receive():
        pieces.append(b"x" * 100_000)
        return {"type": "http.request", "body": pieces[-1], "more_body": len(pieces) < 1000}

    async def send(message):
        sent.append(message)

    async def reads_all(scope, receive, send):
        await Request(scope, receive).body()

    scope = {"type": "http", "method": "POST", "path": "/api/ask", "headers": headers}
    asyncio.run(WithinBytes(reads_all, service.metrics)(scope, receive, send))
    assert sent[0]["status"] == 413
    assert len(pieces) == read


def test_a_length_that_is_no_number_is_refused(serve_guarded):
    with serve_guarded() as client, pytest.raises(httpx.HTTPError):
        client.post("/api/ask", content=b"{}", headers={**ANNA, "content-length": "-1"}).raise_for_status()


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:7860", "127.0.0.1.evil.example", "localhost.evil.example", "", "a@127.0.0.1"]
)
@pytest.mark.parametrize("keys", [KEYS, None])
def test_a_foreign_name_that_leads_here_is_not_answered_to(serve_guarded, host, keys):
    with serve_guarded(keys) as client:
        for method, path in (("GET", "/"), ("POST", "/api/ask"), ("GET", "/v1/models")):
            assert client.request(method, path, headers={**ANNA, "host": host}).status_code == 403


@pytest.mark.parametrize("host", ["localhost", "localhost:7860", "127.0.0.1:9", "[::1]:7860", "192.168.1.7", "guide.example"])
def test_own_names_and_plain_addresses_are_answered_to(serve_guarded, host):
    with serve_guarded(hosts="guide.example, other.example") as client:
        assert client.get("/v1/models", headers={**ANNA, "host": host}).status_code == 200


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1:1", "http://localhost", "file://", "http://["]
)
@pytest.mark.parametrize("keys", [KEYS, None])
def test_the_page_of_another_site_can_neither_post_nor_read(serve_guarded, origin, keys):
    with serve_guarded(keys) as client:
        for method, path in (
            ("POST", "/api/ask"),
            ("GET", "/api/documents"),
            ("POST", "/library/do/delete"),
            ("POST", "/login"),
        ):
            refused = client.request(method, path, headers={**ANNA, "origin": origin}, json=ASK)
            assert refused.status_code == 403
            assert "access-control-allow-origin" not in refused.headers


def test_our_own_page_may_post(serve_guarded):
    with serve_guarded() as client:
        own = {"origin": str(client.base_url).rstrip("/")}
        assert client.post("/api/search", json=ASK, headers={**ANNA, **own}).status_code == 200
        proxied = {"origin": "https://guide.example", "host": "guide.example"}  # a proxy speaks HTTPS for us
    with serve_guarded(hosts="guide.example") as client:
        assert client.post("/api/search", json=ASK, headers={**ANNA, **proxied}).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "file=/etc/passwd",
        "file/etc/passwd",
        "%66ile=/etc/passwd",
        "proxy=http://192.0.2.1/",
        "upload",
        "deep_link",
        "vibe-code/",
    ],
)
def test_what_gradio_could_open_does_not_pass(serve_guarded, path):
    with serve_guarded() as client:
        for method in ("GET", "POST"):
            assert client.request(method, f"/gradio_api/{path}", headers=ANNA).status_code == 404


def test_ask_finds_the_one_that_runs_behind_a_token(serve_guarded, settings):
    with serve_guarded(token=TOKEN) as client, announced(settings, str(client.base_url), "one"):
        assert find_running(settings) is None
        running = find_running(replace(settings, token=TOKEN))
        assert isinstance(running, RunningFieldguide)
        kinds = [type(event).__name__ for event in running.answer("Where do bees live?")]
        assert kinds[-1] == "Finished"


def test_the_token_does_not_decide_what_is_answered_and_is_not_shown(settings):
    from fieldguide.interfaces.running import fingerprint

    with_token = replace(settings, token=TOKEN, hosts="guide.example", requests_per_minute=7)
    assert fingerprint(with_token) == fingerprint(settings)
    assert TOKEN not in repr(with_token)


def test_a_trace_is_shown_only_to_whoever_asked(serve_guarded):
    asked = {"model": "fieldguide", "messages": [{"role": "user", "content": "Where do bees live?"}]}
    with serve_guarded() as client:
        trace = client.post("/v1/chat/completions", json=asked, headers=ANNA).json()["fieldguide"]["trace_id"]
        assert client.get(f"/api/traces/{trace}", headers=ANNA).status_code == 200
        assert client.get(f"/api/traces/{trace}", headers=BEN).status_code == 404


def test_nothing_in_the_refusals_repeats_the_token(serve_guarded):
    with serve_guarded() as client:
        told = client.get("/v1/models", headers={"authorization": "Bearer s3cr3t-that-is-wrong"})
        assert "s3cr3t" not in told.text + json.dumps(dict(told.headers))


def test_those_without_a_name_share_one_clients_turns(service):
    service.unnamed_client = "others"
    events = [service.answer("Where do bees live?") for _ in range(LIMIT_PER_CLIENT + 1)]
    list(service.loading())
    begun = [next(event for event in one if not isinstance(event, Loading)) for one in events]
    assert isinstance(begun[0], Rewritten)
    assert [event.reason for event in begun if isinstance(event, Failed)] == ["busy"]
