"""What a reader makes of a file: its text, and the sections in it; and how that travels between processes."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from fieldguide.characters import visible
from fieldguide.indexing.structure import Section, Unit
from fieldguide.types import Document


@dataclass(frozen=True, slots=True)
class Loaded:
    """A document with its structure, and a note where part of the file could not be read."""

    document: Document
    sections: tuple[Section, ...]
    kind: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Structured:
    """A text with its sections, as a reader of one format gives it; '' where the file names no title."""

    text: str
    title: str
    sections: tuple[Section, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A piece of a text before it is known where in the whole it will stand."""

    text: str
    sections: Callable[[str, int, int], Sequence[Section]]  # of the whole text, from and to


def joined(stretches: Sequence[Stretch]) -> tuple[str, tuple[Section, ...]]:
    """One text of all stretches, and their sections at their places in it."""
    text = "\n\n".join(stretch.text for stretch in stretches)
    sections: list[Section] = []
    start = 0
    for stretch in stretches:
        sections += stretch.sections(text, start, start + len(stretch.text))
        start += len(stretch.text) + 2
    return text, tuple(sections)


def loaded(name: str, stem: str, raw: bytes, kind: str, found: Structured) -> Loaded:
    """The whole of it; a document that names no title is called by its file's name."""
    title = " ".join(visible(found.title).split())[:200] or stem
    document = Document(name, title, "", found.text, hashlib.sha256(raw).hexdigest())
    return Loaded(document, tuple(_placed(section, title) for section in found.sections), kind, found.note)


def _placed(section: Section, title: str) -> Section:
    """What stands under no heading, on no page and in no row stands under the title."""
    path = tuple(step for step in section.heading_path if step)
    return replace(section, heading_path=path or (() if section.counted else (title,)))


def to_json(given: Loaded) -> bytes:
    """As one line; a table's header, which all its rows carry, is written once."""
    headers: dict[str, int] = {}

    def packed(unit: Unit) -> list[object]:
        header = headers.setdefault(unit.header, len(headers))
        names = [unit.names.start, unit.names.end] if unit.names else None
        return [unit.start, unit.end, header, unit.is_header, names, unit.number]

    document = given.document
    sections = [[s.heading_path, s.counted, [packed(unit) for unit in s.units]] for s in given.sections]
    content = {
        "document": [document.name, document.title, document.summary, document.text, document.sha256],
        "sections": sections,
        "headers": list(headers),
        "kind": given.kind,
        "note": given.note,
    }
    return json.dumps(content).encode() + b"\n"


def from_json(line: bytes) -> Loaded:
    """What `to_json` wrote."""
    content = json.loads(line)
    headers = [_whole(header) for header in content["headers"]]

    def unpacked(start: int, end: int, header: int, is_header: bool, names: list[int] | None, number: int) -> Unit:
        return Unit(start, end, headers[header], is_header, Unit(names[0], names[1]) if names else None, number)

    sections = tuple(
        Section(tuple(map(_whole, path)), tuple(unpacked(*unit) for unit in units), counted)
        for path, counted, units in content["sections"]
    )
    return Loaded(Document(*map(_whole, content["document"])), sections, content["kind"], content["note"])


def _whole(text: str) -> str:
    """The same, as long as before, without halves of characters, as damaged files hold: no library takes them."""
    return text.encode("utf-8", "replace").decode()
