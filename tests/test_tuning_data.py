"""What adapter and gate learn from: right answers, to questions that nothing is reported on."""

import json
from collections import defaultdict
from pathlib import Path

import pytest

from fieldguide import locations
from fieldguide.evaluation.metrics import holds, is_right
from fieldguide.evaluation.questions import load_questions
from fieldguide.indexing.documents import read_folder
from fieldguide.indexing.structure import markdown_sections

FOLDER = Path(__file__).parent.parent / "evaluation"
QUESTIONS = {
    name: load_questions(FOLDER / f"{name}.jsonl") for name in ("questions", "tuning-questions", "tuning-document-questions")
}
ANSWERS = {row["id"]: row["answer"] for row in map(json.loads, (FOLDER / "tuning-answers.jsonl").read_text().splitlines())}


def test_no_answer_to_a_test_question_is_learnt():
    assert not {row.id for row in QUESTIONS["questions"] if row.split == "test"} & set(ANSWERS)


def test_every_answer_belongs_to_a_question_that_has_one():
    assert set(ANSWERS) <= {row.id for rows in QUESTIONS.values() for row in rows if not row.abstain}


@pytest.mark.parametrize("name", QUESTIONS)
def test_every_answer_is_right(name):
    wrong = [row.id for row in QUESTIONS[name] if row.id in ANSWERS and not is_right(row, ANSWERS[row.id], abstained=False)]
    assert wrong == []


def sections(folder):
    """What stands in each section, with the headings above it; several of one name are one."""
    there = defaultdict(str)
    for document in read_folder(folder):
        for section in markdown_sections(document.text, document.title):
            texts = [document.title, *section.heading_path, *(document.text[unit.start : unit.end] for unit in section.units)]
            if section.heading_path:
                there[f"{document.name}#{section.heading_path[-1]}"] += "\n".join(texts)
    return there


def test_questions_about_documents_name_sections_that_exist():
    there = sections(FOLDER / "tuning-documents")
    assert {source for row in QUESTIONS["tuning-document-questions"] for source in row.sources} <= set(there)


def test_everyday_questions_are_answered_by_the_sections_of_the_guides_that_they_name():
    there = sections(locations.guides_folder())
    rows = load_questions(FOLDER / "tuning-everyday-questions.jsonl")
    assert [row.id for row in rows if not holds("\n".join(there[source] for source in row.sources), row.must)] == []


def test_no_everyday_question_is_a_test_question():
    asked = {row.question.casefold() for row in QUESTIONS["questions"] if row.split == "test"}
    assert not asked & {row.question.casefold() for row in load_questions(FOLDER / "tuning-everyday-questions.jsonl")}
