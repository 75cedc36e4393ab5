"""What the textbook pipeline makes of the same questions: the floor that Fieldguide is measured against.

    python evaluation/naive_baseline.py --answers runs/naive.jsonl --report runs/naive.md [--split test] [--limit N]

Pieces of 1,000 characters with 200 of overlap, the four nearest by cosine, one prompt that asks for an honest "I don't know",
and the same weights as Fieldguide's default. The same code judges; a confession of not knowing is a refusal.
"""

import argparse
import re
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from fieldguide.answering.reader import AnswerOptions
from fieldguide.assembly import Fieldguide
from fieldguide.evaluation.markdown import write_report
from fieldguide.evaluation.questions import load_questions
from fieldguide.evaluation.report import figures, judge
from fieldguide.evaluation.run import Run, run_questions
from fieldguide.events import Event, Finished
from fieldguide.generation.model import Cancellation, ChatModel, Message, PromptPart, WritingOptions
from fieldguide.indexing.documents import corpus_hash, read_folder
from fieldguide.retrieval.embedder import Embedder
from fieldguide.sentences import split_sentences
from fieldguide.settings import resolve_settings
from fieldguide.types import Answer, Chunk, Document, Hit, SearchResult, Sentence, Timings, TokenCounts, Turn

PIECE, OVERLAP, NEAREST = 1000, 200, 4
PROMPT = (
    "You are an assistant for question-answering tasks. Use the following pieces of retrieved context to answer the "
    "question. If you don't know the answer, say that you don't know. Use three sentences at most and be concise."
)
_CONFESSION = re.compile(
    r"\b(?:do not|don't|does not|doesn't|cannot|can't|not)\s+(?:\w+\s+){0,3}"
    r"(?:know|mention|provide|specif|contain|state|say|answer|include|available|given)",
    re.IGNORECASE,
)


def pieces(document: Document) -> Iterator[Chunk]:
    """Stretches of at most 1,000 characters that end at a paragraph, line or word where one ends in their last quarter."""
    start, text = 0, document.text
    while start < len(text):
        end = min(start + PIECE, len(text))
        if end < len(text):
            cuts = (text.rfind(mark, start + PIECE * 3 // 4, end) for mark in ("\n\n", "\n", ". ", " "))
            end = next((cut for cut in cuts if cut > 0), end)
        yield Chunk(f"{document.name}-{start}", document.name, document.title, (document.title,), text[start:end], start, end)
        if end == len(text):
            return
        start = end - OVERLAP


class NaivePipeline:
    """Cosine, top four, one prompt."""

    def __init__(self, documents: Sequence[Document], embedder: Embedder, model: ChatModel) -> None:
        self._embedder, self._model = embedder, model
        self._chunks = [chunk for document in documents for chunk in pieces(document)]
        self._vectors = np.stack([embedding.vector for embedding in embedder.embed([c.text for c in self._chunks])])

    def default_options(self) -> AnswerOptions:
        """The usual length, greedy."""
        return AnswerOptions(passages=NEAREST)

    def chunks(self) -> list[Chunk]:
        """All pieces."""
        return self._chunks

    def search(self, question: str, limit: int, collections: Sequence[str] = ()) -> SearchResult:
        """The nearest pieces; there is one collection."""
        return self._nearest(question, self._chunks, self._vectors, limit)

    def answer(self, question: str, history: Sequence[Turn] = (), options: AnswerOptions | None = None) -> Iterator[Event]:
        """Search, read everything, write."""
        options = options or self.default_options()
        began = time.perf_counter()
        if options.given is None:
            result = self.search(question, 12)
        else:
            vectors = np.stack([e.vector for e in self._embedder.embed([c.text for c in options.given])])
            result = self._nearest(question, options.given, vectors, 12)
        found = time.perf_counter() - began
        context = "\n\n".join(hit.chunk.text for hit in result.hits[: options.passages])
        messages = [Message("system", (PromptPart("instructions", PROMPT),))]
        messages += [Message(turn.role, (PromptPart("question", turn.content),)) for turn in history]
        messages.append(Message("user", (PromptPart("passage", f"Context: {context}\n\nQuestion: {question}\n\nAnswer:"),)))
        cancellation, read, first = Cancellation(), 0, None
        for progress in self._model.read(self._model.render(messages), cancellation):
            read = progress.tokens
        text, written = "", 0
        for token in self._model.write(WritingOptions(options.answer_tokens), cancellation):
            first = first or time.perf_counter() - began
            text, written = text + token.text, written + 1
        refused = bool(_CONFESSION.search(text))
        sentences = tuple(Sentence(span.text, "unsupported") for span in split_sentences(text))
        timings = Timings(0.0, found, first, time.perf_counter() - began)
        tokens = TokenCounts(read, 0, written)
        yield Finished(Answer(question, " ".join(text.split()), refused, sentences, (), result.hits, timings, tokens))

    def _nearest(self, question: str, chunks: Sequence[Chunk], vectors: np.ndarray, limit: int) -> SearchResult:
        similarity = vectors @ self._embedder.embed([question])[0].vector
        best = np.argsort(-similarity)[:limit]
        hits = [Hit(chunks[i], n, float(similarity[i]), n, None, n) for n, i in enumerate(best, 1)]
        return SearchResult(tuple(hits))


def main() -> None:
    """Run, judge and report as `fieldguide eval` does."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=Path, default=Path(__file__).with_name("questions.jsonl"))
    parser.add_argument("--answers", type=Path, required=True)
    parser.add_argument("--report", type=Path, required=True)
    parser.add_argument("--split", default="test")
    parser.add_argument("--limit", type=int)
    options = parser.parse_args()
    settings = resolve_settings()
    loader = Fieldguide(settings)
    documents = read_folder(settings.guides_dir)
    model = loader._load_model()
    pipeline = NaivePipeline(documents, loader._load_embedder(lambda _: None), model)
    questions = [q for q in load_questions(options.questions) if options.split in ("all", q.split)][: options.limit]
    made_with = {
        "pipeline": f"naive: {PIECE} characters, {OVERLAP} of overlap, cosine, {NEAREST} nearest, one prompt",
        "split": options.split,
        "corpus": corpus_hash(documents)[:12],
        "model": model.name,
    }
    run = Run("end-to-end", made_with)

    def show(done: int, total: int, seconds_left: float) -> None:
        sys.stderr.write(f"{done} of {total}, {seconds_left / 60:.0f} min left\n")

    rows = run_questions(pipeline, questions, run, options.answers, show)
    content = figures(questions, rows, judge(questions, rows, pipeline.chunks(), NEAREST, "end-to-end"), run)
    write_report(content, options.report)


if __name__ == "__main__":
    main()
