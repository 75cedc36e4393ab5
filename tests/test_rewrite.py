import pytest

from fieldguide.answering.rewrite import depends_on_history, standalone
from fieldguide.types import Turn

HISTORY = [Turn("user", "Who built the Quillon lighthouse?"), Turn("assistant", "Marta Jevons built it.")]


@pytest.mark.parametrize("question", ["When was it built?", "And why?", "What about the others?", "How tall is that?"])
def test_a_follow_up_is_searched_with_the_question_before(question):
    result = standalone(question, HISTORY)
    assert result.search_text == f"Who built the Quillon lighthouse? Marta Jevons built it. {question}"
    assert result.earlier_question == HISTORY[0].content
    assert result.changed


@pytest.mark.parametrize("question", ["How many eggs does a queen bee lay a day?", "Which tides come at full moon?"])
def test_a_question_that_stands_alone_does_not_drag_the_old_topic_along(question):
    assert standalone(question, HISTORY).search_text == question
    assert not standalone(question, HISTORY).changed


def test_a_chain_of_follow_ups_goes_back_to_the_question_that_names_something():
    history = [*HISTORY, Turn("user", "How tall is it?"), Turn("assistant", "37 metres.")]
    result = standalone("Is that tall?", history)
    assert result.earlier_question == "Who built the Quillon lighthouse? How tall is it?"


def test_a_follow_up_that_names_a_new_subject_leaves_the_old_one_behind():
    history = [*HISTORY, Turn("user", "And what does CLIP learn from?"), Turn("assistant", "From images and captions.")]
    result = standalone("How many pairs of them were required?", history)
    assert result.search_text == (
        "And what does CLIP learn from? From images and captions. How many pairs of them were required?"
    )


@pytest.mark.parametrize(
    ("answer", "joined"),
    [
        ("It was built by Marta Jevons in 1911. " + "She then built a pier of oak. " * 10, 6),
        ("It stands on " + "rock and " * 50, 0),
    ],
    ids=["sentences", "one long sentence"],
)
def test_of_a_long_answer_the_first_whole_sentences_or_words_are_joined(answer, joined):
    text = standalone("When was it built?", [HISTORY[0], Turn("assistant", answer)]).search_text
    start = text.removeprefix(f"{HISTORY[0].content} ").removesuffix(" When was it built?")
    assert 150 < len(start) <= 200
    assert answer.startswith(f"{start} ")
    assert start.count(".") == joined


def test_an_ordinal_points_into_the_last_answer():
    assert depends_on_history("Which examples of the second component are named?")
    assert not depends_on_history("Which model came first, BERT or GPT?")


def test_without_history_nothing_is_added():
    assert standalone("What is it?", []).search_text == "What is it?"


def test_only_what_users_asked_is_joined():
    assert standalone("When was it built?", [Turn("assistant", "The lighthouse at Quillon is old.")]).earlier_question == ""


def test_one_word_is_a_question_of_its_own():
    assert not depends_on_history("LoRA?")


@pytest.mark.parametrize(
    "question",
    [
        "What did it cost to train Midjourney?",
        "How long does it take to train CLIP?",
        "Is it possible to run Whisper on a laptop?",
        "Is it true that GANs are older than VAEs?",
    ],
)
def test_an_it_that_stands_for_what_follows_does_not_point_back(question):
    assert not depends_on_history(question)


@pytest.mark.parametrize("question", ["How long does it take to train?", "What did it cost?", "Does it know what CLIP knows?"])
def test_an_it_without_a_subject_of_its_own_points_back(question):
    assert depends_on_history(question)


@pytest.mark.parametrize(
    "question",
    [
        "My phone turns what I say into text. Which kind of model does that?",
        "I have a laptop with 8 GB of memory. Can it run Llama?",
        "Who made Whisper? When did it appear?",
    ],
)
def test_a_word_that_points_into_an_earlier_sentence_of_the_question_does_not_point_back(question):
    assert not depends_on_history(question)


@pytest.mark.parametrize(
    "question",
    ["Thanks, that helps a lot. Which one is faster?", "I see. How does it work?", "OK. And why?", "You said 37 metres. Why?"],
)
def test_a_sentence_about_the_last_answer_does_not_say_what_the_next_one_is_about(question):
    assert depends_on_history(question)


@pytest.mark.parametrize(
    ("typed", "asked"),
    [
        ("Whisper", "What is Whisper?"),
        ("BLIP-2 ?", "What is BLIP-2?"),
        ("Phi-3.5?", "What is Phi-3.5?"),
        ("What?", "What?"),
        ("latent diffusion", "latent diffusion"),
        ("Who built it?", "Who built it?"),
    ],
)
def test_a_word_alone_is_asked_as_the_question_that_it_stands_for(typed, asked):
    assert standalone(typed, ()).question == asked
    assert standalone(typed, ()).search_text == typed


def test_a_word_that_points_back_stays_as_it_is():
    assert standalone("Why?", HISTORY).question == "Why?"
