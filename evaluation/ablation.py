"""Each idea for the ranking measured alone: what it finds, and what it costs.

    python evaluation/ablation.py [--questions FILE] [--guides FOLDER] [--split dev|test|all] [--report FILE]

Every row changes one thing of the ranking in use (`fieldguide.retrieval.search`), the first rows take it apart. Questions
are embedded as passages are, without the adapter that the search has for them. The index is
built anew in a temporary folder for each way of cutting. Without `--split`, the dev questions are asked: ideas are chosen
on them, never on the test questions.
"""

import argparse
import re
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import median

import numpy as np

from fieldguide.answering.rewrite import standalone
from fieldguide.assembly import Fieldguide
from fieldguide.evaluation import metrics
from fieldguide.evaluation.questions import Question, load_questions
from fieldguide.indexing.chunking import chunk_document
from fieldguide.indexing.documents import read_folder
from fieldguide.indexing.index import CHUNK_TOKENS
from fieldguide.retrieval.embedder import Embedder, Embedding
from fieldguide.retrieval.passage_store import PassageStore, inverse_frequency
from fieldguide.retrieval.search import CANDIDATES, fuse, late_interaction
from fieldguide.sentences import split_sentences
from fieldguide.settings import resolve_settings
from fieldguide.types import Chunk, Document, FloatMatrix, FloatVector
from fieldguide.words import content_words

READ_TO = (1000, 2000, 3000)
_ACRONYM = re.compile(r"\b((?:[A-Za-z][\w-]*[ ]){1,6}[A-Za-z][\w-]*)[ ]\(([A-Z][A-Za-z]*[A-Z]s?)\)")
_PART = re.compile(r",?\s+(?:and|or)\s+(?=(?:what|who|when|where|which|why|how|in which|from which)\b)|;\s+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Corpus:
    """Passages with everything that any ranking here looks at."""

    chunks: list[Chunk]
    embeddings: list[Embedding]
    vectors: FloatMatrix
    store: PassageStore
    number: dict[str, int]


@dataclass(frozen=True, slots=True)
class Recipe:
    """The ranking in use, and one field for each idea."""

    meaning: bool = True
    keywords: bool = True
    rerank: bool = True
    rarity: float = 1.0  # exponent of the words' weights
    whole: float = 0.2  # share of the whole passage's cosine
    candidates: int = CANDIDATES
    sentence: float = 0.0  # share of the best sentence's cosine
    bare: float = 0.0  # share of the cosine of the text without its headings
    neighbours: float = 0.0  # share of the better neighbour's score
    follow_up_hit: bool = False  # the passage after each of the first three hits comes next
    acronyms: bool = False
    feedback: int = 0  # words of the first three hits that join the search by keywords
    parts: bool = False  # compound questions: the best score over their parts


Cut = Callable[[Document, Embedder], list[Chunk]]


def cut(tokens: int) -> Cut:
    """The chunker in use, with another size."""
    return lambda document, embedder: chunk_document(document, embedder.count_tokens, tokens)


def with_overlap(document: Document, embedder: Embedder) -> list[Chunk]:
    """Each passage opens with the last sentence before it in its section."""
    chunks = cut(CHUNK_TOKENS - 40)(document, embedder)
    lapped = [*chunks]
    for i, (before, chunk) in enumerate(pairwise(chunks), 1):
        if before.heading_path == chunk.heading_path:
            lapped[i] = replace(chunk, text=f"{split_sentences(before.text)[-1].text} {chunk.text}")
    return lapped


def without_headings(document: Document, embedder: Embedder) -> list[Chunk]:
    """Passages that do not say where they stand."""
    return [replace(chunk, title="", heading_path=("",)) for chunk in cut(CHUNK_TOKENS)(document, embedder)]


def without_table_headers(document: Document, embedder: Embedder) -> list[Chunk]:
    """Later rows of a table stand alone."""
    return [replace(chunk, text=document.text[chunk.start : chunk.end]) for chunk in cut(CHUNK_TOKENS)(document, embedder)]


def build(documents: Sequence[Document], embedder: Embedder, way: Cut, folder: Path) -> Corpus:
    """Cut, embed and store in an index of its own."""
    folder.mkdir()
    chunks = [chunk for document in documents for chunk in way(document, embedder)]
    chunks = [replace(chunk, id=str(i)) for i, chunk in enumerate(chunks)]
    embeddings = embedder.embed([chunk.embedded_text for chunk in chunks])
    store = PassageStore(folder / "passages.sqlite", np.eye(embedder.dimension, dtype=np.float32))
    ids = [embedder.token_ids(chunk.embedded_text) for chunk in chunks]
    store.add(chunks, [embedding.token_vectors for embedding in embeddings], ids)
    vectors = np.stack([embedding.vector for embedding in embeddings])
    return Corpus(chunks, embeddings, vectors, store, {chunk.id: i for i, chunk in enumerate(chunks)})


class Ranker:
    """One recipe over one corpus; what it needs beyond the index is made once, ahead of time."""

    def __init__(self, corpus: Corpus, embedder: Embedder, recipe: Recipe) -> None:
        self._corpus, self._embedder, self._recipe = corpus, embedder, recipe
        self._bare = self._sentences = np.zeros((0, 0), np.float32)
        self._owner = np.zeros(0, np.int64)
        if recipe.bare:
            self._bare = np.stack([e.vector for e in embedder.embed([chunk.text for chunk in corpus.chunks])])
        if recipe.sentence:
            pairs = [(i, s.text) for i, chunk in enumerate(corpus.chunks) for s in split_sentences(chunk.text)]
            texts = [f"{corpus.chunks[i].heading_path[-1]}. {text}" for i, text in pairs]
            self._sentences = np.stack([e.vector for e in embedder.embed(texts)])
            self._owner = np.array([i for i, _ in pairs])
        self._acronyms = _acronyms(corpus.chunks) if recipe.acronyms else {}

    def rank(self, question: str) -> list[Chunk]:
        """Passages, best first."""
        recipe, corpus = self._recipe, self._corpus
        for short, long in self._acronyms.items():
            if re.search(rf"\b{re.escape(short)}\b", question) and long.lower() not in question.lower():
                question = f"{question} {long}"
        asked = [question, *(_PART.split(question) if recipe.parts and _PART.search(question) else [])]
        scored: dict[int, float] = {}
        for text in asked:
            for i, score in self._scores(text).items():
                scored[i] = max(scored.get(i, -1.0), score)
        if recipe.neighbours:
            scored = {i: s + recipe.neighbours * self._better_neighbour(i, scored) for i, s in scored.items()}
        order = sorted(scored, key=lambda i: -scored[i])
        if recipe.follow_up_hit:
            order = self._followed(order)
        return [corpus.chunks[i] for i in order]

    def _scores(self, question: str) -> dict[int, float]:
        recipe, corpus = self._recipe, self._corpus
        embedding = self._embedder.embed([question])[0]
        cosine = corpus.vectors @ embedding.vector
        by_meaning = [corpus.chunks[i].id for i in np.argsort(-cosine)[: recipe.candidates]]
        by_keywords = corpus.store.by_keywords(question, recipe.candidates)
        if recipe.feedback:
            by_keywords = corpus.store.by_keywords(
                f"{question} {self._words_of_best(fuse([by_meaning, by_keywords])[:3])}", recipe.candidates
            )
        rankings = [ranking for ranking, used in ((by_meaning, recipe.meaning), (by_keywords, recipe.keywords)) if used]
        fused = [corpus.number[i] for i in fuse(rankings)[: recipe.candidates]]
        if not recipe.rerank:
            return {i: -float(rank) for rank, i in enumerate(fused)}
        ids = self._embedder.token_ids(question)
        rarity = inverse_frequency(corpus.store.frequency(ids), corpus.store.count())
        weights: FloatVector = rarity[: len(embedding.token_vectors)] ** recipe.rarity
        scores = {
            i: late_interaction(embedding.token_vectors, corpus.embeddings[i].token_vectors, weights) + recipe.whole * cosine[i]
            for i in fused
        }
        if recipe.bare:
            bare = self._bare @ embedding.vector
            scores = {i: score + recipe.bare * bare[i] for i, score in scores.items()}
        if recipe.sentence:
            best = np.full(len(corpus.chunks), -1.0)
            np.maximum.at(best, self._owner, self._sentences @ embedding.vector)
            scores = {i: score + recipe.sentence * best[i] for i, score in scores.items()}
        return {i: float(score) for i, score in scores.items()}

    def _words_of_best(self, ids: Sequence[str]) -> str:
        texts = [set(content_words(self._corpus.chunks[self._corpus.number[i]].text)) for i in ids]
        shared = [word for word in set().union(*texts) if sum(word in words for words in texts) > 1]
        count = {word: sum(word in chunk.text.lower() for chunk in self._corpus.chunks) for word in shared}
        return " ".join(sorted(shared, key=lambda word: (count[word], word))[: self._recipe.feedback])

    def _better_neighbour(self, i: int, scores: dict[int, float]) -> float:
        here = self._corpus.chunks[i].document
        near = [j for j in (i - 1, i + 1) if 0 <= j < len(self._corpus.chunks) and self._corpus.chunks[j].document == here]
        return max((scores.get(j, 0.0) for j in near), default=0.0)

    def _followed(self, order: list[int]) -> list[int]:
        chunks, result = self._corpus.chunks, []
        for rank, i in enumerate(order):
            after = i + 1
            same = after < len(chunks) and chunks[after].heading_path == chunks[i].heading_path
            result += [i, after] if rank < 3 and same else [i]
        return list(dict.fromkeys(result))


def _acronyms(chunks: Sequence[Chunk]) -> dict[str, str]:
    """Short forms that the guides explain in brackets: "retrieval-augmented generation (RAG)"."""
    found = {}
    for chunk in chunks:
        for long, short in _ACRONYM.findall(chunk.text):
            words = long.replace("-", " ").split()
            letters = short.rstrip("s").upper()
            fitting = words[-len(letters) :]
            if "".join(word[0] for word in fitting).upper() == letters:
                found[short] = " ".join(fitting)
    return found


def measure(ranker: Ranker, questions: Sequence[Question]) -> list[str]:
    """The cells of one row."""
    found: list[list[bool]] = [[] for _ in READ_TO]
    ranks, gains, seconds = [], [], []
    for question in questions:
        began = time.perf_counter()
        chunks = ranker.rank(standalone(question.question, question.history).search_text)[:40]
        seconds.append(time.perf_counter() - began)
        texts = [chunk.passage for chunk in chunks]
        for flags, characters in zip(found, READ_TO, strict=True):
            flags.append(metrics.found_within(texts, question.must, characters))
        relevant = [
            metrics.holds(text, question.must) or f"{chunk.document}#{chunk.heading_path[-1]}" in question.sources
            for text, chunk in zip(texts, chunks, strict=True)
        ]
        ranks.append(metrics.first_relevant(relevant))
        gains.append(metrics.ndcg(relevant))
    count = len(questions)
    shares = [" / ".join(f"{100 * sum(flags) / count:.1f}" for flags in found)]
    shares += [f"{100 * sum(rank is not None and rank <= n for rank in ranks) / count:.1f}" for n in (1, 5)]
    return [*shares, f"{np.mean(gains):.3f}", f"{1000 * median(seconds):.0f}"]


RANKINGS: dict[str, Recipe] = {
    "in use": Recipe(),
    "by meaning alone": Recipe(keywords=False, rerank=False),
    "by keywords alone": Recipe(meaning=False, rerank=False),
    "both, fused": Recipe(rerank=False),
    "fused, then late interaction": Recipe(rarity=0.0, whole=0.0),
    "the same, words weighed by rarity": Recipe(whole=0.0),
    "rarity squared": Recipe(rarity=2.0),
    "half of the whole passage's cosine": Recipe(whole=0.5),
    "30 candidates": Recipe(candidates=30),
    "120 candidates": Recipe(candidates=120),
    "plus best sentence": Recipe(sentence=0.2),
    "plus text without headings": Recipe(bare=0.2),
    "plus better neighbour": Recipe(neighbours=0.1),
    "a hit brings the passage after it": Recipe(follow_up_hit=True),
    "acronyms spelled out": Recipe(acronyms=True),
    "words of the first hits join the keywords": Recipe(feedback=5),
    "compound questions in parts": Recipe(parts=True),
}
CUTS: dict[str, Cut] = {
    "passages of 100 tokens": cut(100),
    "passages of 150 tokens": cut(150),
    "passages of 250 tokens": cut(250),
    "a sentence of overlap": with_overlap,
    "no headings in the passages": without_headings,
    "table rows without header": without_table_headers,
}


def main() -> None:
    """Print the table, and write it where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    here = Path(__file__).parent
    parser.add_argument("--questions", type=Path, default=here / "questions.jsonl")
    parser.add_argument("--guides", type=Path)
    parser.add_argument("--split", default="dev")
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    settings = resolve_settings({"guides_dir": options.guides})
    questions = [q for q in load_questions(options.questions) if options.split in ("all", q.split)]
    questions = [q for q in questions if not q.abstain and not q.passages]
    documents = read_folder(settings.guides_dir)
    made = Fieldguide(settings)
    embedder = made._load_embedder(lambda _: None)
    lines = [
        f"| {len(questions)} questions ({options.split}) | found in 1,000 / 2,000 / 3,000 | hit@1 | hit@5 | nDCG@10 | ms |",
        "|---|---|---|---|---|---|",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    with tempfile.TemporaryDirectory() as temporary:
        corpus = build(documents, embedder, cut(CHUNK_TOKENS), Path(temporary) / "in-use")
        rows = [(name, corpus, recipe) for name, recipe in RANKINGS.items()]
        rows += [
            (name, build(documents, embedder, way, Path(temporary) / str(i)), Recipe())
            for i, (name, way) in enumerate(CUTS.items())
        ]
        for name, over, recipe in rows:
            lines.append(f"| {name} | {' | '.join(measure(Ranker(over, embedder, recipe), questions))} |")
            sys.stdout.write(lines[-1] + "\n")
            sys.stdout.flush()
    if options.report:
        options.report.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
