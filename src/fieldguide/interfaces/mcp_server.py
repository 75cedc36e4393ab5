"""Fieldguide for agents: a server of the Model Context Protocol, over standard input and output or over HTTP.

Three tools search, ask and list; every document is a resource. Names in requests are looked up, never opened as paths.
"""

import asyncio
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, TypeVar
from urllib.parse import quote

from mcp.server.mcpserver import Context, MCPServer, ResourceSecurity
from mcp.server.mcpserver.exceptions import ResourceNotFoundError, ToolError
from mcp.server.transport_security import TransportSecuritySettings
from mcp.types import Resource, ToolAnnotations
from pydantic import BaseModel, Field
from starlette.applications import Starlette

import fieldguide
from fieldguide.errors import FieldguideError
from fieldguide.events import Failed, Finished
from fieldguide.generation.model import Cancellation
from fieldguide.indexing.library import GUIDES
from fieldguide.interfaces.answerer import Answers
from fieldguide.interfaces.streaming import as_they_come, progress_of
from fieldguide.types import Answer, Hit

if TYPE_CHECKING:
    from fieldguide.assembly import Fieldguide

_INSTRUCTIONS = (
    "Fieldguide answers questions from guides to AI models and from the user's own documents, on this machine. "
    "Use search_guides for passages to read yourself, and ask_guides for an answer whose citations were checked. "
    "When ask_guides abstains, the documents do not hold the answer."
)
_READS_ONLY = ToolAnnotations(read_only_hint=True, open_world_hint=False)
_NAMES_OPEN_NOTHING = ResourceSecurity(exempt_params={"collection", "name"})  # they are looked up among known documents
_MANY_RESULTS = 60

Made = TypeVar("Made")
Question = Annotated[str, Field(min_length=1, max_length=2000, description="A question, or a few words.")]
Collections = Annotated[tuple[str, ...], Field(description="Which collections to search; all where none is named.")]


class DocumentEntry(BaseModel):
    """A document that can be searched and read."""

    collection: str
    name: str
    title: str
    uri: str


class Documents(BaseModel):
    """All documents, by collection."""

    documents: list[DocumentEntry]


class Passage(BaseModel):
    """A passage that a search found."""

    collection: str
    document: str
    section: str
    text: str
    score: float
    uri: str


class Passages(BaseModel):
    """Passages, best first."""

    passages: list[Passage]


class Source(BaseModel):
    """The sentence of a document that a marker in the answer stands for."""

    marker: int
    document: str
    section: str
    quote: str


class Answered(BaseModel):
    """An answer with [1], [2] ... behind its sentences, or a refusal with the closest sections."""

    answer: str
    abstained: bool
    sources: list[Source]
    unsupported: list[str] = Field(description="Sentences of the answer that no passage supports.")
    closest: list[str] = Field(description="After a refusal: the sections that came closest.")
    note: str


class _Server(MCPServer[None]):
    """The library's server, whose list of resources is as long as the list of documents is at that moment."""

    def __init__(self, tools: "_Tools") -> None:
        version, instructions = fieldguide.__version__, _INSTRUCTIONS
        super().__init__("fieldguide", title="Fieldguide", version=version, instructions=instructions, log_level="WARNING")
        for tool in (tools.search_guides, tools.ask_guides, tools.list_documents):
            self.add_tool(tool, annotations=_READS_ONLY)
        address = "fieldguide://documents/{collection}/{name}"
        self.resource(address, mime_type="text/markdown", security=_NAMES_OPEN_NOTHING)(tools.document)
        self._tools = tools

    async def list_resources(self) -> list[Resource]:
        """Every document."""
        return [
            Resource(uri=entry.uri, name=entry.name, title=f"{entry.title} ({entry.collection})", mime_type="text/markdown")
            for entry in (await self._tools.list_documents()).documents
        ]


class _Tools:
    """What agents can do; their descriptions are these docstrings."""

    def __init__(self, own: "Fieldguide", answers: Callable[[], Answers]) -> None:
        self._own = own
        self._answers = answers

    async def search_guides(
        self, question: Question, limit: Annotated[int, Field(ge=1, le=_MANY_RESULTS)] = 8, collections: Collections = ()
    ) -> Passages:
        """Find the passages that fit a question best, without a language model."""

        def search() -> list[Passage]:
            for _ in self._own.loading(with_model=False):
                pass
            return [_passage(self._own, hit) for hit in self._own.search(question, limit, collections).hits]

        return Passages(passages=await _told(search))

    async def ask_guides(self, question: Question, context: Context, collections: Collections = ()) -> Answered:
        """Answer a question from the documents, with citations that code has checked, or say that they do not answer it."""
        cancellation, steps = Cancellation(), 0
        events = self._answers().answer(question, cancellation=cancellation, collections=collections)
        async for event in as_they_come(events, cancellation):
            if isinstance(event, Failed):
                raise ToolError(event.told)
            if isinstance(event, Finished):
                return _answered(event.answer)
            if progress := progress_of(event):
                steps += 1
                await context.report_progress(steps, message=f"{progress.what} {progress.detail}".strip())
        raise ToolError("The answer broke off. Ask again.")

    async def list_documents(self) -> Documents:
        """List the documents that are searched: the guides, and the user's own by collection."""
        return Documents(documents=await _told(lambda: list(_documents(self._own))))

    async def document(self, collection: str, name: str) -> str:
        """The whole text of a document."""
        text = await _told(lambda: _text(self._own, collection, name))
        if text is None:
            raise ResourceNotFoundError(f"There is no document '{name}' in '{collection}'. See list_documents.")
        return text


async def _told(work: Callable[[], Made]) -> Made:
    """Do it beside the event loop; an expected failure becomes what the agent is told."""
    try:
        return await asyncio.to_thread(work)
    except FieldguideError as error:
        raise ToolError(str(error)) from error


def create_server(own: "Fieldguide", answers: Callable[[], Answers]) -> MCPServer[None]:
    """A server over `own`, where questions go to what `answers` gives at that moment."""
    return _Server(_Tools(own, answers))


def over_http(own: "Fieldguide") -> Starlette:
    """The server as a part of the page's: its one route is /mcp, and its lifespan must be run."""
    guarded = TransportSecuritySettings(enable_dns_rebinding_protection=False)  # by what stands before the page (guards)
    return create_server(own, lambda: own).streamable_http_app(transport_security=guarded)


def _documents(own: "Fieldguide") -> Iterator[DocumentEntry]:
    for guide in own.guides():
        yield DocumentEntry(collection=GUIDES, name=guide.name, title=guide.title, uri=_uri(GUIDES, guide.name))
    for collection in own.library.collections():
        name = collection.name
        for stored in collection.store.documents():
            yield DocumentEntry(collection=name, name=stored.name, title=stored.title, uri=_uri(name, stored.name))


def _text(own: "Fieldguide", collection: str, name: str) -> str | None:
    """None where there is no such document."""
    if collection == GUIDES:
        return next((guide.text for guide in own.guides() if guide.name == name), None)
    for found in own.library.collections():
        if found.name == collection and found.store.document(name):
            return found.store.text(name)
    return None


def _passage(own: "Fieldguide", hit: Hit) -> Passage:
    chunk, collection = hit.chunk, own.library.collection_of(hit.chunk.id)
    name = collection.name if collection else GUIDES
    return Passage(
        collection=name,
        document=chunk.document,
        section=chunk.section,
        text=chunk.text,
        score=round(hit.score, 4),
        uri=_uri(name, chunk.document),
    )


def _answered(answer: Answer) -> Answered:
    marked = [s.text + "".join(f" [{marker}]" for marker in s.markers) for s in answer.sentences]
    return Answered(
        answer=" ".join(marked) or answer.text,
        abstained=answer.abstained,
        sources=[Source(marker=c.marker, document=c.document, section=c.section, quote=c.quote) for c in answer.citations],
        unsupported=[s.text for s in answer.sentences if s.verdict == "unsupported"],
        closest=[f"{hit.chunk.document}, {hit.chunk.section}" for hit in answer.retrieved[:3]] if answer.abstained else [],
        note=answer.note,
    )


def _uri(collection: str, name: str) -> str:
    return f"fieldguide://documents/{quote(collection, safe='')}/{quote(name, safe='')}"
