"""What counts as right, found and cited; and every figure against one worked by hand."""

import math

import pytest

from fieldguide.evaluation import metrics
from fieldguide.evaluation.questions import Question


def question(must=(), must_not=(), *, abstain=False) -> Question:
    return Question("q", "fact", "One?", (), tuple(map(tuple, must)), tuple(must_not), abstain, (), ())


def test_normalising_makes_case_dashes_and_blanks_alike_and_pads_by_one_blank():
    assert metrics.normalized("Twenty\u2013FIVE \n a\u00a0day\u2212or so") == " twenty-five a day-or so "


def test_normalising_joins_letters_and_their_accents():
    assert metrics.normalized("Cafe\u0301") == " café "


def test_normalising_folds_letters_that_have_no_single_small_form():
    assert metrics.normalized("STRASSE") == metrics.normalized("Straße")


@pytest.mark.parametrize(
    ("text", "alternative"),
    [
        ("In 1911.", "1911"),
        ("MARTA jevons", "Marta Jevons"),
        ("20\u201350 rounds", "20-50"),
        ("20-50 rounds", "20\u201450"),
        ("10\u202f000 bees", "10 000"),
        ("ten\nthousand", "ten  thousand"),
        ("two", " two "),  # the text is padded by one blank at each end
        ("There are two bees", " two "),
        ("twofold", " two"),
    ],
)
def test_an_alternative_is_found(text, alternative):
    assert metrics.holds(text, [[alternative]])


@pytest.mark.parametrize(
    ("text", "alternative"),
    [
        ("twofold", " two "),
        ("Twofold", "two "),
        ("one and-two", " two"),
        ("In 1911", "1912"),
        ("two.", " two "),
        ("20 - 50", "20-50"),
    ],
)
def test_an_alternative_is_not_found(text, alternative):
    assert not metrics.holds(text, [[alternative]])


def test_every_group_needs_an_alternative_and_any_will_do():
    groups = [["queen", "female"], ["2,000", "2000"]]
    assert metrics.holds("A female lays 2000.", groups)
    assert not metrics.holds("The queen, a female, lays.", groups)


def test_an_answer_with_the_facts_is_right():
    assert metrics.is_right(question([["2,000"]]), "Up to 2,000 a day.", abstained=False)


def test_an_answer_without_the_facts_is_wrong():
    assert not metrics.is_right(question([["2,000"]]), "Many.", abstained=False)


def test_an_answer_with_the_facts_and_an_error_is_wrong():
    assert not metrics.is_right(question([["2,000"]], ["3,000"]), "2,000 or 3,000.", abstained=False)


def test_an_error_is_looked_for_with_the_blanks_at_its_ends():
    assert metrics.is_right(question([["2,000"]], [" 2 "]), "2,000", abstained=False)
    assert not metrics.is_right(question([["2,000"]], [" 2 "]), "2,000 or 2", abstained=False)


def test_a_refusal_where_an_answer_is_expected_is_wrong_whatever_it_says():
    assert not metrics.is_right(question([["2,000"]]), "2,000", abstained=True)


@pytest.mark.parametrize("abstained", [True, False])
def test_where_a_refusal_is_expected_the_refusal_alone_is_right(abstained):
    assert metrics.is_right(question(abstain=True), "Whatever.", abstained=abstained) is abstained


def test_found_within_counts_the_blank_between_passages_as_a_character():
    passages = ["aaaa", "Jevons"]
    assert metrics.found_within(passages, [["Jevons"]], 11)
    assert not metrics.found_within(passages, [["Jevons"]], 10)


def test_facts_may_be_found_in_different_passages():
    assert metrics.found_within(["the queen", "2,000 eggs"], [["queen"], ["2,000"]], 1000)


@pytest.mark.parametrize(
    ("relevant", "rank"), [([True, False], 1), ([False, False, True, True], 3), ([False, False], None), ([], None)]
)
def test_the_first_relevant_rank_counts_from_one(relevant, rank):
    assert metrics.first_relevant(relevant) == rank


def test_ndcg_of_a_single_hit_in_second_place():
    # (1 / log2 3) / (1 / log2 2)
    assert metrics.ndcg([False, True, False]) == pytest.approx(0.63093, abs=1e-5)


def test_ndcg_of_hits_in_first_and_third_place():
    # (1 + 1/2) / (1 + 1 / log2 3)
    assert metrics.ndcg([True, False, True]) == pytest.approx(1.5 / 1.63093, abs=1e-5)


def test_ndcg_is_one_when_all_hits_come_first():
    assert metrics.ndcg([True, True, False, False]) == pytest.approx(1.0)


@pytest.mark.parametrize("relevant", [[], [False, False], [False] * 10 + [True]])
def test_ndcg_is_zero_without_a_hit_in_the_first_ten(relevant):
    assert metrics.ndcg(relevant) == 0.0


def test_ndcg_with_more_than_ten_hits_is_held_against_the_best_ten():
    assert metrics.ndcg([True] * 12) == pytest.approx(1.0)


def test_the_interval_of_eight_in_ten_is_wilsons():
    # z = 1.96: centre (0.8 + 3.8415/20) / 1.38415 = 0.71674; half (1.96 * sqrt(0.016 + 0.0096036)) / 1.38415 = 0.22657
    assert metrics.interval(8, 10) == pytest.approx((0.49016, 0.94332), abs=1e-4)


def test_the_interval_of_none_in_ten_reaches_up_to_28_percent():
    # z² / (n + z²) = 3.8415 / 13.8415
    assert metrics.interval(0, 10) == pytest.approx((0.0, 0.27753), abs=1e-4)


def test_the_interval_of_nothing_is_everything():
    assert metrics.interval(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("better", "worse", "p"),
    [
        (5, 1, 14 / 64),  # 2 * (1 + 6) / 2^6
        (1, 5, 14 / 64),
        (6, 0, 2 / 64),
        (3, 3, 1.0),
        (0, 0, 1.0),
    ],
)
def test_mcnemar_is_the_exact_two_sided_sign_test(better, worse, p):
    assert metrics.mcnemar(better, worse) == pytest.approx(p)


def test_the_interval_of_a_paired_difference():
    # 6 better and 2 worse of 20: 0.2 with spread 1.96 * sqrt(8 - 16/20) / 20
    spread = 1.96 * math.sqrt(7.2) / 20
    assert metrics.difference_interval(6, 2, 20) == pytest.approx((0.2 - spread, 0.2 + spread))


def test_two_runs_that_agree_differ_by_nothing():
    assert metrics.difference_interval(0, 0, 20) == (0.0, 0.0)


def test_a_paired_difference_is_never_more_than_all():
    assert metrics.difference_interval(9, 1, 10)[1] <= 1.0
