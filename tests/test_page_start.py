"""What helps to begin, in a real browser."""

import time

import httpx
import pytest

from browser import finished, free_port, opened, says
from fakes import ScriptedModel
from fieldguide import locations
from fieldguide.indexing.documents import read_folder
from fieldguide.interfaces.api import create_api
from fieldguide.interfaces.web.app import _Server, create_app, launch
from fieldguide.interfaces.web.welcome import EXAMPLES, welcome

pytestmark = pytest.mark.browser


def test_every_shipped_guide_has_an_example():
    guides = read_folder(locations.guides_folder())
    assert set(EXAMPLES) == {guide.name for guide in guides}
    html = welcome(guides)
    assert all(example in html for example in EXAMPLES.values())


def test_an_example_question_is_asked_by_a_click(browser, serve):
    with opened(browser, serve(ScriptedModel())) as (page, _, _):
        page.get_by_text("How many bees live in a hive?").click()
        finished(page)
        assert page.inner_text("#conversation h2.fg-question") == "How many bees live in a hive?"


def test_what_can_be_asked_fills_the_question_box(browser, serve):
    with opened(browser, serve(ScriptedModel())) as (page, _, _):
        says(page, "#engine", "Ready")
        page.get_by_role("button", name="What can I ask?").click()
        page.locator("#topics summary").filter(has_text="Lighthouses").click()
        page.get_by_role("button", name="Which lighthouses are there?").click()
        assert page.input_value("#question textarea") == "Which lighthouses are there?"
        assert not page.is_visible("#topics")


def test_what_can_be_asked_waits_for_no_model(browser, fieldguide_with):
    fieldguide = fieldguide_with(ScriptedModel())
    app = create_app(fieldguide)  # and nothing is loaded
    url = launch(app, "127.0.0.1", free_port(), create_api(fieldguide, "test"))
    with opened(browser, url) as (page, _, _):
        page.get_by_role("button", name="What can I ask?").click()
        page.locator("#topics summary").filter(has_text="Bees").click()
        page.get_by_role("button", name="What do bees eat?").wait_for()
        page.locator("#topics summary").filter(has_text="Bread").click()
        page.get_by_role("button", name="Bread").click()
        assert page.input_value("#question textarea") == "What do the guides say about Bread?"
    app.close()


def test_a_guide_opens_while_the_model_is_still_loading(browser, fieldguide_with):
    fieldguide = fieldguide_with(ScriptedModel())
    app = create_app(fieldguide)
    url = launch(app, "127.0.0.1", free_port(), create_api(fieldguide, "test"))
    list(fieldguide.loading(with_model=False))
    with opened(browser, url) as (page, _, _):
        page.goto(f"{url}guide/{fieldguide.chunks()[0].id}")
        assert page.locator("#passage").count() == 1
    app.close()
    fieldguide.close()


def test_the_drawer_closes_with_escape(browser, serve):
    with opened(browser, serve(ScriptedModel())) as (page, _, _):
        page.get_by_role("button", name="What can I ask?").click()
        page.wait_for_selector("#topics", state="visible")
        page.keyboard.press("Escape")
        page.wait_for_selector("#topics", state="hidden")


def test_the_first_note_is_dismissed_for_good(browser, serve):
    with opened(browser, serve(ScriptedModel())) as (page, _, _):
        says(page, "#first-run", "Nothing leaves this machine")
        page.get_by_role("button", name="Got it").click()
        page.reload()
        page.wait_for_selector("#shelf .fg-note", state="attached")
        page.wait_for_timeout(300)
        assert not page.is_visible("#first-run")


def test_the_page_starts_where_a_proxy_is_set_that_does_not_know_this_machine(serve, monkeypatch):
    for name in ("http_proxy", "https_proxy", "no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "" if name.lower() == "no_proxy" else "http://127.0.0.1:9")
    assert httpx.get(serve(ScriptedModel())).is_success


def test_a_server_may_take_longer_to_start_than_gradio_would_wait(fieldguide_with, monkeypatch):
    real, fieldguide = _Server.run, fieldguide_with(ScriptedModel())

    def late(server):
        time.sleep(6)  # Gradio gives up after five
        real(server)

    monkeypatch.setattr(_Server, "run", late)
    page = create_app(fieldguide)
    try:
        assert httpx.get(launch(page, "127.0.0.1", free_port(), create_api(fieldguide, "test"))).is_success
    finally:
        page.close()


def test_a_server_that_ends_at_once_is_told_as_such(fieldguide_with, monkeypatch):
    monkeypatch.setattr(_Server, "run", lambda _: None)
    fieldguide = fieldguide_with(ScriptedModel())
    with pytest.raises(OSError, match="port"):
        launch(create_app(fieldguide), "127.0.0.1", free_port(), create_api(fieldguide, "test"))
