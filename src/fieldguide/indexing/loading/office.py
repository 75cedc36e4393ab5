"""Readers of formats that are more than text: PDF, Word, slides, workbooks, electronic books."""

import io
import re
import zipfile
from collections.abc import Iterator, Sequence

import openpyxl
import pypdf
from markitdown import StreamInfo
from markitdown.converters import DocxConverter, EpubConverter, PptxConverter

from fieldguide.characters import visible
from fieldguide.errors import DocumentError
from fieldguide.indexing.loading.reading import Stretch, Structured, joined
from fieldguide.indexing.loading.texts import markdown, table_stretches
from fieldguide.indexing.structure import Section, markdown_sections, plain_section

_UNPACKED = 400_000_000  # bytes that an archive may hold
_SLIDE = re.compile(r"<!-- Slide number: (\d+) -->\n?")
_PICTURE = re.compile(r"!\[([^\]]*)\]\([^)]*\)")
_HYPHENATED = re.compile(r"(?<=[a-z])-\n(?=[a-z])")
_INDENTED = re.compile(r"^[ \t]{4,}", re.MULTILINE)  # Markdown would take it for code


def read_pdf(raw: bytes) -> Structured:
    """A PDF file, page by page."""
    reader = pypdf.PdfReader(io.BytesIO(raw), strict=False)
    if reader.is_encrypted and not reader.decrypt(""):
        raise DocumentError("It is protected by a password.", "Save a copy without one.")
    pages, broken = [], 0
    for number, page in enumerate(reader.pages, 1):
        try:
            text = _HYPHENATED.sub("", visible(page.extract_text())).strip()
        except Exception:  # a damaged page; the library raises whatever its parsing meets
            broken += 1
            continue
        if text:
            pages.append(_page(text, number))
    count = len(reader.pages)
    if not pages:
        if broken:
            raise DocumentError("None of its pages can be read: the file is damaged.")
        raise DocumentError("It has no text: its pages are pictures (scanned).", "Run text recognition (OCR) over it first.")
    text, sections = joined(pages)
    title = (reader.metadata.title if reader.metadata else "") or ""
    return Structured(text, str(title), sections, f"{broken} of {count} pages cannot be read." if broken else "")


def _page(text: str, number: int) -> Stretch:
    return Stretch(text, lambda whole, start, end: [plain_section(whole, (f"page {number}",), start, end)])


def read_docx(raw: bytes) -> Structured:
    """A Word document, along its headings."""
    _check_size(raw)
    found = DocxConverter().convert(io.BytesIO(raw), StreamInfo(extension=".docx"))
    return markdown(_without_pictures(found.markdown), found.title or "")


def read_epub(raw: bytes) -> Structured:
    """An electronic book, along its headings."""
    _check_size(raw)
    found = EpubConverter().convert(io.BytesIO(raw), StreamInfo(extension=".epub"))
    return markdown(_without_pictures(found.markdown), found.title or "")


def read_pptx(raw: bytes) -> Structured:
    """Slides with their tables and notes."""
    _check_size(raw)
    found = PptxConverter().convert(io.BytesIO(raw), StreamInfo(extension=".pptx"))
    _, *pieces = _SLIDE.split(found.markdown)
    slides = [_slide(text, number) for number, text in zip(pieces[::2], pieces[1::2], strict=True)]
    text, sections = joined([slide for slide in slides if slide.text])
    heading = re.search(r"^# (.+)$", text, re.MULTILINE)
    return Structured(text, heading.group(1) if heading else "", sections)


def _slide(text: str, number: str) -> Stretch:
    # A slide's title is a heading of its own, also where it is the only one.
    text = _INDENTED.sub("", _without_pictures(text)).strip()
    text = re.sub(r"^# ", "## ", text, flags=re.MULTILINE)

    def sections(whole: str, start: int, end: int) -> Sequence[Section]:
        return tuple(markdown_sections(whole[:end], "", (f"slide {number}",), start))

    return Stretch(text, sections)


def read_xlsx(raw: bytes) -> Structured:
    """A workbook: each sheet a table whose first row names the columns, with the values that were last computed."""
    _check_size(raw)
    book = openpyxl.load_workbook(io.BytesIO(raw), read_only=True, data_only=True)
    stretches = [stretch for sheet in book.worksheets for stretch in table_stretches(_rows(sheet), (sheet.title,))]
    text, sections = joined(stretches)
    return Structured(text, str(book.properties.title or ""), sections)


def _rows(sheet: openpyxl.worksheet._read_only.ReadOnlyWorksheet) -> Iterator[tuple[int, list[str]]]:
    sheet.reset_dimensions()  # what a file says of its size may be anything
    for number, row in enumerate(sheet.iter_rows(values_only=True), 1):
        cells = ["" if value is None else str(value) for value in row]
        while cells and not cells[-1]:
            cells.pop()
        yield number, cells


def _without_pictures(text: str) -> str:
    return re.sub(r"\n{3,}", "\n\n", _PICTURE.sub(r"\1", visible(text))).strip() + "\n"


def _check_size(raw: bytes) -> None:
    """Raise DocumentError for an archive that would unpack to far more than it is."""
    with zipfile.ZipFile(io.BytesIO(raw)) as archive:
        if any(entry.flag_bits & 1 for entry in archive.infolist()):
            raise DocumentError("It is protected by a password.", "Save a copy without one.")
        if sum(entry.file_size for entry in archive.infolist()) > _UNPACKED:
            raise DocumentError(f"It would unpack to more than {_UNPACKED // 1_000_000} MB.")
