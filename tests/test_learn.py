"""What the Learn page is made of: stages drawn from recorded runs, lessons, and a guide cut by words."""

import re

import pytest

from fakes import ScriptedModel
from fieldguide import locations
from fieldguide.indexing.documents import read_document, read_folder
from fieldguide.interfaces.learn import recut
from fieldguide.interfaces.learn.failures import FAILURES
from fieldguide.interfaces.learn.lanes import STAGES, code_shown, run_shown
from fieldguide.interfaces.learn.lessons import LESSONS
from fieldguide.interfaces.learn.pieces import bars, marked, table
from fieldguide.interfaces.learn.shipped import RUNS, shipped
from fieldguide.interfaces.learn.view import View, durations
from fieldguide.trace import record

GUIDES = read_folder(locations.guides_folder())


@pytest.mark.parametrize("name", RUNS)
def test_every_shipped_run_is_drawn_whole(name):
    html = run_shown(View(shipped()[name], GUIDES), name)
    for stage in STAGES:
        assert f"id='stage-{stage.name}'" in html
    assert "None" not in re.sub(r"<details class='fl-code'>.*?</details>", "", html, flags=re.DOTALL)


def test_text_of_documents_models_and_users_is_escaped(fieldguide_with):
    bad = "<img src=x onerror=alert(1)> '\" & lay eggs"
    fieldguide = fieldguide_with(ScriptedModel([f"The queen lays 2,000 eggs. {bad}"]))
    *_, trace = record(fieldguide, f"How many eggs does the queen {bad}?")
    html = run_shown(View(trace, fieldguide.guides(), is_live=True), "'><script>")
    assert "<img" not in html
    assert "<script" not in html
    fieldguide.close()


def test_without_the_guides_of_the_run_nothing_else_is_shown_in_their_place():
    html = run_shown(View(shipped()["gan"], ()), "gan")
    assert "not the one that this run searched" in html


def test_the_followed_passage_is_the_one_that_is_cited():
    view = View(shipped()["gan"], GUIDES)
    assert view.followed.chunk.id == view.trace.answer.citations[0].chunk_id
    assert "fl-followed" in view.named(view.followed.chunk.id)


def test_durations_add_up_to_the_whole_run():
    for trace in shipped().values():
        assert sum(durations(trace).values()) == pytest.approx(trace.moments[-1].seconds, abs=0.02)


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_each_stage_shows_the_code_that_did_it(stage):
    code = code_shown(stage)
    assert "src/fieldguide/" in code
    assert "def " in code or "class " in code


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda lesson: lesson.name)
def test_a_lesson_is_short_and_points_to_what_is_there(lesson):
    assert 50 <= len(lesson.idea.split()) <= 90
    assert lesson.trace in RUNS
    assert lesson.stage in {stage.name for stage in STAGES}
    assert lesson.guess is None or 0 <= lesson.guess.right < len(lesson.guess.options)


def test_there_are_enough_lessons_and_failures_each_with_its_own_name():
    assert 12 <= len({lesson.name for lesson in LESSONS}) == len(LESSONS) <= 15
    assert 8 <= len({failure.name for failure in FAILURES}) == len(FAILURES) <= 10


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.name)
def test_a_failure_points_to_what_is_there(failure):
    assert failure.trace in RUNS
    assert failure.stage in {stage.name for stage in STAGES}


def test_cuts_cover_the_text_and_share_what_was_asked_for():
    text = " ".join(f"w{n}" for n in range(100))
    cuts = recut.cut(text, 30, 10)
    words = [text[start:end].split() for start, end in cuts]
    assert all(len(some) == 30 for some in words[:-1])
    assert words[0][-10:] == words[1][:10]
    assert words[0][0] == "w0"
    assert words[-1][-1] == "w99"


def test_sharing_more_than_half_would_never_end_and_is_capped():
    assert len(recut.cut(" ".join("w" * 100), 10, 60)) < 30


def test_a_cut_can_tear_a_fact_apart_and_sharing_mends_it():
    text = read_document(locations.guides_folder() / recut.GUIDE).text
    torn = [recut.is_whole(text, recut.cut(text, 160, 10), fact) for fact in recut.FACTS]
    mended = [recut.is_whole(text, recut.cut(text, 160, 30), fact) for fact in recut.FACTS]
    assert torn.count(False) >= 1
    assert all(mended)


def test_marks_do_not_overlap_and_escape_what_they_mark():
    assert marked("a<b>c", [(1, 4, "class='x'"), (2, 5, "class='y'")]) == "a<mark class='x'>&lt;b&gt;</mark>c"


def test_tables_and_bars_escape_their_cells():
    assert "&lt;b&gt;" in table("t", ("<b>",), [("<b>",)])
    assert "&lt;b&gt;" in bars([("x", 1.0, "<b>")], 1.0)
