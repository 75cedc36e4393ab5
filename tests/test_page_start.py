"""What helps to begin, in a real browser."""

import pytest

from browser import finished, opened, says
from fakes import ScriptedModel
from fieldguide import locations
from fieldguide.indexing.documents import read_folder
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
