"""Misspelt words of a question, corrected: by meaning and by keywords, a typo finds next to nothing.

A word is taken for a typo when the embedder does not know it whole and no passage has it; it is replaced by the word that it
differs from in one letter, or two, and that passages do have. Names are left as they are: a new one looks like a typo, too.
"""

import re
from collections.abc import Sequence

import numpy as np

from fieldguide.retrieval.embedder import Embedder
from fieldguide.retrieval.passage_store import PassageStore

_WORD = re.compile(r"\b[^\W\d_]{4,}\b")
_LONG = 8  # letters; two of them may be wrong from there on


def corrected(question: str, embedder: Embedder, stores: Sequence[PassageStore]) -> str:
    """The question as it is searched for in these stores."""

    def word_for(match: re.Match[str]) -> str:
        word = match.group()
        is_name = word[1:] != word[1:].lower() or (match.start() > 0 and word[0].isupper())
        return word if is_name else _nearest(word.lower(), embedder, stores) or word

    return _WORD.sub(word_for, question)


def _nearest(word: str, embedder: Embedder, stores: Sequence[PassageStore]) -> str | None:
    """The known word that a typo stands for; None where it is none, or where nothing is near."""
    known = embedder.whole_words.get(word[0], {})  # the first letter is hardly ever wrong
    if word in known or any(store.has_word(word) for store in stores):
        return None
    most = 1 if len(word) < _LONG else 2
    letters = set(word)
    distances = {
        near: distance
        for near in known
        # Cheap first: each letter that is wrong changes the length by one at most, and two of the letters there are.
        if abs(len(near) - len(word)) <= most and len(letters ^ set(near)) <= 2 * most
        # A known word with an ending is another word, and no typo.
        if not word.startswith(near) and (distance := edit_distance(word, near, most)) <= most
    }
    if not distances:
        return None
    counts = np.sum([store.frequency([known[near] for near in distances]) for store in stores], axis=0)
    among = [(distances[near], -count, near) for near, count in zip(distances, counts, strict=True) if count > 0]
    return min(among)[2] if among else None


def edit_distance(one: str, other: str, most: int) -> int:
    """Letters to add, leave out, change or swap with the next one (optimal string alignment); above `most`, just more."""
    before, row = list[int](), list(range(len(other) + 1))
    for i, letter in enumerate(one, 1):
        older, before, row = before, row, [i]
        for j, against in enumerate(other, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != against))
            if i > 1 and j > 1 and letter == other[j - 2] and one[i - 2] == against:
                cost = min(cost, older[j - 2] + 1)
            row.append(cost)
        if min(row) > most:
            return most + 1
    return row[-1]
