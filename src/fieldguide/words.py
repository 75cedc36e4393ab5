"""The words of a text that carry its content, and the names and numbers that must not change."""

import re
import unicodedata

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_NAME = re.compile(r"\b(?=[\w\-]*[A-Z])[^\W\d_][\w\-]*(?:\.\d+)?")
STOP_WORDS = frozenset(
    "a about after all also an and any are as at be because been before being but by can could did do does doing "
    "for from had has have having he her here his how i if in into is it its just like made make me more most my no "
    "nor not now of on only or other our out over own she should so some such than that the their them then there "
    "these they this those through to too under up use used using very was we were what when where which while who "
    "whom why will with would you your one two both each every tell please explain describe many much".split()
)
_STEM = 6  # a crude stem: 'diffusion' and 'diffusing' meet, as do 'train' and 'trained'
_LIKENED = re.compile(r"(?<=\w)-(?:like|based|style)$")
_NEGATION = re.compile(r"\b(?:not|no|never|cannot|none|neither|nor|without)\b|n['’]t\b", re.IGNORECASE)


def content_words(text: str) -> set[str]:
    """Lower-cased stems of the words that are not mere grammar."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text.replace("’", "'")) if not unicodedata.combining(c))
    return {word.lower()[:_STEM] for word in _WORD.findall(plain) if word.lower() not in STOP_WORDS}


def numbers(text: str) -> set[str]:
    """Every number, without thousands separators: '20,000' and '20000' are the same."""
    return {re.sub(r",(?=\d{3}\b)", "", number) for number in _NUMBER.findall(text)}


def names(text: str) -> set[str]:
    """Words with a capital in them, folded, but for 'I'; a capital that only opens a sentence may be any word's."""
    found = set()
    for match in _NAME.finditer(text):
        word = match.group()
        opens_sentence = match.start() == 0 or text[: match.start()].rstrip()[-1:] in {".", "!", "?", ":"}
        if word == "I" or (opens_sentence and not re.search(r"[A-Z\d]", word[1:])):
            continue
        found.add(folded(word))
    return found


def every_word(text: str) -> set[str]:
    """Every word as it might be named, folded: a name may be written without its capital, or open a sentence."""
    return {folded(word.strip(".,;:()[]|*`'\"?!“”")) for word in text.split()}


def folded(word: str) -> str:
    """A name as it is compared: lower-cased, without the ending of a plural or a likening; 'GANs' and 'GAN-like' are 'gan'."""
    word = _LIKENED.sub("", word.lower())
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def opening_stem(text: str) -> set[str]:
    """The stem of the word that opens a sentence, unless it is mere grammar: it may be a name, or any word."""
    first = _WORD.search(text)
    return content_words(first.group()) if first else set()


def denied_stems(text: str) -> set[str]:
    """Stems of the words that follow a denial closely: what the text says is not so."""
    denied: set[str] = set()
    for match in _NEGATION.finditer(text):
        following = _WORD.findall(text[match.end() :])[:3]
        denied |= content_words(" ".join(following))
    return denied


def is_negated(text: str) -> bool:
    """Whether the text denies something."""
    return bool(_NEGATION.search(text))


def ordinal(number: int) -> str:
    """1st, 2nd, 3rd, 11th, 21st."""
    endings = {1: "st", 2: "nd", 3: "rd"}
    return f"{number}{'th' if 10 < number % 100 < 14 else endings.get(number % 10, 'th')}"
