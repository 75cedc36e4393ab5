"""Citations decided by code: each sentence of an answer is held against the sentences of the passages.

A sentence is supported when some source sentences are near to it in meaning and words, and every number and name in it
occurs in them or in their headings. The model never writes a citation, so none can point to nothing.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from fieldguide.answering.agreement import values
from fieldguide.retrieval.embedder import Embedder
from fieldguide.sentences import split_sentences
from fieldguide.types import Chunk, Citation, FloatVector, Quote, Sentence, Verdict
from fieldguide.words import content_words, denied_stems, every_word, is_negated, names, numbers, opening_stem

SUPPORTED_FROM = 0.55  # likeness (0 to 1) from which a sentence counts as said by its source
WEAK_FROM = 0.40
_CHOICE = re.compile(r"\bor\b|\bwhich\b", re.IGNORECASE)
_NEAREST_COMPARED = 12  # source sentences compared by meaning for each sentence: embedding all would cost seconds
_QUOTES_PER_SENTENCE = 3
_PASSAGES_REMEMBERED = 100  # cut into sentences: an answer is held against its passages twice
_REMEMBERED = 2000  # sentence vectors kept for the next questions


@dataclass(frozen=True, slots=True)
class _Source:
    """A sentence of a passage, with what its heading adds to it."""

    quote: str
    chunk: Chunk
    start: int
    words: frozenset[str]
    facts: frozenset[str]


class SupportChecker:
    """Holds answers against passages; remembers the vectors of sentences it has seen."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._vectors: dict[str, FloatVector] = {}

    def check(
        self, answer: str, chunks: Sequence[Chunk], question: str = "", nearest: Sequence[Quote] = ()
    ) -> tuple[tuple[Sentence, ...], tuple[Citation, ...]]:
        """The sentences of the answer with their verdicts, and the numbered citations they point to; `nearest` are the
        sentences that the search finds nearest to the question, best first; those of other passages do not count.
        """
        sources = _sources(chunks)
        citations: list[Citation] = []
        sentences = []
        for span in split_sentences(answer):
            if span.text.rstrip("\"')”’*").endswith((".", "!", "…", ":")):
                verdict, quotes = self._judge(span.text, sources)
            elif _says_the_question_again(span.text, question):
                verdict, quotes = "unsupported", []
            else:  # a bare name or number says something only as the answer to its question
                verdict, quotes = self._judge(f"{question} {span.text}", sources)
                if verdict != "supported":
                    verdict, quotes = _named_in(nearest, span.text, question, sources) or (verdict, quotes)
            markers = tuple(dict.fromkeys(_marker(quote, citations) for quote in quotes))
            sentences.append(Sentence(span.text, verdict, markers))
        return tuple(sentences), tuple(citations)

    def worth_comparing(
        self, sentences: Sequence[Sentence], citations: Sequence[Citation], chunks: Sequence[Chunk], question: str
    ) -> list[Chunk]:
        """The passages without a citation in which a sentence is like one of the answer's, but has a number that neither
        answer nor question gives; likest first. They name what the question and the cited passages name.
        """
        cited = {citation.chunk_id: citation.passage for citation in citations}
        named = names(question) & every_word(" ".join(cited.values()))
        others = [chunk for chunk in chunks if chunk.id not in cited and named <= every_word(chunk.passage)]
        known = values(" ".join([question, *(sentence.text for sentence in sentences)]))
        likest: dict[Chunk, float] = {}
        for sentence in sentences:
            if not sentence.markers or not values(sentence.text) - values(question):
                continue
            for chunk in others:
                numbered = [source for source in _sentences_of(chunk) if values(source.quote) - known]
                if numbered:
                    likest[chunk] = max(likest.get(chunk, 0.0), self._rank(sentence.text, numbered)[0][0])
        return sorted((chunk for chunk in likest if likest[chunk] >= WEAK_FROM), key=lambda chunk: -likest[chunk])

    def _judge(self, sentence: str, sources: Sequence[_Source]) -> tuple[Verdict, list[Quote]]:
        ranked = self._rank(sentence, sources)
        if not ranked or ranked[0][0] < WEAK_FROM:
            return "unsupported", []
        likeness, best = ranked[0]
        evidence = [(likeness, best)]
        missing = _facts(sentence) - best.facts
        for score, source in ranked[1:]:
            if not missing or len(evidence) == _QUOTES_PER_SENTENCE:
                break
            if score >= WEAK_FROM and missing & source.facts:
                evidence.append((score, source))
                missing = missing - source.facts
        quotes = [_quote(source, score) for score, source in evidence]
        said = set().union(*(source.words for _, source in evidence))
        unknown_opening = opening_stem(sentence) - said
        if is_negated(sentence):
            turned = not any(is_negated(source.quote) for _, source in evidence)
        else:
            turned = bool(denied_stems(best.quote) & content_words(sentence))
        # A number that its source does not give, or a name that no passage knows, was made up.
        given = numbers(sentence)
        if missing & given or missing - set().union(*(source.facts for source in sources)):
            return "unsupported", []
        numbered = [source.chunk for _, source in evidence if given & numbers(source.quote)]
        of_another = not all(_tells_of(chunk, names(sentence)) for chunk in numbered)
        if likeness >= SUPPORTED_FROM and not (missing or unknown_opening or turned or of_another):
            return "supported", quotes
        return "weak", quotes

    def _rank(self, text: str, sources: Sequence[_Source]) -> list[tuple[float, _Source]]:
        """Sources by likeness to the text: half nearness in meaning, half the share of its words that they have."""
        words = content_words(text)
        by_words = sorted(sources, key=lambda source: -_overlap(words, source))[:_NEAREST_COMPARED]
        vectors = self._embed([text, *(source.quote for source in by_words)])
        scored = [
            (0.5 * max(0.0, float(np.dot(vectors[0], vector))) + 0.5 * _overlap(words, source), source)
            for source, vector in zip(by_words, vectors[1:], strict=True)
        ]
        return sorted(scored, key=lambda pair: -pair[0])

    def _embed(self, texts: Sequence[str]) -> list[FloatVector]:
        unknown = [text for text in dict.fromkeys(texts) if text not in self._vectors]
        if len(self._vectors) + len(unknown) > _REMEMBERED:
            self._vectors.clear()
            unknown = list(dict.fromkeys(texts))
        for text, embedding in zip(unknown, self._embedder.embed(unknown), strict=True):
            self._vectors[text] = embedding.vector
        return [self._vectors[text] for text in texts]


def _says_the_question_again(text: str, question: str) -> bool:
    """Whether nothing new is in it; of a choice, one side is an answer."""
    words = content_words(text)
    return text.endswith("?") or (bool(words) and words <= content_words(question) and not _CHOICE.search(question))


def _named_in(
    nearest: Sequence[Quote], name: str, question: str, sources: Sequence[_Source]
) -> tuple[Verdict, list[Quote]] | None:
    """What the sentences nearest to the question make of a bare name; None where none of them has it.

    A question in everyday words may share no word with the sentence that answers it; the search knows it all the same.
    """
    words = content_words(name)
    known = {(source.chunk.id, source.quote): source for source in sources}
    among = [(quote, known[place]) for quote in nearest if (place := (quote.chunk.id, quote.text)) in known]
    for quote, source in among:
        if words and words <= source.words and numbers(question) <= numbers(quote.text):
            of_another = numbers(name) and not _tells_of(quote.chunk, names(question))
            return "supported" if quote is among[0][0] and not of_another else "weak", [quote]
    return None


def _tells_of(chunk: Chunk, named: set[str]) -> bool:
    """Whether a passage knows any of the names; a number from one that does not belongs to something else."""
    named = {name for name in named if len(name) > 1}  # the C of °C names nothing
    return not named or bool(named & every_word(chunk.embedded_text))


def _sources(chunks: Iterable[Chunk]) -> list[_Source]:
    return [source for chunk in chunks for source in _sentences_of(chunk)]


@lru_cache(_PASSAGES_REMEMBERED)
def _sentences_of(chunk: Chunk) -> tuple[_Source, ...]:
    context = f"{chunk.title} {chunk.section}"
    return tuple(
        _Source(
            span.text,
            chunk,
            len(chunk.passage) - len(chunk.text) + span.start,
            frozenset(content_words(f"{context} {span.text}")),
            frozenset(_facts(span.text) | names(context) | numbers(context) | every_word(span.text)),
        )
        for span in split_sentences(chunk.text)
    )


def _facts(text: str) -> set[str]:
    return names(text) | numbers(text)


def _overlap(words: set[str], source: _Source) -> float:
    return len(words & source.words) / len(words) if words else 0.0


def _quote(source: _Source, score: float) -> Quote:
    return Quote(source.quote, source.chunk, source.start, source.start + len(source.quote), round(score, 4))


def _marker(quote: Quote, citations: list[Citation]) -> int:
    """The number of the citation for this quote; a new one is added where it is quoted for the first time."""
    for citation in citations:
        if citation.chunk_id == quote.chunk.id and citation.quote == quote.text:
            return citation.marker
    chunk = quote.chunk
    marker = len(citations) + 1
    citations.append(Citation(marker, chunk.document, chunk.section, quote.text, chunk.passage, chunk.id))
    return marker
