"""Numbers are compared however they are written."""

import pytest

from fieldguide.answering.agreement import differ, names_another, values


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It has twenty-four heads.", {"24"}),
        ("It has 24 heads, two of them spare.", {"24", "2"}),
        ("1,200 people", {"1200"}),
        ("two thousand people", {"2000"}),
        ("1.5B parameters", {"1.5e+09"}),
        ("1.5 billion parameters", {"1.5e+09"}),
        ("680k hours", {"680000"}),
        ("on Tuesdays and Friday", {"tuesday", "friday"}),
        ("2033: the institute releases it.", {"2033"}),
        ("one of them", set()),
        ("Phi-3.5, 8x7B, GPT-4 and arXiv:2112.10752", set()),
        ("", set()),
    ],
)
def test_values_of_a_text(text, found):
    assert values(text) == found


@pytest.mark.parametrize(
    ("answer", "other", "differs"),
    [
        ("Tarn was released in March 2031.", "The laboratory released Tarn in 2032.", True),
        ("Tarn was released in March 2031.", "Tarn was released in 2031.", False),
        ("Tarn has 12 experts.", "Tarn has sixteen experts.", True),
        ("Tarn has 12 experts.", "Tarn has twelve experts.", False),
        ("It has 12 experts.", "Orme has 16 experts.", True),  # which one "it" is, code cannot know
        ("Tarn has 12 experts.", "Orme has 16 experts.", False),
        ("Tarn lasts 11 hours.", "Tarn lasts from 9 to 14 hours.", False),
        ("Tarn lasts 11 hours.", "Tarn lasts from 12 to 14 hours.", True),
        ("Tarn is 8 km long.", "Tarn is about five miles long.", False),
        ("Tarn is 8 km long.", "Tarn is 9 km long.", True),
        ("Tarn is collected on Tuesdays.", "Tarn is collected each Thursday.", True),
        ("Tarn has no experts.", "Tarn has 12 experts.", False),
    ],
)
def test_two_answers_to_the_same_question(answer, other, differs):
    assert differ(answer, other, "What about the model Tarn?") == differs


def test_numbers_of_the_question_do_not_count():
    assert not differ(
        "Of the 12 parts of Tarn, three move.", "Tarn has 12 parts; three move.", "How many of the 12 parts move?"
    )
    assert differ("Of the 12 parts of Tarn, three move.", "Of 12 parts, five move.", "How many of the 12 parts move?")


@pytest.mark.parametrize(
    ("text", "another"),
    [
        ("Cobalt Wren Mini has 8 experts.", True),
        ("Cobalt Wren 2 has 8 experts.", True),
        ("Cobalt Wren has 8 experts.", False),
        ("Unlike Cobalt Wren Mini, Cobalt Wren has 8 experts.", False),
        ("The model has 8 experts.", False),
    ],
)
def test_a_sibling_has_a_longer_name(text, another):
    assert names_another("How many experts does Cobalt Wren have?", text) == another
