"""The real page behind all guards: a browser with a token, files that cannot be had, and an end on SIGTERM."""

import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace

import httpx
import pytest

from browser import answers, ask, finished, free_port, says, serious
from fakes import ScriptedModel, SlowModel
from fieldguide.interfaces.api import create_api
from fieldguide.interfaces.serving.access import Keys
from fieldguide.interfaces.web.app import create_app, launch

TOKENS = {"anna": "7d1f0b6c2a9e4d58", "ben": "c0ffee00c0ffee00"}
GOOD = "The queen lays up to 2,000 eggs a day."
QUESTION = "How many eggs does the queen lay?"


@pytest.fixture
def guarded(fieldguide_with):
    """The page for holders of a token."""
    opened = []

    def serve(model) -> str:
        service = fieldguide_with(model)
        page = create_app(service)
        opened.append((page, service))
        keys = Keys(tuple(TOKENS.items()))
        url = launch(page, "127.0.0.1", free_port(), create_api(service, "test"), keys=keys)
        service.start()
        return url

    yield serve
    for page, service in opened:
        page.close(verbose=False)
        service.close()


def log_in(page, url: str, token: str) -> None:
    page.goto(url)
    page.fill("#token", token)
    page.press("#token", "Enter")


@pytest.mark.browser
def test_a_browser_asks_for_the_token_and_then_shows_the_page(browser, guarded):
    url = guarded(ScriptedModel([GOOD]))
    context = browser.new_context()
    page = context.new_page()
    log_in(page, url, "not this one at all")
    says(page, "[role=alert]", "This token is not known.")
    assert serious(page) == []
    log_in(page, url, TOKENS["anna"])
    page.wait_for_selector("body.fg-started")
    ask(page, QUESTION)
    finished(page)
    assert "2,000 eggs" in answers(page)[-1]
    for path in ("library", "learn", "topics"):
        assert page.goto(url + path).status == 200
    context.close()


@pytest.mark.browser
def test_people_at_the_page_take_turns_with_programs(browser, guarded):
    url = guarded(SlowModel(["word " * 12] * 9))
    context = browser.new_context()
    page = context.new_page()
    log_in(page, url, TOKENS["ben"])
    page.wait_for_selector("body.fg-started")
    ended: list[str] = []

    def ask_over_http(name: str) -> None:
        httpx.post(
            f"{url}api/ask", json={"question": QUESTION}, headers={"authorization": f"Bearer {TOKENS['anna']}"}, timeout=90
        )
        ended.append(name)

    programs = [threading.Thread(target=ask_over_http, args=(f"program {n}",)) for n in range(4)]
    for program in programs:
        program.start()
    page.wait_for_timeout(1500)  # all four are in the line
    ask(page, QUESTION)
    finished(page, timeout=60_000)
    ended.append("page")
    for program in programs:
        program.join()
    assert ended.index("page") <= 2  # not behind all four
    context.close()


def test_no_file_can_be_had_through_gradio(guarded, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("the secret")
    url = guarded(ScriptedModel())
    with httpx.Client(base_url=url, headers={"authorization": f"Bearer {TOKENS['anna']}"}, timeout=30) as client:
        for route in ("gradio_api/file=", "gradio_api/file/", "file=", "file/", "static/", "assets/", "svelte/", "theme.css/"):
            for path in (secret, f"/..{secret}", str(secret).lstrip("/"), "/etc/passwd", "../../../../../../../etc/passwd"):
                told = client.get(f"/{route}{path}")
                assert "the secret" not in told.text
                assert "root:" not in told.text
        data = {"path": str(secret), "meta": {"_type": "gradio.FileData"}}
        config = client.get("/config").json()
        for function in config["dependencies"]:
            inputs = [data] * len(function["inputs"])
            told = client.post(
                "/gradio_api/run/predict", json={"data": inputs, "fn_index": function["id"], "session_hash": "x"}
            )
            assert "the secret" not in told.text


@pytest.mark.parametrize(
    ("wanted", "loaded"), [("{secret}", []), ("../secret.gguf", []), ("/etc/passwd", []), ("default", ["default"])]
)
def test_no_model_can_be_loaded_by_a_path_from_the_page(guarded, tmp_path, wanted, loaded, monkeypatch):
    url = guarded(ScriptedModel())
    asked = []
    monkeypatch.setattr("fieldguide.assembly.Fieldguide.use_model", lambda self, wanted: asked.append(wanted) or iter(()))
    with httpx.Client(base_url=url, headers={"authorization": f"Bearer {TOKENS['anna']}"}, timeout=30) as client:
        for function in client.get("/config").json()["dependencies"]:
            path = wanted.format(secret=tmp_path / "secret.gguf")
            event = {"data": [path] * len(function["inputs"]), "fn_index": function["id"], "session_hash": "x"}
            client.post("/gradio_api/queue/join", json=event)
        with client.stream("GET", "/gradio_api/queue/data", params={"session_hash": "x"}) as told:
            for line in told.iter_lines():
                if "close_stream" in line:
                    break
    assert asked == loaded


@pytest.mark.parametrize(("words", "seconds", "last"), [(8, 20, "Finished"), (400, 1, "Failed")])
def test_a_signal_to_end_lets_the_answer_finish_or_tells_that_it_was_ended(settings, tmp_path, words, seconds, last):
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FIELDGUIDE_")} | {
        "FIELDGUIDE_DATA_DIR": str(settings.data_dir),
        "FIELDGUIDE_GUIDES_DIR": str(settings.guides_dir),
        "FIELDGUIDE_SHUTDOWN_SECONDS": str(seconds),
    }
    command = [sys.executable, os.path.join(os.path.dirname(__file__), "serve_scripted.py"), str(words), "0.25"]
    (tmp_path / "tokens").write_text(TOKENS["anna"])
    command += ["--host", "0.0.0.0", "--token-file", str(tmp_path / "tokens")]
    headers = {"authorization": f"Bearer {TOKENS['anna']}"}
    process = subprocess.Popen([*command, "--port", str(port)], env=environment, stderr=subprocess.PIPE, text=True)
    try:
        while "Ready." not in (line := process.stderr.readline()):
            assert line, "it ended before it was ready"
        events, was_told = [], False
        with httpx.stream(
            "POST", f"http://127.0.0.1:{port}/api/ask", json={"question": QUESTION}, headers=headers, timeout=60
        ) as stream:
            for line in stream.iter_lines():
                events.append(json.loads(line))
                if events[-1]["event"] == "Token" and not was_told:
                    was_told = True
                    process.send_signal(signal.SIGTERM)
        assert events[-1]["event"] == last
        if last == "Failed":
            assert (events[-1]["reason"], events[-1]["message"]) == ("ended", "Fieldguide was ended before this answer was.")
        assert process.wait(30) == 0
        assert "Good-bye." in process.stderr.read()
    finally:
        process.kill()


def test_a_server_that_ends_says_so_to_whoever_still_asks(fieldguide_with, settings):
    service = fieldguide_with(ScriptedModel())
    service.settings = replace(settings, shutdown_seconds=0)
    service.end(0)
    assert [event.reason for event in service.answer(QUESTION)] == ["ended"]
