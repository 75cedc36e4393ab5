"""The sources of an answer as cards: where a sentence stands, what it says, and the passage around it. All text is escaped."""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from html import escape

from fieldguide.markdown import as_html, as_plain_text
from fieldguide.types import Answer, Citation, Hit, Quote

_QUOTES_SHOWN = 3
_OTHERS_SHOWN = 8


def sources_of(answer: Answer, covered: Sequence[str] = ()) -> str:
    """Cited sources with their quotes, then the passages that were also retrieved; `covered` are the guides' titles."""
    quoted = {(citation.document, citation.section) for citation in answer.citations}
    others = [hit for hit in answer.retrieved if (hit.chunk.document, hit.chunk.section) not in quoted][:_OTHERS_SHOWN]
    parts = [cited(answer.citations)]
    heading = "Closest passages" if answer.abstained else "Also retrieved"
    parts.append(f"<h3>{heading}</h3>" + "".join(map(_hit_card, others)))
    if answer.abstained and covered:
        titles = "".join(f"<li>{escape(title)}</li>" for title in covered)
        parts.append(f"<h3>What the guides cover</h3><ul class='fg-covered'>{titles}</ul>{TOPICS_BUTTON}")
    return "".join(parts)


def cited(citations: Sequence[Citation]) -> str:
    """The sources with their quotes, in the order of their numbers."""
    return "<h3>Cited</h3>" + "".join(map(_citation_card, citations)) if citations else ""


def closest(answer: Answer) -> str:
    """Under a refusal: the nearest passages, each a button that opens it."""
    items = "".join(
        f"<li><button type='button' class='fg-link' data-do='card' data-card='hit-{hit.rank}'>"
        f"{escape(hit.chunk.section)}</button> <span class='fg-document'>{escape(hit.chunk.document)}</span></li>"
        for hit in answer.retrieved[:3]
    )
    return f"<div class='fg-closest'><h3>Closest passages</h3><ul>{items}</ul>{TOPICS_BUTTON}</div>"


def quotes(found: Sequence[Quote]) -> str:
    """The sentences that look like the answer, before the model has spoken."""
    if not found:
        return ""
    cards = "".join(
        f"<li><blockquote>{escape(as_plain_text(q.text))}</blockquote>"
        f"<p class='fg-where'>{escape(q.chunk.section)} <span class='fg-document'>{escape(q.chunk.document)}</span></p></li>"
        for q in found[:_QUOTES_SHOWN]
    )
    return f"<h3>This looks like the answer</h3><ul>{cards}</ul>"


TOPICS_BUTTON = "<button type='button' class='fg-button' data-do='topics'>What can I ask?</button>"


def _citation_card(citation: Citation) -> str:
    text = citation.passage.removeprefix(f"{citation.section}\n")
    return (
        f"<article class='fg-card' data-card='{citation.marker}'>"
        f"<h4><span class='fg-number'>[{citation.marker}]</span> {escape(citation.section)}</h4>"
        f"<p class='fg-document'>{escape(citation.document)}</p>"
        f"<blockquote>{escape(as_plain_text(citation.quote))}</blockquote>"
        f"{_passage(text, citation.chunk_id, citation.quote)}</article>"
    )


def _hit_card(hit: Hit) -> str:
    chunk = hit.chunk
    return (
        f"<article class='fg-card' data-card='hit-{hit.rank}'><h4>{escape(chunk.section)}</h4>"
        f"<p class='fg-document'>{escape(chunk.document)}</p>{_passage(chunk.text, chunk.id)}</article>"
    )


@lru_cache(maxsize=2048)  # a conversation is drawn again and again
def _passage(text: str, chunk_id: str, quote: str = "") -> str:
    start = max(text.find(quote), 0)
    passage = as_html(text, start, start + len(quote) if quote in text else start)
    return (
        f"<details><summary>Read the passage</summary><div class='fg-passage fg-text'>{passage}</div></details>"
        f"{_way_to(chunk_id)}"
    )


def _way_to(chunk_id: str) -> str:
    return f"<a class='fg-open' href='/guide/{escape(chunk_id)}#passage' target='_blank' rel='noopener'>Open the guide here</a>"


def without_ways_to(gone: Iterable[str], html: str) -> str:
    """The same HTML, where these passages say that they are no longer in the library instead of how to open them."""
    for chunk_id in gone:
        html = html.replace(_way_to(chunk_id), "<p class='fg-document'>No longer in the library, or changed since.</p>")
    return html
