"""What stands on the page before the first question, and what can be asked at all. All text is escaped."""

import re
from collections.abc import Iterable, Sequence
from html import escape

from fieldguide.indexing.documents import body_start
from fieldguide.interfaces.conversation_store import Kept, Listing
from fieldguide.interfaces.web.sources import TOPICS_BUTTON
from fieldguide.markdown import headings
from fieldguide.types import Document

EXAMPLES = {
    "generative-model-families.md": "Who introduced GANs, and when?",
    "beyond-llms-field-guide.md": "How many experts does Mixtral have?",
    "tour-of-model-families.md": "How many hours of audio was Whisper trained on?",
    "multimodal-atlas.md": "How does a vision-language-action model control a robot?",
    "architecture-cards.md": "What does latent diffusion do, and which system uses it?",
    "how-fieldguide-works.md": "How does Fieldguide decide whether to answer?",
}
_QUESTION_HEADING = re.compile(r"^#{1,6}[ \t]+(.+\?)[ \t]*#*$", re.MULTILINE)


def welcome(guides: Sequence[Document]) -> str:
    """An invitation, with one question for each guide."""
    items = "".join(
        f"<li><button type='button' class='fg-example' data-do='ask' data-question='{escape(question)}'>"
        f"<span>{escape(question)}</span> <span class='fg-document'>{escape(guide.title)}</span></button></li>"
        for guide in guides
        if (question := _example(guide))
    )
    return (
        "<section class='fg-welcome'><h2>Ask the guides</h2><p>Every sentence of an answer is checked against them and says "
        f"where it stands. What they do not answer is refused.</p><ul>{items}</ul>{TOPICS_BUTTON}</section>"
    )


def topics(guides: Iterable[Document]) -> str:
    """Every heading of every guide, as a question that a click puts into the box."""
    return "".join(_topics(guide.title, headings(guide.text[body_start(guide.text) :]) or [guide.title]) for guide in guides)


def _topics(title: str, told: Sequence[str]) -> str:
    once = list(dict.fromkeys(told))
    items = "".join(f"<li>{_topic(heading)}</li>" for heading in once)
    return f"<details><summary>{escape(title)} <span class='fg-count'>{len(once)}</span></summary><ul>{items}</ul></details>"


def shelf(listing: Listing, current: str, words: str = "") -> str:
    """The kept conversations, each with a button that deletes it."""
    items = "".join(_kept(held, is_current=held.id == current) for held in listing.conversations)
    empty = "Nothing found." if words else "Conversations are kept here, on this machine only."
    problems = "".join(f"<p class='fg-problem'>{escape(problem)}</p>" for problem in listing.problems)
    show = f"<button type='button' class='fg-button' data-do='list-all'>Show {listing.older:,} older ones</button>"
    older = show if listing.older else ""
    return f"{problems}<ul class='fg-shelf'>{items}</ul>{older}" if items else f"{problems}<p class='fg-note'>{empty}</p>"


def _kept(held: Kept, *, is_current: bool) -> str:
    current = " aria-current='true'" if is_current else ""
    title, identifier = escape(held.title), escape(held.id)
    return (
        f"<li><button type='button' class='fg-kept' data-do='open' data-id='{identifier}' title='{title}'{current}>{title}"
        "</button>"
        f"<button type='button' class='fg-delete' data-do='delete' data-id='{identifier}' aria-label='Delete: {title}'>"
        "Delete</button></li>"
    )


def _example(guide: Document) -> str:
    heading = _QUESTION_HEADING.search(guide.text)
    return EXAMPLES.get(guide.name) or (heading.group(1) if heading else "")


def _topic(heading: str) -> str:
    question = heading if heading.endswith("?") else f"What do the guides say about {heading}?"
    return f"<button type='button' class='fg-link' data-do='fill' data-question='{escape(question)}'>{escape(heading)}</button>"
