"""The shipped guides: good for readers and for retrieval."""

import re

import pytest

from fieldguide import locations
from fieldguide.indexing.chunking import chunk_document
from fieldguide.indexing.documents import read_folder

GUIDES = read_folder(locations.guides_folder())


def count_words(text: str) -> int:
    return len(re.findall(r"\w+|[^\w\s]", text))


def test_there_are_six_guides_and_one_explains_this_program():
    assert len(GUIDES) == 6
    assert "how-fieldguide-works.md" in {guide.name for guide in GUIDES}


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.name)
def test_a_guide_has_a_title_a_summary_and_one_main_heading(guide):
    assert guide.title
    assert guide.summary
    assert len(re.findall(r"^# ", guide.text, re.MULTILINE)) == 1


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.name)
def test_no_heading_stands_twice_under_the_same_parent(guide):
    paths = [chunk.heading_path for chunk in chunk_document(guide, count_words, 10_000)]
    assert len(paths) == len(set(paths))


@pytest.mark.parametrize("guide", GUIDES, ids=lambda guide: guide.name)
def test_paragraphs_are_short(guide):
    for paragraph in re.split(r"\n\s*\n", guide.text):
        if not paragraph.lstrip().startswith(("|", "-", "#", "*", "1")):
            assert len(paragraph.split()) <= 130, paragraph[:80]
