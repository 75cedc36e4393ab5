"""How the page looks and who can use it, in a real browser, narrow and wide, light and dark."""

import io

import pytest
from pypdf import PdfReader

from browser import ask, at_rest, finished, opened, says, serious
from fakes import ScriptedModel

pytestmark = pytest.mark.browser

QUESTION = "How many eggs does the queen lay?"
MIXED = "The queen lays up to 2,000 eggs a day. The king of the hive wears a crown of solid platinum."
WINDOWS = [(width, scheme) for width in (360, 768, 1440) for scheme in ("light", "dark")]


@pytest.mark.parametrize(("width", "scheme"), WINDOWS)
def test_nothing_is_wider_than_the_window_and_axe_finds_nothing_serious(browser, serve, width, scheme):
    options = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme}
    with opened(browser, serve(ScriptedModel([MIXED, "From memory."])), **options) as (page, _, _):
        says(page, "#engine", "Ready")
        assert serious(page) == []
        ask(page, QUESTION)
        finished(page)
        ask(page, "Xylophone zebra?")
        finished(page, 2)
        page.locator(".fg-marker").first.click()
        page.wait_for_selector(".fg-chosen")
        assert serious(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        if width < 1000:
            page.click(".fg-close")
            page.click(".toggle-button")
            assert serious(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious_in_the_drawer_and_in_a_guide(browser, serve, scheme):
    with opened(browser, serve(ScriptedModel([MIXED])), color_scheme=scheme) as (page, _, _):
        says(page, "#engine", "Ready")
        page.get_by_role("button", name="What can I ask?").click()
        page.locator("#topics summary").first.click()
        assert serious(page) == []
        page.keyboard.press("Escape")
        ask(page, QUESTION)
        finished(page)
        page.goto(page.url + page.locator("#source-1 .fg-open").get_attribute("href").lstrip("/"))
        assert serious(page) == []


def test_the_sidebar_is_closed_on_narrow_screens_and_open_on_wide_ones(browser, serve):
    url = serve(ScriptedModel())
    for width in (360, 1440):
        with opened(browser, url, viewport={"width": width, "height": 800}) as (page, _, _):
            if width == 1440:
                page.wait_for_function("document.querySelector('#clear').getBoundingClientRect().x >= 0")
            at_rest(page)
            box = page.locator("#clear").bounding_box()
            assert (box["x"] >= 0) == (width == 1440)


def test_lines_are_of_readable_length(browser, serve):
    with opened(browser, serve(ScriptedModel([MIXED])), viewport={"width": 2400, "height": 900}) as (page, _, _):
        ask(page, QUESTION)
        finished(page)
        assert page.locator(".fg-prose").bounding_box()["width"] <= 46 * 16


def test_every_control_of_an_answer_is_reached_by_keyboard_with_a_visible_focus(browser, serve):
    with opened(browser, serve(ScriptedModel([MIXED])), viewport={"width": 1440, "height": 900}) as (page, _, _):
        ask(page, QUESTION)
        finished(page)
        page.locator("#conversation [data-do=edit]").focus()
        reached = []
        for _ in range(6):
            page.keyboard.press("Tab")
            reached.append(page.evaluate("document.activeElement.innerText"))
            assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        assert reached == ["[1]", "Sources", "Copy", "Try again", "Markdown", "JSON"]


def test_the_handle_of_the_sidebar_covers_nothing_and_narrow_windows_have_narrow_edges(browser, serve):
    with opened(browser, serve(ScriptedModel([MIXED] * 3)), viewport={"width": 360, "height": 700}) as (page, _, _):
        assert page.evaluate("getComputedStyle(document.querySelector('.main.fillable')).paddingLeft") == "12px"
        for count in (1, 2, 3):
            ask(page, QUESTION)
            finished(page, count)
        for top in (0, 150, 300, 450):
            page.evaluate("top => window.scrollTo({ top, behavior: 'instant' })", top)
            page.wait_for_timeout(100)
            handle = page.locator(".toggle-button").bounding_box()
            title = page.locator(".fg-header h1").bounding_box()
            assert handle["x"] + handle["width"] <= title["x"]
            header = page.locator("#header").bounding_box()
            assert header["y"] <= handle["y"]
            assert handle["y"] + handle["height"] <= header["y"] + header["height"] + 1


@pytest.mark.parametrize("width", [360, 1440])
def test_on_paper_there_is_no_form(browser, serve, width):
    with opened(browser, serve(ScriptedModel([MIXED])), viewport={"width": width, "height": 800}) as (page, _, _):
        ask(page, QUESTION)
        finished(page)
        page.emulate_media(media="print", color_scheme="light")
        assert not page.is_visible(".sidebar")
        assert not page.is_visible(".toggle-button")
        assert page.evaluate("getComputedStyle(document.querySelector('.main.fillable')).paddingLeft") == "0px"
        assert not page.is_visible("#question textarea")
        assert not page.is_visible("[data-do=again]")
        printed = " ".join("".join(sheet.extract_text() for sheet in PdfReader(io.BytesIO(page.pdf())).pages).split())
        for text in (QUESTION, "The queen lays up to 2,000 eggs a day.", "not supported", "Cited", "Also retrieved"):
            assert text in printed, text
        for text in ("Ask the guides", "Try again", "Enter sends", "New conversation", "Library"):
            assert text not in printed, text


def test_who_wants_less_motion_gets_none(browser, serve):
    with opened(browser, serve(ScriptedModel([MIXED])), reduced_motion="reduce") as (page, _, _):
        elements = "[...document.querySelectorAll('*')]"
        assert page.evaluate(f"{elements}.filter(e => parseFloat(getComputedStyle(e).transitionDuration) > 0).length") == 0


@pytest.mark.parametrize("width", [360, 1440])
def test_the_three_pages_have_the_same_header(browser, serve, width):
    with opened(browser, serve(ScriptedModel()), viewport={"width": width, "height": 800}) as (page, _, _):
        seen = []
        for name in ("Chat", "Library", "Learn"):
            page.locator("nav[aria-label=Pages]").get_by_text(name).click()
            page.locator("nav[aria-label=Pages] [aria-current=page]").get_by_text(name).wait_for()
            title, links = page.locator("header h1"), page.locator("nav[aria-label=Pages] a")
            size, font = title.evaluate("one => [getComputedStyle(one).fontSize, getComputedStyle(one).fontFamily]")
            colours = links.evaluate_all("all => all.map((one) => getComputedStyle(one).color).sort()")
            top = title.bounding_box()["y"]
            seen.append((size, font.startswith("system-ui"), links.all_inner_texts(), colours, round(top)))
        assert seen[0] == seen[1] == seen[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_the_browser_draws_itself_is_as_dark_as_the_page(browser, serve, scheme):
    with opened(browser, serve(ScriptedModel()), color_scheme=scheme) as (page, _, _):
        for address in ("", "learn"):
            page.goto(page.url.removesuffix("learn") + address)
            page.wait_for_selector("header h1")
            page.wait_for_function(f"document.body.classList.contains('dark') == {str(scheme == 'dark').lower()}")
            scheme_of_all = page.evaluate("getComputedStyle(document.documentElement).colorScheme")
            assert (scheme_of_all == "dark") == (scheme == "dark")
