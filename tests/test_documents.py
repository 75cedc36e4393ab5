"""Files become documents: titles, front matter, encodings, and what is refused."""

import hashlib

import pytest

from fieldguide.errors import DocumentError
from fieldguide.indexing.documents import body_start, corpus_hash, read_document, read_folder, read_if_changed


@pytest.fixture
def read(tmp_path):
    """A document read from a file with this content."""

    def read(content: str | bytes, name: str = "busy-bees.md"):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_document(path)

    return read


def test_front_matter_gives_title_and_summary(read):
    document = read("---\ntitle: Bees\nsummary: A toy guide.\n---\n\n# Another\n\nText.\n")
    assert (document.title, document.summary) == ("Bees", "A toy guide.")


def test_without_front_matter_the_first_heading_is_the_title(read):
    assert read("Words first.\n\n# Bees\n\n# Wasps\n").title == "Bees"


def test_front_matter_without_a_title_leaves_it_to_the_heading(read):
    assert read("---\nsummary: About bees.\n---\n# Bees\n").title == "Bees"


def test_a_comment_in_front_matter_is_no_title(read):
    assert read("---\n# a comment\nsummary: About bees.\n---\n\n# Bees\n").title == "Bees"


def test_without_any_heading_the_file_name_is_the_title(read):
    assert read("Bees fly.\n", "busy-bees.md").title == "Busy bees"


def test_a_heading_of_level_two_is_no_title(read):
    assert read("## What bees do\n", "bees.md").title == "Bees"


@pytest.mark.parametrize("title", ["1984", "2024-01-31", "true"])
def test_a_title_that_yaml_takes_for_something_else_is_text(read, title):
    assert isinstance(read(f"---\ntitle: {title}\n---\nText.\n").title, str)


def test_the_text_is_kept_whole_with_its_front_matter(read):
    content = "---\ntitle: Bees\n---\n\nBees fly.\n"
    assert read(content).text == content


def test_the_body_starts_after_the_front_matter():
    text = "---\ntitle: Bees\n---\n# Bees\n"
    assert text[body_start(text) :] == "# Bees\n"


@pytest.mark.parametrize("text", ["# Bees\n", "", "Bees\n---\ntitle: x\n---\n", "---\ntitle: never closed\n"])
def test_without_front_matter_the_body_starts_at_once(text):
    assert body_start(text) == 0


def test_front_matter_that_is_not_yaml_is_passed_over(read):
    assert read("---\ntitle: [a\n---\n# Bees\n").title == "Bees"


def test_a_byte_order_mark_is_no_part_of_the_text(read):
    document = read(b"\xef\xbb\xbf---\ntitle: Bees\n---\nText.\n")
    assert document.title == "Bees"
    assert document.text.startswith("---")


@pytest.mark.parametrize("line_end", ["\r\n", "\r"])
def test_line_ends_of_other_systems_become_newlines(read, line_end):
    document = read(line_end.join(["---", "title: Bees", "---", "Bees fly.", ""]))
    assert document.title == "Bees"
    assert document.text == "---\ntitle: Bees\n---\nBees fly.\n"


def test_the_hash_is_that_of_the_file_as_it_stands_on_disk(read):
    content = b"\xef\xbb\xbf# Bees\r\n"
    assert read(content).sha256 == hashlib.sha256(content).hexdigest()


def test_text_that_is_not_utf8_is_refused_with_its_place_and_a_remedy(read):
    with pytest.raises(DocumentError, match=r"busy-bees\.md is not UTF-8 text \(byte 3\)") as caught:
        read(b"caf\xe9\n")
    assert caught.value.remedy == "Save it as UTF-8."


def test_a_file_that_is_not_there_is_refused_by_name(tmp_path):
    with pytest.raises(DocumentError, match=r"gone\.md cannot be read"):
        read_document(tmp_path / "gone.md")


def test_a_folder_is_read_by_name(toy_folder):
    assert [document.name for document in read_folder(toy_folder)] == [
        "bees.md",
        "bread.md",
        "lighthouses.md",
        "tides.md",
        "wasps.md",
    ]


def test_only_markdown_files_of_a_folder_are_read(toy_folder):
    (toy_folder / "notes.txt").write_text("No guide.")
    (toy_folder / "folder.md").mkdir()
    assert len(read_folder(toy_folder)) == 5


def test_a_folder_without_markdown_is_refused_with_a_remedy(tmp_path):
    with pytest.raises(DocumentError, match="holds no Markdown files") as caught:
        read_folder(tmp_path)
    assert caught.value.remedy


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(DocumentError, match="holds no Markdown files"):
        read_folder(tmp_path / "gone")


def test_the_corpus_hash_does_not_depend_on_the_order(toy_documents):
    assert corpus_hash(toy_documents) == corpus_hash(toy_documents[::-1])


def test_the_corpus_hash_changes_with_a_text(read):
    assert corpus_hash([read("Bees fly.")]) != corpus_hash([read("Bees flew.")])


def test_the_corpus_hash_changes_with_a_name(read):
    assert corpus_hash([read("Bees fly.", "a.md")]) != corpus_hash([read("Bees fly.", "b.md")])


def test_the_corpus_hash_changes_when_a_document_goes(toy_documents):
    assert corpus_hash(toy_documents) != corpus_hash(toy_documents[1:])


def test_front_matter_with_an_impossible_date_is_passed_over(read):
    assert read("---\ndate: 2024-13-45\n---\n# Bees\n").title == "Bees"


@pytest.mark.parametrize("text", ["---\n\nBees fly.\n\n---\n\nText.\n", "---\n---\n\nBees fly.\n\n---\n\nText.\n"])
def test_prose_between_two_rules_belongs_to_the_body(text):
    assert "Bees fly." in text[body_start(text) :]


def test_a_comment_in_a_code_fence_is_no_title(read):
    assert read("```sh\n# a comment\n```\n\n# Bees\n").title == "Bees"


def test_a_mark_that_belongs_to_the_title_is_kept(read):
    assert read("# C#\n\nText.\n").title == "C#"


def test_a_file_is_read_again_only_when_it_has_changed(tmp_path, monkeypatch):
    path, reads = tmp_path / "bees.md", []
    path.write_text("# Bees\n")
    read_bytes = type(path).read_bytes
    monkeypatch.setattr(type(path), "read_bytes", lambda self: reads.append(self) or read_bytes(self))
    assert read_folder(tmp_path, read_if_changed) == read_folder(tmp_path, read_if_changed)
    assert reads == [path]
    path.write_text("# Wasps\n")
    assert read_folder(tmp_path, read_if_changed)[0].title == "Wasps"
    path.unlink()
    with pytest.raises(DocumentError, match="cannot be read: No such file"):
        read_if_changed(path)
