"""Pictures beside a report."""

import sys

import pytest

from fieldguide.errors import EvaluationError
from fieldguide.evaluation.markdown import write_report
from fieldguide.evaluation.plots import draw
from test_report import FACT, question, report_on, row

PNG = b"\x89PNG\r\n\x1a\n"


def test_a_search_is_drawn_as_facts_found_against_characters_read(tmp_path):
    content = report_on([question()], [row(retrieved=[FACT])], "retrieval")
    (path,) = draw(content, tmp_path / "search.md")
    assert path == tmp_path / "search-found.png"
    assert path.read_bytes().startswith(PNG)


def test_lost_answers_are_drawn_by_stage(tmp_path):
    content = report_on([question()], [row(answer="Bees.")], "no-retrieval")
    (path,) = draw(content, tmp_path / "alone.md")
    assert path == tmp_path / "alone-misses.png"


def test_nothing_is_drawn_of_answers_that_are_all_right(tmp_path):
    assert draw(report_on([question()], [row(answer=FACT)], "no-retrieval"), tmp_path / "alone.md") == []


def test_the_report_shows_its_pictures(tmp_path):
    report, figures, picture = write_report(
        report_on([question()], [row(retrieved=[FACT])], "retrieval"), tmp_path / "search.md"
    )
    assert f"![{picture.name}]({picture.name})" in report.read_text()
    assert figures.name == "search.json"


def test_without_matplotlib_the_report_has_no_pictures(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert draw(report_on([question()], [row(retrieved=[FACT])], "retrieval"), tmp_path / "search.md") == []


def test_a_picture_that_cannot_be_written_is_an_error(tmp_path):
    content = report_on([question()], [row(retrieved=[FACT])], "retrieval")
    with pytest.raises(EvaluationError, match=r"search-found\.png cannot be written"):
        draw(content, tmp_path / "missing" / "search.md")
