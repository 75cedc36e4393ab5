"""Make a follow-up stand alone, without asking the model: the question before joins the search and the prompt."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from fieldguide.types import Turn
from fieldguide.words import content_words

_PRONOUN = re.compile(r"\b(it|its|they|them|their|theirs|he|she|his|her|former|latter)\b", re.IGNORECASE)
# "that" points back where it stands for a thing, not where it opens a clause ("a model that separates sounds").
_POINTER = re.compile(
    r"\b(this|that|these|those)\b(?=\s*[?.!]*$|\s+(?:is|are|was|were|do|does|did|work|works|mean|help|one|ones|"
    r"model|models|family|approach|method|technique|system|idea|paper|guide)\b)|"
    r"^\s*(?:is|are|was|were|do|does|did|can|could|will|would|has|have)\s+(?:this|that|these|those)\b|"
    r"\bthe (?:other|others|first|second|third|last|same)(?: one| ones)?\s*[?.!]*$|\b(?:which|what) ones?\b|"
    r"\b(?:tell me more|what else|anything else|any others?|more about)\s*[?.!]*$",
    re.IGNORECASE,
)
_CONTINUES = re.compile(r"^\s*(and|or|but|so|then|what about|how about)\b", re.IGNORECASE)
_BARE = re.compile(r"^\s*(why|how|when|where|who|which|what)(\s+(not|so|then|exactly))?\s*[?.!]*$", re.IGNORECASE)
_CLAUSE_END = re.compile(r",|;|\b(?:and|but|or|because|if|when|so)\b", re.IGNORECASE)


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
    """Whether the question points back: by how it opens, by a word that stands for a thing, or by saying nothing else."""
    if _CONTINUES.search(question) or _BARE.match(question) or _POINTER.search(question):
        return True
    pronoun = _PRONOUN.search(question)
    if not pronoun:
        return False
    # "What is diffusion, and how does it work?" names its subject before it points to it.
    clause_ends = [match.start() for match in _CLAUSE_END.finditer(question, 0, pronoun.start())]
    return not (clause_ends and content_words(question[: clause_ends[-1]]))
