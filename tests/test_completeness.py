import pytest

from fieldguide.answering.completeness import note_on_completeness


@pytest.mark.parametrize(
    "question",
    [
        "List all models that make video.",
        "Name every open model in the guides.",
        "How many architectures are described?",
        "How many open models do the guides name?",
        "What are all the uses of GANs?",
        "Give me a complete list of the guides.",
    ],
)
def test_who_wants_all_is_told_that_not_all_was_read(question):
    assert note_on_completeness(question, 4) == "Only the 4 closest passages were read: there may be more in the guides."


@pytest.mark.parametrize(
    "question",
    ["How many parameters does BLOOM have?", "Name the two halves of a GAN.", "Is attention all you need?", "What is a list?"],
)
def test_other_questions_get_no_note(question):
    assert note_on_completeness(question, 4) == ""
