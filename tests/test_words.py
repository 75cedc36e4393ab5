"""What counts as content, number, name and denial."""

import pytest

from fieldguide.words import content_words, denied_stems, folded, is_negated, names, numbers, opening_stem


def test_content_words_leave_out_mere_grammar():
    assert content_words("What is the hive of a bee?") == {"hive", "bee"}


def test_content_words_are_stems_of_six_letters():
    assert content_words("diffusion") == content_words("Diffusing") == {"diffus"}


def test_content_words_ignore_accents():
    assert content_words("naïve café") == content_words("naive cafe")


def test_content_words_of_grammar_alone_are_none():
    assert content_words("What is it, and how?") == set()


def test_content_words_of_an_empty_text_are_none():
    assert content_words("") == set()


def test_content_words_keep_a_text_in_another_script():
    assert content_words("пчела") == {"пчела"}


@pytest.mark.parametrize("dash", ["—", "–", "\u2011"])
def test_a_dash_parts_words(dash):
    assert content_words(f"hives{dash}trees") == {"hives", "trees"}


def test_straight_and_curly_apostrophes_give_the_same_words():
    assert content_words("the queen’s eggs") == content_words("the queen's eggs")


def test_a_word_in_another_script_is_kept_beside_english_words():
    assert "москва" in content_words("Hives of Москва")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20,000 to 60,000 bees", {"20000", "60000"}),
        ("1,000,000 bees", {"1000000"}),
        ("37 metres in 1911", {"37", "1911"}),
        ("3.14 and 2.5", {"3.14", "2.5"}),
        ("It is 37.", {"37"}),
        ("sides 1,2 and 3", {"1,2", "3"}),
        ("GPT-4.5", {"4.5"}),
        ("no number", set()),
    ],
)
def test_numbers_are_found_without_thousands_separators(text, expected):
    assert numbers(text) == expected


def test_names_are_words_with_a_capital():
    assert names("It was built by Marta Jevons for the U-Net at MIT.") == {"marta", "jevon", "u-net", "mit"}


def test_a_capital_that_only_opens_a_sentence_makes_no_name():
    assert names("Bees fly. Wasps sting! Who knows? Note: Ants walk.") == set()


@pytest.mark.parametrize(("opening", "name"), [("BERT", "bert"), ("GPT-4.5", "gpt-4.5"), ("Llama3", "llama3")])
def test_an_opening_word_with_another_capital_or_a_digit_is_a_name(opening, name):
    assert names(f"{opening} reads text.") == {name}


def test_a_capital_inside_a_word_makes_a_name():
    assert names("the iPhone and the eBook") == {"iphone", "ebook"}


def test_a_name_and_its_plural_are_the_same():
    assert names("the GANs") == names("the GAN") == {"gan"}


def test_the_one_who_asks_is_no_name():
    assert names("What can I do, and may I ask an LLM?") == {"llm"}


@pytest.mark.parametrize("word", ["VALL-E-like", "VALL-E-based", "VALL-E-style", "VALL-E"])
def test_a_name_and_what_is_like_it_are_the_same(word):
    assert names(f"the {word} models") == {"vall-e"}


@pytest.mark.parametrize(("word", "expected"), [("GANs", "gan"), ("Class", "class"), ("Gas", "gas"), ("VAE", "vae")])
def test_folding_takes_only_the_ending_of_a_plural(word, expected):
    assert folded(word) == expected


def test_the_opening_stem_is_that_of_the_first_word():
    assert opening_stem("Diffusion models draw.") == {"diffus"}


@pytest.mark.parametrize("text", ["The bees fly.", "", "..."])
def test_mere_grammar_or_nothing_has_no_opening_stem(text):
    assert opening_stem(text) == set()


@pytest.mark.parametrize(
    "text",
    ["Bees do not sting.", "They never eat wood.", "Bees cannot swim.", "They don't.", "They don’t.", "None do.", "No bees."],
)
def test_a_denial_is_noticed(text):
    assert is_negated(text)


@pytest.mark.parametrize("text", ["Bees notice a knot.", "The nose knows.", "A noted tower.", ""])
def test_letters_of_a_denial_inside_other_words_deny_nothing(text):
    assert not is_negated(text)


def test_the_three_words_after_a_denial_are_denied():
    assert denied_stems("They do not eat green wood beams.") == {"eat", "green", "wood"}


def test_a_text_without_a_denial_denies_no_words():
    assert denied_stems("They eat wood.") == set()
