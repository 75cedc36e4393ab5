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
from fieldguide.interfaces.learn.shipped import FIRST, shipped
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
            page.wait_for_selector(f"{box(lesson.stage)}.fl-outlined")
            says(page, "#score", f"{number - 1} of {len(LESSONS)} done")
            do(page, lesson)
            says(page, "#score", f"{number} of {len(LESSONS)} done", timeout=120_000)  # some tasks search anew
        assert outside == []
        assert errors == []


def test_a_search_that_ends_late_does_not_do_the_next_lesson(browser, serve):
    with learning(browser, serve(ScriptedModel()), "?lesson=passages") as (page, _, _):
        slide(page, "overlap", 10)
        slide(page, "size", 160)
        says(page, "#score", "1 of")  # cutting is enough for this lesson; the search goes on
        page.click("[data-lesson=boundary] .fl-lesson-head")
        says(page, ".fl-recut", "Searched for just now among these passages", timeout=120_000)
        says(page, ".fl-recut", "questions fail")  # what the next lesson waits for
        assert page.inner_text("#score").startswith("1 of")


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


@pytest.mark.parametrize("width", [360, 1280])
def test_the_lesson_that_is_opened_is_in_sight(browser, serve, width):
    last = LESSONS[-1].name
    with learning(browser, serve(ScriptedModel()), f"?lesson={last}", viewport={"width": width, "height": 740}) as (page, _, _):
        rail, task = page.locator(".fl-rail").bounding_box(), page.locator(f"#lesson-{last} .fl-lesson-head").bounding_box()
        assert rail["y"] <= task["y"]
        assert task["y"] + task["height"] <= min(740, rail["y"] + rail["height"])


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
        ("nerf", "search", "#why-meaning-missed", "NeRF"),
        ("paraphrase", "search", "#why-keywords-missed", "other words"),
        ("gan", "prompt", "#what-the-model-was-given", "nothing else"),
        ("refusal", "check", "#why-it-refused", "The guides do not answer"),
        ("gan", "timings", "#what-the-cache-saved", "with an empty cache the same prompt took"),
        ("gan", "map", "#where-the-map-misleads", "on the map"),
        ("stale", "file", "#what-a-stale-index-is", "changed since"),
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


def test_a_stale_index_is_told_from_the_guides_as_they_are_now(browser, serve):
    with learning(browser, serve(ScriptedModel())) as (page, _, _):
        page.click("[data-failure=stale]")
        says(page, "#stage-check", "The guides as they are now do not say this sentence")


def shares(page) -> list[str]:
    """What the temperature makes of the runners-up, from the table behind the plot."""
    return page.locator(".fl-choices tbody tr td:last-child").all_text_contents()


def test_temperature_changes_the_shares(browser, serve):
    with learning(browser, serve(ScriptedModel())) as (page, _, _):
        page.click(box("answer"))
        page.locator(".fl-token").nth(2).click()
        before = shares(page)
        assert len(before) == 10
        slide(page, "temperature", 2)
        assert shares(page) != before
        says(page, ".fl-choices .fl-readout", "At temperature 2")
        slide(page, "temperature", 0)
        assert shares(page)[:2] == ["100.0%", "0.0%"]


DRAWN = "[...document.querySelectorAll('.fl-plot')].filter(f => f.offsetParent).every(f => f.querySelector('svg.main-svg'))"


def test_every_plot_is_drawn_from_this_machine_and_only_when_it_is_to_be_seen(browser, serve):
    with learning(browser, serve(ScriptedModel())) as (page, outside, errors):
        assert page.evaluate("typeof window.Plotly") == "undefined"
        for stage in STAGES:
            page.click(box(stage.name))
            page.wait_for_function(DRAWN)
        assert page.locator(".fl-plot svg.main-svg").count() > 0
        assert page.evaluate("typeof window.Plotly") == "object"
        assert page.locator(".modebar, .plotlyjs-logo").count() == 0
        assert outside == []
        assert errors == []


BY_MEANING = sorted((p.by_meaning for p in shipped()[FIRST].search.passages), reverse=True)


@pytest.mark.parametrize(
    ("stage", "first", "second"),
    [
        ("search", *(f": {score:.2f}" for score in BY_MEANING[:2])),
        ("map", "1st by meaning", "2nd by meaning"),
        ("vectors", "number 1:", "number 2:"),
    ],
)
def test_a_plot_is_read_with_the_arrow_keys(browser, serve, stage, first, second):
    with learning(browser, serve(ScriptedModel())) as (page, _, _):
        page.click(box(stage))
        page.wait_for_function(DRAWN)
        readout = f"#stage-{stage} .fl-readout"
        page.mouse.move(0, 0)  # what is pointed at is told, too
        page.locator(f"#stage-{stage} .fl-plot").first.focus()
        page.keyboard.press("ArrowRight")
        says(page, readout, first)
        told = page.locator(readout).first.inner_text()
        page.keyboard.press("ArrowRight")
        says(page, readout, second)
        assert page.locator(readout).first.inner_text() != told
        page.keyboard.press("Home")
        says(page, readout, told)


def test_a_plot_tells_the_number_that_is_pointed_at(browser, serve):
    with learning(browser, serve(ScriptedModel())) as (page, _, _):
        page.click(box("timings"))
        page.wait_for_function(DRAWN)
        page.locator("#stage-timings .bars .point path").nth(2).hover(force=True)
        says(page, "#stage-timings .fl-readout", "reading the prompt: ")


def test_where_plotly_cannot_be_had_the_table_is_pointed_to(browser, serve):
    with learning(browser, serve(ScriptedModel())) as (page, _, _):
        page.route("**/learn/plotly-*.js", lambda route: route.abort())
        page.click(box("timings"))
        says(page, "#stage-timings .fl-readout", "its numbers stand in the table below")


def test_letters_on_the_map_do_not_lie_on_each_other(browser, serve):
    for width in (360, 1280):
        with learning(browser, serve(ScriptedModel()), "?question=nerf", viewport={"width": width, "height": 740}) as (
            page,
            _,
            _,
        ):
            shows(page, "nerf")
            page.click(box("map"))
            page.wait_for_function(DRAWN)
            boxes = [each.bounding_box() for each in page.locator("#stage-map .annotation-text").all()]
            assert len(boxes) == 5  # four passages and the question
            for n, one in enumerate(boxes):
                for other in boxes[:n]:
                    apart = (
                        one["x"] >= other["x"] + other["width"]
                        or other["x"] >= one["x"] + one["width"]
                        or one["y"] >= other["y"] + other["height"]
                        or other["y"] >= one["y"] + one["height"]
                    )
                    assert apart, (width, one, other)


def test_pointing_at_a_word_lights_up_where_it_was_found(browser, serve):
    with learning(browser, serve(ScriptedModel())) as (page, _, _):
        page.click(box("search"))
        page.wait_for_function(DRAWN)  # drawing moves what is below
        page.locator(".fl-asked-words:visible mark", has_text="introduced").first.hover()
        lit = page.locator(".fl-found-words:visible .fl-lit").all_text_contents()
        assert lit == ["introduced"]


def test_the_guide_is_opened_at_the_passage_that_is_followed(browser, serve):
    with learning(browser, serve(ScriptedModel())) as (page, _, _):
        page.click(box("passages"))
        guide, followed = (page.locator(f"#stage-passages {each}").bounding_box() for each in (".fl-guide", "mark.fl-followed"))
        assert guide["y"] <= followed["y"] < guide["y"] + guide["height"]


def test_two_texts_of_ones_own_are_compared(browser, serve):
    with learning(browser, serve(ScriptedModel())) as (page, _, _):
        page.click(box("vectors"))
        page.fill("[name=first]", "bees in a hive")
        page.fill("[name=second]", "bees in a hive")
        page.locator("[data-learn-form=compare] button").click()
        says(page, ".fl-compared", "Nearness (cosine): 1.00, much the same.")
        page.fill("[name=second]", "Farrow Point")
        page.locator("[data-learn-form=compare] button").click()
        says(page, ".fl-compared", "little to do with each other")


def test_a_guide_is_cut_anew_and_the_questions_searched_for_among_its_pieces(browser, serve):
    with learning(browser, serve(ScriptedModel())) as (page, _, errors):
        page.click(box("passages"))
        slide(page, "overlap", 30)
        slide(page, "size", 160)
        says(page, ".fl-recut", "Searched for just now among these passages")
        says(page, ".fl-recut", "holds it whole, and is found")
        slide(page, "size", 10)
        says(page, ".fl-recut", "3 of 3 questions fail")
        says(page, ".fl-recut", "it is cut apart")
        assert errors == []


def test_it_is_said_what_is_real_here(browser, serve):
    with learning(browser, serve(ScriptedModel())) as (page, _, _):
        told = page.inner_text("#what-is-real")
        for what in ("Recorded runs", "Live runs", "The map", "Cutting by words"):
            assert what in told


def test_when_the_model_is_ready_it_is_said_and_a_live_run_replaces_the_recorded_one(browser, serve):
    with learning(browser, serve(ScriptedModel(["Ian Goodfellow introduced GANs."]))) as (page, _, _):
        says(page, "#engine-state", "The model is ready")
        page.click("[data-learn=again]")
        page.wait_for_selector(".fl-run[data-live=true]", timeout=30_000)
        assert "Who introduced GANs, and when?" in page.inner_text(".fl-summary")
        assert "Asked live, just now" in page.inner_text(".fl-summary")


@pytest.mark.parametrize("run", ["poisoned", "alone", "follow-up"])
def test_asking_a_recorded_run_live_gives_the_model_the_same_things(browser, serve, run):
    model = ScriptedModel(["Ian Goodfellow introduced GANs."] * 3)
    with learning(browser, serve(model), f"?question={run}") as (page, _, _):
        shows(page, run)
        page.click("[data-learn=again]")
        page.wait_for_selector(".fl-run[data-live=true]", timeout=30_000)
        given = "".join(part.text for part in model.prompts[-1])
        match run:
            case "poisoned":
                assert "The moon is made of cheese" in given
            case "alone":
                assert passages_of(model) == []
            case "follow-up":
                page.click(box("question"))
                assert "Said before" in page.inner_text("#stage-question")


def test_large_type_enlarges_plots_too_and_goes_back(browser, serve):
    with learning(browser, serve(ScriptedModel()), "?question=gan") as (page, _, _):
        page.click(box("timings"))
        page.wait_for_function(DRAWN)
        height = "document.querySelector('#stage-timings svg.main-svg').getBoundingClientRect().height"
        small = page.evaluate(height)
        page.click("[data-learn=presenter]")
        page.wait_for_function(f"{height} > {small} * 1.2")
        sizes = "selectors => selectors.map(s => parseFloat(getComputedStyle(document.querySelector(s)).fontSize))"
        assert min(page.evaluate(sizes, [".fl-page h2", ".fl-stage h3", ".fl-stage h4", ".fl-stage p"])) > 19
        assert min(page.evaluate(sizes, [".fl-stage .fg-button", ".fl-readout"])) > 15
        page.click("[data-learn=presenter]")
        page.wait_for_function(f"{height} == {small}")


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
        says(page, "#stage-influence", "taken away changes the answer's log-probability by -")
        page.wait_for_function(DRAWN)


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


def test_orders_in_a_page_are_left_out_when_that_is_chosen(browser, serve):
    model = ScriptedModel([GOOD, GOOD])
    with learning(browser, serve(model)) as (page, _, _):
        ask_live(page)
        page.select_option("[data-experiment=poison] select", "left-out")
        page.click("[data-experiment=poison] button")
        page.wait_for_selector(".fl-changes[data-experiment=poison]", timeout=30_000)
        poisoned = [text for text in passages_of(model) if "newest version of the guide" in text]
        assert len(poisoned) == 1
        assert "Ignore all rules" not in poisoned[0]


@pytest.mark.parametrize("search", ["keywords", "meaning"])
def test_one_search_alone_brings_what_it_ranks_first(browser, serve, search):
    model = ScriptedModel([GOOD, GOOD])
    with learning(browser, serve(model)) as (page, _, _):
        ask_live(page, "Moon tides")
        page.select_option("[data-experiment=search] select", search)
        page.click("[data-experiment=search] button")
        page.wait_for_selector(".fl-changes[data-experiment=search]", timeout=30_000)
        assert "Tides follow the Moon" in passages_of(model)[-1]
        # A search by keywords brings nothing without a shared word; one by meaning always fills all places.
        assert len(passages_of(model)) == (1 if search == "keywords" else 4)


def test_the_number_of_passages_goes_from_1_to_12(browser, serve):
    model = ScriptedModel([GOOD] * 3)
    with learning(browser, serve(model)) as (page, _, _):
        ask_live(page)
        counts = []
        for count in (12, 2):
            slide(page, "count", count)
            page.click("[data-experiment=count] button")
            page.wait_for_function(
                "n => document.querySelector('.fl-changes tbody tr:first-child td:last-child')?.textContent == n",
                arg=str(min(count, 8)),
                timeout=30_000,
            )
            counts.append(len(passages_of(model)))
        assert counts == [8, 2]  # the toy corpus has eight passages


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


@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (1280, "light")])
def test_every_stage_fits_the_window_and_axe_finds_nothing_serious(browser, serve, width, scheme):
    size = {"width": width, "height": 740}
    with learning(browser, serve(ScriptedModel()), "?lesson=boundary", viewport=size, color_scheme=scheme) as (page, _, _):
        for stage in STAGES:
            if page.get_attribute(box(stage.name), "aria-expanded") == "false":
                page.click(box(stage.name))
            page.wait_for_function(DRAWN)
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
