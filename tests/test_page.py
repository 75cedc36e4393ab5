"""The page in a real browser, over the toy corpus with a scripted model."""

import time

import pytest

from browser import answers, ask, finished, free_port, opened, says
from fakes import ScriptedModel, SlowModel
from fieldguide.answering.abstain import REFUSAL
from fieldguide.events import Loading
from fieldguide.interfaces.api import create_api
from fieldguide.interfaces.web.app import create_app, launch

pytestmark = pytest.mark.browser

GOOD = "The queen lays up to 2,000 eggs a day."
QUESTION = "How many eggs does the queen lay?"


def test_a_question_is_answered_with_a_marker_and_its_source(browser, serve):
    with opened(browser, serve(ScriptedModel([GOOD]))) as (page, outside, errors):
        ask(page, QUESTION)
        finished(page)
        assert answers(page) == [f"{GOOD} [1]"]
        cited = page.inner_text("#source-1")
        assert "bees.md" in cited
        assert GOOD in cited
        assert outside == []
        assert errors == []


def test_the_page_is_there_before_the_model_is(browser, fieldguide_with):
    fieldguide = fieldguide_with(ScriptedModel([GOOD]))
    load, arrived = fieldguide._load_model, []

    def late():
        while not arrived:
            time.sleep(0.05)
        return load()

    fieldguide._load_model = late
    app = create_app(fieldguide)
    url = launch(app, "127.0.0.1", free_port(), create_api(fieldguide, "test"))
    fieldguide.start()
    with opened(browser, url) as (page, _, _):
        ask(page, QUESTION)
        page.wait_for_selector("#stop", state="visible")
        fieldguide._latest["model"] = Loading("Fetching the model", 0.42, "471 MB of 1.1 GB")
        says(page, "#status", "Fetching the model 42%")
        says(page, "#engine", "Fetching the model 42% 471 MB of 1.1 GB")
        assert answers(page) == []
        arrived.append(True)
        finished(page)
        assert answers(page) == [f"{GOOD} [1]"]
        page.wait_for_function("document.querySelector('#engine').innerText.includes('Ready')")
    app.close()


class SlowReader(ScriptedModel):
    """Takes a while for every passage that it reads ahead of time."""

    def warm(self, prompt, cancellation):
        time.sleep(1)
        super().warm(prompt, cancellation)


def test_reading_ahead_is_shown_whenever_it_begins_and_gives_way_to_questions(browser, fieldguide_with):
    fieldguide = fieldguide_with(SlowReader([GOOD]))
    app = create_app(fieldguide)
    url = launch(app, "127.0.0.1", free_port(), create_api(fieldguide, "test"))
    list(fieldguide.loading())
    with opened(browser, url) as (page, _, _):
        page.wait_for_function("document.querySelector('#engine').innerText.trim() == 'Ready'")
        fieldguide.warm_in_background()
        page.wait_for_function(
            "/Reading passages ahead of time.* [0-9] of 8/.test(document.querySelector('#engine').innerText)"
        )
        ask(page, QUESTION)
        finished(page)
        assert answers(page) == [f"{GOOD} [1]"]
        page.wait_for_function("document.querySelector('#engine').innerText.trim() == 'Ready'", timeout=30_000)
    fieldguide.close()
    app.close()


def test_stop_stops_and_the_page_works_on(browser, serve):
    with opened(browser, serve(SlowModel(["word " * 100, GOOD]))) as (page, _, _):
        ask(page, QUESTION)
        says(page, "#under-way", "word")
        page.click("#stop")
        says(page, "#status", "Stopped")
        finished(page)
        assert 0 < answers(page)[0].count("word") < 50
        ask(page, QUESTION)
        finished(page, 2)
        assert answers(page)[-1] == f"{GOOD} [1]"


def test_a_refusal_shows_the_closest_passages(browser, serve):
    with opened(browser, serve(ScriptedModel([GOOD]))) as (page, _, _):
        ask(page, "Xylophone zebra?")
        says(page, "#conversation", "Not in the guides")
        assert answers(page) == [REFUSAL]
        assert "Closest passages" in page.inner_text("#conversation")
        assert "Tides" in page.inner_text("#sources .fg-covered")


def test_an_empty_question_gets_a_message(browser, serve):
    with opened(browser, serve(ScriptedModel([GOOD]))) as (page, _, _):
        page.click("#send")
        says(page, "#status", "The question is empty")


def test_a_follow_up_uses_the_conversation(browser, serve):
    replies = ["The Quillon lighthouse was built by Marta Jevons in 1911.", "It is 37 metres tall."]
    with opened(browser, serve(ScriptedModel(replies))) as (page, _, _):
        ask(page, "Who built the Quillon lighthouse?")
        finished(page)
        ask(page, "How tall is it?")
        finished(page, 2)
        assert answers(page)[1] == "It is 37 metres tall. [1]"
        assert "lighthouses.md" in page.inner_text("#source-1")


def test_model_text_and_questions_are_shown_as_text(browser, serve):
    evil = '<img src="http://192.0.2.1/x.png" onerror="document.title=1"> ![x](http://192.0.2.1/y.png)'
    with opened(browser, serve(ScriptedModel([f"{GOOD} {evil}"]))) as (page, outside, _):
        ask(page, f"{QUESTION} <script>document.title='hacked'</script>")
        finished(page)
        assert "onerror" in answers(page)[0]
        assert "<script>" in page.inner_text("#conversation h2.fg-question")
        assert page.query_selector("#conversation img, #sources img") is None
        assert page.title() == "Fieldguide"
        assert outside == []


def test_a_new_conversation_is_empty(browser, serve):
    with opened(browser, serve(ScriptedModel([GOOD]))) as (page, _, _):
        ask(page, QUESTION)
        finished(page)
        page.get_by_role("button", name="New conversation").click()
        says(page, "#conversation", "Ask the guides")
        assert answers(page) == []
        assert page.inner_text(".fg-panel-body").strip() == ""


def test_the_browser_is_told_to_load_nothing_from_elsewhere(browser, serve):
    with opened(browser, serve(ScriptedModel([GOOD]))) as (page, _, _):
        answer = page.request.get(page.url)
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        reached = page.evaluate("fetch('http://192.0.2.1/').then(() => 'reached', () => 'refused')")
        assert reached == "refused"
