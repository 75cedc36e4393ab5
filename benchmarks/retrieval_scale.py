"""What a search costs in a library of 1,000, 10,000 and 100,000 passages: time by step, memory, disk; and embedding.

    python benchmarks/retrieval_scale.py [--sizes 1000 10000 100000] [--real 10000] [--report OUT.md]

Up to `--real` passages are real text: docstrings of the packages in this environment. Beyond that they are generated: words
drawn as often as the real text has them, and vectors of real passages, disturbed. Questions are the development questions
of the evaluation: what counts here is their length and mixture of words, not whether they are answered.
"""

import argparse
import ast
import json
import os
import platform
import random
import shutil
import sys
import sysconfig
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import psutil
from steps import time_calls

from fieldguide.assembly import Fieldguide
from fieldguide.evaluation.markdown import table, write_with_figures
from fieldguide.evaluation.questions import load_questions
from fieldguide.retrieval.embedder import Embedding, SentenceTransformerEmbedder
from fieldguide.retrieval.passage_store import PassageStore
from fieldguide.retrieval.projection import fit, reduce
from fieldguide.retrieval.search import Searcher
from fieldguide.retrieval.vector_store import ChromaVectorStore
from fieldguide.settings import resolve_settings
from fieldguide.types import Chunk, FloatMatrix

ROOT = Path(__file__).parents[1]
AT_ONCE = 1000
SHORTEST, LONGEST = 250, 900  # characters of a passage


def docstrings() -> Iterator[Chunk]:
    """Passages from the docstrings of installed packages, file by file as chance has it, always the same."""
    paths = sorted(Path(sysconfig.get_paths()["purelib"]).rglob("*.py"))
    random.Random(0).shuffle(paths)
    for path in paths:
        try:
            tree = ast.parse(path.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError, ValueError, OSError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.Module) and (text := ast.get_docstring(node)):
                name = getattr(node, "name", path.stem)
                for number, start in enumerate(range(0, len(text), LONGEST)):
                    piece = text[start : start + LONGEST]
                    if len(piece) >= SHORTEST:
                        where = f"{path.parent.name}/{path.stem}.{name}.{node_line(node)}.{number}"
                        yield Chunk(where, path.name, path.stem, (path.stem, name), piece, start, start + len(piece))


def node_line(node: ast.AST) -> int:
    """Where it stands; a module stands at the top."""
    return int(getattr(node, "lineno", 0))


class Library:
    """An index that grows, with real passages first and generated ones after them."""

    def __init__(self, folder: Path, embedder: SentenceTransformerEmbedder, real: int) -> None:
        self.folder, self.embedder = folder, embedder
        self.vectors = ChromaVectorStore(folder / "vectors")
        self._random = random.Random(0)
        self._noise = np.random.default_rng(0)
        self.real = list({chunk.id: chunk for chunk in islice(docstrings(), real)}.values())
        counts = Counter(word for chunk in self.real for word in chunk.text.split())
        self._words, self._weights = list(counts), list(counts.values())
        sample = self.embedder.embed([chunk.embedded_text for chunk in self.real[:256]])
        self._directions = fit(np.concatenate([embedding.token_vectors for embedding in sample]))
        self.store = PassageStore(folder / "passages.sqlite", self._directions)
        self._known: list[tuple[Embedding, list[int]]] = []
        self.size = 0
        self.embedding: dict[str, float] = {}

    def grow(self, size: int) -> None:
        """Add passages up to this many."""
        while self.size < size:
            count = min(AT_ONCE, size - self.size)
            if self.size < len(self.real):
                chunks = self.real[self.size : self.size + count]
                embeddings = self.embedder.embed([chunk.embedded_text for chunk in chunks])
                ids = [self.embedder.token_ids(chunk.embedded_text) for chunk in chunks]
                self._known += list(zip(embeddings, ids, strict=True))[: AT_ONCE - len(self._known)]
            else:
                chunks, embeddings, ids = self._generated(count)
            self.vectors.add([chunk.id for chunk in chunks], np.stack([embedding.vector for embedding in embeddings]))
            self.store.add(chunks, [reduce(embedding.token_vectors, self._directions) for embedding in embeddings], ids)
            self.size += len(chunks)
            sys.stderr.write(f"\r{self.size} of {size} passages ")

    def _generated(self, count: int) -> tuple[list[Chunk], list[Embedding], list[list[int]]]:
        chunks, embeddings, ids = [], [], []
        for number in range(self.size, self.size + count):
            known, token_ids = self._random.choice(self._known)
            text = " ".join(self._random.choices(self._words, self._weights, k=110))
            chunks.append(Chunk(f"generated-{number}", "generated.md", "Generated", ("Generated",), text, 0, len(text)))
            embeddings.append(Embedding(self._disturbed(known.vector[None])[0], self._disturbed(known.token_vectors)))
            ids.append(token_ids)
        return chunks, embeddings, ids

    def _disturbed(self, vectors: FloatMatrix) -> FloatMatrix:
        spread = 0.5 / np.sqrt(vectors.shape[1])
        moved = vectors + self._noise.normal(0.0, spread, vectors.shape)
        return np.asarray(moved / np.linalg.norm(moved, axis=1, keepdims=True), np.float32)

    def measure(self, questions: Sequence[str]) -> list[dict[str, Any]]:
        """Milliseconds a step of the search, asked for the first time and again, and what the library takes."""
        steps: dict[str, list[float]] = {}
        for part, name in (
            (self.embedder, "embed"),
            (self.vectors, "nearest"),
            (self.store, "by_keywords"),
            (self.store, "token_vectors"),
            (self.vectors, "vectors"),
            (self.store, "chunks"),
        ):
            time_calls(part, name, steps)
        searcher = Searcher(self.embedder, self.vectors, self.store)
        os.sync()  # what was added shall not be written while searches are timed
        searcher.search("What is it?", 12)  # what is loaded only now
        rounds = [self._round(searcher, asked, questions, steps) for asked in ("first", "again")]
        for part in (self.embedder, self.vectors, self.store):
            for name in list(vars(part)):
                if name in steps:
                    delattr(part, name)
        return rounds

    def _round(self, searcher: Searcher, asked: str, questions: Sequence[str], steps: dict[str, list[float]]) -> dict[str, Any]:
        for times in steps.values():
            times.clear()
        totals = []
        for question in questions:
            began = time.perf_counter()
            searcher.search(question, 12)
            totals.append(1000 * (time.perf_counter() - began))
        return {
            "passages": self.size,
            "asked": asked,
            "median_ms": median(totals),
            "worst_twentieth_ms": float(np.percentile(totals, 95)),
            "steps_ms": {name: median(times) for name, times in steps.items() if times},
            "memory_mb": psutil.Process().memory_info().rss / 1e6,
            "disk_mb": sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file()) / 1e6,
        }


def embedding_throughput(embedder: SentenceTransformerEmbedder, texts: Sequence[str], rounds: int = 5) -> dict[str, float]:
    """Our embedding against a bare `encode` of the same texts, taking turns."""
    ratios, seconds = [], []
    tokens = sum(map(embedder.count_tokens, texts))
    for _ in range(rounds):
        began = time.perf_counter()
        embedder.embed(texts)
        ours = time.perf_counter() - began
        began = time.perf_counter()
        embedder._model.encode(list(texts), show_progress_bar=False)
        ratios.append((time.perf_counter() - began) / ours)
        seconds.append(ours)
    return {"tokens_per_second": tokens / median(seconds), "share_of_bare_encode": median(ratios)}


def as_markdown(found: dict[str, Any]) -> str:
    """The report."""
    names = list(found["sizes"][-1]["steps_ms"])
    head = ["passages", "asked", "search (ms)", "worst twentieth (ms)", *names, "memory (MB)", "disk (MB)"]
    rows = [
        [f"{size['passages']:,}", size["asked"], f"{size['median_ms']:.0f}", f"{size['worst_twentieth_ms']:.0f}"]
        + [f"{size['steps_ms'].get(name, 0.0):.1f}" for name in names]
        + [f"{size['memory_mb']:,.0f}", f"{size['disk_mb']:,.0f}"]
        for size in found["sizes"]
    ]
    embedding = found["embedding"]
    return (
        f"# Search in libraries of different size\n\n{found['about']}\n\n{table(head, rows)}\n"
        "Steps are medians in milliseconds. Asked again, what a question needs was read from the disk before.\n\n"
        f"Embedding passages: {embedding['tokens_per_second']:,.0f} tokens a second, "
        f"{100 * embedding['share_of_bare_encode']:.0f} % of the speed of a bare `SentenceTransformer.encode`, "
        "which gives no token vectors.\n"
    )


def main() -> None:
    """Grow, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--real", type=int, default=10_000)
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    questions = [q.question for q in load_questions(ROOT / "evaluation" / "questions.jsonl") if q.split == "dev"]
    settings = resolve_settings()
    embedder = Fieldguide(settings)._load_embedder(lambda _: None)
    assert isinstance(embedder, SentenceTransformerEmbedder)
    folder = Path(tempfile.mkdtemp())
    try:
        library = Library(folder, embedder, options.real)
        found: dict[str, Any] = {
            "embedding": embedding_throughput(embedder, [chunk.embedded_text for chunk in library.real[:256]])
        }
        sizes = []
        for size in options.sizes:
            library.grow(size)
            sizes += library.measure(questions)
            sys.stderr.write(f"{json.dumps(sizes[-2:])}\n")
    finally:
        shutil.rmtree(folder)
    found["sizes"] = sizes
    found["about"] = (
        f"{os.cpu_count()} cores ({platform.machine()}), {settings.threads} threads, {len(questions)} questions; "
        f"{len(library.real):,} passages of real text, the others generated."
    )
    sys.stdout.write(as_markdown(found))
    if options.report:
        write_with_figures(options.report, as_markdown(found), found)


if __name__ == "__main__":
    main()
