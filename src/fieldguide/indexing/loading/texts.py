"""Readers of formats that are text: plain text, Markdown, source code, reStructuredText, HTML, notebooks, tables."""

import csv
import io
import re
from collections.abc import Iterable, Sequence

import charset_normalizer
import docutils.core
from markitdown import StreamInfo
from markitdown.converters import HtmlConverter, IpynbConverter

from fieldguide.characters import visible
from fieldguide.errors import DocumentError
from fieldguide.indexing.documents import title_of
from fieldguide.indexing.loading.reading import Stretch, Structured, joined
from fieldguide.indexing.structure import line_section, markdown_sections, plain_section, table_section

_SAMPLE = 200_000  # bytes by which an encoding is told
_MARKS = {b"\xff\xfe\x00\x00": "utf-32", b"\x00\x00\xfe\xff": "utf-32", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_DECLARED = re.compile(rb"""<meta[^>]+charset=["']?([\w\-]+)|<\?xml[^>]+encoding=["']([\w\-]+)""", re.IGNORECASE)
Cells = Sequence[str]


def decoded(raw: bytes) -> str:
    """The text of these bytes, in whatever encoding; raises DocumentError where they are none."""
    encoding = next((name for mark, name in _MARKS.items() if raw.startswith(mark)), "utf-8-sig")
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError:
        text = raw.decode(_guessed(raw), "replace")
    return visible(text.replace("\r\n", "\n").replace("\r", "\n"))


def _guessed(raw: bytes) -> str:
    declared = _DECLARED.search(raw[:4096])
    name = next((group.decode() for group in declared.groups() if group), "") if declared else ""
    try:
        "".encode(name or "-")
    except LookupError:
        best = charset_normalizer.from_bytes(raw[:_SAMPLE]).best()
        if best is None:
            raise DocumentError("It is not text in any encoding that is known.") from None
        name = best.encoding
    return name


def read_text(raw: bytes) -> Structured:
    """Plain text: paragraphs under no heading."""
    text = decoded(raw)
    return Structured(text, "", (plain_section(text, (), 0, len(text)),))


def read_markdown(raw: bytes) -> Structured:
    """Markdown, with or without front matter."""
    return markdown(decoded(raw), "")


def markdown(text: str, title: str) -> Structured:
    """Markdown that stands in a file or was made of one."""
    title = title or title_of(text)
    return Structured(text, title, tuple(markdown_sections(text, title)))


def read_code(raw: bytes) -> Structured:
    """Source code and its like: passages of whole lines, which are counted."""
    text = decoded(raw)
    return Structured(text, "", (line_section(text, ()),))


def read_html(raw: bytes) -> Structured:
    """A page of HTML."""
    return _from_html(decoded(raw), "")


def _from_html(html: str, title: str) -> Structured:
    found = HtmlConverter().convert_string(html)
    return markdown(_tidy(found.markdown), title or found.title or "")


def _tidy(text: str) -> str:
    """Without the blank lines and blanks at line ends that come of a page's layout."""
    return re.sub(r"\n{3,}", "\n\n", re.sub(r"[ \t]+\n", "\n", visible(text))).strip() + "\n"


def read_rst(raw: bytes) -> Structured:
    """reStructuredText; it may not bring in other files."""
    settings = {
        "file_insertion_enabled": False,
        "raw_enabled": False,
        "_disable_config": True,
        "report_level": 5,
        "halt_level": 6,
        "warning_stream": io.StringIO(),
        "embed_stylesheet": False,
        "stylesheet_path": [],
        "math_output": "LaTeX",
    }
    parts = docutils.core.publish_parts(decoded(raw), writer="html5", settings_overrides=settings)
    return _from_html(parts["html_body"], re.sub(r"<[^>]+>", "", parts["title"]))


def read_notebook(raw: bytes) -> Structured:
    """A Jupyter notebook: its text and its code, without what the code printed."""
    text = decoded(raw)
    found = IpynbConverter().convert(io.BytesIO(text.encode("utf-8", "replace")), StreamInfo(extension=".ipynb"))
    return markdown(_tidy(found.markdown), found.title or "")


def read_csv(raw: bytes) -> Structured:
    """A table of text, the first row naming the columns."""
    text = decoded(raw)
    csv.field_size_limit(1_000_000)
    try:
        dialect: type[csv.Dialect] | str = csv.Sniffer().sniff(text[:20_000], ",;\t|")
    except csv.Error:
        dialect = "excel"
    try:
        rows = enumerate(csv.reader(io.StringIO(text, newline=""), dialect), 1)
        whole, sections = joined(table_stretches(rows, ()))
    except csv.Error as error:
        raise DocumentError(f"It is no table: {error}.") from error
    return Structured(whole, "", sections)


def table_stretches(rows: Iterable[tuple[int, Cells]], path: tuple[str, ...]) -> list[Stretch]:
    """A table as Markdown from its numbered rows; none where it is empty."""
    filled = ((number, cells) for number, cells in rows if any(cell.strip() for cell in cells))
    first = next(filled, None)
    if first is None:
        return []
    columns = len(first[1])
    lines, numbers = [_line(first[1]), "|" + "---|" * columns], []
    for number, cells in filled:
        lines.append(_line(cells))
        numbers.append(number)
    if not numbers:  # one row, which names nothing
        return [Stretch(lines[0], lambda text, start, end: [plain_section(text, path, start, end)])]
    return [Stretch("\n".join(lines), lambda text, start, end: [table_section(text, path, start, end, numbers)])]


def _line(cells: Cells) -> str:
    return "| " + " | ".join(" ".join(visible(cell).replace("|", "\\|").split()) for cell in cells) + " |"
