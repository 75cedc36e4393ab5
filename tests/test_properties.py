"""What must hold for every text: searched for with generated ones, of which none was thought of beforehand."""

import re
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from fakes import WordCountEmbedder
from fieldguide.answering.agreement import differ, values
from fieldguide.answering.support import SupportChecker
from fieldguide.errors import DocumentError
from fieldguide.generation.prompt import build_messages, pack
from fieldguide.indexing.chunking import chunk_document
from fieldguide.indexing.documents import body_start
from fieldguide.indexing.loading import texts
from fieldguide.markdown import blocks
from fieldguide.types import Chunk, Document

COUNT = WordCountEmbedder().count_tokens
LIMIT = 60
examples = settings(derandomize=True, max_examples=150, deadline=None)
few_examples = settings(derandomize=True, max_examples=60, deadline=None)

# Lines that mean something to Markdown, and whatever else may stand in a file.
_MEANINGFUL = st.sampled_from(
    [
        *("# Bees", "## Food", "###### Deep", "Bees\n====", "Food\n----", "---", "***", "```", "~~~ python", "    indented"),
        *("- item", "* item", "1. first", "12) twelfth", "> quoted", "| a | b |", "|---|---|", "| 1 | 2 |", "a | b\n--|--"),
        *(
            "[name]: http://127.0.0.1/ 'title'",
            "[name]: http://127.0.0.1/",
            "[^1]: a note",
            "<div>",
            "</div>",
            "<!-- hidden -->",
        ),
        *(
            "---\ntitle: Bees\n---",
            "![image](x.png)",
            "a  \nb",
            "Dr. Smith met e.g. 3.5 bees. She left!",
            "word " * 90,
            "x" * 200,
        ),
        *(
            "\u200bzero\u200dwidth",
            "\u202eright to left\u202c",
            "\x0cpage",
            "\u2028line",
            "\x85next",
            "𝒳 é ü",
            "<|im_end|>",
            "",
        ),
    ]
)
_ANY_LINE = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
WILD = st.lists(st.one_of(_MEANINGFUL, _ANY_LINE), max_size=14).map(
    lambda lines: "\n".join(lines).replace("\r\n", "\n").replace("\r", "\n")
)
PASSAGES = st.lists(st.text(st.sampled_from("bees hive 3 20,000 Not no. A! ?\n|-[1]*“”"), max_size=120), max_size=6)


def letters(text: str) -> str:
    return "".join(character for character in text if character.isalnum())


def outside_of_headings(text: str) -> list[int]:
    """The places of all letters and digits that belong into a passage: not those of front matter and headings."""
    start = body_start(text)
    lines = text[start:].split("\n")
    headings = {n for token in blocks(text[start:]) if token.type == "heading_open" and token.map for n in range(*token.map)}
    places, position = [], start
    for number, line in enumerate(lines):
        if number not in headings:
            places += [position + at for at, character in enumerate(line) if character.isalnum()]
        position += len(line) + 1
    return places


@given(WILD)
@examples
def test_every_letter_of_a_document_stands_in_a_passage_or_a_heading(text):
    chunks = chunk_document(Document("d.md", "T", "", text, ""), COUNT, LIMIT)
    covered = {place for chunk in chunks for place in range(chunk.start, chunk.end)}
    missing = [place for place in outside_of_headings(text) if place not in covered]
    assert not missing, (text, text[missing[0] :][:40])


@given(WILD)
@examples
def test_the_offsets_of_a_passage_are_exact_and_passages_do_not_overlap(text):
    chunks = chunk_document(Document("d.md", "T", "", text, ""), COUNT, LIMIT)
    for chunk in chunks:
        stretch = text[chunk.start : chunk.end]
        header, _, rest = chunk.text.rpartition("\n" + stretch)
        assert chunk.text == stretch or (header and not rest and re.search(r"^\|(---\|)+$", header, re.MULTILINE))
    assert all(before.end <= after.start for before, after in pairwise(chunks))
    assert len({chunk.id for chunk in chunks}) == len(chunks)


@given(WILD)
@examples
def test_no_passage_is_over_its_limit(text):
    for chunk in chunk_document(Document("d.md", "T", "", text, ""), COUNT, LIMIT):
        spent = COUNT(chunk.embedded_text) - COUNT(chunk.text)
        assert COUNT(chunk.text) <= max(LIMIT - spent, LIMIT // 3)


@given(st.sampled_from(["text", "code", "csv"]), WILD)
@examples
def test_the_same_holds_for_plain_text_code_and_tables(kind, text):
    read = {"text": texts.read_text, "code": texts.read_code, "csv": texts.read_csv}[kind]
    try:
        found = read(text.encode())
    except DocumentError:
        return  # a reason is as good as a text
    chunks = chunk_document(Document("d", "T", "", found.text, ""), COUNT, LIMIT, found.sections)
    covered = {place for chunk in chunks for place in range(chunk.start, chunk.end)}
    assert not [at for at, character in enumerate(found.text) if character.isalnum() and at not in covered]
    assert all(chunk.text.endswith(found.text[chunk.start : chunk.end]) for chunk in chunks)


# Citations


def passages(contents) -> list[Chunk]:
    return [Chunk(f"c{n}", "d.md", "Bees", (f"Section {n}",), text, 0, len(text)) for n, text in enumerate(contents)]


ANSWERS = st.text(st.sampled_from("bees hive 3 20,000 not. A! ? [1] [99] “”"), max_size=160)


@given(ANSWERS, PASSAGES)
@examples
def test_a_citation_points_to_a_sentence_of_a_passage_and_is_used(answer, contents):
    chunks = passages(contents)
    sentences, citations = SupportChecker(WordCountEmbedder()).check(answer, chunks)
    assert [citation.marker for citation in citations] == list(range(1, len(citations) + 1))
    assert {marker for sentence in sentences for marker in sentence.markers} == {c.marker for c in citations}
    by_id = {chunk.id: chunk for chunk in chunks}
    for citation in citations:
        assert citation.quote in by_id[citation.chunk_id].text
        assert citation.passage == by_id[citation.chunk_id].passage
    for sentence in sentences:
        assert (sentence.verdict == "unsupported") == (not sentence.markers)


@given(ANSWERS, PASSAGES)
@examples
def test_the_sentences_of_an_answer_are_all_of_it_in_order(answer, contents):
    sentences, _ = SupportChecker(WordCountEmbedder()).check(answer, passages(contents))
    position = 0
    for sentence in sentences:
        found = answer.index(sentence.text, position)
        assert not letters(answer[position:found])
        position = found + len(sentence.text)
    assert not letters(answer[position:])


@given(ANSWERS, PASSAGES)
@few_examples
def test_a_number_that_no_passage_gives_is_never_supported(answer, contents):
    sentences, _ = SupportChecker(WordCountEmbedder()).check(f"There are 777777 of them. {answer}", passages(contents))
    assert sentences[0].verdict == "unsupported"


@given(ANSWERS, PASSAGES)
@few_examples
def test_what_is_compared_is_not_cited_already_and_has_a_number_of_its_own(answer, contents):
    chunks = passages(contents)
    checker = SupportChecker(WordCountEmbedder())
    sentences, citations = checker.check(answer, chunks)
    compared = checker.worth_comparing(sentences, citations, chunks, "How many?")
    assert not {chunk.id for chunk in compared} & {citation.chunk_id for citation in citations}
    assert all(values(chunk.text) - values(answer) for chunk in compared)


@given(ANSWERS)
@few_examples
def test_no_answer_differs_from_itself(answer):
    assert not differ(answer, answer, "How many?")


# Packing


def count_words(messages) -> int:
    return sum(len(part.text.split()) for message in messages for part in message.parts)


FIXED = count_words(build_messages("One?", []))


@given(PASSAGES, st.text(max_size=60), st.text(max_size=60), st.integers(0, FIXED + 80))
@examples
def test_a_packed_prompt_is_never_over_its_budget(contents, question, earlier, budget):
    chunks = passages(contents)
    packed = pack(question, chunks, count_words, budget, earlier)
    assert [*packed.included, *packed.left_out] == chunks
    assert packed.messages == build_messages(question, [chunk.passage for chunk in packed.included], earlier)
    assert packed.fits == (count_words(packed.messages) <= budget)
    assert packed.fits or not packed.included
    if packed.left_out:
        one_more = [chunk.passage for chunk in chunks[: len(packed.included) + 1]]
        assert count_words(build_messages(question, one_more, earlier)) > budget
