import pytest

from fieldguide.answering.support import SupportChecker
from fieldguide.types import Chunk, Quote

HIVE = Chunk(
    "hive",
    "bees.md",
    "Bees",
    ("Hives",),
    "A hive holds 20,000 to 60,000 bees in summer. The queen lays up to 2,000 eggs a day.",
    0,
    0,
)
TOWER = Chunk(
    "tower",
    "lighthouses.md",
    "Lighthouses",
    ("Quillon",),
    "The Quillon lighthouse was built by Marta Jevons in 1911. It is 37 metres tall.",
    0,
    0,
)
CHUNKS = [HIVE, TOWER]


@pytest.fixture
def checker(embedder):
    return SupportChecker(embedder)


def only(checker, answer):
    sentences, citations = checker.check(answer, CHUNKS)
    assert len(sentences) == 1
    return sentences[0], citations


def test_a_sentence_that_its_source_says_is_supported_with_the_exact_quote(checker):
    sentence, citations = only(checker, "The queen lays up to 2000 eggs a day.")
    assert sentence.verdict == "supported"
    assert sentence.markers == (1,)
    assert citations[0].quote == "The queen lays up to 2,000 eggs a day."
    assert citations[0].quote in citations[0].passage
    assert (citations[0].document, citations[0].section) == ("bees.md", "Hives")


def test_a_changed_number_is_unsupported(checker):
    sentence, citations = only(checker, "The queen lays up to 3,000 eggs a day.")
    assert sentence.verdict == "unsupported"
    assert citations == ()


def test_a_changed_name_is_not_supported(checker):
    sentence, _ = only(checker, "The Quillon lighthouse was built by Otto Lilienthal in 1911.")
    assert sentence.verdict != "supported"


def test_a_denial_of_what_the_source_says_is_not_supported(checker):
    sentence, _ = only(checker, "The queen never lays up to 2,000 eggs a day.")
    assert sentence.verdict != "supported"


def test_a_sentence_from_nowhere_is_unsupported(checker):
    sentence, citations = only(checker, "Pancakes need flour and milk.")
    assert (sentence.verdict, citations) == ("unsupported", ())


def test_a_sentence_made_of_two_source_sentences_cites_both(checker):
    sentence, citations = only(checker, "Marta Jevons built the Quillon lighthouse in 1911, 37 metres tall.")
    assert sentence.verdict == "supported"
    assert [citation.quote for citation in citations] == [
        "The Quillon lighthouse was built by Marta Jevons in 1911.",
        "It is 37 metres tall.",
    ]


def test_the_same_quote_keeps_its_marker(checker):
    answer = "The queen lays up to 2,000 eggs a day. Up to 2,000 eggs a day the queen lays."
    sentences, citations = checker.check(answer, CHUNKS)
    assert [sentence.markers for sentence in sentences] == [(1,), (1,)]
    assert len(citations) == 1


def test_markers_never_point_outside_the_citations(checker):
    answer = "A hive holds 20,000 bees. Marta Jevons built the Quillon lighthouse. Pancakes are round."
    sentences, citations = checker.check(answer, CHUNKS)
    known = {citation.marker for citation in citations}
    assert known == set(range(1, len(citations) + 1))
    assert all(set(sentence.markers) <= known for sentence in sentences)


def test_without_passages_nothing_is_supported(checker):
    sentences, citations = checker.check("Bees live in hives.", [])
    assert (sentences[0].verdict, citations) == ("unsupported", ())


def test_sentences_seen_before_are_not_embedded_again(checker, embedder):
    checker.check("A hive holds bees.", CHUNKS)
    seen = len(embedder.embedded)
    checker.check("A hive holds bees.", CHUNKS)
    assert len(embedder.embedded) == seen


@pytest.mark.parametrize(
    ("fragment", "question", "verdict"),
    [
        ("Marta Jevons", "Who built the Quillon lighthouse?", "supported"),
        ("2,000", "How many eggs does the queen lay a day?", "supported"),
        ("2,000", "How many lighthouses did Marta Jevons build at Quillon by 1911?", "unsupported"),
    ],
)
def test_a_bare_name_or_number_is_judged_as_the_answer_to_its_question(checker, fragment, question, verdict):
    ((sentence,), _) = checker.check(fragment, CHUNKS, question)
    assert sentence.text == fragment
    assert (sentence.verdict == "supported") is (verdict == "supported")


def quoted(chunk, text):
    start = chunk.passage.index(text)
    return Quote(text, chunk, start, start + len(text), 0.6)


def test_a_bare_name_is_held_against_the_sentences_nearest_to_a_question_in_other_words(checker):
    question = "Whose long and patient work is that beacon above the coast?"
    built = quoted(TOWER, "The Quillon lighthouse was built by Marta Jevons in 1911.")
    tall = quoted(TOWER, "It is 37 metres tall.")
    eggs = quoted(HIVE, "The queen lays up to 2,000 eggs a day.")

    def verdict(name, nearest):
        ((sentence,), citations) = checker.check(name, CHUNKS, question, nearest)
        return sentence.verdict, [citation.quote for citation in citations]

    assert verdict("Marta Jevons", ()) == ("unsupported", [])
    assert verdict("Marta Jevons", [built, tall]) == ("supported", [built.text])
    assert verdict("Marta Jevons", [eggs, built]) == ("weak", [built.text])  # another sentence is nearer
    assert verdict("Marta Jevons", [eggs, tall]) == ("unsupported", [])
    assert verdict("Otto Jevons", [built, tall]) == ("unsupported", [])
    assert verdict("Marta Jevons painted it.", [built, tall])[0] != "supported"  # a sentence speaks for itself


@pytest.mark.parametrize(
    ("answer", "question", "verdict"),
    [
        ("The lamp of Orme burns 400 litres of oil a year.", "How much oil does the lamp of Orme burn?", "weak"),
        ("The lamp of Quillon burns 400 litres of oil a year.", "How much oil does the lamp of Quillon burn?", "supported"),
        ("The lamp burns 400 litres of oil a year.", "How much oil does it burn?", "supported"),
        ("400 litres", "How much oil does the lamp of Orme burn?", "weak"),
        ("400 litres", "How much oil does the lamp of Quillon burn?", "supported"),
        ("400 litres", "How much oil did the lamp of Quillon burn in 1931?", "unsupported"),
    ],
)
def test_a_number_from_a_passage_about_something_else_is_not_support(checker, answer, question, verdict):
    lamp = Chunk("lamp", "l.md", "Lamps", ("Quillon",), "The lamp burns 400 litres of oil a year.", 0, 0)
    other = Chunk("orme", "o.md", "Lamps", ("Orme",), "The lamp of Orme burns oil, many litres a year.", 0, 0)
    nearest = [quoted(lamp, "The lamp burns 400 litres of oil a year.")]
    ((sentence,), _) = checker.check(answer, [lamp, other], question, nearest)
    assert sentence.verdict == verdict


ANSWER, ASKED = "The Quillon lighthouse was built by Marta Jevons in 1911.", "When was the Quillon lighthouse built?"


@pytest.mark.parametrize(
    ("text", "worth_it"),
    [
        ("The Quillon lighthouse was built in 1921.", True),
        ("It was built in 1921; the Quillon family paid for the lighthouse.", True),
        ("The Orme lighthouse was built by Marta Jevons in 1921.", False),  # it does not name what is asked about
        ("The Quillon lighthouse was built by Marta Jevons.", False),  # no number
        ("The Quillon lighthouse was built by Marta Jevons, in 1911 as the plate says.", False),  # the same number
        ("Tides follow the moon, twice in 24 hours.", False),
    ],
)
def test_a_passage_that_says_the_like_with_another_number_is_worth_comparing(checker, text, worth_it):
    other = Chunk("other", "visitors.md", "Visitors", ("Coast",), text, 0, 0)
    chunks = [*CHUNKS, other]
    # Its own sentence would support the answer where it says all of it: only TOWER is cited here.
    sentences, citations = checker.check(ANSWER, CHUNKS)
    assert checker.worth_comparing(sentences, citations, chunks, ASKED) == ([other] if worth_it else [])


def test_nothing_is_compared_with_an_answer_without_numbers_or_sources(checker):
    other = Chunk("other", "visitors.md", "Visitors", ("Coast",), "The Quillon lighthouse was built in 1921.", 0, 0)
    for answer in ("The Quillon lighthouse was built by Marta Jevons.", "Otto Lilienthal flew 250 metres."):
        sentences, citations = checker.check(answer, CHUNKS)
        assert checker.worth_comparing(sentences, citations, [*CHUNKS, other], ASKED) == []


@pytest.mark.parametrize(
    ("question", "answer", "verdict"),
    [
        ("The Quillon lighthouse", "The Quillon lighthouse", "unsupported"),
        ("Who built the Quillon lighthouse in 1911?", "Who built the Quillon lighthouse in 1911?", "unsupported"),
        ("Who built the Quillon lighthouse in 1911?", "Marta Jevons", "supported"),
        ("Is the Quillon lighthouse 37 metres tall or 1911 metres tall?", "37 metres", "supported"),
    ],
)
def test_what_only_says_the_question_again_says_nothing(checker, question, answer, verdict):
    (sentence,), _ = checker.check(answer, CHUNKS, question)
    assert sentence.verdict == verdict
