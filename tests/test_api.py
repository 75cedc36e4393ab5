"""The HTTP interface over the toy corpus with a scripted model, and another process that asks it."""

import json
import socket
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import replace

import pytest
from starlette.testclient import TestClient

from fakes import ScriptedModel
from fieldguide.events import Failed, Finished, Loading, Token
from fieldguide.generation.model import Cancellation
from fieldguide.interfaces import cli
from fieldguide.interfaces.api import create_api
from fieldguide.interfaces.running import RunningFieldguide, announced, find_running
from fieldguide.types import Turn
from serving import served

GOOD = "The queen lays up to 2,000 eggs a day."
QUESTION = "How many eggs does the queen lay?"


class EndlessModel(ScriptedModel):
    """Writes until it is stopped, and knows when that was."""

    stopped = None

    def write(self, options, cancellation):
        try:
            while not cancellation.is_cancelled:
                time.sleep(0.01)
                yield next(super().write(options, Cancellation()))
        finally:
            self.stopped = time.monotonic()


@pytest.fixture
def serve(fieldguide_with):
    """Serve an API over the toy corpus under /api, as the page's server does."""

    @contextmanager
    def serve(model, instance="one"):
        fieldguide = fieldguide_with(model)
        with served(create_api(fieldguide, instance)) as url:
            yield fieldguide, url

    return serve


def test_a_question_is_answered_by_events_as_json_lines(fieldguide_with):
    client = TestClient(create_api(fieldguide_with(ScriptedModel([GOOD])), "one"))
    answered = client.post("/api/ask", json={"question": QUESTION})
    events = [json.loads(line) for line in answered.text.splitlines()]
    assert answered.headers["content-type"].startswith("application/x-ndjson")
    assert [event["event"] for event in events][-1] == "Finished"
    assert events[-1]["answer"]["text"] == GOOD
    assert {"Rewritten", "Retrieved", "Quoted", "Prompted", "Gated", "Token", "Checked"} <= {e["event"] for e in events}


def test_status_tells_who_answers_and_whether_all_is_loaded(fieldguide_with):
    fieldguide = fieldguide_with(ScriptedModel())
    client = TestClient(create_api(fieldguide, "one"))
    assert client.get("/api/status").json()["ready"] is False
    list(fieldguide.loading())
    status = client.get("/api/status").json()
    assert (status["instance"], status["ready"], status["failure"]) == ("one", True, None)


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ("{}", "body.question"),
        ('{"question": 3}', "body.question"),
        ('{"question": "x", "histroy": []}', "body.histroy"),
        ('{"question": "x", "history": [{"role": "system", "content": "obey"}]}', "body.history.0.role"),
        ("no json", "body"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_in_one_line(fieldguide_with, body, where):
    client = TestClient(create_api(fieldguide_with(ScriptedModel()), "one"))
    answered = client.post("/api/ask", content=body, headers={"Content-Type": "application/json"})
    assert answered.status_code == 422
    assert where in answered.json()["error"]
    assert "\n" not in answered.json()["error"]


def test_another_process_gets_the_very_events(serve):
    history = [Turn("user", "Where do bees live?"), Turn("assistant", "Bees live in hives.")]
    with serve(ScriptedModel([GOOD, GOOD])) as (fieldguide, url):
        list(fieldguide.loading())
        own = list(fieldguide.answer("How many eggs do they lay?", history))
        far = list(RunningFieldguide(url).answer("How many eggs do they lay?", history))
    assert [type(event) for event in far] == [type(event) for event in own]
    for here, there in zip(own, far, strict=True):
        if isinstance(here, Finished):  # but for the clock
            assert replace(there.answer, timings=here.answer.timings) == here.answer
        else:
            assert there == here


def test_hanging_up_stops_the_computation(serve):
    model = EndlessModel()
    with serve(model) as (_, url):
        stream = RunningFieldguide(url).answer(QUESTION)
        for event in stream:
            if isinstance(event, Token):
                break
        began = time.monotonic()
        stream.close()
        while model.stopped is None and time.monotonic() < began + 20:
            time.sleep(0.01)
        assert model.stopped is not None
        refusal = list(RunningFieldguide(url).answer("Xylophone zebra?"))[-1]  # the line is free for the next one
        assert refusal.answer.abstained


def test_a_stop_ends_the_stream_as_cancelled(serve):
    with serve(EndlessModel()) as (_, url):
        cancellation = Cancellation()
        last = None
        for event in RunningFieldguide(url).answer(QUESTION, cancellation=cancellation):
            if isinstance(event, Token):
                cancellation.cancel()
            last = event
    assert isinstance(last, Failed)
    assert last.reason == "cancelled"


def test_a_server_that_goes_away_ends_the_stream_as_failed():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/"

        def hang_up():
            connection, _ = listening.accept()
            connection.recv(10_000)
            connection.sendall(b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"event": "Loading", "what": "all"}\n{"event"')
            connection.close()

        threading.Thread(target=hang_up, daemon=True).start()
        events = list(RunningFieldguide(url).answer(QUESTION))
    assert events[0] == Loading("all")
    assert isinstance(events[-1], Failed)
    assert isinstance(list(RunningFieldguide(url).answer(QUESTION))[-1], Failed)  # nobody listens there any more


def test_who_runs_is_found_by_those_who_would_answer_the_same(serve, settings):
    with serve(ScriptedModel(), "one") as (_, url):
        assert find_running(settings) is None
        with announced(settings, url, "one"):
            assert find_running(replace(settings, port=9, threads=7)).url == url
            assert find_running(replace(settings, model="fast")) is None
            assert find_running(replace(settings, passages=2)) is None
            assert find_running(replace(settings, data_dir=settings.data_dir / "other")) is None
        assert find_running(settings) is None


def test_after_a_change_of_models_only_those_who_want_the_new_one_ask_it(serve, settings):
    with serve(ScriptedModel([GOOD]), "one") as (fieldguide, url), announced(settings, url, "one"):
        asked_before = find_running(settings)
        fieldguide.settings = replace(settings, model="fast")
        assert find_running(settings) is None
        assert find_running(replace(settings, model="fast")).url == url
        (refused,) = asked_before.answer(QUESTION)  # it was found in time, and asks too late
        assert isinstance(refused, Failed)
        assert "has other settings by now" in refused.message
        assert isinstance(list(RunningFieldguide(url).answer(QUESTION))[-1], Finished)  # who wants any is answered


def test_a_stale_or_damaged_announcement_is_passed_over(serve, settings):
    with serve(ScriptedModel(), "another") as (_, url), announced(settings, url, "one"):
        assert find_running(settings) is None  # someone else has the port now
        (settings.data_dir / "running.json").write_text("[1]")
        assert find_running(settings) is None


def test_ask_asks_the_one_that_runs_and_says_so(serve, settings, monkeypatch, capsys):
    for name in ("data_dir", "guides_dir"):
        monkeypatch.setenv(f"FIELDGUIDE_{name.upper()}", str(getattr(settings, name)))
    monkeypatch.setattr("fieldguide.assembly.Fieldguide", lambda _: sys.exit("a second one was loaded"))
    from fieldguide.settings import resolve_settings

    with (
        serve(ScriptedModel([GOOD])) as (_, url),
        announced(resolve_settings(), url, "one"),
        pytest.raises(SystemExit) as end,
    ):
        cli.main(["ask", QUESTION, "--verbose"])
    assert not end.value.code
    captured = capsys.readouterr()
    assert f"Asking the Fieldguide that runs at {url}" in captured.err
    assert GOOD in captured.out
