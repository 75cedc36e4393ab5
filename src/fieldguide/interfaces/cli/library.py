"""`fieldguide search`, `fieldguide ingest` and `fieldguide record`: the index, and runs recorded over it."""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fieldguide.assembly import Fieldguide
from fieldguide.errors import QuestionError
from fieldguide.interfaces.cli.documents import refresh
from fieldguide.interfaces.cli.terminal import LoadingDisplay, read_question, show_loading
from fieldguide.settings import resolve_settings
from fieldguide.types import Hit


def search(question: str, limit: int, flags: Mapping[str, Any], *, as_json: bool, collections: Sequence[str] = ()) -> None:
    """Print ranked passages with their place in each ranking."""
    question = " ".join(read_question(question).split())
    if not question:
        raise QuestionError("There is nothing to search for.", "Give a question or a few words.")
    fieldguide = Fieldguide(resolve_settings(flags))
    show_loading(fieldguide.loading(with_model=False))
    hits = fieldguide.search(question, limit, collections).hits
    if as_json:
        found = {"question": question, "hits": [hit.as_object() for hit in hits]}
        sys.stdout.write(json.dumps(found, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write("".join(_hit_text(hit) for hit in hits))
    fieldguide.close()


def ingest(flags: Mapping[str, Any], *, rebuild: bool, warm: bool, as_json: bool) -> None:
    """Build the guides' index, take up what changed in own documents, on demand fill the passage cache, and say so."""
    fieldguide = Fieldguide(resolve_settings(flags))
    with LoadingDisplay() as display:
        summary = fieldguide.ingest(display.show, rebuild=rebuild)
    if as_json:
        sys.stdout.write(json.dumps(asdict(summary)) + "\n")
    elif summary.changed:
        sys.stdout.write(
            f"The index holds {summary.passages} passages, {summary.embedded} of them embedded now ({summary.seconds:.1f} s).\n"
        )
    else:
        sys.stdout.write(f"The index is up to date: {summary.passages} passages.\n")
    refresh(fieldguide, as_json=as_json)
    if warm:
        show_loading(fieldguide.loading())
        show_loading(fieldguide.warm())
    fieldguide.close()


def record(names: Sequence[str], folder: Path | None, flags: Mapping[str, Any]) -> None:
    """Record the Learn page's runs, and say what is being done."""
    from fieldguide.interfaces.learn.shipped import FOLDER, record_all

    fieldguide = Fieldguide(resolve_settings(flags))
    show_loading(fieldguide.loading())
    for doing in record_all(fieldguide, folder or FOLDER, names):
        sys.stderr.write(f"{doing}\n")
    sys.stdout.write(f"The runs stand in {folder or FOLDER}.\n")
    fieldguide.close()


def _hit_text(hit: Hit) -> str:
    ranks = f"meaning {hit.rank_by_meaning or '-'}, keywords {hit.rank_by_keywords or '-'}, fused {hit.rank_fused}"
    text = " ".join(hit.chunk.text.split())
    return f"{hit.rank}. {hit.chunk.document}, {hit.chunk.section}\n   {hit.score:.3f} ({ranks})\n   {text[:300]}\n\n"
