"""Make a follow-up stand alone, without asking the model: the question before joins the search and the prompt."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from fieldguide.types import Turn
from fieldguide.words import content_words

_REFERS_BACK = re.compile(
    r"\b(it|its|they|them|their|theirs|this|that|these|those|he|she|his|her|former|latter|ones?|there|same|other|else|more)\b",
    re.IGNORECASE,
)
_CONTINUES = re.compile(r"^\s*(and|or|but|so|then|what about|how about|why|why not|when|where|who|how so)\b", re.IGNORECASE)
_FEW_WORDS = 2


@dataclass(frozen=True, slots=True)
class Standalone:
    """What is searched for, and the earlier question that gives a follow-up its subject ('' for none)."""

    search_text: str
    earlier_question: str

    @property
    def changed(self) -> bool:
        """Whether the conversation added something to the question."""
        return bool(self.earlier_question)


def standalone(question: str, history: Sequence[Turn]) -> Standalone:
    """The question as it must be searched: alone, or with the question that it follows up.

    Only the nearest question that stands alone is joined, so an earlier topic does not linger.
    """
    if not depends_on_history(question):
        return Standalone(question, "")
    for turn in reversed(history):
        if turn.role == "user" and not depends_on_history(turn.content):
            return Standalone(f"{turn.content} {question}", turn.content)
    return Standalone(question, "")


def depends_on_history(question: str) -> bool:
    """Whether the question points back: by a pronoun, by its opening, or by saying too little to stand alone."""
    few = len(content_words(question)) <= _FEW_WORDS
    return bool(_REFERS_BACK.search(question)) or (few and bool(_CONTINUES.search(question)))
