"""Files to documents: every format, every encoding, and whatever is wrong with a file."""

import io
import os
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from endurance import fuzz
from fakes import WordCountEmbedder
from fieldguide.errors import DocumentError
from fieldguide.indexing.chunking import chunk_document
from fieldguide.indexing.loading.pool import LoaderPool
from mutations import KINDS, LENGTHS, REPEATS, Damage, damaged, seeds
from sample_files import FACT, HTML, OTHER, SAMPLES, docx, epub, pdf, xlsx, zipped

COUNT = WordCountEmbedder().count_tokens


@pytest.fixture(scope="module")
def pool():
    with LoaderPool(1) as pool:
        yield pool


@pytest.fixture
def load(pool, tmp_path):
    """Write a file and load it."""

    def load(name: str, content: bytes):
        path = tmp_path / name
        path.write_bytes(content)
        return pool.load(path)

    return load


def passages(loaded):
    return chunk_document(loaded.document, COUNT, 200, loaded.sections)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_passage_of_every_format_says_where_it_stands(load, name):
    content, section = SAMPLES[name]
    found = [p for p in passages(load(name, content)) if "Quillon" in p.text and "1911" in p.text]
    assert [p.section for p in found] == [section]


@pytest.mark.parametrize("name", SAMPLES)
def test_the_text_of_a_passage_stands_where_it_says(load, name):
    loaded = load(name, SAMPLES[name][0])
    for passage in passages(loaded):
        assert loaded.document.text[passage.start : passage.end] in passage.text


GERMAN = "Die Höhe des Turms über dem Fluß beträgt 37 m."
RUSSIAN = "Маяк построен в 1911 году. Высота маяка 37 метров."


@pytest.mark.parametrize(
    ("encoding", "text"),
    [(name, GERMAN) for name in ("utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252", "iso8859-15")]
    + [("koi8-r", RUSSIAN), ("cp1251", RUSSIAN)],
)
def test_encodings_are_found_out(load, encoding, text):
    assert text in load("note.txt", (f"{text} " * 5).encode(encoding)).document.text


def test_a_page_of_html_may_name_its_encoding(load):
    html = HTML.replace("<head>", '<head><meta charset="iso-8859-2">').replace("Jevons", "Jevonsová")
    assert "Jevonsová" in load("page.html", html.encode("iso-8859-2")).document.text


def test_markup_of_a_page_is_not_its_text(load):
    html = HTML.replace("</body>", "<script>var secret = 1</script><style>p {color: red}</style></body>")
    text = load("page.html", html.encode()).document.text
    assert "secret" not in text
    assert "color" not in text


def test_every_passage_of_a_table_names_its_columns_and_rows(load):
    rows = [["Name", "Height"], *([f"Light {n}", n] for n in range(1, 200))]
    found = passages(load("heights.xlsx", xlsx(rows)))
    assert len(found) > 5
    assert all(passage.text.startswith("| Name | Height |") for passage in found)
    assert found[0].section.startswith("Lighthouses > rows 2-")
    assert found[-1].section.endswith("-200")


def test_rows_keep_their_numbers_where_blank_rows_stand_between(load):
    content = xlsx([["Name", "Built"], [None, None], ["Quillon", 1911]])
    assert [p.section for p in passages(load("gap.xlsx", content))] == ["Lighthouses > row 3"]


def test_a_title_comes_from_the_document_before_it_comes_from_the_file(load):
    assert load("a.md", b"# Lights of the coast\n\nText.").document.title == "Lights of the coast"
    assert load("a.epub", epub(("One", FACT), title="A book")).document.title == "A book"
    assert load("night watch.txt", b"Text.").document.title == "night watch"


def test_a_pdf_that_is_partly_pictures_gives_the_pages_with_text(load):
    assert [p.section for p in passages(load("a.pdf", pdf("", FACT, "")))] == ["page 2"]


# What is wrong with a file


BOMB = zipped({"word/document.xml": b"0" * 500_000_000})
LAUGHS = '<!DOCTYPE a [<!ENTITY a0 "ha">' + "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12)) + "]>"


def laughing(name: str, part: str, end: str) -> bytes:
    """A whole file with a text of a hundred billion letters, written as entities of entities in one of its parts."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(SAMPLES[name][0])) as before, zipfile.ZipFile(out, "w") as after:
        for entry in before.namelist():
            content = before.read(entry)
            if entry == part:
                first, declared, rest = content.decode().rpartition("?>")
                content = f"{first}{declared}{LAUGHS}{rest.replace(end, f'&a11;{end}', 1)}".encode()
                assert b"&a11;" in content
            after.writestr(entry, content)
    return out.getvalue()


BAD = {
    "empty.txt": (b"", "0 bytes"),
    "blank.md": (b" \n\n", "no text"),
    "binary.txt": (b"ab\0\1\2" * 100, "NUL"),
    "secret.pdf": (pdf(FACT, encrypted=True), "password"),
    "scanned.pdf": (pdf("", ""), "scanned"),
    "cut.docx": (docx(("Normal", FACT))[:300], "damaged"),
    "cut.pdf": (pdf(FACT)[:60], "damaged"),
    "text.pdf": (b"Only text.", "Its name says PDF"),
    "text.docx": (b"Only text.", "Its name says docx"),
    "book.txt": (pdf(FACT), "a PDF file"),
    "old.doc": (b"\xd0\xcf\x11\xe0", "Save it as docx"),
    "photo.png": (b"\x89PNG\r\n", "picture"),
    "bomb.docx": (BOMB, "unpack"),
    "laughs.epub": (laughing("lights.epub", "META-INF/container.xml", "</rootfiles>"), "damaged"),
    "laughs.docx": (laughing("lights.docx", "word/document.xml", "</w:t>"), "damaged"),
    "laughs.pptx": (laughing("lights.pptx", "ppt/slides/slide1.xml", "</a:t>"), "damaged"),
    "laughs.xlsx": (laughing("lights.xlsx", "xl/worksheets/sheet1.xml", "</t>"), "damaged"),
    "no-notebook.ipynb": (b"{", "damaged"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_refused_with_its_reason(load, name):
    content, reason = BAD[name]
    with pytest.raises(DocumentError, match=reason):
        load(name, content)
    assert load("good.md", FACT.encode()).document.text == FACT  # the next file is read


def test_a_missing_file_a_folder_and_a_pipe_are_refused(pool, tmp_path):
    os.mkfifo(tmp_path / "pipe.txt")
    for path in (tmp_path / "gone.txt", tmp_path, tmp_path / "pipe.txt"):
        with pytest.raises(DocumentError):
            pool.load(path)


def test_a_very_large_file_is_refused_without_being_read(pool, tmp_path):
    path = tmp_path / "large.txt"
    with path.open("wb") as out:
        out.truncate(200_000_000)
    with pytest.raises(DocumentError, match="larger than 100 MB"):
        pool.load(path)


def test_a_text_of_too_many_characters_is_refused(load):
    with pytest.raises(DocumentError, match="10 million characters"):
        load("line.txt", b"x" * 11_000_000)


def test_a_line_of_a_megabyte_becomes_passages(load):
    loaded = load("line.txt", b"lighthouse " * 100_000)
    assert all(COUNT(passage.embedded_text) <= 200 for passage in passages(loaded))


def test_a_name_that_cannot_be_printed_is_read(load):
    assert load("two\nlines.txt", FACT.encode()).document.name == "two\ufffdlines.txt"


def test_a_reader_that_takes_too_long_is_ended(tmp_path):
    path = tmp_path / "large.txt"
    path.write_text(f"{FACT} " * 100_000)
    with LoaderPool(1, seconds=0.01) as hurried, pytest.raises(DocumentError, match=r"longer than 0\.01 s"):
        hurried.load(path)


def test_a_child_that_dies_is_replaced(pool, tmp_path):
    path = tmp_path / "good.txt"
    path.write_text(FACT)
    pool.load(path)
    pool._children[0]._process.kill()
    with pytest.raises(DocumentError, match="broke"):
        pool.load(path)
    assert pool.load(path).document.text == FACT


@pytest.mark.skipif(sys.platform != "linux", reason="limits of this kind are Linux's")
def test_a_child_cannot_write_to_files_and_has_a_bound_on_memory(pool, tmp_path):
    path = tmp_path / "good.txt"
    path.write_text(FACT)
    pool.load(path)
    limits = Path(f"/proc/{pool._children[0]._process.pid}/limits").read_text()
    assert [line.split()[3] for line in limits.splitlines() if line.startswith("Max file size")] == ["0"]
    assert [line.split()[3] for line in limits.splitlines() if line.startswith("Max address space")] == ["2000000000"]


def test_the_libraries_of_readers_leave_nothing_in_home_or_temporary_folders(monkeypatch, tmp_path):
    # onnxruntime, which comes with MarkItDown, keeps a record for its maker there, unless it is told not to
    for variable in ("HOME", "TMPDIR", "XDG_CACHE_HOME"):
        monkeypatch.setenv(variable, str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path / "home")
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    with LoaderPool(1) as fresh:
        for name, (content, _) in SAMPLES.items():
            (tmp_path / name).write_bytes(content)
            fresh.load(tmp_path / name)
    assert list((tmp_path / "home").iterdir()) == []


def test_files_come_in_order_with_the_reasons_of_those_that_cannot_be_read(tmp_path):
    for name, text in [("a.txt", FACT), ("b.txt", ""), ("c.txt", OTHER)]:
        (tmp_path / name).write_text(text)
    with LoaderPool(2) as two:
        results = list(two.load_all(sorted(tmp_path.iterdir())))
    assert [path.name for path, _ in results] == ["a.txt", "b.txt", "c.txt"]
    assert isinstance(results[1][1], DocumentError)
    assert results[2][1].document.text == OTHER


def test_damaged_files_are_read_or_refused_and_none_hangs(tmp_path):
    found = fuzz(200, tmp_path)
    assert found.failures == []
    assert sum(found.came.values()) == 200
    assert found.came["refused"] > 20
    assert found.came["read"] > 20
    assert found.came["ended: took too long"] == 0


DAMAGES = st.lists(
    st.builds(
        Damage,
        st.sampled_from(KINDS),
        st.floats(0, 1, exclude_max=True),
        st.sampled_from(LENGTHS),
        st.sampled_from(REPEATS),
        st.integers(0, 2**16),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=100, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(sorted(seeds())), damages=DAMAGES)
def test_whatever_is_done_to_a_file_it_is_read_or_refused(load, name, damages):
    try:
        loaded = load(name, damaged(seeds()[name], damages))
    except DocumentError as error:
        assert str(error).endswith(".")
        assert "broke the process" not in str(error)
    else:
        for passage in passages(loaded):
            assert loaded.document.text[passage.start : passage.end] in passage.text
