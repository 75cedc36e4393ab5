"""Passages keep their place, stay inside their section and within the limit, and lose nothing."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes import WordCountEmbedder
from fieldguide.indexing.chunking import chunk_document
from fieldguide.types import Document

COUNT = WordCountEmbedder().count_tokens
HEADER = "| Name | Built |\n|---|---|"


def chunks(text: str, limit: int = 200, title: str = "T"):
    return chunk_document(Document("d.md", title, "", text, ""), COUNT, limit)


def sections(text: str, limit: int = 200) -> list[tuple[str, str]]:
    return [(chunk.section, chunk.text) for chunk in chunks(text, limit)]


# Documents of every kind of block. Their words start with '~', so that none makes a heading or a list by chance.
_WORDS = st.sampled_from("bees hives. live in, a queen 3.5 e.g. She (many) `code` **bold** end! 20,000 # x".split())
_SENTENCES = st.lists(_WORDS, min_size=1, max_size=30).map(lambda words: "~ " + " ".join(words))
_LINES = st.lists(_SENTENCES, min_size=1, max_size=5)
_HEADINGS = st.tuples(st.integers(1, 4), st.sampled_from(["Bees", "Busy wasps", "Tides"])).map(
    lambda h: "#" * h[0] + " " + h[1]
)
_BLOCKS = st.one_of(
    _HEADINGS,
    _LINES.map("\n".join),
    _LINES.map(lambda lines: "\n".join(f"- {line}" for line in lines)),
    _LINES.map(lambda lines: "\n".join(f"{number}. {line}" for number, line in enumerate(lines, 1))),
    _LINES.map(lambda lines: "\n".join(["```", "# a comment", *lines, "```"])),
    _LINES.map(lambda lines: "\n".join([HEADER, *(f"| {line} | {len(line)} |" for line in lines)])),
    _SENTENCES.map(lambda line: f"> {line}"),
    _SENTENCES.map(lambda line: f"<div>\n{line}\n</div>"),
)
TEXTS = st.lists(_BLOCKS, max_size=8).map("\n\n".join)
LIMIT = 60
examples = settings(derandomize=True, max_examples=60, deadline=None)


@given(TEXTS)
@examples
def test_a_passage_is_the_text_at_its_offsets_but_for_repeated_header_rows(text):
    for chunk in chunks(text, LIMIT):
        stretch = text[chunk.start : chunk.end]
        assert chunk.text in (stretch, f"{HEADER}\n{stretch}")


@given(TEXTS)
@examples
def test_no_passage_with_its_headings_is_over_the_limit(text):
    for chunk in chunks(text, LIMIT):
        assert COUNT(chunk.embedded_text) <= LIMIT


@given(TEXTS)
@examples
def test_headings_and_nothing_else_are_left_out(text):
    covered = {place for chunk in chunks(text, LIMIT) for place in range(chunk.start, chunk.end)}
    left_out = "".join("\n" if letter == "\n" else letter * (place not in covered) for place, letter in enumerate(text))
    headings = [line for line in text.split("\n") if line.startswith("#") and line != "# a comment"]
    assert [line.strip() for line in left_out.split("\n") if line.strip()] == headings


@given(TEXTS)
@examples
def test_passages_come_in_order_and_do_not_overlap(text):
    found = chunks(text, LIMIT)
    assert all(before.end <= after.start for before, after in pairwise(found))


@given(TEXTS)
@examples
def test_ids_are_unique_in_a_document(text):
    ids = [chunk.id for chunk in chunks(text, LIMIT)]
    assert len(set(ids)) == len(ids)


def test_each_section_is_a_passage_under_its_headings():
    text = "# Bees\n\nBees fly.\n\n## Food\n\nNectar.\n\n### Pollen\n\nYellow.\n\n## Nests\n\nHives.\n"
    assert sections(text) == [("T", "Bees fly."), ("Food", "Nectar."), ("Food > Pollen", "Yellow."), ("Nests", "Hives.")]


def test_the_only_heading_of_level_one_is_the_title_and_in_no_path():
    assert sections("# Bees\n\n## Food\n\nNectar.\n") == [("Food", "Nectar.")]


def test_several_headings_of_level_one_stand_in_the_paths():
    assert sections("# Bees\n\nBuzz.\n\n# Wasps\n\n## Food\n\nMeat.\n") == [("Bees", "Buzz."), ("Wasps > Food", "Meat.")]


def test_underlined_headings_are_headings():
    assert sections("Bees\n====\n\nBuzz.\n\nFood\n----\n\nNectar.\n") == [("T", "Buzz."), ("Food", "Nectar.")]


def test_text_before_the_first_heading_is_kept_under_the_title():
    assert sections("Words first.\n\n# Bees\n\n## Food\n\nNectar.\n") == [("T", "Words first."), ("Food", "Nectar.")]


def test_a_heading_without_text_gives_no_passage():
    assert sections("# Bees\n\n## Empty\n\n## Food\n\nNectar.\n") == [("Food", "Nectar.")]


@pytest.mark.parametrize("text", ["", "\n\n", "# Only a heading\n", "---\ntitle: Bees\n---\n"])
def test_a_document_without_text_has_no_passages(text):
    assert chunks(text) == []


def test_front_matter_is_in_no_passage_and_offsets_count_from_the_top_of_the_file():
    text = "---\ntitle: Bees\n---\n\nBees fly.\n"
    (chunk,) = chunks(text)
    assert (chunk.text, chunk.start) == ("Bees fly.", text.index("Bees fly."))


@pytest.mark.parametrize(
    "code",
    ["```sh\n# no heading\n## none\n```", "~~~\n# no heading\n~~~", "    # indented code", "<div>\n# no heading\n</div>"],
)
def test_a_heading_inside_code_is_no_heading(code):
    assert sections(f"## Food\n\nNectar.\n\n{code}\n") == [("Food", f"Nectar.\n\n{code}")]


@pytest.mark.parametrize("separator", ["\u2028", "\x0c", "\x85"])
def test_a_line_separator_that_markdown_does_not_know_moves_no_heading(separator):
    text = f"# Bees\n\nBees{separator}fly.\n\n## Food\n\nNectar.\n"
    assert sections(text) == [("T", f"Bees{separator}fly."), ("Food", "Nectar.")]


def test_a_passage_takes_as_many_sentences_as_fit():
    # The headings take 3 of the 9 tokens, and each sentence 3.
    text = "## Food\n\nBees eat. Wasps eat. Ants eat. Flies eat. Moths eat.\n"
    assert COUNT("T > Food\n") == 3
    assert [text for _, text in sections(text, 9)] == ["Bees eat. Wasps eat.", "Ants eat. Flies eat.", "Moths eat."]


def test_list_items_are_not_parted():
    text = "- one two three\n- four five six\n- seven eight nine\n"
    assert [text for _, text in sections(text, 3 + 8)] == ["- one two three\n- four five six", "- seven eight nine"]


def test_a_table_in_several_passages_repeats_its_header_rows_in_each():
    rows = ["| Quillon | 1911 |", "| Maud | 1802 |", "| Farrow | 1874 |"]
    text = f"## Towers\n\n{HEADER}\n" + "\n".join(rows) + "\n"
    found = chunks(text, 3 + COUNT(f"{HEADER}\n{rows[0]}"))
    assert [chunk.text for chunk in found] == [f"{HEADER}\n{row}" for row in rows]
    assert [text[chunk.start : chunk.end] for chunk in found] == [f"{HEADER}\n{rows[0]}", *rows[1:]]


def test_a_table_that_fits_is_one_passage():
    text = f"{HEADER}\n| Quillon | 1911 |\n| Maud | 1802 |"
    assert sections(text) == [("T", text)]


def test_header_rows_do_not_end_a_passage():
    row = "| Quillon | 1911 |"
    text = f"Look at these towers.\n\n{HEADER}\n{row}\n"
    limit = 3 + COUNT(f"Look at these towers.\n\n{HEADER}")
    assert [text for _, text in sections(text, limit)] == ["Look at these towers.", f"{HEADER}\n{row}"]


def test_a_rule_of_many_dashes_is_shortened_under_the_header():
    rule = "|" + "-" * 40 + "|" + "-" * 40 + "|"
    assert sections(f"| Name | Built |\n{rule}\n| Quillon | 1911 |\n") == [("T", f"{HEADER}\n| Quillon | 1911 |")]


def test_a_header_too_long_to_repeat_stands_once():
    header = "| " + " | ".join(["a long name of a column"] * 20) + " |"
    text = f"{header}\n|{'---|' * 20}\n" + f"| {'x | ' * 20}\n" * 12
    assert sum("a long name" in chunk.text for chunk in chunks(text, 200)) == 1


def test_an_over_long_sentence_is_cut_between_words():
    words = [f"word{number}" for number in range(50)]
    found = chunks(" ".join(words), 20)
    assert len(found) > 1
    assert [word for chunk in found for word in chunk.text.split()] == words
    assert all(COUNT(chunk.embedded_text) <= 20 for chunk in found)


def test_a_cut_falls_between_words_where_the_limit_falls_inside_one():
    # counted in letters: 40 less the 6 of the title and the heading leave 34, in the middle of the sixth word
    found = chunk_document(Document("d.md", "T", "", "honey " * 12, ""), len, 40)
    assert [chunk.text for chunk in found] == ["honey honey honey honey honey", "honey honey honey honey honey", "honey honey"]


def test_a_word_longer_than_the_limit_is_cut_without_loss():
    found = chunk_document(Document("d.md", "T", "", "x" * 90, ""), len, 40)
    assert "".join(chunk.text for chunk in found) == "x" * 90
    assert all(len(chunk.embedded_text) <= 40 for chunk in found)


def test_under_very_long_headings_the_text_keeps_a_third_of_the_limit():
    text = "## " + "long " * 100 + "\n\n" + "word " * 30
    assert [COUNT(chunk.text) for chunk in chunks(text, 30)] == [10, 10, 10]


def test_a_passage_keeps_its_id_when_another_section_changes():
    before = {chunk.text: chunk.id for chunk in chunks("# Bees\n\nBuzz.\n\n## Food\n\nNectar.\n")}
    after = {chunk.text: chunk.id for chunk in chunks("# Bees\n\nBuzz, loudly, all day.\n\n## Food\n\nNectar.\n")}
    assert before["Nectar."] == after["Nectar."]
    assert before["Buzz."] not in after.values()


@pytest.mark.parametrize("text", ["## Food\n\nPollen.\n", "## Drink\n\nNectar.\n"])
def test_a_passage_of_another_text_or_heading_has_another_id(text):
    assert chunks("## Food\n\nNectar.\n")[0].id != chunks(text)[0].id


def test_a_passage_under_another_title_has_another_id():
    text = "## Food\n\nNectar.\n"
    assert chunks(text, title="Bees")[0].id != chunks(text, title="Wasps")[0].id


def test_the_same_text_twice_under_the_same_heading_gets_two_ids():
    ids = [chunk.id for chunk in chunks("## Food\n\nNectar.\n\n## Food\n\nNectar.\n")]
    assert len(set(ids)) == 2


def test_a_header_that_takes_the_whole_limit_does_not_shred_the_rows():
    columns = [f"c{number}" for number in range(60)]  # 300 characters, 180 tokens with its rule
    row = "| " + " | ".join("x" for _ in columns) + " |"
    text = f"| {' | '.join(columns)} |\n|{'---|' * 60}\n{row}\n{row}\n"
    found = chunks(text, 200)
    assert len(found) < 10
    assert all(COUNT(chunk.embedded_text) <= 200 for chunk in found)


def test_a_repeated_header_without_outer_bars_keeps_its_columns():
    text = "a | b\n--|--\n" + "1 | 2\n" * 12
    rule = chunks(text, 40)[1].text.split("\n")[1]
    assert rule.strip("|").count("|") == 1


def test_a_table_of_a_header_alone_is_kept():
    assert "Name" in "".join(text for _, text in sections(f"| Name | Built |\n|{'-' * 40}|{'-' * 40}|\n"))


def test_a_header_that_takes_the_whole_limit_is_kept_though_its_rule_is_wide():
    columns = [f"c{number}" for number in range(60)]
    text = f"| {' | '.join(columns)} |\n|{('-' * 20 + '|') * 60}\n| {' | '.join('x' for _ in columns)} |\n"
    assert "c59" in "".join(text for _, text in sections(text))
