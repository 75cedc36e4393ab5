"""Read Markdown files as documents."""

import hashlib
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path

import yaml

from fieldguide.characters import visible
from fieldguide.errors import DocumentError
from fieldguide.types import Document

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?\n)---[ \t]*(?:\n|\Z)", re.DOTALL)
_FIRST_HEADING = re.compile(r"^#[ \t]+(.+?)(?:[ \t]+#+)?[ \t]*$", re.MULTILINE)
_CODE_FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)


def read_document(path: Path) -> Document:
    """Read one Markdown file; raises DocumentError when it cannot be read as UTF-8 text."""
    try:
        raw = path.read_bytes()
        text = raw.decode("utf-8-sig")
    except OSError as error:
        raise DocumentError(f"{path} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise DocumentError(f"{path} is not UTF-8 text (byte {error.start}).", "Save it as UTF-8.") from error
    text = visible(text.replace("\r\n", "\n").replace("\r", "\n"))
    title = title_of(text) or path.stem.replace("-", " ").capitalize()
    summary = str(_front_matter(text)[0].get("summary") or "")
    return Document(path.name, title, summary, text, hashlib.sha256(raw).hexdigest())


def title_of(text: str) -> str:
    """The title that Markdown gives itself, in its front matter or its first heading; '' where it has none."""
    front, start = _front_matter(text)
    heading = _FIRST_HEADING.search(_CODE_FENCE.sub("", text[start:]))
    return str(front.get("title") or (heading.group(1) if heading else ""))


def read_if_changed(path: Path) -> Document:
    """The same for who asks often: the file is read again only when its time or size has changed."""
    try:
        state = path.stat()
    except OSError:
        return read_document(path)  # which tells what is wrong
    return _read_as_of(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=256)
def _read_as_of(path: Path, _changed_ns: int, _size: int) -> Document:
    return read_document(path)


def read_folder(folder: Path, read: Callable[[Path], Document] = read_document) -> list[Document]:
    """All Markdown files of a folder, by name; raises DocumentError when there is none."""
    paths = sorted(path for path in folder.glob("*.md") if path.is_file())
    if not paths:
        raise DocumentError(f"{folder} holds no Markdown files.", "Give a folder with guides in it.")
    return [read(path) for path in paths]


def body_start(text: str) -> int:
    """The offset at which the front matter ends (0 when there is none)."""
    return _front_matter(text)[1]


def corpus_hash(documents: Iterable[Document]) -> str:
    """One hash for a set of documents: it changes when a name or a text does."""
    digest = hashlib.sha256()
    for document in sorted(documents, key=lambda d: d.name):
        digest.update(f"{document.name}\0{document.sha256}\n".encode())
    return digest.hexdigest()


def _front_matter(text: str) -> tuple[dict[str, object], int]:
    """What the front matter says and where it ends; nothing and 0 for prose between two rules of dashes."""
    match = _FRONT_MATTER.match(text)
    if not match:
        return {}, 0
    try:
        content = yaml.safe_load(match.group(1))
    except (yaml.YAMLError, ValueError):  # the latter: an impossible date
        content = {} if re.search(r"^\w+:", match.group(1)) else ""
    if content is None and match.group(1).strip():
        content = {}  # comments only
    return (content, match.end()) if isinstance(content, dict) else ({}, 0)
