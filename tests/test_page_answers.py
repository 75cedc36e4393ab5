"""What an answer on the page lets its reader see and do, in a real browser."""

import pytest

from browser import answers, ask, finished, opened, says
from fakes import ScriptedModel, SlowModel

pytestmark = pytest.mark.browser

GOOD = "The queen lays up to 2,000 eggs a day."
QUESTION = "How many eggs does the queen lay?"
TEN = " ".join([GOOD, "A hive holds 20,000 to 60,000 bees in summer."] * 5)


def tooltip_inside(page) -> bool:
    box = page.locator("#tooltip").bounding_box()
    return box["x"] >= 0 and box["x"] + box["width"] <= page.viewport_size["width"] and box["y"] >= 0


@pytest.mark.parametrize("width", [360, 1440])
def test_a_marker_shows_its_sentence_on_hover_and_focus_inside_the_window(browser, serve, width):
    with opened(browser, serve(ScriptedModel([TEN])), viewport={"width": width, "height": 800}) as (page, _, _):
        ask(page, QUESTION)
        finished(page)
        markers = page.locator(".fg-marker")
        assert markers.count() == 10
        for number in (0, 9):
            markers.nth(number).focus()
            page.wait_for_selector("#tooltip", state="visible")
            expected = GOOD if number == 0 else "A hive holds 20,000 to 60,000 bees in summer."
            assert page.inner_text("#tooltip") == expected
            assert tooltip_inside(page)
        page.mouse.move(0, 0)
        page.evaluate("document.activeElement.blur()")
        page.wait_for_selector("#tooltip", state="hidden")
        markers.first.hover()
        page.wait_for_selector("#tooltip", state="visible")
        assert tooltip_inside(page)


@pytest.mark.parametrize("width", [360, 1440])
def test_a_marker_opens_its_passage_with_the_sentence_highlighted(browser, serve, width):
    with opened(browser, serve(ScriptedModel([GOOD])), viewport={"width": width, "height": 800}) as (page, _, _):
        ask(page, QUESTION)
        finished(page)
        page.click(".fg-marker")
        page.wait_for_selector("#source-1 mark", state="visible")
        assert page.inner_text("#source-1 mark") == GOOD
        assert "How many bees live in a hive?" in page.inner_text("#source-1 h4")


def test_markers_of_earlier_answers_open_their_own_sources(browser, serve):
    with opened(browser, serve(ScriptedModel([GOOD, "It is 37 metres tall."]))) as (page, _, _):
        ask(page, QUESTION)
        finished(page)
        ask(page, "How tall is the Quillon lighthouse?")
        finished(page, 2)
        assert "lighthouses.md" in page.inner_text("#source-1")
        page.locator(".fg-marker").first.click()
        assert "bees.md" in page.inner_text("#source-1")


def test_the_guide_opens_at_the_passage(browser, serve):
    with opened(browser, serve(ScriptedModel([GOOD]))) as (page, outside, _):
        ask(page, QUESTION)
        finished(page)
        with page.context.expect_page() as opening:
            page.click("#source-1 .fg-open")
        guide = opening.value
        assert GOOD in guide.inner_text("mark")
        assert "They do not eat wood." in guide.inner_text("main")
        assert guide.url.endswith("#passage")
        assert outside == []


@pytest.mark.parametrize("width", [360, 1440])
def test_a_table_is_a_table_in_the_passage_and_in_the_guide(browser, serve, width):
    url = serve(ScriptedModel(["Farrow Point was built in 1874."]))
    with opened(browser, url, viewport={"width": width, "height": 800}) as (page, _, _):
        ask(page, "When was Farrow Point built?")
        finished(page)
        page.click(".fg-marker")
        assert page.locator("#source-1 td mark").all_inner_texts() == ["Farrow Point", "1874", "22 m"]
        assert page.inner_text("#source-1 blockquote") == "Farrow Point · 1874 · 22 m"
        page.goto(url + page.locator("#source-1 .fg-open").get_attribute("href").lstrip("/"))
        assert page.locator("td mark").count() == 9
        assert page.locator("#passage").count() == 1
        assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("name", ["nothing", "..%2F..%2Fpyproject.toml", "bees.md"])
def test_a_request_never_opens_a_path(browser, serve, name):
    with opened(browser, serve(ScriptedModel())) as (page, _, _):
        says(page, "#engine", "Ready")
        answer = page.request.get(f"{page.url}guide/{name}")
        assert answer.status == 404
        assert "hives" not in answer.text()


def test_quotes_come_before_the_prose_and_are_followed_by_it(browser, serve):
    with opened(browser, serve(SlowModel([GOOD]))) as (page, _, _):
        ask(page, QUESTION)
        page.wait_for_selector("#under-way .fg-quotes li")
        assert GOOD not in " ".join(answers(page))
        assert "This looks like the answer" in page.inner_text("#under-way .fg-quotes")
        finished(page)
        assert answers(page) == [f"{GOOD} [1]"]


def test_streaming_takes_no_focus_and_does_not_move_what_is_read(browser, serve):
    with opened(browser, serve(SlowModel([GOOD, "It is 37 metres tall. " * 8]))) as (page, _, _):
        ask(page, QUESTION)
        finished(page)
        ask(page, "How tall is the Quillon lighthouse?")
        page.wait_for_selector("#under-way .fg-quotes li")
        page.locator(".fg-marker").first.focus()
        page.evaluate(
            """() => {
                window.shift = 0;
                const add = (list) => list.getEntries().forEach((one) => (window.shift += one.value));
                new PerformanceObserver(add).observe({ type: "layout-shift" });
            }"""
        )
        finished(page, 2)
        assert page.evaluate("document.activeElement.className") == "fg-marker"
        assert page.evaluate("window.shift") < 0.02


def test_a_finished_answer_is_announced_once_and_tokens_are_not(browser, serve):
    with opened(browser, serve(SlowModel([GOOD]))) as (page, _, _):
        page.evaluate(
            """() => {
                window.told = [];
                const region = document.querySelector("#announcer [role=status]");
                const note = () => region.innerText.trim() && window.told.push(region.innerText.trim());
                new MutationObserver(note).observe(region, { childList: true, subtree: true, characterData: true });
            }"""
        )
        ask(page, QUESTION)
        finished(page)
        page.wait_for_function("window.told.length > 0")
        told = page.evaluate("window.told")
        assert len(told) == 1
        assert told[0].startswith(f"Answer: {GOOD} 1 of 1 sentence supported")


def test_each_sentence_tells_its_verdict_by_a_sign_or_a_line_and_words(browser, serve):
    reply = f"{GOOD} The queen lays eggs in a golden palace on the moon. The king of the hive wears a crown of solid platinum."
    with opened(browser, serve(ScriptedModel([reply]))) as (page, _, _):
        ask(page, QUESTION)
        finished(page)
        shown = page.evaluate(
            """() => [...document.querySelectorAll("#conversation .fg-sentence")].map((sentence) => [
                sentence.dataset.verdict,
                getComputedStyle(sentence, "::after").content.includes("\u2713"),
                getComputedStyle(sentence.firstElementChild).textDecorationStyle,
                sentence.querySelector(".fg-verdict")?.innerText ?? "",
            ])"""
        )
        assert shown[0] == ["supported", True, "solid", ""]
        assert {verdict: rest for verdict, *rest in shown[1:]} == {
            "weak": [False, "dashed", "partly supported"],
            "unsupported": [False, "wavy", "not supported"],
        }


def test_copy_gives_text_with_markers_and_sources(browser, serve):
    with opened(browser, serve(ScriptedModel([f"{GOOD} 1 < 2."])), permissions=["clipboard-read", "clipboard-write"]) as (
        page,
        *_,
    ):
        ask(page, QUESTION)
        finished(page)
        page.click("[data-do=copy]")
        page.get_by_role("button", name="Copied").wait_for()
        copied = page.evaluate("navigator.clipboard.readText()")
        assert copied.startswith(f"{GOOD} [1]")
        assert "1 < 2." in copied
        assert '[1] bees.md, How many bees live in a hive?: "The queen' in copied


def test_a_refusal_opens_its_closest_passages(browser, serve):
    with opened(browser, serve(ScriptedModel([GOOD]))) as (page, _, _):
        ask(page, "Xylophone zebra?")
        finished(page)
        page.locator(".fg-closest .fg-link").first.click()
        assert page.locator(".fg-card.fg-chosen details[open]").count() == 1
