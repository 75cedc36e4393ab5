"""What an abbreviation stands for, copied from where a passage spells it out: "variational autoencoder (VAE)".

Letters can be checked by code, so no model is asked where the passages say it, and a model's guess that does not fit the
letters is refused. Which words before a bracket belong to it: Schwartz and Hearst 2003, "A simple algorithm for identifying
abbreviation definitions in biomedical text".
"""

import re
from collections.abc import Iterator, Sequence

from fieldguide.sentences import split_sentences
from fieldguide.types import Chunk, Citation, Sentence
from fieldguide.words import STOP_WORDS, content_words

_MOST_MEANINGS = 3
_LEADING = r"(?:(?:and|so|but|ok|okay|please|tell me|hi|hello)[\s,:]+)*"
_THE = r"(?:the\s+)?(?:(?:abbreviation|acronym|letters|initials|short form|term)\s+)?"
_SHORT = r"[\"'“‘«`]?(?P<short>[A-Za-z][\w\-+.]{0,11}?)[\"'”’»`]?"
_QUESTIONS = [
    re.compile(rf"{_LEADING}(?:{pattern})\s*[?!.]*", re.IGNORECASE)
    for pattern in (
        rf"what\s+(?:do|does)\s+{_THE}{_SHORT}\s+(?:actually\s+)?stand\s+for",
        rf"what\s+(?:is|are)\s+{_THE}{_SHORT}\s+(?:short|an?\s+(?:abbreviation|acronym))\s+(?:for|of)",
        rf"what(?:\s+is|['’]s)\s+the\s+(?:long|full)\s+(?:form|name)\s+of\s+{_THE}{_SHORT}",
        rf"what\s+(?:do|does)\s+the\s+(?:abbreviation|acronym|letters|initials)\s+{_SHORT}\s+mean",
        rf"{_SHORT}\s+(?:stands|is\s+short)\s+for\s+what",
        rf"spell\s+out\s+{_THE}{_SHORT}",
    )
]


def asked_for(question: str) -> str:
    """The abbreviation whose long form is all that the question wants; '' for any other question."""
    for pattern in _QUESTIONS:
        if found := pattern.fullmatch(question.strip()):
            short = re.sub(r"(?<=[A-Z])s$", "", found["short"])  # of many
            return "" if short.lower() in STOP_WORDS else short
    return ""


def spelled_out(short: str, chunks: Sequence[Chunk]) -> tuple[tuple[Sentence, ...], tuple[Citation, ...]]:
    """Sentences that say what it stands for, each with the sentence of a passage that spells it out; none where none does.

    Where passages differ, as they may about "RAG", all meanings are told.
    """
    sentences: list[Sentence] = []
    citations: list[Citation] = []
    known: list[set[str]] = []
    for chunk in chunks:
        named = short and short.casefold() in chunk.text.casefold()  # to find sentences takes longer
        for span in split_sentences(chunk.text) if named else ():
            for name, meaning in _definitions(short, span.text):
                if content_words(meaning) in known or len(known) == _MOST_MEANINGS:
                    continue
                known.append(content_words(meaning))
                marker = len(citations) + 1
                citations.append(Citation(marker, chunk.document, chunk.section, span.text, chunk.passage, chunk.id))
                text = f"It also stands for {meaning}." if sentences else f"{name} stands for {meaning}."
                sentences.append(Sentence(text, "supported", (marker,)))
    return tuple(sentences), tuple(citations)


def fits_letters(short: str, text: str) -> bool:
    """Whether some words of the text can be what the letters stand for; nothing is asked of what is hardly an abbreviation."""
    if sum(letter.isupper() for letter in short) < 2:
        return True
    others = re.sub(rf"\b{re.escape(short)}s?\b", " ", text)
    return any(long_form(short, others[: word.end()]) for word in re.finditer(r"\w+", others))


def long_form(short: str, before: str) -> str:
    """The words at the end of the text that hold the letters in order, the first one at the beginning of a word; or ''."""
    letters = [letter for letter in short.casefold() if letter.isalpha()]
    words = re.split(r"[.;:()|\n]\s|[()|\n]", before)[-1].split()
    text = " ".join(words[-min(len(letters) + 5, 2 * len(letters)) :]).rstrip(" ,\"“”'")
    place = len(text)
    for number, letter in reversed(list(enumerate(letters))):
        place -= 1
        while place >= 0 and (text[place].casefold() != letter or (number == 0 and text[place - 1 : place].isalnum())):
            place -= 1
        if place < 0:
            return ""
    start = text.rfind(" ", 0, place) + 1
    meaning = text[start:].lstrip("\"“'")
    return meaning if len(meaning) > len(short) and short.casefold() not in meaning.casefold().split() else ""


def _definitions(short: str, sentence: str) -> Iterator[tuple[str, str]]:
    """The short form as it is written in the sentence, and the words that it stands for there."""
    plain = re.sub(r"[*`]|(?<!\w)_|_(?!\w)", "", sentence)
    name = rf"(?P<name>{re.escape(short)})(?P<plural>s?)"
    for found in re.finditer(rf"\(\s*[\"“']?{name}[\"”']?\s*[,;)]", plain, re.IGNORECASE):
        if meaning := long_form(short, plain[: found.start()]):
            yield found["name"], _singular(meaning) if found["plural"] else meaning
    for found in re.finditer(rf"\b{name}\s+\((?P<inside>[^(),;]+)[,;)]", plain, re.IGNORECASE):
        inside = found["inside"].strip()
        if long_form(short, inside) == inside:
            yield found["name"], _singular(inside) if found["plural"] else inside


def _singular(meaning: str) -> str:
    return meaning[:-1] if meaning.endswith("s") and not meaning.endswith("ss") else meaning
