import pytest

from fieldguide.answering.rewrite import depends_on_history, standalone
from fieldguide.types import Turn

HISTORY = [Turn("user", "Who built the Quillon lighthouse?"), Turn("assistant", "Marta Jevons built it.")]


@pytest.mark.parametrize("question", ["When was it built?", "And why?", "What about the others?", "How tall is that?"])
def test_a_follow_up_is_searched_with_the_question_before(question):
    result = standalone(question, HISTORY)
    assert result.search_text == f"Who built the Quillon lighthouse? {question}"
    assert result.earlier_question == HISTORY[0].content
    assert result.changed


@pytest.mark.parametrize("question", ["How many eggs does a queen bee lay a day?", "Which tides come at full moon?"])
def test_a_question_that_stands_alone_does_not_drag_the_old_topic_along(question):
    assert standalone(question, HISTORY).search_text == question
    assert not standalone(question, HISTORY).changed


def test_a_chain_of_follow_ups_goes_back_to_the_question_that_stands_alone():
    history = [*HISTORY, Turn("user", "And its height?"), Turn("assistant", "37 metres.")]
    assert standalone("Is that tall?", history).earlier_question == "Who built the Quillon lighthouse?"


def test_without_history_nothing_is_added():
    assert standalone("What is it?", []).search_text == "What is it?"


def test_only_what_users_asked_is_joined():
    assert standalone("When was it built?", [Turn("assistant", "The lighthouse at Quillon is old.")]).earlier_question == ""


def test_one_word_is_a_question_of_its_own():
    assert not depends_on_history("LoRA?")
