"""What adapter and gate learn from: right answers, to questions that nothing is reported on."""

import json
from pathlib import Path

import pytest

from fieldguide.evaluation.metrics import is_right
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


def test_questions_about_documents_name_sections_that_exist():
    there = {
        f"{document.name}#{section.heading_path[-1]}"
        for document in read_folder(FOLDER / "tuning-documents")
        for section in markdown_sections(document.text, document.title)
        if section.heading_path
    }
    assert {source for row in QUESTIONS["tuning-document-questions"] for source in row.sources} <= there
