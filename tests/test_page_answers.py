"""What an answer on the page lets its reader see and do, in a real browser."""

import threading

import pytest

from browser import answers, ask, finished, opened, says, serious
from fakes import ScriptedModel, SlowModel

pytestmark = pytest.mark.browser

GOOD = "The queen lays up to 2,000 eggs a day."
QUESTION = "How many eggs does the queen lay?"
NAMES = ["Anna", "Berta", "Carla", "Dora", "Emma", "Frieda", "Greta", "Hanna", "Irma", "Julia"]
TEN = [f"Queen {name} lays {100 + number} eggs a day." for number, name in enumerate(NAMES)]


def tooltip_inside(page) -> bool:
    box = page.locator("#tooltip").bounding_box()
    return box["x"] >= 0 and box["x"] + box["width"] <= page.viewport_size["width"] and box["y"] >= 0


@pytest.mark.parametrize("width", [360, 1440])
def test_each_of_ten_markers_shows_its_sentence_on_hover_and_focus_and_opens_it_on_click(browser, serve, toy_folder, width):
    (toy_folder / "queens.md").write_text(f"# Queens\n\n## Which queen lays how many eggs?\n\n{' '.join(TEN)}\n")
    with opened(browser, serve(ScriptedModel([" ".join(TEN)])), viewport={"width": width, "height": 800}) as (page, _, _):
        ask(page, "Which queen lays how many eggs a day?")
        finished(page)
        markers = page.locator("#conversation .fg-marker")
        assert markers.all_inner_texts() == [f"[{number}]" for number in range(1, 11)]
        for number, sentence in enumerate(TEN):
            markers.nth(number).focus()
            page.wait_for_selector("#tooltip", state="visible")
            assert page.inner_text("#tooltip") == sentence
            assert tooltip_inside(page)
            page.keyboard.press("Enter")
            assert page.inner_text(".fg-chosen mark") == sentence
            page.keyboard.press("Escape")
        page.mouse.move(0, 0)
        page.evaluate("document.activeElement.blur()")
        page.wait_for_selector("#tooltip", state="hidden")
        markers.last.hover()
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


class PausingModel(ScriptedModel):
    """Writes until it is about to write this word, and goes on when it is told to."""

    def __init__(self, replies, word) -> None:
        super().__init__(replies)
        self.go_on = threading.Event()
        self._word = word

    def write(self, options, cancellation):
        for token in super().write(options, cancellation):
            if token.text.strip() == self._word:
                assert self.go_on.wait(60)
            yield token


def test_quotes_come_before_the_first_word_and_are_followed_by_it(browser, serve):
    model = PausingModel([GOOD], "The")
    with opened(browser, serve(model)) as (page, _, _):
        ask(page, QUESTION)
        page.wait_for_selector("#under-way .fg-quotes li")
        assert answers(page) == []
        assert "This looks like the answer" in page.inner_text("#under-way .fg-quotes")
        model.go_on.set()
        finished(page)
        assert answers(page) == [f"{GOOD} [1]"]


@pytest.mark.parametrize("width", [360, 1440])
def test_a_finished_sentence_has_its_verdict_and_its_source_while_the_model_writes_on(browser, serve, width):
    model = PausingModel([f"{GOOD} The king of the hive wears a crown of solid platinum."], "crown")
    with opened(browser, serve(model), viewport={"width": width, "height": 800}) as (page, _, _):
        ask(page, QUESTION)
        page.wait_for_selector("#under-way [data-verdict=supported]")
        says(page, "#under-way .fg-prose", "[1] The king of the hive wears a")
        marker = page.locator("#under-way .fg-marker")
        marker.hover()
        page.wait_for_selector("#tooltip", state="visible")
        assert page.inner_text("#tooltip") == GOOD
        marker.click()
        assert page.inner_text("#source-1.fg-chosen mark") == GOOD
        assert serious(page) == []
        model.go_on.set()
        finished(page)
        verdicts = page.locator("#conversation .fg-sentence").evaluate_all("all => all.map((one) => one.dataset.verdict)")
        assert verdicts == ["supported", "unsupported"]
        assert page.inner_text("#source-1.fg-chosen mark") == GOOD  # what was opened stays open


# Notes, at every frame, where things stand that must not move: those of the answer under way, or of the last one.
WATCH = """() => {
    window.places = {};
    window.shifts = [];
    const named = (source) => [source.node?.id, source.node?.className, source.node?.nodeName].join(" ");
    const add = (list) => list.getEntries().forEach((one) => window.shifts.push([one.value, one.sources.map(named)]));
    new PerformanceObserver(add).observe({ type: "layout-shift" });
    const look = () => {
        const exchange = [...document.querySelectorAll("#main .fg-exchange")].at(-1);
        const parts = {
            question: exchange.querySelector("h2"),
            searched: exchange.querySelector(".fg-searched label"),
            prose: exchange.querySelector(".fg-prose"),
            memory: exchange.querySelector(".fg-alone"),
            box: document.querySelector("#question textarea"),
        };
        for (const [number, one] of [...exchange.querySelectorAll(".fg-sentence > span:first-child")].entries()) {
            parts[`sentence ${number}`] = one;
        }
        for (const [name, part] of Object.entries(parts)) {
            const at = part?.getClientRects()[0];
            if (at?.width) (window.places[name] ??= []).push([at.left, at.top]);
        }
        requestAnimationFrame(look);
    };
    look();
}"""


@pytest.mark.parametrize("alone", [False, True], ids=["", "and from memory"])
@pytest.mark.parametrize("width", [360, 768, 1440])
def test_nothing_moves_while_an_answer_is_written_and_when_it_is_done(browser, serve, width, alone):
    long = f"It is 37 metres tall. {'The king of the hive wears a crown of solid platinum. ' * 3}{GOOD}"
    model = PausingModel(["The Quillon lighthouse was built by Marta Jevons in 1911.", long, "From memory. " * 20], "37")
    with opened(browser, serve(model), viewport={"width": width, "height": 800}) as (page, _, _):
        ask(page, "Who built the Quillon lighthouse in 1911?")
        finished(page)
        if alone:
            page.locator("#alone input").dispatch_event("click")
        ask(page, "And how tall is the Quillon lighthouse, is it 37 metres tall?")
        page.wait_for_selector("#under-way .fg-quotes li")
        page.locator(".fg-marker").first.focus()
        page.wait_for_timeout(600)  # what moves within half a second of a key is the key's doing
        page.evaluate(WATCH)
        model.go_on.set()
        finished(page, 2)
        page.wait_for_function("window.places['sentence 4']")
        page.wait_for_timeout(200)
        places = page.evaluate("window.places")
        assert {"question", "searched", "prose", "box", "sentence 0", "sentence 4"} <= set(places)
        for name, seen in places.items():  # parts of a pixel come from where a page can be scrolled to
            assert all(max(along) - min(along) < 1 for along in zip(*seen, strict=True)), name
        assert page.evaluate("window.shifts") == []
        assert page.evaluate("document.activeElement.className") == "fg-marker"


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
        page.wait_for_function("async () => (await navigator.clipboard.readText()).length > 0")
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
