"""Whether two answers to the same question give other numbers, however those are written."""

import re
from collections.abc import Iterable

from fieldguide.words import every_word, names

_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
_TENS = {word: 10 * n for n, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), 2)}
_COUNTS = {word: n for n, word in enumerate(_UNITS) if n > 1} | _TENS  # "one" is mostly no number
_SCALES = {"hundred": 1e2, "thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12}
_SHORT = {"k": 1e3, "m": 1e6, "b": 1e9, "bn": 1e9}
_VALUE = re.compile(
    rf"(?<![\w.,:/-])(?P<figure>\d+(?:,\d{{3}})*(?:\.\d+)?)(?:(?P<short>bn|[kmb])\b|\s+(?P<scale>{'|'.join(_SCALES)})s?\b)?(?![^\W_])"
    rf"|\b(?P<ten>{'|'.join(_TENS)})-(?P<unit>{'|'.join(_UNITS[1:10])})\b"
    rf"|\b(?P<count>{'|'.join(_COUNTS)})\b(?:\s+(?P<times>{'|'.join(_SCALES)})\b)?",
    re.IGNORECASE,
)
_NAME = re.compile(r"\b[A-Z][\w-]*(?:\s+[A-Z\d][\w.-]*\b)*")
_DAYS = re.compile(r"\b(?:mon|tues|wednes|thurs|fri|satur|sun)day(?=s?\b)", re.IGNORECASE)
_RANGE = re.compile(r"(\d[\d,]*(?:\.\d+)?)\D{0,12}?(?:\s(?:to|and)\s|–|-)(\d[\d,]*(?:\.\d+)?)")
# The same size reads as another number in another unit: those are not compared.
_MEASURE = re.compile(
    r"\s?((?:km|kilomet\w+|miles?|met(?:re|er)s?|m|feet|foot|ft|inch(?:es)?|cm|mm|kg|kilos?|grams?|g|tonnes?|pounds?|lbs?|ounces?|"
    r"lit(?:re|er)s?|ml|gallons?|seconds?|minutes?|hours?|days?|weeks?|months?|years?|[KMGT]B|°[CF])\b)"
)


def values(text: str) -> set[str]:
    """The numbers and days of the week in a text, however they are written: "1.5B", "twelve", "Tuesdays"."""
    found = {match.group().lower() for match in _DAYS.finditer(text)}
    for match in _VALUE.finditer(text):
        part = match.groupdict()
        if part["figure"]:
            size = float(part["figure"].replace(",", ""))
            scale = _SHORT.get((part["short"] or "").lower()) or _SCALES.get((part["scale"] or "").lower(), 1)
        elif part["ten"]:
            size, scale = _TENS[part["ten"].lower()] + _UNITS.index(part["unit"].lower()), 1
        else:
            size, scale = _COUNTS[part["count"].lower()], _SCALES.get((part["times"] or "").lower(), 1)
        found.add(f"{size * scale:g}")
    return found


def differ(answer: str, other: str, question: str) -> bool:
    """Whether two answers to a question give other numbers; those of the question itself do not count.

    They do not where the other one leaves out a name that question and answer share: it speaks of something else.
    """
    asked = values(question)
    shared = every_word(question) & every_word(answer)
    if not (names(question) | names(answer)) & shared <= every_word(other):
        return False
    said, told = values(answer) - asked, values(other) - asked
    units, other_units = _units(answer), _units(other)
    if units and other_units and not units & other_units:
        return False
    return bool(said and told) and not said & told and not (_within(said, other) or _within(told, answer))


def names_another(question: str, text: str) -> bool:
    """Whether the text names something by a longer name than the question, and not what the question names: a sibling."""
    named = _NAME.findall(text)
    return any(
        name not in named and any(longer.startswith(f"{name} ") and longer not in question for longer in named)
        for name in _NAME.findall(question)
    )


def _units(text: str) -> set[str]:
    """What its numbers are measured in."""
    return {unit[1] for match in _VALUE.finditer(text) if (unit := _MEASURE.match(text, match.end()))}


def _within(found: Iterable[str], text: str) -> bool:
    """Whether a number lies in a range that the text gives."""
    ranges = [[float(end.replace(",", "")) for end in match.groups()] for match in _RANGE.finditer(text)]
    return any(low <= float(one) <= high for one in found if one[0].isdigit() for low, high in ranges)
