"""Questions that want everything there is, of which only the retrieved passages were read."""

import re

_WANTS_ALL = re.compile(
    r"\b(?:list|name|enumerate|show|give(?: me)?|tell me|which are|what are|find)\b[^?.!]{0,40}\b(?:all|every|each)\b|"
    r"\bhow many (?:different |other )?[a-z][\w-]*(?: [\w-]+){0,3} (?:are|is) "
    r"(?:there|named|mentioned|described|covered|listed|discussed|included|given)\b|"
    r"\bhow many [^?.!]{1,60}\b(?:do|does) the (?:guides?|documents?|library|texts?)\b|\b(?:complete|full|whole) list\b",
    re.IGNORECASE,
)


def note_on_completeness(question: str, passages: int) -> str:
    """What to say beside an answer to a question that wants a whole list or a count; '' for other questions."""
    if not _WANTS_ALL.search(question):
        return ""
    read = "Only the closest passage was read" if passages == 1 else f"Only the {passages} closest passages were read"
    return f"{read}: there may be more in the guides."
