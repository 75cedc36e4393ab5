"""Sentences keep their place, and what stands on a line of its own stays whole."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldguide.sentences import Span, split_sentences

# Pieces that make trouble: abbreviations, decimals, marks, lists, tables, blank lines, letters of several bytes.
PIECES = [
    *"ab. \n|-*)?!\"'(:#\t`A,é—’。😀",
    "e.g. ",
    "Dr. ",
    "3.5",
    "1. ",
    "- ",
    "\n\n",
    "| a |\n",
    "**Bold.** ",
    "A\u00a0",
    "\u200b",
    "\x00",
]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)


def texts(text: str) -> list[str]:
    return [span.text for span in split_sentences(text)]


def test_a_span_says_where_its_sentence_stands():
    assert split_sentences("  Bees fly.\nThey buzz! ") == [Span("Bees fly.", 2, 11), Span("They buzz!", 12, 22)]


@given(TEXTS)
@settings(derandomize=True, max_examples=300, deadline=None)
def test_every_span_is_exactly_the_text_at_its_offsets(text):
    for span in split_sentences(text):
        assert text[span.start : span.end] == span.text


@given(TEXTS)
@settings(derandomize=True, max_examples=300, deadline=None)
def test_spans_come_in_order_and_do_not_overlap(text):
    spans = split_sentences(text)
    assert all(before.end <= after.start for before, after in pairwise(spans))


@given(TEXTS)
@settings(derandomize=True, max_examples=300, deadline=None)
def test_a_span_has_something_to_say_and_no_blanks_around_it(text):
    for span in split_sentences(text):
        assert span.text
        assert span.text == span.text.strip()


@given(TEXTS)
@settings(derandomize=True, max_examples=300, deadline=None)
def test_only_blanks_and_rules_are_left_out(text):
    inside = {place for span in split_sentences(text) for place in range(span.start, span.end)}
    left_out = {text[place] for place in range(len(text)) if place not in inside}
    assert all(mark.isspace() or mark in "|:-" for mark in left_out)


@pytest.mark.parametrize("text", ["", " \n\t\n ", "\n\n"])
def test_blank_text_has_no_sentences(text):
    assert split_sentences(text) == []


def test_a_question_and_an_exclamation_end_a_sentence():
    assert texts("Do bees fly? They do! Always.") == ["Do bees fly?", "They do!", "Always."]


@pytest.mark.parametrize(
    "sentence",
    [
        "Dr. Jevons built it.",
        "Some insects, e.g. bees, live in hives.",
        "Bees, i.e. honeybees, dance.",
        "See Fig. 3 for the hive.",
        "It stands in the U.S. coast guard's list.",
        "Bees vs. wasps is an old match.",
    ],
)
def test_an_abbreviation_does_not_end_a_sentence(sentence):
    assert texts(f"{sentence} Bees fly.") == [sentence, "Bees fly."]


@pytest.mark.parametrize("sentence", ["It is 3.5 metres tall.", "Use v1.2.3 of it.", "It costs 1.500,00 crowns."])
def test_a_point_inside_a_number_does_not_end_a_sentence(sentence):
    assert texts(f"{sentence} Bees fly.") == [sentence, "Bees fly."]


def test_a_sentence_may_run_over_a_line_end():
    assert texts("Bees live\nin hives. They buzz.") == ["Bees live\nin hives.", "They buzz."]


def test_a_blank_line_ends_a_sentence_without_a_full_stop():
    assert texts("Bees\n \nWasps") == ["Bees", "Wasps"]


@pytest.mark.parametrize("mark", ["-", "*", "+", "  -", "1)", "12)"])
def test_list_items_without_full_stops_stand_alone(mark):
    assert texts(f"{mark} flour\n{mark} water") == [f"{mark.strip()} flour", f"{mark.strip()} water"]


def test_a_list_after_a_sentence_stands_apart_from_it():
    assert texts("You need:\n- flour\n- water") == ["You need:", "- flour", "- water"]


def test_the_number_of_a_list_item_stays_with_its_item():
    assert texts("1. Mix the flour.\n2. Bake it.") == ["1. Mix the flour.", "2. Bake it."]


def test_a_dash_inside_a_line_is_no_list_item():
    assert texts("Bees - and wasps - fly.") == ["Bees - and wasps - fly."]


def test_a_table_row_stays_whole_whatever_points_are_in_it():
    assert texts("| It flies. It buzz. | 3.5 |\n| Wasp. | 2 |") == ["| It flies. It buzz. | 3.5 |", "| Wasp. | 2 |"]


def test_the_rule_under_a_table_header_is_no_sentence():
    assert texts("| Name | Built |\n|:---|---:|\n| Quillon | 1911 |") == ["| Name | Built |", "| Quillon | 1911 |"]


@pytest.mark.parametrize("opening", ["**Bees.**", "*Bees.*", 'They said "bees."'])
def test_a_closing_mark_goes_with_the_sentence_it_closes(opening):
    assert texts(f"{opening} Wasps differ.") == [opening, "Wasps differ."]


@pytest.mark.parametrize(
    "blank",
    [
        "\u00a0",
        "\u202f",
        "\u2003",
        "\u3000",
    ],
)
def test_an_unusual_blank_before_a_point_is_no_trouble(blank):
    assert texts(f"This is plan A{blank}. It works.") == [f"This is plan A{blank}.", "It works."]
