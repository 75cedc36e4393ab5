"""What its user can change on the page: stop, again, edit, search otherwise, settings, keys."""

import time

import psutil
import pytest

from browser import answers, ask, finished, free_port, opened, says
from fakes import ScriptedModel, SlowModel
from fieldguide.errors import WeightsError
from fieldguide.generation import llama
from fieldguide.generation.llama import LlamaModel
from fieldguide.generation.llama_context import LlamaContext
from fieldguide.generation.model import Cancellation
from fieldguide.interfaces.api import create_api
from fieldguide.interfaces.web.app import create_app, launch

pytestmark = pytest.mark.browser

GOOD = "The queen lays up to 2,000 eggs a day."
TALL = "It is 37 metres tall."
QUESTION = "How many eggs does the queen lay?"


def seconds_computed(for_seconds: float = 1.0) -> float:
    """How long this process, the page's server, computes during the next seconds."""
    process = psutil.Process()
    before = process.cpu_times()
    time.sleep(for_seconds)
    after = process.cpu_times()
    return after.user + after.system - before.user - before.system


class Recording(ScriptedModel):
    """Keeps how it was asked to write."""

    def __init__(self, replies) -> None:
        super().__init__(replies)
        self.asked = []

    def write(self, options, cancellation):
        self.asked.append(options)
        yield from super().write(options, cancellation)


def questions(page) -> list[str]:
    return [element.inner_text() for element in page.query_selector_all("#conversation h2.fg-question")]


def test_trying_again_asks_the_same_with_another_seed(browser, serve):
    model = Recording([GOOD, "A hive holds 20,000 to 60,000 bees in summer."])
    with opened(browser, serve(model)) as (page, _, _):
        ask(page, QUESTION)
        finished(page)
        page.click("[data-do=again]")
        says(page, "#conversation", "A hive holds")
        finished(page)
        assert questions(page) == [QUESTION]
        assert "tried again with seed" in page.inner_text(".fg-facts")
        first, second = model.asked
        assert (first.temperature, second.temperature) == (0.0, 0.7)
        assert first.seed != second.seed


def test_the_next_question_can_be_sent_at_the_moment_an_answer_ends(browser, serve):
    with opened(browser, serve(ScriptedModel([GOOD, TALL]))) as (page, _, _):
        ask(page, QUESTION)
        page.evaluate(
            """(next) => new MutationObserver((_, watch) => {
                const is = (selector) => document.querySelector(selector);
                if (is('#under-way .fg-exchange') || !is('#conversation .fg-plain')) return;
                watch.disconnect();
                const box = document.querySelector('#question textarea');
                box.value = next;
                box.dispatchEvent(new Event('input', { bubbles: true }));
                setTimeout(() => box.dispatchEvent(new KeyboardEvent('keypress', { key: 'Enter', bubbles: true })));
            }).observe(document.querySelector('#main'), { childList: true, subtree: true })""",
            "How tall is the Quillon lighthouse?",
        )
        finished(page, 2)
        assert questions(page) == [QUESTION, "How tall is the Quillon lighthouse?"]


def test_a_second_enter_does_not_ask_twice(browser, serve):
    with opened(browser, serve(ScriptedModel([GOOD, TALL]))) as (page, _, _):
        page.fill("#question textarea", QUESTION)
        for _ in range(3):
            page.keyboard.press("Enter")
        finished(page)
        page.wait_for_timeout(500)
        assert questions(page) == [QUESTION]
        assert answers(page) == [f"{GOOD} [1]"]


def test_a_retry_that_is_stopped_leaves_the_answer(browser, serve):
    with opened(browser, serve(SlowModel([GOOD, "word " * 50]))) as (page, _, _):
        ask(page, QUESTION)
        finished(page)
        page.click("[data-do=again]")
        says(page, "#under-way", "word")
        page.keyboard.press("Escape")
        finished(page)
        assert answers(page) == [f"{GOOD} [1]"]


def test_editing_a_question_replaces_it_and_what_came_later_after_saying_so(browser, serve):
    with opened(browser, serve(ScriptedModel([GOOD, TALL, TALL]))) as (page, _, _):
        ask(page, QUESTION)
        finished(page)
        ask(page, "How tall is the Quillon lighthouse?")
        finished(page, 2)
        page.locator("[data-do=edit]").first.click()
        says(page, "#banner", "Editing question 1. Its answer and the later one will be replaced.")
        assert page.input_value("#question textarea") == QUESTION
        ask(page, "How many metres tall is the Quillon lighthouse?")
        finished(page, 1)
        assert questions(page) == ["How many metres tall is the Quillon lighthouse?"]
        assert page.inner_text("#banner").strip() == ""


def test_up_in_the_empty_box_edits_the_last_question_and_escape_cancels(browser, serve):
    with opened(browser, serve(ScriptedModel([GOOD]))) as (page, _, _):
        ask(page, QUESTION)
        finished(page)
        page.focus("#question textarea")
        page.keyboard.press("ArrowUp")
        says(page, "#banner", "Editing question 1")
        page.keyboard.press("Escape")
        page.wait_for_function("!document.querySelector('#banner .fg-notice')")
        assert page.input_value("#question textarea") == ""
        assert questions(page) == [QUESTION]


def test_shift_and_enter_starts_a_new_line(browser, serve):
    with opened(browser, serve(ScriptedModel([GOOD]))) as (page, _, _):
        page.fill("#question textarea", "One")
        page.press("#question textarea", "Shift+Enter")
        page.keyboard.type("two")
        assert page.input_value("#question textarea") == "One\ntwo"
        assert questions(page) == []


def test_escape_stops(browser, serve):
    with opened(browser, serve(SlowModel(["word " * 100]))) as (page, _, _):
        ask(page, QUESTION)
        says(page, "#under-way", "word")
        page.keyboard.press("Escape")
        says(page, "#conversation .fg-failure", "Stopped")
        assert 0 < answers(page)[0].count("word") < 50


@pytest.fixture
def endless(tiny_model_path, monkeypatch):
    """Real weights that never come to an end by themselves, and a note of what llama.cpp is asked and when it is done."""
    notes: dict[str, list[float]] = {"begun": [], "ended": [], "stopped": []}
    decode, cancel = LlamaContext.decode, Cancellation.cancel

    def noted_decode(self, *given):
        notes["begun"].append(time.process_time())
        try:
            decode(self, *given)
        finally:
            notes["ended"].append(time.process_time())

    def noted_cancel(self):
        notes["stopped"].append(time.process_time())
        cancel(self)

    monkeypatch.setattr(LlamaContext, "decode", noted_decode)
    monkeypatch.setattr(Cancellation, "cancel", noted_cancel)
    monkeypatch.setattr(LlamaModel, "log_probability", lambda *_: -5.0)  # the gate lets it write
    monkeypatch.setattr(llama.llama_cpp, "llama_vocab_is_eog", lambda *_: False)
    return LlamaModel(tiny_model_path, context_length=8192, threads=2), notes


@pytest.mark.weights
@pytest.mark.parametrize(("doing", "how"), [("Reading", "Stop"), ("Answering", "Escape")])
def test_a_stop_leaves_the_processor_idle_within_three_tenths_of_a_second(browser, serve, toy_folder, endless, doing, how):
    model, notes = endless
    for number in range(12):  # many long passages, so that there is something to stop
        words = " ".join(f"The queen of hive {number} lays {n} eggs on day {n}." for n in range(20))
        (toy_folder / f"hive-{number}.md").write_text(f"# Hive {number}\n\n{words}\n")
    url = serve(model, passages=12 if doing == "Reading" else 2, answer_tokens=3000, context_length=8192)
    with opened(browser, url) as (page, _, _):
        ask(page, QUESTION)
        says(page, "#status", doing)
        if doing == "Answering":
            page.wait_for_function("document.querySelector('#under-way .fg-prose').innerText.length > 20")
        before = len(notes["ended"])
        notes["stopped"].clear()
        if how == "Stop":
            page.click("#stop")
        else:
            page.keyboard.press("Escape")
        says(page, "#conversation .fg-failure", "Stopped")
        stopped, begun, ended = notes["stopped"][0], notes["begun"][:], notes["ended"][:]
        assert before < len(ended)  # it was computing when it was stopped
        # Processor seconds, of which going on would take 14, and two in each second: a slow machine needs more for the page.
        assert ended[-1] - stopped < 2.0
        assert seconds_computed() < 1.0
        assert (notes["begun"], notes["ended"]) == (begun, ended)
        assert (page.locator("#conversation .fg-prose").count() == 0) == (doing == "Reading")


@pytest.mark.parametrize("how", ["button", "Enter"])
def test_what_a_follow_up_searched_for_is_shown_and_can_be_changed(browser, serve, how):
    with opened(browser, serve(ScriptedModel(["The Quillon lighthouse was built by Marta Jevons in 1911.", TALL, GOOD]))) as (
        page,
        *_,
    ):
        ask(page, "Who built the Quillon lighthouse?")
        finished(page)
        ask(page, "How tall is it?")
        finished(page, 2)
        searched = "Who built the Quillon lighthouse? The Quillon lighthouse was built by Marta Jevons in 1911. How tall is it?"
        assert page.input_value("form.fg-searched textarea") == searched
        assert page.locator("form.fg-searched textarea").evaluate("one => one.scrollHeight <= one.clientHeight")  # all is seen
        page.fill("form.fg-searched textarea", "eggs the queen lays a day")
        if how == "button":
            page.click("form.fg-searched button")
        else:
            page.press("form.fg-searched textarea", "Enter")
        says(page, "#source-1", "The queen lays up to 2,000 eggs")
        finished(page, 2)
        assert page.input_value("form.fg-searched textarea") == "eggs the queen lays a day"


@pytest.mark.parametrize("width", [360, 1440])
def test_an_answer_without_the_guides_stands_beside_or_below(browser, serve, width):
    url = serve(ScriptedModel([GOOD, "From memory: 2,000."]))
    with opened(browser, url, viewport={"width": width, "height": 800}) as (page, _, _):
        if width < 1000:
            page.click(".toggle-button")
        page.get_by_label("Also answer without the guides").check()
        if width < 1000:
            page.click(".toggle-button")
        ask(page, QUESTION)
        finished(page)
        assert "Without the guides" in page.inner_text(".fg-alone")
        assert "From memory: 2,000." in page.inner_text(".fg-alone")
        grounded, alone = page.locator(".fg-answer").bounding_box(), page.locator(".fg-alone").bounding_box()
        assert (alone["y"] > grounded["y"]) == (width < 1000)
        assert (alone["x"] > grounded["x"]) == (width > 1000)


def test_every_setting_has_a_line_that_explains_it(browser, serve):
    with opened(browser, serve(ScriptedModel()), viewport={"width": 1440, "height": 900}) as (page, _, _):
        for setting, line in {
            "#length": "How much may be written at most.",
            "#alone": "Afterwards, from the model's memory, side by side.",
            "#model": "Default reads best; fast answers sooner and errs more.",
        }.items():
            assert line in page.inner_text(setting)


@pytest.mark.parametrize(("length", "tokens"), [("Short", 88), ("Normal", 220), ("Long", 440)])
def test_the_length_bounds_what_is_written(browser, serve, length, tokens):
    model = Recording([GOOD])
    with opened(browser, serve(model)) as (page, _, _):
        page.get_by_label(length, exact=True).check()
        ask(page, QUESTION)
        finished(page)
        assert model.asked[0].max_tokens == tokens


def test_another_model_is_chosen_and_a_failure_keeps_the_one_in_use(browser, fieldguide_with):
    fieldguide, other = fieldguide_with(ScriptedModel([GOOD])), ScriptedModel([TALL])
    load = fieldguide._load_model

    def loaded(wanted=None):
        if wanted == "fast":
            other.name = "the fast one"
            return other
        if wanted:
            raise WeightsError(f"The model file {wanted} cannot be read.", "Give another path.")
        return load()

    fieldguide._load_model = loaded
    broken = fieldguide.settings.models_dir / "broken.gguf"
    fieldguide.models = lambda: {"default": "Default", "fast": "Fast", str(broken): "Broken"}
    app = create_app(fieldguide)
    url = launch(app, "127.0.0.1", free_port(), create_api(fieldguide, "test"))
    list(fieldguide.loading())
    with opened(browser, url, viewport={"width": 1440, "height": 900}) as (page, _, _):
        page.get_by_label("Model").click()
        page.get_by_role("option", name="Broken").click()
        says(page, "#model-note", "cannot be read. Give another path. The model in use goes on.")
        page.get_by_label("Model").click()
        page.get_by_role("option", name="Fast").click()
        says(page, "#model-note", "the fast one answers from now on.")
        ask(page, "How tall is the Quillon lighthouse?")
        finished(page)
        assert TALL in answers(page)[0]
    fieldguide.close()
    app.close()
