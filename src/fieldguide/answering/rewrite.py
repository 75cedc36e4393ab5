"""Make a follow-up stand alone, without asking the model: the question before joins the search and the prompt."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from fieldguide.sentences import split_sentences
from fieldguide.types import Turn
from fieldguide.words import content_words, names

_PRONOUN = re.compile(r"\b(it|its|they|them|their|theirs|he|she|his|her|former|latter)\b", re.IGNORECASE)
# "that" points back where it stands for a thing, not where it opens a clause ("a model that separates sounds").
_POINTER = re.compile(
    r"\b(this|that|these|those)\b(?=\s*[?.!]*$|\s+(?:is|are|was|were|do|does|did|work|works|mean|help|one|ones|"
    r"model|models|family|approach|method|technique|system|idea|paper|guide)\b)|"
    r"^\s*(?:is|are|was|were|do|does|did|can|could|will|would|has|have)\s+(?:this|that|these|those)\b|"
    r"\bthe (?:other|others|first|second|third|fourth|last|same)"
    r"(?: one| ones| component| part| stage| step| kind| type| two)?\b"
    r"(?=\s*[?.!]*$|\s+(?:is|are|was|were|do|does|did|called|named|used)\b)|\b(?:which|what) ones?\b|"
    r"\b(?:tell me more|what else|anything else|any others?|more about)\s*[?.!]*$|"
    r"\byou (?:just |also )?(?:said|say|mentioned|wrote|told)\b|\byour (?:last |previous )?(?:answer|reply)\b",
    re.IGNORECASE,
)
# An empty "it" stands for what follows: "What did it cost to train CLIP?"
_EMPTY_IT = re.compile(
    r"\bit\s+(?:(?:cost|take|took|make sense|pay|help|matter|mean)\b|(?:be\s+)?"
    r"(?:possible|true|necessary|better|worth|hard|harder|easy|easier|difficult|common|known|said|called|important)\b)"
    r"(?=.*\b(?:to|that|if|when|for)\b)|\bit(?:'s|\s+is|\s+was)\s+\w+\s+(?:to|that)\b",
    re.IGNORECASE,
)
_CONTINUES = re.compile(r"^\s*(and|or|but|so|then|what about|how about)\b", re.IGNORECASE)
_BARE = re.compile(r"^\s*(why|how|when|where|who|which|what)(\s+(not|so|then|exactly))?\s*[?.!]*$", re.IGNORECASE)
_ONE_WORD = re.compile(r"(\w[\w.\-]*?)\s*[?.!]*$")
_ANSWER_CHARACTERS = 200  # of the last answer, at most: its first sentences name what it is about
_CLAUSE_END = re.compile(r",|;|\b(?:and|but|or|because|if|when|so)\b", re.IGNORECASE)
# Such a sentence speaks of the answer before, not of what the next one asks about.
_COURTESY = re.compile(
    r"\s*(?:thanks|thank you|ok|okay|great|nice|good|cool|interesting|i see|got it|sorry|sure|right|yes|no|hi|hello)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Standalone:
    """What is searched for, what the model is asked, and the earlier question that gives a follow-up its subject ('' for
    none).
    """

    search_text: str
    question: str
    earlier_question: str

    @property
    def changed(self) -> bool:
        """Whether the conversation added something to the question."""
        return bool(self.earlier_question)

    def corrected(self, spelled: Callable[[str], str]) -> "Standalone":
        """The same with misspelt words as `spelled` has them: a model that is asked in typos reads worse, too."""
        return Standalone(spelled(self.search_text), spelled(self.question), self.earlier_question)


def standalone(question: str, history: Sequence[Turn]) -> Standalone:
    """The question as it must be searched: alone, or with the turns that it follows up.

    Joined are the question before it and the start of its answer ("the second one" may stand only there); where that
    question names nothing itself, the one before it, too. Earlier topics do not linger.
    """
    asked = [turn.content for turn in history if turn.role == "user"]
    if not asked or not depends_on_history(question):
        return Standalone(question, _in_full(question), "")
    earlier = asked[-1]
    for content in reversed(asked[:-1]):
        if not depends_on_history(earlier) or names(earlier):
            break
        earlier = f"{content} {earlier}"
    answered = _start_of(history[-1].content) if history[-1].role == "assistant" else ""
    return Standalone(" ".join(filter(None, [earlier, answered, question])), question, earlier)


def _in_full(question: str) -> str:
    """A word alone as the question that it stands for: a model that is asked "Whisper" says "Whisper"."""
    word = _ONE_WORD.match(question)
    return f"What is {word[1]}?" if word and content_words(word[1]) else question


def _start_of(answer: str) -> str:
    """As many whole sentences as there is room for; of a first one that is too long, as many words."""
    if len(answer) <= _ANSWER_CHARACTERS:
        return answer
    ends = [span.end for span in split_sentences(answer) if span.end <= _ANSWER_CHARACTERS]
    return answer[: ends[-1]] if ends else answer[: _ANSWER_CHARACTERS + 1].rpartition(" ")[0]


def depends_on_history(question: str) -> bool:
    """Whether the question points back: by how it opens, by a word that stands for a thing, or by saying nothing else.

    What its own sentences say before comes first: "I have a laptop with 8 GB. Can it run Llama?" stands alone.
    """
    for span in split_sentences(question):
        if _points_back(span.text):
            return True
        if (names(span.text) or len(content_words(span.text)) > 1) and not _COURTESY.match(span.text):
            return False
    return False


def _points_back(sentence: str) -> bool:
    if _CONTINUES.search(sentence) or _BARE.match(sentence) or _POINTER.search(sentence):
        return True
    pronoun = _PRONOUN.search(_EMPTY_IT.sub("", sentence) if names(sentence) else sentence)
    if not pronoun:
        return False
    # "What is diffusion, and how does it work?" names its subject before it points to it.
    clause_ends = [match.start() for match in _CLAUSE_END.finditer(sentence, 0, pronoun.start())]
    return not (clause_ends and content_words(sentence[: clause_ends[-1]]))
