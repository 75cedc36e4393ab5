"""The log: JSON lines that programs can join, without a word of what was asked, answered or read."""

import json
import logging
from dataclasses import replace

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount
from starlette.testclient import TestClient

from fakes import ScriptedModel
from fieldguide import logs
from fieldguide.errors import SettingsError
from fieldguide.interfaces.api import create_api
from fieldguide.interfaces.request_log import RequestLog

GOOD = "The queen lays up to 2,000 eggs a day."
QUESTION = "How many eggs does the queen lay?"


@pytest.fixture(autouse=True)
def _as_before():
    log = logging.getLogger("fieldguide")
    before = (log.handlers[:], log.level, log.propagate)
    yield
    log.handlers[:], log.level, log.propagate = before
    logs._writes_texts = False


@pytest.fixture
def lines(settings, tmp_path):
    """What was logged so far, once it was switched on."""
    path = tmp_path / "log.jsonl"

    def lines(*, begin=False, texts=False):
        if begin:
            logs.configure(replace(settings, log=str(path), log_texts=texts))
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    return lines


def test_a_question_leaves_two_lines_joined_by_an_id(fieldguide_with, lines):
    lines(begin=True)
    list(fieldguide_with(ScriptedModel([GOOD])).answer(QUESTION))
    asked, answered = lines()
    assert (asked["event"], answered["event"]) == ("asked", "answered")
    assert asked["request"] == answered["request"]
    assert answered["level"] == "info"
    assert answered["timings"]["total_s"] > 0
    assert answered["verdicts"] == ["supported"]
    assert answered["passages"]


def test_no_text_of_question_answer_or_document_is_logged(fieldguide_with, lines, tmp_path, toy_documents):
    lines(begin=True)
    list(fieldguide_with(ScriptedModel([GOOD])).answer(QUESTION))
    logged = (tmp_path / "log.jsonl").read_text()
    for text in (QUESTION, GOOD, "queen", "eggs", "hive", *(document.title for document in toy_documents)):
        assert text not in logged


def test_texts_of_questions_and_answers_are_logged_on_demand(fieldguide_with, lines):
    lines(begin=True, texts=True)
    list(fieldguide_with(ScriptedModel([GOOD])).answer(QUESTION))
    asked, answered = lines()
    assert (asked["question"], answered["answer"]) == (QUESTION, GOOD)


def test_a_failure_is_logged_with_its_kind_but_not_with_what_an_exception_says(fieldguide_with, lines):
    class Broken(ScriptedModel):
        def write(self, options, cancellation):
            raise ValueError(f"cannot go on after {QUESTION}")

    lines(begin=True)
    list(fieldguide_with(Broken()).answer(QUESTION))
    failed = lines()[-1]
    assert (failed["event"], failed["level"], failed["reason"]) == ("failed", "error", "error")
    assert "ValueError" in failed["message"]
    assert "queen" not in failed["message"]


def test_a_bad_question_is_no_error_of_the_program(fieldguide_with, lines):
    lines(begin=True)
    list(fieldguide_with(ScriptedModel()).answer(" "))
    assert (lines()[-1]["level"], lines()[-1]["reason"]) == ("info", "question")


@pytest.mark.parametrize(("given", "kept"), [("abc-123", True), ("", False), ("a b\r\nc: d", False), ("x" * 200, False)])
def test_a_request_bears_one_id_from_the_header_to_the_answer_in_the_log(fieldguide_with, lines, given, kept):
    lines(begin=True)
    app = Starlette(
        routes=[Mount("/", create_api(fieldguide_with(ScriptedModel([GOOD])), "one"))], middleware=[Middleware(RequestLog)]
    )
    headers = {"X-Request-Id": given.replace("\r\n", " ")} if given else {}
    answered = TestClient(app).post("/api/ask", json={"question": QUESTION}, headers=headers)
    identifier = answered.headers["X-Request-Id"]
    assert (identifier == given) == kept
    logged = lines()
    assert {line["request"] for line in logged} == {identifier}
    assert [line["event"] for line in logged] == ["asked", "answered", "request"]
    assert (logged[-1]["method"], logged[-1]["path"], logged[-1]["status"]) == ("POST", "/api/ask", 200)


def test_without_a_setting_nothing_is_logged(fieldguide_with, tmp_path, capsys):
    list(fieldguide_with(ScriptedModel([GOOD])).answer(QUESTION))
    assert "answered" not in capsys.readouterr().err


def test_a_log_that_cannot_be_written_is_one_line(settings, tmp_path):
    with pytest.raises(SettingsError, match="cannot be written"):
        logs.configure(replace(settings, log=str(tmp_path / "nowhere" / "log.jsonl")))
