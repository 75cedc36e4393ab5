"""Hostile guides, closed tabs and crowds, in a real browser."""

import pytest

from browser import ask, finished, opened, says
from fakes import ScriptedModel, SlowModel

pytestmark = pytest.mark.browser

QUESTION = "How many eggs does the queen lay?"
EVIL = (
    "# Evil <img src=x onerror=\"document.title='heading'\">\n\n## Which <script>document.title='script'</script> eggs?\n\n"
    "The dragon lays 7 eggs <img src='http://192.0.2.1/x.png' onerror=\"document.title='image'\"> a day. "
    "[Click](javascript:document.title='link') <a href=\"javascript:document.title='anchor'\">here</a> "
    "or ![there](http://192.0.2.1/y.png) or [elsewhere](http://192.0.2.1/z) or <http://192.0.2.1/>.\n\n"
    "<script>document.title='block'</script>\n<iframe src='http://192.0.2.1/'></iframe>\n\n"
    "```x onload=alert(1)\n</code></pre><script>document.title='code'</script>\n```\n\n"
    "## How large is the table of dragons?\n\n| Dragon | Eggs |\n|---|---|\n"
    + "".join(f"| **Dragon** number {n} {'x' * 300} | {n} eggs |\n" for n in range(60))
)


def test_a_hostile_guide_harms_nothing(browser, serve, toy_folder):
    (toy_folder / "evil.md").write_text(EVIL, encoding="utf-8")
    url = serve(ScriptedModel(["The dragon lays 7 eggs a day.", "Dragon number 3 has 3 eggs."]))
    with opened(browser, url, viewport={"width": 360, "height": 800}) as (page, outside, errors):
        ask(page, "How many eggs does the dragon lay?")
        finished(page)
        page.locator("[data-do=sources]").first.click()
        for card in page.locator(".fg-panel .fg-card summary").all():
            card.click()
        assert "[Click](javascript:document.title='link') <a href=" in page.inner_text(".fg-panel")
        assert "onerror" not in page.inner_text(".fg-panel")  # a picture is not among what the model read
        page.keyboard.press("Escape")
        ask(page, "Which dragon number has 3 eggs?")
        finished(page, 2)
        page.locator(".fg-marker").last.click()
        assert page.inner_text(".fg-chosen mark >> nth=0") == "Dragon"
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        harmful = f":is(#main, .fg-panel) :is(img, script, iframe, form[action]), a[href]:not([href^='/'], [href^='{url}'])"
        assert page.query_selector(harmful) is None
        assert page.title() == "Fieldguide"
        link = page.locator(".fg-kept-sources .fg-open").first.get_attribute("href")
        page.goto(url + link.lstrip("/"))
        assert "<script>" in page.inner_text("main")
        assert "onerror" in page.inner_text("main")  # the guide shows all
        assert page.query_selector("img, script, a, iframe") is None
        assert page.title() == "Evil <img src=x onerror=\"document.title='heading'\">"
        table = page.locator(".fg-table")
        assert table.evaluate("box => box.scrollWidth > box.clientWidth || box.scrollHeight > 5000")
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        assert (outside, errors) == ([], [])


def test_a_tab_closed_mid_answer_frees_the_model(browser, serve):
    url = serve(SlowModel(["word " * 400, "The queen lays up to 2,000 eggs a day."]))
    with opened(browser, url) as (page, _, _):
        ask(page, QUESTION)
        says(page, "#under-way", "word")
    with opened(browser, url) as (page, _, _):
        ask(page, QUESTION)
        finished(page, timeout=60_000)  # the other tab's answer would have taken 100 seconds


def test_two_tabs_wait_for_each_other_and_show_their_place(browser, serve):
    url = serve(SlowModel(["word " * 20, "word " * 20, "The queen lays up to 2,000 eggs a day."]))
    with opened(browser, url) as (first, _, _), opened(browser, url) as (second, _, _):
        ask(first, QUESTION)
        says(first, "#under-way", "word")
        ask(second, QUESTION)
        says(second, "#status", "1st in the queue")
        finished(second)
        finished(first)
        assert "The queen lays" in second.inner_text(".fg-prose")
        assert "The guides do not answer" in first.inner_text("#conversation")
