"""Questions files: what is read, what is refused and in which words, and the project's own file."""

import json

import pytest

from fakes import WordCountEmbedder
from fieldguide import locations
from fieldguide.errors import EvaluationError
from fieldguide.evaluation.metrics import holds
from fieldguide.evaluation.questions import Question, load_questions
from fieldguide.indexing.chunking import chunk_document
from fieldguide.indexing.documents import read_folder
from fieldguide.types import Turn

OWN_FILE = locations.catalog_file().parent.parent / "evaluation" / "questions.jsonl"
FINE = '{"id": "first", "question": "One?"}'


@pytest.fixture
def load(tmp_path):
    """Load a questions file of these lines."""

    def load(*lines, warn=lambda _: None):
        path = tmp_path / "questions.jsonl"
        path.write_bytes("\n".join(lines).encode())
        return load_questions(path, warn)

    return load


def question_of(i: str) -> Question:
    return Question(i, "fact", "One?", (), (), (), False, (), ())


def test_a_row_is_read_with_all_its_keys(load):
    row = {
        "id": "eggs",
        "kind": "follow-up",
        "question": "How many?",
        "history": [{"role": "user", "content": "Who lays?"}, {"role": "assistant", "content": "The queen."}],
        "must": [["2,000", "2000"], ["day"]],
        "must_not": ["3,000"],
        "expect": "abstain",
        "passages": [{"title": "Queens", "text": "They lay."}],
        "sources": ["bees.md#Bees"],
    }
    assert load(json.dumps(row)) == [
        Question(
            "eggs",
            "follow-up",
            "How many?",
            (Turn("user", "Who lays?"), Turn("assistant", "The queen.")),
            (("2,000", "2000"), ("day",)),
            ("3,000",),
            True,
            (("Queens", "They lay."),),
            ("bees.md#Bees",),
        )
    ]


def test_an_id_and_a_question_are_enough(load):
    assert load(FINE) == [Question("first", "", "One?", (), (), (), False, (), ())]


def test_rows_keep_their_order_and_empty_lines_are_passed_over(load):
    assert [q.id for q in load('{"id": "b", "question": "?"}', "", "  ", '{"id": "a", "question": "?"}')] == ["b", "a"]


def test_lines_may_end_as_on_windows(load):
    assert [q.id for q in load(FINE + "\r", '{"id": "second", "question": "Two?"}\r')] == ["first", "second"]


def test_unknown_keys_are_passed_over_with_a_warning_that_names_line_and_key(load):
    warnings: list[str] = []
    (question,) = load("", '{"id": "a", "question": "?", "mood": 1}', warn=warnings.append)
    assert question.id == "a"
    (warning,) = warnings
    assert "line 2" in warning
    assert "'mood'" in warning


def test_known_keys_give_no_warning(load):
    warnings: list[str] = []
    load('{"id": "a", "kind": "fact", "question": "?", "must": [], "must_not": []}', warn=warnings.append)
    assert warnings == []


BROKEN = {
    "broken JSON": '{"id": "a", "question": ',
    "not an object": '["a", "One?"]',
    "no id": '{"question": "One?"}',
    "an empty id": '{"id": " ", "question": "One?"}',
    "an id that is a number": '{"id": 7, "question": "One?"}',
    "no question": '{"id": "a"}',
    "an empty question": '{"id": "a", "question": ""}',
    "a question that is a list": '{"id": "a", "question": ["One?"]}',
    "an unknown expectation": '{"id": "a", "question": "?", "expect": "answer"}',
    "must that is a number": '{"id": "a", "question": "?", "must": 5}',
    "must that is null": '{"id": "a", "question": "?", "must": null}',
    "a passage without text": '{"id": "a", "question": "?", "passages": [{"title": "T"}]}',
    "a turn without a role": '{"id": "a", "question": "?", "history": [{"content": "Hello"}]}',
    "history of plain texts": '{"id": "a", "question": "?", "history": ["Hello"]}',
}


@pytest.mark.parametrize("line", BROKEN.values(), ids=BROKEN.keys())
def test_a_line_that_cannot_be_used_is_named_by_its_number_in_one_line(load, line):
    with pytest.raises(EvaluationError, match="line 2") as caught:
        load(FINE, line)
    assert "\n" not in str(caught.value)


# Each of these would be read as something else than was meant, and quietly change who is right.
WRONGLY_TYPED = {
    "must of plain texts": '"must": ["queen"]',
    "must that is a text": '"must": "queen"',
    "must_not that is a text": '"must_not": "queen"',
    "sources that are a text": '"sources": "bees.md#Bees"',
    "an alternative that is a number": '"must": [[5]]',
    "an alternative that is null": '"must": [[null]]',
    "an empty alternative": '"must": [[""]]',
    "an empty must_not": '"must_not": [""]',
    "a group without alternatives": '"must": [[]]',
    "a role that is none": '"history": [{"role": "guest", "content": "Hello"}]',
    "a turn without words": '"history": [{"role": "user", "content": null}]',
    "a passage that is a number": '"passages": [{"title": "T", "text": 5}]',
    "a kind that is a list": '"kind": ["fact"]',
}


@pytest.mark.parametrize("value", WRONGLY_TYPED.values(), ids=WRONGLY_TYPED.keys())
def test_a_value_of_the_wrong_type_is_refused(load, value):
    with pytest.raises(EvaluationError, match="line 2"):
        load(FINE, f'{{"id": "a", "question": "?", {value}}}')


def test_an_id_that_stands_twice_is_refused_with_the_second_line(load):
    with pytest.raises(EvaluationError, match=r"line 3.*'first'"):
        load(FINE, '{"id": "second", "question": "Two?"}', FINE)


def test_line_numbers_count_empty_lines(load):
    with pytest.raises(EvaluationError, match="line 4"):
        load(FINE, "", "", "{")


def test_a_line_separator_inside_a_text_does_not_end_the_line(load):
    assert load('{"id": "a", "question": "One\u2028two?"}')[0].question == "One\u2028two?"


def test_a_file_without_questions_is_refused(load):
    with pytest.raises(EvaluationError, match="no questions"):
        load("", "  ")


def test_a_file_that_is_missing_is_one_line(tmp_path):
    with pytest.raises(EvaluationError, match=r"none\.jsonl cannot be read"):
        load_questions(tmp_path / "none.jsonl")


def test_a_file_that_is_not_utf8_is_one_line(tmp_path):
    path = tmp_path / "latin.jsonl"
    path.write_bytes('{"id": "a", "question": "Où?"}'.encode("latin-1"))
    with pytest.raises(EvaluationError, match="not UTF-8"):
        load_questions(path)


# SHA-256 of "a" begins with ca (even), of "e" with 3f (odd).
@pytest.mark.parametrize(("i", "split"), [("a", "dev"), ("e", "test")])
def test_the_split_follows_from_the_first_byte_of_the_ids_checksum(i, split):
    assert question_of(i).split == split


@pytest.mark.parametrize("i", ["a", "e"])
def test_a_paraphrase_stays_in_the_split_of_its_fact(i):
    assert {question_of(f"{i}~p{number}").split for number in range(20)} == {question_of(i).split}


def test_about_half_of_the_projects_questions_are_for_tuning():
    questions = load_questions(OWN_FILE)
    assert 0.4 < sum(q.split == "dev" for q in questions) / len(questions) < 0.6


def test_the_projects_questions_are_read_without_a_warning():
    warnings: list[str] = []
    assert load_questions(OWN_FILE, warnings.append)
    assert warnings == []


def test_every_answerable_question_of_the_project_names_a_fact():
    assert [q.id for q in load_questions(OWN_FILE) if not q.abstain and not q.must] == []


def test_the_sources_that_the_projects_questions_name_are_in_the_guides_and_hold_the_facts():
    chunks = [
        chunk
        for document in read_folder(locations.guides_folder())
        for chunk in chunk_document(document, WordCountEmbedder().count_tokens, 256)
    ]
    by_source: dict[str, str] = {}
    for chunk in chunks:
        source = f"{chunk.document}#{chunk.heading_path[-1]}"
        by_source[source] = by_source.get(source, "") + chunk.passage + "\n"
    questions = [q for q in load_questions(OWN_FILE) if q.sources]
    assert questions
    assert [(q.id, source) for q in questions for source in q.sources if source not in by_source] == []
    assert [q.id for q in questions if not q.abstain and not holds("\n".join(by_source[s] for s in q.sources), q.must)] == []
