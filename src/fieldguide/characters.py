"""Characters that nobody sees: they hide text from its readers or turn its order round, and say nothing to a search."""

import re

# Zero-width and bidirectional controls, tags, soft hyphens, and control characters but for blanks and line ends.
_HIDDEN = re.compile(
    "[\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff"
    "\x01-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]"
)
# Scripts that join their letters need these two; no word of plain letters does.
_JOINERS = re.compile("(?<![^\x00-\x7f])[\u200c\u200d]|[\u200c\u200d](?![^\x00-\x7f])")


def whole(text: str) -> str:
    """The text with a mark in place of every half character, as some terminals send them: they would break libraries."""
    return text.encode("utf-8", "replace").decode()


def visible(text: str) -> str:
    """The text without what its readers cannot see; a NUL becomes a blank."""
    return _JOINERS.sub("", _HIDDEN.sub("", text.replace("\0", " ")))
