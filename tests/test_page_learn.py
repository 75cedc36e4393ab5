"""The Learn page in a real browser, with the recorded runs that are shipped, and live over the toy corpus."""

import time

import pytest

from browser import free_port, learning, opened, says, serious
from fakes import ScriptedModel
from fieldguide.errors import WeightsError
from fieldguide.interfaces.api import create_api
from fieldguide.interfaces.learn.experiments import EXPERIMENTS
from fieldguide.interfaces.learn.failures import FAILURES
from fieldguide.interfaces.learn.lanes import STAGES
from fieldguide.interfaces.learn.lessons import LESSONS
from fieldguide.interfaces.web.app import create_app, launch

pytestmark = pytest.mark.browser

QUESTION = "How many eggs does the queen lay?"
GOOD = "The queen lays up to 2,000 eggs a day."


def box(stage: str) -> str:
    return f".fl-box[data-stage={stage}]"


def slide(page, name: str, value: int) -> None:
    page.locator(f"input[name={name}]:visible").first.fill(str(value))


def shows(page, trace: str) -> None:
    page.wait_for_selector(f".fl-run[data-trace='{trace}']")


def do(page, lesson) -> None:
    """What the lesson asks for, done as a learner would."""
    deed = lesson.done_by.split(" ")[0]
    match deed.partition(":"):
        case ("stage", _, stage):
            page.click(box(stage))
        case ("trace", _, wanted):
            trace, _, stage = wanted.partition("+")
            page.select_option("#runs", trace)
            shows(page, trace)
            if stage:
                page.click(box(stage))
        case ("recut", _, "fails"):
            slide(page, "overlap", 10)
            slide(page, "size", 160)
        case ("recut", _, _):
            slide(page, "size", 60)
        case ("compare", _, _):
            page.locator("[data-learn-form=compare] button").click()
        case ("word", _, _):
            page.locator(".fl-asked-words:visible mark").first.focus()
        case ("temperature", _, _):
            page.locator(".fl-token").first.click()
            slide(page, "temperature", 2)
        case _:
            pytest.fail(f"nobody knows how to do {deed}")


def test_every_lesson_completes_by_doing_what_it_asks(browser, serve):
    with learning(browser, serve(ScriptedModel())) as (page, outside, errors):
        for number, lesson in enumerate(LESSONS, 1):
            page.click(f"[data-lesson={lesson.name}] .fl-lesson-head")
            page.wait_for_selector(f"#idea-{lesson.name}", state="visible")
            says(page, "#score", f"{number - 1} of {len(LESSONS)} done")
            do(page, lesson)
            says(page, "#score", f"{number} of {len(LESSONS)} done")
        assert outside == []
        assert errors == []


def test_a_guess_is_counted_once_and_the_truth_is_shown(browser, serve):
    with learning(browser, serve(ScriptedModel()), "?lesson=cache") as (page, _, _):
        page.click("#lesson-cache [data-learn=guess] >> nth=0")
        says(page, "#lesson-cache .fl-because", "Not so.")
        says(page, "#score", "0 of 1 guesses right")
        page.click("#lesson-cache [data-learn=guess] >> nth=1")
        says(page, "#score", "0 of 1 guesses right")


def test_done_lessons_survive_a_reload_and_start_over_forgets_them(browser, serve):
    with learning(browser, serve(ScriptedModel()), "?lesson=prompt") as (page, _, _):
        page.click(box("prompt"))
        says(page, "#score", "1 of")
        page.reload()
        says(page, "#score", "1 of")
        page.click("[data-learn=reset]")
        says(page, "#score", "0 of")
        page.reload()
        page.wait_for_selector("body.fl-started")
        says(page, "#score", "0 of")


def test_a_link_opens_a_lesson_and_a_run_in_large_type(browser, serve):
    with learning(browser, serve(ScriptedModel()), "?lesson=check&question=refusal&presenter=1") as (page, _, _):
        shows(page, "refusal")
        assert page.is_visible("#idea-check")
        assert page.evaluate("getComputedStyle(document.querySelector('.fl-page')).fontSize") > "20"
        assert "lesson=check" in page.url
        assert "question=refusal" in page.url


def test_one_stage_is_open_at_a_time_and_escape_closes_it(browser, serve):
    with learning(browser, serve(ScriptedModel())) as (page, _, _):
        for stage in STAGES:
            page.click(box(stage.name))
            assert page.locator(".fl-stage:visible").count() == 1
            assert page.get_attribute(box(stage.name), "aria-expanded") == "true"
        page.keyboard.press("Escape")
        assert page.locator(".fl-stage:visible").count() == 0
        assert page.evaluate("document.activeElement.dataset.stage") == STAGES[-1].name


@pytest.mark.parametrize(
    ("run", "stage", "where", "what"),
    [
        ("gan", "passages", "#what-a-passage-is", "A piece of one section"),
        ("vla", "search", "#why-meaning-missed", "VLA"),
        ("paraphrase", "search", "#why-keywords-missed", "other words"),
        ("gan", "prompt", "#what-the-model-was-given", "nothing else"),
        ("refusal", "check", "#why-it-refused", "The guides do not answer"),
        ("gan", "timings", "#what-the-cache-saved", "with an empty cache the same prompt took"),
        ("gan", "map", "#where-the-map-misleads", "on the map"),
    ],
)
def test_the_page_itself_answers(browser, serve, run, stage, where, what):
    with learning(browser, serve(ScriptedModel()), f"?question={run}") as (page, _, _):
        shows(page, run)
        page.click(box(stage))
        assert what in page.inner_text(where)


def test_every_failure_is_one_click_away(browser, serve):
    with learning(browser, serve(ScriptedModel())) as (page, _, errors):
        for failure in FAILURES:
            page.click(f"[data-failure={failure.name}]")
            shows(page, failure.trace)
            page.wait_for_selector(f"#stage-{failure.stage}", state="visible")
        page.click("[data-failure=boundary]")
        says(page, ".fl-recut", "questions fail")
        assert errors == []


def test_temperature_changes_the_shares(browser, serve):
    with learning(browser, serve(ScriptedModel())) as (page, _, _):
        page.click(box("answer"))
        page.locator(".fl-token").nth(2).click()
        before = page.inner_text(".fl-choices")
        slide(page, "temperature", 2)
        assert page.inner_text(".fl-choices") != before
        slide(page, "temperature", 0)
        assert "100.0%" in page.inner_text(".fl-choices li >> nth=0")


def ask_live(page, question: str = QUESTION) -> None:
    page.fill("#fl-question", question)
    page.press("#fl-question", "Enter")
    page.wait_for_selector(".fl-run[data-live=true]", timeout=30_000)


def test_a_live_run_shows_the_same_stages_as_a_recorded_one(browser, serve):
    with learning(browser, serve(ScriptedModel([GOOD]))) as (page, outside, errors):
        recorded = page.evaluate("[...document.querySelectorAll('.fl-box, .fl-stage')].map(e => e.dataset.stage)")
        ask_live(page)
        assert GOOD in page.inner_text(".fl-summary")
        assert page.evaluate("[...document.querySelectorAll('.fl-box, .fl-stage')].map(e => e.dataset.stage)") == recorded
        for stage in STAGES:
            page.click(box(stage.name))
            assert len(page.inner_text(f"#stage-{stage.name}")) > 100
        assert outside == []
        assert errors == []


def test_influence_is_measured_on_demand(browser, serve):
    with learning(browser, serve(ScriptedModel([GOOD]))) as (page, _, _):
        ask_live(page)
        page.click(box("influence"))
        page.click("[data-learn=influence]")
        says(page, "#stage-influence", "less likely without it")


def test_what_cannot_be_asked_is_told(browser, serve):
    with learning(browser, serve(ScriptedModel())) as (page, _, _):
        page.press("#fl-question", "Enter")
        says(page, "#live", "The question is empty")
        page.fill("[data-experiment=swap] [name=old]", "zebra")
        page.click("[data-experiment=swap] button")
        says(page, "#live", "No passage that would be read says “zebra”")


@pytest.mark.parametrize("experiment", EXPERIMENTS, ids=lambda e: e.name)
def test_an_experiment_changes_what_it_says(browser, serve, experiment):
    model = ScriptedModel([GOOD, GOOD])
    with learning(browser, serve(model)) as (page, _, errors):
        ask_live(page)
        before = passages_of(model)
        if experiment.name == "swap":
            page.fill("[data-experiment=swap] [name=old]", "2,000")
            page.fill("[data-experiment=swap] [name=new]", "7")
        page.click(f"[data-experiment={experiment.name}] button")
        page.wait_for_selector(f".fl-changes[data-experiment={experiment.name}]", timeout=30_000)
        after = passages_of(model)
        match experiment.name:
            case "alone":
                assert after == []
            case "remove":
                assert after == before[:-1]  # the best one stands last
            case "swap":
                assert [text.replace("2,000", "7") for text in before] == after
            case "poison":
                assert any("Ignore all rules" in text for text in after)
                assert len(after) == len(before) + 1
            case "count":
                assert after == before[-1:]
            case "search":
                assert set(after) < set(before)
        page.click("[data-learn=open]")
        page.wait_for_selector(f"#stage-{experiment.stage}", state="visible")
        assert errors == []


def passages_of(model: ScriptedModel) -> list[str]:
    return [part.text for part in model.prompts[-1] if part.kind == "passage"]


class Sleeper(ScriptedModel):
    """Takes its time with every word."""

    def write(self, options, cancellation):
        for token in super().write(options, cancellation):
            time.sleep(0.2)
            yield token


def test_a_live_run_can_be_stopped(browser, serve):
    with learning(browser, serve(Sleeper(["word " * 100]))) as (page, _, _):
        page.fill("#fl-question", QUESTION)
        page.press("#fl-question", "Enter")
        says(page, "#live", "word")
        page.keyboard.press("Escape")
        says(page, "#live", "Stopped")


def test_the_pages_link_to_each_other(browser, serve):
    url = serve(ScriptedModel())
    with learning(browser, url) as (page, _, _):
        page.click("text=Chat")
        page.wait_for_selector("#question textarea")
    with opened(browser, url) as (page, _, _):
        page.click("a[href='/learn']")
        page.wait_for_selector("body.fl-started")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_every_stage_fits_the_window_and_axe_finds_nothing_serious(browser, serve, width, scheme):
    size = {"width": width, "height": 740}
    with learning(browser, serve(ScriptedModel()), "?lesson=boundary", viewport=size, color_scheme=scheme) as (page, _, _):
        for stage in STAGES:
            if page.get_attribute(box(stage.name), "aria-expanded") == "false":
                page.click(box(stage.name))
            assert page.evaluate("document.documentElement.scrollWidth") <= width, stage.name
            assert serious(page) == [], stage.name


def test_without_weights_recorded_runs_are_shown_and_questions_say_what_to_do(browser, fieldguide_with):
    fieldguide = fieldguide_with(None)

    def missing(*_):
        raise WeightsError("The weights are not here.", "Fetch them: fieldguide models pull")

    fieldguide._load_embedder = fieldguide._load_model = missing
    app = create_app(fieldguide)
    url = launch(app, "127.0.0.1", free_port(), create_api(fieldguide, "test"))
    with learning(browser, url) as (page, _, _):
        for stage in STAGES:
            page.click(box(stage.name))
        page.fill("#fl-question", QUESTION)
        page.press("#fl-question", "Enter")
        says(page, "#live", "The weights are not here. Fetch them")
        page.click(box("vectors"))
        page.locator("[data-learn-form=compare] button").click()
        says(page, ".fl-compared", "The weights are not here.")
    app.close()
