"""What the Learn page is made of: stages drawn from recorded runs, lessons, and a guide cut by words."""

import json
import math
import re
import threading
import time
from dataclasses import replace
from html import unescape as html_text

import pytest

from fakes import ScriptedModel
from fieldguide import locations
from fieldguide.assembly import Fieldguide
from fieldguide.errors import Cancelled, WeightsError
from fieldguide.events import Gated, Prompted, Retrieved, Token
from fieldguide.generation.model import Cancellation
from fieldguide.indexing.documents import corpus_hash, read_document, read_folder
from fieldguide.indexing.index import build_index, open_index
from fieldguide.interfaces.learn import recut
from fieldguide.interfaces.learn.failures import FAILURES
from fieldguide.interfaces.learn.following import followed_shown
from fieldguide.interfaces.learn.laboratory import Laboratory
from fieldguide.interfaces.learn.lanes import STAGES, code_shown, run_shown
from fieldguide.interfaces.learn.lessons import LESSONS
from fieldguide.interfaces.learn.outcome import check_stage
from fieldguide.interfaces.learn.pieces import bars, marked, table
from fieldguide.interfaces.learn.searching import prompt_stage
from fieldguide.interfaces.learn.shipped import RUNS, record_all, shipped
from fieldguide.interfaces.learn.view import View, durations
from fieldguide.retrieval.embedder import SentenceTransformerEmbedder
from fieldguide.retrieval.search import Searcher
from fieldguide.trace import load_folder, record
from fieldguide.types import Document

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


def test_of_two_drafts_that_were_taken_back_the_last_one_is_shown_as_checked(fieldguide_with):
    fieldguide = fieldguide_with(ScriptedModel(["Perhaps pancakes cost 9 dollars.", "Waffles cost 8 dollars."]))
    *_, trace = record(fieldguide, "How many eggs does the queen lay?")
    html = check_stage(View(trace, fieldguide.guides(), is_live=True))
    assert "<p>Waffles cost 8 dollars. <span class='fl-verdict'>not supported</span>" in html
    assert "<p>Perhaps" not in html
    fieldguide.close()


def test_a_run_in_which_the_model_was_not_asked_is_drawn_whole(fieldguide_with, toy_folder):
    (toy_folder / "sacs.md").write_text("# Sacs\n\nA honey sac carrier (HSC) fills cells.\n", encoding="utf-8")
    fieldguide = fieldguide_with(ScriptedModel([]))
    *_, trace = record(fieldguide, "What does HSC stand for?")
    html = html_text(run_shown(View(trace, fieldguide.guides(), is_live=True), "hsc"))
    assert "HSC stands for honey sac carrier." in html
    assert "the model was not asked" in html
    assert "1 of 1 supported" in html
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
    torn = recut.looked_at(text, recut.cut(text, 160, 10))
    mended = recut.looked_at(text, recut.cut(text, 160, 30))
    assert any(outcome.fails(read=4) for outcome in torn)
    assert not any(outcome.fails(read=4) for outcome in mended)


GUIDE = Document(
    "guide.md",
    "A guide",
    "",
    "In 2014 Goodfellow said: adversarial networks (GANs) were introduced, and when. Bread is baked. Tides come and go.",
    "",
)


def test_a_question_is_searched_for_among_the_pieces_and_fails_where_the_right_one_is_not_read(toy_searcher):
    steps = list(recut.searched(toy_searcher, GUIDE, recut.cut(GUIDE.text, 12, 0), Cancellation()))
    assert steps[:-1] == [2]  # pieces embedded
    gans = steps[-1][0]
    assert gans.whole == (0,)
    assert gans.ranking == (0, 1)
    assert gans.place() == 1
    assert not gans.fails(read=1)
    assert replace(gans, ranking=(1, 0)).fails(read=1)
    assert not replace(gans, ranking=(1, 0)).fails(read=2)
    assert steps[-1][1].fails(read=2)  # no piece speaks of a discriminator


def test_a_search_among_pieces_can_be_stopped(toy_searcher):
    stopped = Cancellation()
    stopped.cancel()
    with pytest.raises(Cancelled):
        list(recut.searched(toy_searcher, GUIDE, [(0, 10)], stopped))


@pytest.mark.weights
def test_with_the_real_small_model_the_facts_are_found_in_whole_pieces_and_lost_in_torn_ones(embedder_folder, tmp_path):
    document = read_document(locations.guides_folder() / recut.GUIDE)
    embedder = SentenceTransformerEmbedder(embedder_folder, 2)
    build_index([document], embedder, tmp_path, lambda *_: None)
    index = open_index(tmp_path)
    searcher = Searcher(embedder, index.vector_store, index.passage_store)

    def failing(size: int, overlap: int) -> int:
        *_, outcomes = recut.searched(searcher, document, recut.cut(document.text, size, overlap), Cancellation())
        return sum(outcome.fails(read=4) for outcome in outcomes)

    assert failing(160, 30) == 0
    assert failing(160, 10) >= 1
    assert failing(10, 0) == 3
    index.close()


def ended(laboratory: Laboratory, reply: dict) -> dict:
    """What came of a job."""
    while not (told := laboratory.progress(reply))["done"]:
        time.sleep(0.02)
    return told


def test_a_guide_cut_anew_is_looked_at_at_once_and_then_searched(fieldguide_with):
    fieldguide = fieldguide_with(ScriptedModel())
    laboratory = Laboratory(fieldguide)
    at_once = laboratory.recut({"size": 160, "overlap": 10})
    assert "nothing was searched yet" in at_once["html"]
    then = ended(laboratory, at_once)
    assert "Searched for just now" in then["html"]
    assert "is found 1st" in then["html"]
    fieldguide.close()


def test_without_the_small_model_the_words_alone_decide_and_it_is_said(fieldguide_with):
    fieldguide = fieldguide_with(ScriptedModel())

    def missing(*_):
        raise WeightsError("The weights are not here.", "Fetch them: fieldguide models pull")

    fieldguide._load_embedder = missing
    laboratory = Laboratory(fieldguide)
    at_once = laboratory.recut({"size": 10, "overlap": "many"})  # what no slider sends counts as its lowest
    assert at_once["fails"] == 3
    assert "The weights are not here." in ended(laboratory, at_once)["failure"]
    fieldguide.close()


class Waiting(ScriptedModel):
    """Reads nothing before it is allowed to."""

    def __init__(self) -> None:
        super().__init__()
        self.allowed = threading.Event()

    def read(self, prompt, cancellation):
        while not self.allowed.wait(0.02):
            if cancellation.is_cancelled:
                raise Cancelled()
        yield from super().read(prompt, cancellation)


def test_a_fourth_live_run_at_once_is_turned_away_until_one_ends(fieldguide_with):
    model = Waiting()
    fieldguide = fieldguide_with(model)
    laboratory = Laboratory(fieldguide)
    begun = [laboratory.begin({"question": "How many eggs does the queen lay?"}) for _ in range(3)]
    assert all("job" in reply for reply in begun)
    assert "3 live runs are under way already" in laboratory.begin({"question": "One more?"})["failure"]
    laboratory.stop(begun[0])
    assert "job" in laboratory.begin({"question": "One more?"})
    model.allowed.set()
    for reply in begun[1:]:
        assert ended(laboratory, reply)["failure"] == ""
    fieldguide.close()


def test_a_job_can_be_asked_for_until_thirty_others_have_come_after_it(fieldguide_with):
    fieldguide = fieldguide_with(ScriptedModel())
    laboratory = Laboratory(fieldguide)
    jobs = []
    own = laboratory._keep(shipped()["alone"])
    for _ in range(31):
        jobs.append(laboratory.measure({"trace": own}))  # a run that has nothing to measure is over at once
        ended(laboratory, jobs[-1])
    assert laboratory.progress(jobs[1])["done"]
    assert "no longer known" in laboratory.progress(jobs[0])["failure"]
    fieldguide.close()


def test_a_run_over_a_stale_index_is_recorded_by_correcting_the_guides_after_they_were_indexed(
    fieldguide_with, embedder, toy_folder, tmp_path, monkeypatch
):
    """The guides say 2,000 now; the index was made when they said 3,000."""
    model = ScriptedModel(["The queen lays up to 3,000 eggs a day."] * 2)
    monkeypatch.setattr(Fieldguide, "_load_embedder", lambda *_: embedder)
    monkeypatch.setattr(Fieldguide, "_load_model", lambda *_: model)
    monkeypatch.setitem(RUNS, "stale", replace(RUNS["stale"], question="How many eggs?", corrected=("3,000", "2,000")))
    fieldguide = fieldguide_with(model)
    list(fieldguide.loading())
    list(record_all(fieldguide, tmp_path / "runs", ["stale"]))
    trace = load_folder(tmp_path / "runs")["stale"]
    assert any("3,000 eggs" in text for text in trace.passages)
    assert trace.made_with.corpus != corpus_hash(read_folder(toy_folder))
    assert "2,000 eggs" in (toy_folder / "bees.md").read_text()
    fieldguide.close()


def test_the_stale_run_cites_what_the_guides_no_longer_say():
    trace = shipped()["stale"]
    old, new = RUNS["stale"].corrected
    assert old in trace.answer.text
    assert new not in trace.answer.text
    html = run_shown(View(trace, now=GUIDES), "stale")
    assert "The guides as they are now do not say this sentence" in html
    assert corpus_hash(GUIDES)[:16] in html
    assert trace.made_with.corpus[:16] in html
    assert "fl-gone" not in run_shown(View(shipped()["gan"], GUIDES), "gan")


def test_the_recorded_experiments_show_what_the_lessons_and_failures_say_of_them():
    said = {name: trace.answer.text for name, trace in shipped().items()}
    assert "2014" in said["gan"]
    assert "1998" in said["swapped"]
    assert "cheese" not in said["poisoned"]
    assert "2014" in said["poisoned"]
    assert "2014" in said["contradiction"]
    assert "2016" in said["contradiction"]
    assert shipped()["refusal"].answer.abstained
    assert not shipped()["alone"].passages
    assert shipped()["gan"].passages[0] not in shipped()["removed"].passages


def test_plots_draw_the_numbers_of_the_run():
    trace = shipped()["gan"]
    view, search = View(trace, GUIDES), trace.search

    def drawn(stage: str) -> list[dict]:
        return [content for _, content, _ in plots_of(next(s for s in STAGES if s.name == stage).inside(view))]

    by_meaning, by_keywords = drawn("search")
    assert by_meaning["values"] == [p.by_meaning for p in search.passages]
    assert by_keywords["values"] == [p.by_keywords for p in search.passages]
    assert [strip["values"] for strip in drawn("vectors")] == [list(v) for v in (search.vector, *search.vectors.values())]
    (on_the_map,) = drawn("map")
    assert set(zip(on_the_map["x"], on_the_map["y"], strict=True)) == {(p.x, p.y) for p in search.passages}
    assert on_the_map["question"] == [search.x, search.y]
    (parts,) = drawn("prompt")
    assert sum(parts["series"][0]["values"]) == sum(part.tokens for part in trace.last(Prompted).parts)
    tokens, _ = drawn("answer")
    assert tokens["values"] == [math.exp(token.log_probability) for token in trace.all(Token)]
    (lost,) = drawn("influence")
    assert lost["series"][0]["values"] == pytest.approx(
        [abs(trace.influence.whole - n) for n in trace.influence.without], abs=1e-3
    )
    (took,) = drawn("timings")
    assert [series["values"] for series in took["series"]] == [list(durations(trace).values()), list(trace.cold.values())]


def test_what_learners_are_told_after_guessing_is_so_in_the_recorded_runs():
    runs = shipped()
    ranks = [(p.rank_by_keywords, p.rank_by_meaning) for p in runs["nerf"].search.passages]
    assert any(words == 1 and meaning > 100 for words, meaning in ranks)
    best = runs["gan"].last(Retrieved).result.hits[0].chunk.passage
    assert [part.text.strip() for part in runs["gan"].last(Prompted).parts if part.kind == "passage"][-1] == best
    assert not runs["refusal"].first(Gated).answerable
    assert not runs["refusal"].all(Token)
    cited, alone = (runs[name].influence.whole - runs[name].influence.without[0] for name in ("gan", "removed"))
    assert cited < math.log(2)
    assert alone > math.log(1_000_000)
    assert max(runs["gan"].cold, key=runs["gan"].cold.get) == "reading"


def test_the_teachers_guide_names_every_lesson_and_every_run():
    guide = (locations.guides_folder().parent / "docs" / "teach.md").read_text(encoding="utf-8")
    for number, lesson in enumerate(LESSONS, 1):
        assert f"| {number}. {lesson.title} | `?lesson={lesson.name}` | {lesson.task} |" in guide
    for name in RUNS:
        assert f"`{name}`" in guide


@pytest.mark.parametrize("stage", STAGES, ids=lambda stage: stage.name)
def test_one_passage_is_followed_through_every_stage_by_name_and_colour(stage):
    view = View(shipped()["gan"], GUIDES)
    name = view.letters[view.followed.chunk.id]
    assert f"<b class='fl-letter fl-followed'>{name}</b>" in followed_shown(view, stage.name)


def test_the_prompt_is_shown_word_for_word():
    for trace in shipped().values():
        parts = re.findall(
            r"<span class='fl-part[^>]*>(?:<b class='fl-letter[^>]*>\w</b>)?(.*?)</span>", prompt_stage(View(trace)), re.S
        )
        assert html_text("".join(parts)) == "".join(part.text for part in trace.last(Prompted).parts)


def plots_of(html: str) -> list[tuple[str, dict, str]]:
    """Every plot: its kind, what is drawn, and what stands behind it."""
    found = re.findall(
        r"<figure class='fl-plot' data-plot='(\w+)' data-content='([^']*)'.*?</figure>(<details.*?</details>)?", html
    )
    return [(kind, json.loads(html_text(content)), behind) for kind, content, behind in found]


@pytest.mark.parametrize("name", RUNS)
def test_every_plot_has_a_table_with_all_its_numbers_behind_it(name):
    plots = plots_of(run_shown(View(shipped()[name], GUIDES), name))
    assert {"columns", "rows"} <= {kind for kind, _, _ in plots} or name == "refusal"
    for kind, content, behind in plots:
        points = content.get("values") or content.get("labels") or content.get("x") or []
        lines = behind.count("<tr>") - 1
        assert behind
        assert lines == (-(-len(points) // 8) if kind == "strip" else len(points)), kind


def test_a_job_that_breaks_as_nobody_thought_of_says_so(fieldguide_with, monkeypatch):
    fieldguide = fieldguide_with(ScriptedModel())
    laboratory = Laboratory(fieldguide)

    def broken(**_: object):
        raise RuntimeError("no such tensor")

    monkeypatch.setattr(fieldguide, "loading", broken)
    job = laboratory.begin({"question": "How many eggs?"})["job"]
    while not (reply := laboratory.progress({"job": job}))["done"]:
        time.sleep(0.01)
    assert reply["failure"] == "Something broke inside Fieldguide (RuntimeError: no such tensor). Please report it."


def test_marks_do_not_overlap_and_escape_what_they_mark():
    assert marked("a<b>c", [(1, 4, "class='x'"), (2, 5, "class='y'")]) == "a<mark class='x'>&lt;b&gt;</mark>c"


def test_tables_and_bars_escape_their_cells():
    assert "<b>" not in table("t", ("<b>",), [("<b>",)])
    assert "<b>" not in bars("<b>", [("<b>'", 1.0, "<b>")], 1.0)


def test_a_shipped_run_is_not_measured_anew(fieldguide_with):
    fieldguide = fieldguide_with(ScriptedModel())
    assert "Only a run of your own" in Laboratory(fieldguide).measure({"trace": "gan"})["failure"]
    fieldguide.close()
