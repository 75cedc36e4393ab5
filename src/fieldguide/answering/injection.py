"""Passages are material to read, not orders: what in a document speaks to the model is left out of what the model reads.

Such a sentence tells a machine what to write (prompt injection, arXiv 2302.12173). It is known by several signs at once: an
imperative of speech, mention of the answer or of an assistant, a prescribed form. What the model does not read, it cannot
obey; and as citations are looked for in the same text, none can rest on it. The document itself stays as it is, and shows all.
"""

import re
import unicodedata
from dataclasses import replace
from functools import lru_cache

from fieldguide.generation.prompt import REFUSAL_WORDS
from fieldguide.sentences import split_sentences
from fieldguide.types import Chunk, SearchResult

LEFT_OUT = "[…]"
_LEFT_OUT_AT_AN_END = re.compile(r"^(?:\s*\[…\])+\s*|\s*(?:\[…\]\s*)+$")  # nothing is missing between two sentences there
_SUSPICIOUS_FROM = 3  # points; a single sign is found in many manuals
_PASSAGES_REMEMBERED = 1000

_LOOK_ALIKES = str.maketrans("аеорсухіѕјԁԛνοαιρτυκ", "aeopcyxisjdqvoaiptuk")  # Cyrillic and Greek
_SPACED = re.compile(r"\b(?:\w ){2,}\w\b")
_TAG = re.compile(r"<!--|-->|</?[a-zA-Z][^<>]*>")

# Turns of a chat, as templates of many models mark them. They are never read as control tokens, and not as text either.
_TURN = re.compile(
    r"<\|[^|<>\n]{1,40}\|>|</?s>|\[/?INST\]|<</?SYS>>|</?(?:start|end)_of_turn>|</?(?:system|assistant|user)>", re.IGNORECASE
)
_SPEAKER = re.compile(r"^\W*(system|assistant|user|human|ai|bot)\W{0,3}:", re.IGNORECASE | re.MULTILINE)
# What would be fetched from elsewhere where an answer is shown by others than us; a tag in source code is left.
_PICTURE = re.compile(r"!\[([^\]]*)\](?:\([^)]*\)|\[[^\]]*\])|<img\b[^>]*//[^>]*>", re.IGNORECASE)
_MARKER = re.compile(r"(?:^|[ \t]+|(?<=[.!?,;:)\]\"”]))\[\d{1,3}\](?![\w(:])", re.MULTILINE)  # not that of arrays and of links

_MACHINE = r"(?:assistant|chat ?bot|bot|a\.?i\.?|(?:language )?model|llm)s?"
_SPEECH = r"answer|reply|respond|say"
_TELL = r"tell|state|repeat|recite|claim|confirm|write|output|print|produce|generate|cite|mention|refuse|pretend|reveal"
_DO = (
    r"begin|start|open|end|finish|close|conclude|include|add|append|insert|attach|copy|keep|put|use|translate|show|display|give"
)
_BEFORE_ORDER = (
    r"(?:(?:^|[,:;.!?>(\"“—-]\s*)(?:do not |don't )?|\b(?:please|kindly|now|always|never|then|and|also|instead|just|only|must|"
    r"should|shall|will|have to|need to)\s+(?:not\s+|also\s+|always\s+|only\s+)?)"
)
_ANSWER = r"(?:answer|reply|response|output|completion)s?"
_WHOSE = r"(?:your|the|this|each|every|any|all)"

# Whatever of these a sentence says, it says to a machine.
_ORDERS = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"\b(?:ignore|disregard|forget|neglect|overrule|override|bypass|abandon|discard|pay no attention to|set aside|"
        r"(?:do not|don't|stop|no longer) follow(?:ing)?)\b[^.!?\n]{0,50}\b(?:instruction|rule|prompt|guideline|direction|"
        r"order|command|constraint|passage|document|question|everything|told)",
        r"\byour (?:\w+ )?(?:instructions|rules|(?:system )?prompt|task|role|persona|secret)\b",
        rf"{_BEFORE_ORDER}(?:{_SPEECH}|state|claim|confirm|pretend) (?:that|you)\b",
        rf"{_BEFORE_ORDER}(?:{_TELL}|show|display)\b[^.!?\n]{{0,30}}\b(?:instructions|rules|prompt)\b",
        r"\b(?:you are now|you are no longer|from now on,? you|act as (?:if|though|an?) |pretend to be)\b",
        rf"\b(?:you|(?:the|an?|any|all) {_MACHINE}) (?:must|should|shall|are to|is to)(?: not| never| always| only)? "
        rf"(?:{_SPEECH}|tell|repeat|claim|confirm|cite|mention|refuse|pretend|reveal|help|obey)\b",
        rf"\b(?:your|each|every|any|all) {_ANSWER}\b[^.!?\n]{{0,40}}\b(?:must|should|shall|will|has to|have to|needs? to)\b",
        rf"\bthe {_ANSWER} (?:must|should|shall|has to|needs to) (?:contain|include|begin|start|end|be given|say)\b",
        rf"\b(?:note|notice|rule|message|instruction|attention)s? (?:to|for) (?:the |all |any |every )?{_MACHINE}\b",
        rf"\b(?:only|correct|right|proper) {_ANSWER}\b[^.!?\n]{{0,20}}\b(?:every|all|any) question",
        rf"\bonly (?:right |correct )?{_ANSWER} is\b",
        # what only the rules may say: that there is no answer
        r"^\W*no (?:passage|document|guide|source|text)s? (?:answers?|contains?|says?)\b",
        r"^\W*(?:the|these|this) (?:passage|document|guide|source)s? (?:do|does)(?: not|n't) (?:answer|contain|hold|give)\b",
        r"^\W*(?:the|this|that) (?:answer|question)\b[^.!?\n]{0,20}\b(?:is|was|can|could)(?: not|not|n't) (?:be )?"
        r"(?:found|answered|given|known)\b",
        r"\banswering (?:this|the|that|any|such) question",
    )
]
# Each of these says little alone: points by pattern.
_SIGNS = [
    (re.compile(rf"{_BEFORE_ORDER}(?:{_SPEECH})\b", re.IGNORECASE), 2),
    (re.compile(rf"{_BEFORE_ORDER}(?:{_TELL})\b", re.IGNORECASE), 1),
    (re.compile(rf"\b{_WHOSE} {_ANSWER}\b|\b(?:user|reader|asker)(?:'s|’s) question\b", re.IGNORECASE), 2),
    (re.compile(rf"\b(?:the|an?|all|any) (?:{_MACHINE}|user|reader|asker)\b|\bwhoever (?:reads|asks)\b", re.IGNORECASE), 1),
    (re.compile(r"\b(?:only|exactly|nothing else|instead|verbatim|word for word|before anything else|capital letters)\b"), 1),
    (re.compile(r"\b(?:the|this) (?:\w+ )?(?:words?|phrase|sentence|link|image|tag)\b|\b(?:every|each) sentence\b"), 1),
    (re.compile(r"[\"“'‘][^\"”]{2,}[\"”'’]|\b[A-Z]{4,}\b|\[\d+\]|\b(?:link|image|click)\b|https?://|www\."), 1),
]
_ASKS = re.compile(rf"{_BEFORE_ORDER}(?:{_SPEECH}|{_TELL}|{_DO})\b", re.IGNORECASE)


def speaks_to_the_model(sentence: str) -> bool:
    """Whether a sentence tells a machine what to write, rather than a reader what is so."""
    text = " ".join(_plain(sentence).split())
    if any(order.search(text) for order in _ORDERS):
        return True
    return bool(_ASKS.search(text)) and sum(points for sign, points in _SIGNS if sign.search(text)) >= _SUSPICIOUS_FROM


def without_orders(result: SearchResult) -> SearchResult:
    """The result with its passages as the model may read them; quotes from what is left out are dropped."""
    chunks = {hit.chunk.id: readable(hit.chunk) for hit in result.hits}
    if all(chunks[hit.chunk.id] == hit.chunk for hit in result.hits):
        return result
    quotes = []
    for quote in result.quotes:
        chunk = chunks[quote.chunk.id]
        start = chunk.passage.find(quote.text)
        if chunk == quote.chunk:
            quotes.append(quote)
        elif start >= 0:
            quotes.append(replace(quote, chunk=chunk, start=start, end=start + len(quote.text)))
    hits = tuple(replace(hit, chunk=chunks[hit.chunk.id]) for hit in result.hits)
    return replace(result, hits=hits, quotes=tuple(quotes))


def worth_reading(result: SearchResult) -> list[Chunk]:
    """The passages of which anything is left, best first."""
    return [hit.chunk for hit in result.hits if any(character.isalnum() for character in hit.chunk.text)]


def without_markers(text: str) -> str:
    """Without numbers in brackets that look like citations: code alone sets those."""
    return _MARKER.sub("", text)


@lru_cache(_PASSAGES_REMEMBERED)
def readable(chunk: Chunk) -> Chunk:
    """The passage as the model may read it; an equal one where nothing had to be left out."""
    text = _without_orders(chunk.text)
    if text != chunk.text:
        text = _LEFT_OUT_AT_AN_END.sub("", text)
    path = tuple(_without_orders(heading) for heading in chunk.heading_path)
    title = _without_orders(chunk.title)
    if (text, path, title) == (chunk.text, chunk.heading_path, chunk.title):
        return chunk
    return replace(chunk, text=text, heading_path=path, title=title)


def _without_orders(text: str) -> str:
    text = _without_turns(text)
    pieces: list[str] = []
    position = 0
    for span in split_sentences(text):
        if speaks_to_the_model(span.text):
            between = text[position : span.start]
            is_next = pieces and pieces[-1] == LEFT_OUT and not between.strip()
            pieces += [] if is_next else [between, LEFT_OUT]
            position = span.end
    text = "".join([*pieces, text[position:]])
    text = without_markers(_PICTURE.sub(lambda match: match.group(1) or "", text))
    return text.replace(REFUSAL_WORDS, REFUSAL_WORDS.lower())  # what the model writes to refuse is for the rules to say


def _without_turns(text: str) -> str:
    """Without forged turns of a chat: from the first mark of one to the line of the last, or a dialogue with an assistant."""
    marks = list(_TURN.finditer(text))
    if marks:
        line_end = text.find("\n", marks[-1].end())
        return text[: marks[0].start()] + LEFT_OUT + (text[line_end:] if line_end >= 0 else "")
    speakers = {match.group(1).lower() for match in _SPEAKER.finditer(text)}
    if len(speakers) > 1 and speakers & {"assistant", "ai", "bot", "system"}:
        return "\n".join(LEFT_OUT if _SPEAKER.match(line) else line for line in text.split("\n"))
    return text


def _plain(text: str) -> str:
    """As it would be read aloud: look-alikes, spaced letters and markup undone."""
    text = unicodedata.normalize("NFKC", text).translate(_LOOK_ALIKES)
    text = _SPACED.sub(lambda match: match.group().replace(" ", ""), text)
    return _TAG.sub(" ", text).replace("*", "").replace("_", " ").replace("`", "")
