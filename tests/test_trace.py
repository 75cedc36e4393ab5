"""Recorded runs: what is kept of a run, its file and back, and the ones that are shipped."""

import json
from dataclasses import replace

import pytest

from fakes import ScriptedModel
from fieldguide import locations
from fieldguide.answering.reader import AnswerOptions
from fieldguide.errors import TraceError
from fieldguide.events import Checked, Finished, Gated, Prompted, Retrieved, Rewritten, Token, as_object
from fieldguide.indexing.documents import corpus_hash, read_folder
from fieldguide.interfaces.learn.shipped import FOLDER, RUNS, earlier_guides, shipped
from fieldguide.trace import Trace, event_from, from_json, record, to_json, with_influence
from fieldguide.types import Turn

QUESTION = "How many eggs does the queen lay?"
GOOD = "The queen lays up to 2,000 eggs a day."


@pytest.fixture
def fieldguide(fieldguide_with):
    fieldguide = fieldguide_with(ScriptedModel([GOOD]))
    yield fieldguide
    fieldguide.close()


def recorded(fieldguide, question=QUESTION, history=(), options=None) -> Trace:
    *events, trace = record(fieldguide, question, history, options)
    assert isinstance(events[-1], Finished)
    return trace


def test_a_trace_holds_every_event_of_the_run_in_order(fieldguide):
    trace = recorded(fieldguide)
    kinds = [type(moment.event) for moment in trace.moments]
    assert kinds[0] is Rewritten
    assert kinds[-1] is Finished
    assert {Retrieved, Prompted, Gated, Token, Checked} <= set(kinds)
    assert [m.seconds for m in trace.moments] == sorted(m.seconds for m in trace.moments)
    assert trace.answer.text == GOOD


def test_a_trace_survives_its_file(fieldguide):
    trace = recorded(fieldguide, "How many does she lay?", (Turn("user", QUESTION), Turn("assistant", GOOD)))
    assert from_json(to_json(trace), "here") == trace


def test_every_event_survives_as_an_object(fieldguide):
    for moment in recorded(fieldguide).moments:
        assert event_from(json.loads(json.dumps(as_object(moment.event)))) == moment.event


def test_the_search_record_scores_every_passage_as_the_search_did(fieldguide):
    trace = recorded(fieldguide)
    assert {p.id for p in trace.search.passages} == {chunk.id for chunk in fieldguide.chunks()}
    by_id = {p.id: p for p in trace.search.passages}
    for hit in trace.last(Retrieved).result.hits:
        mine = by_id[hit.chunk.id]
        assert (mine.rank, mine.rank_by_keywords, mine.rank_fused) == (hit.rank, hit.rank_by_keywords, hit.rank_fused)
        assert mine.score == pytest.approx(hit.score, abs=0.001)


def test_the_words_of_the_question_are_found_where_they_stand(fieldguide):
    search = recorded(fieldguide).search
    bees = next(match for match in search.matches if "The queen lays" in match.text)
    found = {search.text[slice(*w.question)].lower(): bees.text[slice(*w.passage)].lower() for w in bees.words}
    assert found["queen"] == "queen"
    assert found["eggs"] == "eggs"


def test_given_passages_are_explained_without_a_search(fieldguide):
    list(fieldguide.loading())
    given = tuple(replace(hit.chunk, id=f"{hit.chunk.id}-changed") for hit in fieldguide.search(QUESTION, 2).hits)
    search = recorded(fieldguide, options=AnswerOptions(given=given)).search
    assert {p.id for p in search.passages} == {chunk.id for chunk in given}
    assert [m.id for m in search.matches] == [given[0].id, given[1].id]


def test_a_run_without_the_guides_has_no_search(fieldguide):
    assert recorded(fieldguide, options=AnswerOptions(without_guides=True)).search is None


def test_influence_is_the_answers_loss_when_a_passage_is_gone(fieldguide):
    trace = recorded(fieldguide)
    *steps, measured = with_influence(fieldguide, trace)
    assert steps == list(range(1, len(trace.passages) + 2))
    losses = [measured.influence.whole - number for number in measured.influence.without]
    assert "queen" in trace.passages[losses.index(max(losses))]
    assert max(losses) > 5


def test_a_refusal_has_no_influence_to_measure(fieldguide):
    (trace,) = with_influence(fieldguide, recorded(fieldguide, "Xylophone zebra?"))
    assert trace.influence is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not a whole JSON file"),
        ("[]", "not a trace"),
        ('{"format": "fieldguide-trace", "version": 0}', "has version 0"),
        ('{"format": "fieldguide-trace", "version": 1, "trace": {"moments": [{"event": "Nap", "seconds": 1}]}}', "damaged"),
        ('{"format": "fieldguide-trace", "version": 1}', "damaged"),
    ],
)
def test_what_cannot_be_read_is_told_in_one_line(text, says):
    with pytest.raises(TraceError, match=says) as error:
        from_json(text, "run.json")
    assert "run.json" in str(error.value)
    assert "\n" not in str(error.value)


def test_all_runs_are_shipped_and_small():
    assert set(shipped()) == set(RUNS)
    assert len(RUNS) >= 10
    for path in FOLDER.glob("*.json"):
        assert path.stem in RUNS
        assert path.stat().st_size < 300_000, path.name


def test_shipped_runs_were_recorded_over_the_guides_as_they_are():
    guides = read_folder(locations.guides_folder())
    for name, trace in shipped().items():
        assert trace.made_with.corpus == corpus_hash(earlier_guides(RUNS[name], guides)), (
            f"{name} is out of date; record it again: fieldguide record"
        )
        assert trace.question == RUNS[name].question, f"{name} is out of date; record it again: fieldguide record {name}"
