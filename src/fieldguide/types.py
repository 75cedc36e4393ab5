"""The values that travel through the program, from a document's file to an answer with its citations."""

import hashlib
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

FloatVector = NDArray[np.float32]
FloatMatrix = NDArray[np.float32]

Verdict = Literal["supported", "weak", "unsupported"]


@dataclass(frozen=True, slots=True)
class Document:
    """One file's text, as it stands on disk, with what its front matter says."""

    name: str
    title: str
    summary: str
    text: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage: a piece of one section, small enough to be embedded whole.

    `start` and `end` are character offsets into the document's text. `text` is exactly that stretch, but for rows
    of a table away from its header: there the header rows are repeated in front.
    """

    id: str
    document: str
    title: str
    heading_path: tuple[str, ...]
    text: str
    start: int
    end: int

    @property
    def section(self) -> str:
        """The heading path as readers see it."""
        return " > ".join(self.heading_path)

    @property
    def content_id(self) -> str:
        """What its id is made of: the same passage under the same heading keeps it, and a damaged one has another."""
        content = "\0".join([self.document, self.title, self.section, self.text])
        return hashlib.sha256(content.encode()).hexdigest()[:20]

    @property
    def passage(self) -> str:
        """The passage as the language model reads it: where it stands, then what it says."""
        return f"{self.section}\n{self.text}"

    @property
    def embedded_text(self) -> str:
        """The passage as the embedder reads it: the guide's title is context that a search by meaning can use."""
        return f"{self.title} > {self.section}\n{self.text}"


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that a search found, with its place in each ranking (from 1; None where that ranking missed it)."""

    chunk: Chunk
    rank: int
    score: float
    rank_by_meaning: int | None
    rank_by_keywords: int | None
    rank_fused: int

    def as_object(self) -> dict[str, Any]:
        """The JSON object that `search --json` and `/api/search` share."""
        return {
            "rank": self.rank,
            "document": self.chunk.document,
            "section": self.chunk.section,
            "text": self.chunk.text,
            "score": round(self.score, 4),
            "rank_by_meaning": self.rank_by_meaning,
            "rank_by_keywords": self.rank_by_keywords,
            "rank_fused": self.rank_fused,
        }


@dataclass(frozen=True, slots=True)
class Quote:
    """A sentence of a source, found where it stands; offsets count in the passage as the model read it."""

    text: str
    chunk: Chunk
    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class SearchResult:
    """Hits, best first, how near every passage of the index lies to the question (chunk id to cosine), and the sentences of
    the best hits that fit the question best.
    """

    hits: tuple[Hit, ...]
    similarities: dict[str, float] = field(default_factory=dict)
    quotes: tuple[Quote, ...] = ()


@dataclass(frozen=True, slots=True)
class Turn:
    """One earlier message of the conversation."""

    role: Literal["user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Citation:
    """A numbered source of the answer: the exact sentence that supports it and the passage around it."""

    marker: int
    document: str
    section: str
    quote: str
    passage: str
    chunk_id: str


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of an answer, with the verdict of the support check and the markers of its citations."""

    text: str
    verdict: Verdict
    markers: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Timings:
    """Seconds, from the receipt of the question; `first_token_s` is None when the model wrote nothing."""

    rewrite_s: float
    retrieve_s: float
    first_token_s: float | None
    total_s: float


@dataclass(frozen=True, slots=True)
class TokenCounts:
    """Tokens of the language model; `prompt` includes the `reused` ones."""

    prompt: int
    reused: int
    generated: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What came out: prose without markers, its sentences, its citations, and what was retrieved for it."""

    question: str
    text: str
    abstained: bool
    sentences: tuple[Sentence, ...]
    citations: tuple[Citation, ...]
    retrieved: tuple[Hit, ...]
    timings: Timings
    tokens: TokenCounts
    # what a reader of this answer should know about how it came about; '' where there is nothing to say
    note: str = ""

    def as_object(self) -> dict[str, Any]:
        """The JSON object that `ask --json`, the evaluation and outside scripts share."""
        return {
            "question": self.question,
            "answer": self.text,
            "abstained": self.abstained,
            "sentences": [{"text": s.text, "verdict": s.verdict, "markers": list(s.markers)} for s in self.sentences],
            "citations": [
                {
                    "marker": c.marker,
                    "document": c.document,
                    "section": c.section,
                    "quote": c.quote,
                    "passage": c.passage,
                }
                for c in self.citations
            ],
            "retrieved": [
                {
                    "rank": hit.rank,
                    "document": hit.chunk.document,
                    "section": hit.chunk.section,
                    "text": hit.chunk.passage,
                    "score": round(hit.score, 4),
                }
                for hit in self.retrieved
            ],
            "timings": {
                "rewrite_s": round(self.timings.rewrite_s, 3),
                "retrieve_s": round(self.timings.retrieve_s, 3),
                "first_token_s": None if self.timings.first_token_s is None else round(self.timings.first_token_s, 3),
                "total_s": round(self.timings.total_s, 3),
            },
            "tokens": {
                "prompt": self.tokens.prompt,
                "reused": self.tokens.reused,
                "generated": self.tokens.generated,
            },
            "note": self.note,
        }
