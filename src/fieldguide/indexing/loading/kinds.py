"""Which format a file is in: by its name, held against how its content begins."""

from pathlib import Path

from fieldguide.errors import DocumentError

_CODE = (
    "py pyi js mjs jsx ts tsx java kt scala c h cc cpp hpp cs go rs rb php pl lua r jl swift sh bash zsh fish ps1 sql css scss "
    "vue dart ex exs erl hs clj ml f90 m toml yaml yml ini cfg conf json jsonl xml cmake tf proto graphql tex bib diff patch"
)
KIND_BY_SUFFIX = {
    ".md": "markdown",
    ".markdown": "markdown",
    ".txt": "text",
    ".text": "text",
    ".log": "text",
    ".rst": "rst",
    ".html": "html",
    ".htm": "html",
    ".xhtml": "html",
    ".pdf": "pdf",
    ".docx": "docx",
    ".pptx": "pptx",
    ".xlsx": "xlsx",
    ".xlsm": "xlsx",
    ".csv": "csv",
    ".tsv": "csv",
    ".epub": "epub",
    ".ipynb": "notebook",
    **{f".{suffix}": "code" for suffix in _CODE.split()},
}
ZIPPED = {"docx", "pptx", "xlsx", "epub"}
# Names that people expect to be read, of formats that nothing here reads: said so instead of "is not text".
_OLD_FORMATS = {".doc": "docx", ".ppt": "pptx", ".xls": "xlsx", ".odt": "docx", ".odp": "pptx", ".ods": "xlsx", ".rtf": "docx"}
_PICTURES = {".png", ".jpg", ".jpeg", ".gif", ".webp", ".tif", ".tiff", ".bmp", ".heic"}
_BEGINNINGS = {
    b"%PDF-": "a PDF file",
    b"PK\x03\x04": "a ZIP archive",
    b"\x1f\x8b": "a compressed file",
    b"\xd0\xcf\x11\xe0": "an old Office file, or one with a password",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"GIF8": "a picture",
    b"\x7fELF": "a program",
    b"SQLite format 3": "a database",
}
_NAME_BYTES = 200  # of the 255 that file systems allow
_UNICODE_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")


def kind_by_name(path: Path) -> str:
    """The format that a file's name promises; without a known ending it may still be text."""
    return KIND_BY_SUFFIX.get(path.suffix.lower(), "text")


def checked_kind(path: Path, beginning: bytes) -> str:
    """The format of a file that begins like this; raises DocumentError where nothing here can read it."""
    suffix, kind = path.suffix.lower(), kind_by_name(path)
    if suffix in _OLD_FORMATS:
        raise DocumentError(f"{suffix} files are not read.", f"Save it as {_OLD_FORMATS[suffix]}.")
    if suffix in _PICTURES:
        raise DocumentError("It is a picture; text in pictures is not read.")
    found = next((what for mark, what in _BEGINNINGS.items() if beginning.startswith(mark)), None)
    if kind == "pdf":
        if b"%PDF-" not in beginning[:1024]:
            raise DocumentError(f"Its name says PDF, but it is {found or 'none'}.")
    elif kind in ZIPPED:
        if not beginning.startswith(b"PK"):
            raise DocumentError(f"Its name says {suffix[1:]}, but it is {found or 'none'}.")
    elif found:
        raise DocumentError(f"It is {found}, which its name does not say.", "Give it the right ending.")
    elif b"\0" in beginning and not beginning.startswith(_UNICODE_MARKS):
        raise DocumentError("It is not text (it holds NUL bytes).")
    return kind


def readable_name(name: str) -> str:
    """A file's name for people: what does not print becomes a mark."""
    return "".join(c if c.isprintable() else "\ufffd" for c in name) or "\ufffd"


def short_name(name: str) -> str:
    """The same, for a new file: its end, where the ending stands; file systems count bytes."""
    return readable_name(name).encode()[-_NAME_BYTES:].decode(errors="ignore")
