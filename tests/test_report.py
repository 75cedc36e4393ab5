"""From rows of answers to figures worked by hand, the stage that lost each miss, and two runs compared."""

import pytest

from fieldguide.errors import EvaluationError
from fieldguide.evaluation.markdown import as_markdown
from fieldguide.evaluation.questions import Question
from fieldguide.evaluation.report import compare, figures, judge, share
from fieldguide.evaluation.run import Run
from fieldguide.types import Chunk

FACT = "It is 37 metres tall."
HEIGHT = (("37 metres",),)


def question(i="q", must=HEIGHT, *, kind="fact", abstain=False, passages=(), sources=(), must_not=()) -> Question:
    return Question(i, kind, f"Question {i}?", (), must, must_not, abstain, passages, sources)


def passage(text: str, document="d.md", section="Guide > Heading") -> dict:
    return {"rank": 1, "document": document, "section": section, "text": text, "score": 0.5}


def citation(text: str) -> dict:
    return {"marker": 1, "document": "d.md", "section": "S", "quote": text, "passage": text}


def row(i="q", answer="", *, abstained=False, retrieved=(), cited=(), markers=(), first=1.0, retrieve=0.1) -> dict:
    return {
        "id": i,
        "question": f"Question {i}?",
        "answer": answer,
        "abstained": abstained,
        "sentences": [{"text": "S.", "verdict": "supported", "markers": list(found)} for found in markers],
        "citations": [citation(text) for text in cited],
        "retrieved": [passage(found) if isinstance(found, str) else found for found in retrieved],
        "timings": {"rewrite_s": 0.0, "retrieve_s": retrieve, "first_token_s": first, "total_s": 2.0},
        "tokens": {"prompt": 1, "reused": 0, "generated": 1},
    }


def chunk(text: str) -> Chunk:
    return Chunk("c", "d.md", "Guide", ("Guide", "Heading"), text, 0, len(text))


def judged_one(asked: Question, answered: dict, corpus=(FACT,), passages_read=2):
    (judged,) = judge([asked], [answered], [chunk(text) for text in corpus], passages_read, "end-to-end")
    return judged


def report_on(questions, rows, mode="end-to-end", corpus=(FACT,)) -> dict:
    judged = judge(questions, rows, [chunk(text) for text in corpus], 2, mode)
    return figures(questions, rows, judged, Run(mode, {"corpus": "toy"}))


def count(figure: dict) -> tuple[int, int]:
    return figure["count"], figure["of"]


def test_a_right_answer_was_lost_nowhere():
    judged = judged_one(question(), row(answer=FACT))
    assert (judged.right, judged.lost_at) == (True, "")


WRONG = "It is 40 metres tall."
LOST = {
    "not in the corpus": (["Bees hum."], row(answer=WRONG, retrieved=["Bees hum."])),
    "not retrieved": ([FACT], row(answer=WRONG, retrieved=["Bees hum."])),
    "not packed": ([FACT], row(answer=WRONG, retrieved=["Bees hum.", "Wasps hum.", FACT])),
    "refused wrongly": ([FACT], row(abstained=True, retrieved=["Bees hum.", FACT])),
    "not used": ([FACT], row(answer=WRONG, retrieved=["Bees hum.", FACT])),
}


@pytest.mark.parametrize("stage", LOST)
def test_a_miss_is_laid_to_the_first_stage_that_lost_the_fact(stage):
    corpus, answered = LOST[stage]
    assert judged_one(question(), answered, corpus).lost_at == stage


def test_a_refusal_for_want_of_the_fact_is_laid_to_the_search():
    assert judged_one(question(), row(abstained=True, retrieved=["Bees hum."])).lost_at == "not retrieved"


def test_an_unanswerable_question_that_was_answered_was_not_refused():
    assert judged_one(question(must=(), abstain=True), row(answer=WRONG)).lost_at == "not refused"


def test_a_row_with_its_own_passages_is_never_laid_to_corpus_or_packing():
    asked = question(passages=(("T", "Bees."), ("T", "Wasps."), ("T", FACT)))
    judged = judged_one(asked, row(answer=WRONG, retrieved=["Bees.", "Wasps.", FACT]), corpus=["Bees hum."])
    assert judged.lost_at == "not used"


def test_failed_and_skipped_rows_are_not_judged():
    questions = [question("a"), question("b"), question("c")]
    rows = [{"id": "a", "error": "broke"}, {"id": "b", "skipped": "no sources"}, row("c", FACT)]
    assert [judged.question.id for judged in judge(questions, rows, [], 2, "end-to-end")] == ["c"]


def test_a_share_carries_count_total_and_wilsons_interval():
    assert share([True] * 8 + [False] * 2) == {
        "count": 8,
        "of": 10,
        "share": 0.8,
        "interval": [pytest.approx(0.49016, abs=1e-4), pytest.approx(0.94332, abs=1e-4)],
    }


def test_a_share_of_nothing_is_no_share():
    assert share([])["share"] is None


def test_failed_and_skipped_rows_are_counted_apart():
    questions = [question("a"), question("b"), question("c")]
    content = report_on(questions, [{"id": "a", "error": "It broke."}, {"id": "b", "skipped": "none"}, row("c", FACT)])
    assert (content["questions"], content["failed"], content["skipped"]) == (3, {"a": "It broke."}, 1)
    assert count(content["answers"]["right"]["answerable"]) == (1, 1)


def test_right_answers_are_counted_by_kind_and_over_all_that_can_be_answered():
    questions = [question("a"), question("b"), question("c", kind="table"), question("d", (), kind="none", abstain=True)]
    rows = [row("a", FACT), row("b", WRONG), row("c", FACT), row("d", abstained=True)]
    right = report_on(questions, rows)["answers"]["right"]
    assert count(right["answerable"]) == (2, 3)
    assert {kind: count(figure) for kind, figure in right["by_kind"].items()} == {
        "fact": (1, 2),
        "table": (1, 1),
        "none": (1, 1),
    }


def test_a_kind_called_answerable_does_not_replace_the_total():
    questions = [question("a", kind="answerable"), question("b")]
    right = report_on(questions, [row("a", FACT), row("b", WRONG)])["answers"]["right"]
    assert count(right["answerable"]) == (1, 2)


def test_refusals_are_counted_where_they_are_right_and_where_they_are_wrong():
    questions = [question("a"), question("b"), question("c", (), abstain=True), question("d", (), abstain=True)]
    rows = [row("a", abstained=True), row("b", FACT), row("c", abstained=True), row("d", WRONG)]
    answers = report_on(questions, rows)["answers"]
    assert count(answers["refused_rightly"]) == (1, 2)
    assert count(answers["refused_wrongly"]) == (1, 2)


def test_a_right_answer_is_cited_when_its_citations_together_hold_the_facts():
    asked = question(must=(("Jevons",), ("37 metres",)))
    said = "Jevons built it, 37 metres tall."
    rows = [
        row("a", said, cited=["Jevons built it."]),  # half of the facts
        row("b", said, cited=["Jevons built it.", FACT]),
        row("c", said),
        row("d", WRONG, cited=["Jevons built it.", FACT]),  # wrong: not asked for its citations
    ]
    questions = [question(i, asked.must) for i in "abcd"]
    answers = report_on(questions, rows)["answers"]
    assert count(answers["right_answers_with_a_citation_that_holds_the_fact"]) == (1, 3)


def test_a_citation_holds_a_fact_when_any_group_is_in_it():
    asked = question(must=(("Jevons",), ("37 metres",)))
    answers = report_on([asked], [row(answer="Well.", cited=["Jevons built it.", FACT, "Bees hum."])])["answers"]
    assert count(answers["citations_that_hold_the_fact"]) == (2, 3)


def test_sentences_with_a_marker_are_counted_over_all_sentences():
    rows = [row("a", FACT, markers=[(1,), ()]), row("b", FACT, markers=[(1, 2)])]
    answers = report_on([question("a"), question("b")], rows)["answers"]
    assert count(answers["sentences_with_a_citation"]) == (2, 3)


def test_the_first_token_is_timed_over_the_answers_that_have_one():
    rows = [row("a", FACT, first=1.0), row("b", FACT, first=4.0), row("c", abstained=True, first=None)]
    answers = report_on([question("a"), question("b"), question("c")], rows)["answers"]
    assert answers["first_token_s"] == {"median": 2.5, "most": 4.0}


def test_misses_are_listed_with_the_stage_and_counted_by_it():
    rows = [row("a", FACT), row("b", WRONG, retrieved=[FACT]), row("c", WRONG, retrieved=["Bees."])]
    content = report_on([question("a"), question("b"), question("c")], rows)
    assert [(miss["id"], miss["answer"], miss["lost_at"]) for miss in content["misses"]] == [
        ("b", WRONG, "not used"),
        ("c", WRONG, "not retrieved"),
    ]
    assert content["answers"]["lost_at"] == {"not used": 1, "not retrieved": 1}


def test_ranks_of_the_first_passage_with_the_fact_by_hand():
    # ranks 1, 2 and none: hit@1 1/3, hit@5 2/3, MRR (1 + 1/2 + 0) / 3, nDCG (1 + 0.63093 + 0) / 3
    rows = [row("a", retrieved=[FACT]), row("b", retrieved=["Bees.", FACT]), row("c", retrieved=["Bees."])]
    over = report_on([question("a"), question("b"), question("c")], rows, "retrieval")["retrieval"]["all"]
    assert (count(over["hit_1"]), count(over["hit_5"])) == ((1, 3), (2, 3))
    assert over["mrr"] == pytest.approx(0.5)
    assert over["ndcg_10"] == pytest.approx(0.54364, abs=1e-5)


def test_a_fact_in_sixth_place_is_no_hit_among_five():
    over = report_on([question()], [row(retrieved=["Bees."] * 5 + [FACT])], "retrieval")["retrieval"]["all"]
    assert count(over["hit_5"]) == (0, 1)


def test_facts_are_found_within_the_characters_that_were_read():
    over = report_on([question()], [row(retrieved=["x" * 1500, FACT])], "retrieval")["retrieval"]["all"]
    assert [count(over[f"found_{n}"]) for n in (1000, 2000, 3000)] == [(0, 1), (1, 1), (1, 1)]


def test_a_passage_of_a_named_section_is_relevant_whatever_it_says():
    asked = question(sources=("d.md#Heading",))
    over = report_on([asked], [row(retrieved=["Bees."])], "retrieval")["retrieval"]["all"]
    assert count(over["hit_1"]) == (1, 1)


def test_a_section_of_that_name_in_another_guide_is_not_relevant():
    asked = question(sources=("other.md#Heading",))
    over = report_on([asked], [row(retrieved=["Bees."])], "retrieval")["retrieval"]["all"]
    assert count(over["hit_1"]) == (0, 1)


def test_searches_are_timed_by_their_median_in_milliseconds():
    rows = [row("a", retrieve=0.01), row("b", retrieve=0.02), row("c", retrieve=0.9)]
    over = report_on([question("a"), question("b"), question("c")], rows, "retrieval")["retrieval"]["all"]
    assert over["median_ms"] == pytest.approx(20)


def test_retrieval_is_judged_over_questions_that_the_guides_answer():
    questions = [question("a"), question("b", (), abstain=True), question("c", passages=(("T", FACT),))]
    content = report_on(questions, [row("a", retrieved=[FACT]), row("b"), row("c", retrieved=[FACT])], "retrieval")
    assert content["retrieval"]["all"]["hit_1"]["of"] == 1
    assert content["right"] == {"a": True}


def test_in_retrieval_mode_a_question_is_right_when_its_fact_is_in_3000_characters():
    rows = [row("a", retrieved=["x" * 2900, FACT]), row("b", retrieved=["x" * 3000, FACT])]
    content = report_on([question("a"), question("b")], rows, "retrieval")
    assert content["right"] == {"a": True, "b": False}
    assert [miss["id"] for miss in content["misses"]] == ["b"]


@pytest.mark.parametrize(
    ("mode", "sections"),
    [
        ("end-to-end", {"answers", "retrieval"}),
        ("oracle", {"answers"}),
        ("no-retrieval", {"answers"}),
        ("retrieval", {"retrieval"}),
    ],
)
def test_a_report_has_the_figures_that_its_mode_can_have(mode, sections):
    assert {"answers", "retrieval"} & report_on([question()], [row(answer=FACT)], mode).keys() == sections


def test_a_report_of_no_questions_is_still_a_report():
    assert "| questions | 0 (0 skipped, 0 failed) |" in as_markdown(report_on([], []))


def run_with(right: dict[str, bool], mode="end-to-end", corpus="toy") -> dict:
    return {"run": {"mode": mode, "corpus": corpus}, "right": right}


def test_two_runs_are_compared_question_by_question():
    # 5 better, 1 worse of 8: McNemar 2 * (1 + 6) / 2^6
    old = run_with({i: i in "fgh" for i in "abcdefgh"})
    new = run_with({i: i not in "f" for i in "abcdefgh"})
    compared = compare(new, old)
    assert (compared["questions"], compared["better"], compared["worse"]) == (8, 5, 1)
    assert compared["difference"] == pytest.approx(0.5)
    assert compared["p_value"] == pytest.approx(14 / 64)


def test_only_questions_that_both_runs_have_are_compared():
    assert compare(run_with({"a": True, "b": True}), run_with({"b": False, "c": True}))["questions"] == 1


@pytest.mark.parametrize(
    ("other", "named"), [({"corpus": "other"}, "corpus"), ({"mode": "oracle"}, "mode")], ids=["corpus", "mode"]
)
def test_runs_over_different_guides_or_in_different_modes_are_not_compared(other, named):
    with pytest.raises(EvaluationError, match=f"differ in {named}"):
        compare(run_with({"a": True}), run_with({"a": True}, **other))


def test_runs_without_a_common_question_are_not_compared():
    with pytest.raises(EvaluationError, match="share no question"):
        compare(run_with({"a": True}), run_with({"b": True}))


def test_the_markdown_gives_share_interval_and_count():
    questions = [question(str(number)) for number in range(10)]
    rows = [row(str(number), FACT if number < 8 else WRONG) for number in range(10)]
    assert "| answerable questions right | 80.0% | 49 to 94% | 8 of 10 |" in as_markdown(report_on(questions, rows))


def test_the_markdown_gives_ranks_in_one_line_per_kind():
    rows = [row("a", retrieved=[FACT], retrieve=0.012), row("b", retrieved=["Bees.", FACT], retrieve=0.012)]
    text = as_markdown(report_on([question("a"), question("b")], rows, "retrieval"))
    assert "| fact | 100.0% | 100.0% | 100.0% | 50.0% | 100.0% | 0.75 | 0.82 | 12 | 2 |" in text


def test_the_markdown_names_every_miss_and_every_failure():
    text = as_markdown(report_on([question("a"), question("b")], [row("a", WRONG), {"id": "b", "error": "It broke."}]))
    assert f"| a | Question a? | {WRONG} | not retrieved |" in text
    assert "- `b` failed: It broke." in text


def test_an_answer_with_a_bar_or_a_line_break_stays_in_its_cell():
    assert "| one / two three |" in as_markdown(report_on([question()], [row(answer="one | two\nthree")]))


def test_the_markdown_of_a_comparison_gives_points_and_p():
    content = report_on([question("a")], [row("a", FACT)])
    compared = {"questions": 8, "better": 5, "worse": 1, "difference": 0.5, "interval": [0.1, 0.9], "p_value": 0.21875}
    text = as_markdown({**content, "comparison": compared})
    assert "5 questions better, 1 worse of 8: +50.0 points (95% interval +10.0 to +90.0, McNemar p = 0.219)." in text
