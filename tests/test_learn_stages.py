"""What the boxes of the Learn page draw, held against the recorded run they are drawn from."""

import re
from dataclasses import replace
from html import unescape as html_text

import pytest

from fieldguide.events import Checked, Compared, Prompted, Reading, Rewritten
from fieldguide.indexing.documents import read_folder
from fieldguide.interfaces.learn.outcome import check_stage, timings_stage
from fieldguide.interfaces.learn.preparing import map_stage
from fieldguide.interfaces.learn.searching import prompt_stage, question_stage, search_stage
from fieldguide.interfaces.learn.shipped import shipped
from fieldguide.interfaces.learn.view import View
from fieldguide.locations import guides_folder
from fieldguide.trace import Moment

GUIDES = read_folder(guides_folder())
SEARCHED = ["gan", "nerf", "paraphrase", "list-all"]


def view_of(name: str) -> View:
    return View(shipped()[name], GUIDES)


@pytest.mark.parametrize("name", SEARCHED)
def test_a_line_goes_through_the_place_of_a_passage_in_every_ranking(name):
    view = view_of(name)
    search = view.trace.search
    paths = re.findall(r"<g class='[^']*'><title>[^<]*</title><path d='M([^']*)'/>", search_stage(view))
    best = sorted((p for p in search.passages if p.rank and p.rank <= 12), key=lambda p: p.rank)
    assert len(paths) == len(best) >= 4
    heights = [[float(point.split()[1]) for point in path.split("L")] for path in paths]
    columns = list(zip(*heights, strict=True))
    assert list(columns[3]) == sorted(columns[3])  # the last column is the order they are drawn in
    places = zip(*[(p.rank_by_meaning, p.rank_by_keywords, p.rank_fused, p.rank) for p in best], strict=True)
    for column, ranks in zip(columns, places, strict=True):
        within = [(rank, height) for rank, height in zip(ranks, column, strict=True) if rank and rank <= 12]
        assert [height for _, height in sorted(within)] == sorted({height for _, height in within})
        lowest = {height for rank, height in zip(ranks, column, strict=True) if not rank or rank > 13}
        assert len(lowest) <= 1  # what was not found lies on one line, below the rest
        assert all(height < below for below in lowest for _, height in within)


@pytest.mark.parametrize("name", SEARCHED)
def test_the_prompt_tells_what_came_from_the_cache_and_what_was_left_out(name):
    view = view_of(name)
    reading, told = view.trace.first(Reading), html_text(prompt_stage(view))
    assert f"{reading.from_cache} of {reading.tokens} tokens" in told
    assert f"{sum(reading.passages_from_cache)} of {len(reading.passages_from_cache)} passages" in told
    prompted = view.trace.last(Prompted)
    assert not prompted.left_out
    assert "Nothing was left out" in told
    short = replace(prompted, left_out=("Bees > Queens",), left_out_reason="There was no room.")
    moments = tuple(replace(m, event=short) if m.event is prompted else m for m in view.trace.moments)
    cut = View(replace(view.trace, moments=moments), GUIDES)
    assert "Left out: Bees > Queens. There was no room." in html_text(prompt_stage(cut))


@pytest.mark.parametrize("name", [*SEARCHED, "distractor", "follow-up"])
def test_a_checked_sentence_stands_beside_the_sentence_of_a_passage_that_supports_it(name):
    view = view_of(name)
    supported = [s for s in view.trace.answer.sentences if s.verdict == "supported"]
    shown = html_text(check_stage(view))
    quotes = {c.marker: c.quote for c in view.trace.answer.citations}
    assert view.trace.all(Checked)
    for sentence in supported:
        block = shown[shown.index(f"<p>{sentence.text}") :]
        assert quotes[sentence.markers[0]] in block[: block.index("</div>")]


@pytest.mark.parametrize("name", SEARCHED)
def test_the_map_tells_of_a_passage_that_only_looks_near(name):
    view = view_of(name)
    told = re.search(r"<i>(.*?)</i> lies (\d+)\w\w nearest.*?only the (\d+)\w\w of", html_text(map_stage(view)))
    search = view.trace.search
    by_map = sorted(search.passages, key=lambda p: (p.x - search.x) ** 2 + (p.y - search.y) ** 2)
    passage = by_map[int(told[2]) - 1]
    assert (passage.section, passage.rank_by_meaning) == (told[1], int(told[3]))
    assert passage.rank_by_meaning > int(told[2])


@pytest.mark.parametrize("name", SEARCHED)
def test_the_time_of_reading_is_shown_cached_and_cold(name):
    view = view_of(name)
    cold = view.trace.cold["reading"]
    shown = html_text(timings_stage(view))
    took = float(re.search(r"Reading took <b>([\d.]+) s</b>", shown)[1])
    assert f"the same prompt took <b>{cold:.2f} s</b>" in shown
    assert took < cold


def test_the_question_box_tells_a_follow_up_from_a_misspelt_word():
    assert "points back" in question_stage(view_of("follow-up"))
    assert "just as it stands" in question_stage(view_of("gan"))
    trace = shipped()["gan"]
    moments = [
        replace(m, event=Rewritten("Who introduced GANs?", changed=True)) if isinstance(m.event, Rewritten) else m
        for m in trace.moments
    ]
    said = question_stage(View(replace(trace, question="Who introducd GANs?", moments=tuple(moments)), GUIDES))
    assert "misspelt" in said
    assert "Who introduced GANs?" in said


def test_the_check_box_says_which_passage_was_asked_too():
    trace = shipped()["paraphrase"]
    assert "Another passage" not in check_stage(View(trace, GUIDES))
    asked = replace(trace, moments=(*trace.moments, Moment(9.0, Compared("Time line > 2014"))))
    assert "<i>Time line &gt; 2014</i>" in check_stage(View(asked, GUIDES))
