"""`/api/search` and `/api/documents`: what the Library page does, for programs."""

import os
import shutil
import tempfile
import threading
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Query, Request, UploadFile
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from fieldguide.errors import CollectionError
from fieldguide.indexing.library import DEFAULT_COLLECTION
from fieldguide.indexing.own_documents import summary
from fieldguide.interfaces.serving.forms import QUESTION, Problem
from fieldguide.interfaces.serving.problems import problem
from fieldguide.interfaces.serving.service import Service

_MANY_RESULTS = 60
_LONG = 2000
_LONGEST_NAME = 200  # bytes; file systems allow 255
REFUSALS: dict[int | str, dict[str, Any]] = {"4XX": {"model": Problem}, 503: {"model": Problem}}
Collection = Annotated[str, Query(max_length=100, description="The collection.")]


class Search(BaseModel):
    """What to look for."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"question": QUESTION, "limit": 3}]})
    question: Annotated[str, Field(min_length=1, max_length=_LONG)]
    limit: Annotated[int, Field(ge=1, le=_MANY_RESULTS)] = 8
    collections: Annotated[list[str], Field(max_length=100, description="All where none is named.")] = []


class HitForm(BaseModel):
    """A passage, and its place in each ranking; null where that ranking missed it."""

    rank: int
    document: str
    section: str
    text: str
    score: float
    rank_by_meaning: int | None
    rank_by_keywords: int | None
    rank_fused: int


class Found(BaseModel):
    """Passages, best first."""

    question: str
    hits: list[HitForm]


class DocumentForm(BaseModel):
    """A document of your own."""

    collection: str
    name: str
    title: str
    kind: str
    size: int
    passages: int
    added: str
    note: str


class Documents(BaseModel):
    """Your own documents."""

    documents: list[DocumentForm]


class Added(BaseModel):
    """What came of an upload."""

    added: int
    changed: int
    unchanged: int
    skipped: list[tuple[str, str]]
    summary: str


def documents(service: Service) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/api", tags=["Documents"], responses=REFUSALS)

    @router.post("/search", response_model=Found)
    def search(asked: Search, request: Request) -> dict[str, Any] | Response:
        """Find passages, without the language model."""
        question = " ".join(asked.question.split())
        if not question:
            return problem(request.url.path, 422, "There is nothing to search for.", "Give a question or a few words.")
        for _ in service.loading(with_model=False):
            pass
        hits = service.search(question, asked.limit, asked.collections).hits
        return {"question": question, "hits": [hit.as_object() for hit in hits]}

    @router.get("/documents")
    def list_documents(collection: Collection = "") -> Documents:
        """Your own documents, of one collection or of all."""
        library = service.library
        chosen = [library.collection(collection)] if collection else library.collections()
        names = DocumentForm.model_fields.keys() - {"collection"}
        rows = [(c.name, document) for c in chosen for document in c.store.documents()]
        return Documents(
            documents=[DocumentForm(collection=c, **{name: getattr(document, name) for name in names}) for c, document in rows]
        )

    @router.post("/documents", response_model=Added, status_code=201)
    def add_document(
        request: Request,
        file: Annotated[UploadFile, File()],
        collection: Annotated[str, Form(max_length=100)] = DEFAULT_COLLECTION,
    ) -> Added | Response:
        """Add a file, or its newer version, to a collection, which is made where there is none of that name."""
        name = os.path.basename((file.filename or "").replace("\\", "/"))
        if not name.strip(". ") or not name.isprintable() or len(name.encode("utf-8", "replace")) > _LONGEST_NAME:
            return problem(request.url.path, 422, "The file's name cannot be used.", "Give it a plain one.")
        try:
            service.library.checked_name(collection)
        except CollectionError as error:
            return problem(request.url.path, 422, error.message, error.remedy)
        with tempfile.TemporaryDirectory(prefix="fieldguide-") as folder:
            kept = Path(folder) / "upload"
            with kept.open("wb") as out:
                shutil.copyfileobj(file.file, out)
            report = service.own.upload(collection, [(name, kept)], lambda _: None, threading.Event())
        return Added(
            added=report.added,
            changed=report.changed,
            unchanged=report.unchanged,
            skipped=[(name, reason) for name, reason in report.skipped],
            summary=summary(report),
        )

    @router.delete("/documents", status_code=204)
    def remove_document(collection: Collection, name: Annotated[str, Query(max_length=1000)]) -> None:
        """Forget a document."""
        service.own.remove(collection, [name])

    return router
