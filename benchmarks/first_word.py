"""How soon the first word can come: with the passage cache, without it, and where nothing is kept yet.

    python benchmarks/first_word.py [--questions 20] [--split dev] [--report benchmarks/reports/first-word.md]

For each question the ways take turns in one process, so that a slow moment of the machine hits all of them; what counts is the
ratio within a question. Measured is the time from the question to the first word's probabilities: search, prompt, reading, and
the gate's look at them. The rules and examples are in place beforehand, everywhere. `cold` reads the very prompt that `warm`
answers from, front to back, as any program on llama.cpp does; `cold, 4 passages` is the prompt that is affordable without a
cache, `nothing kept` the same with a cache that is empty, `half kept` with one that holds every other passage.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from fieldguide.answering.rewrite import standalone
from fieldguide.assembly import Fieldguide
from fieldguide.evaluation.questions import Question, load_questions
from fieldguide.generation.llama import LlamaModel
from fieldguide.generation.model import Cancellation
from fieldguide.generation.passage_cache import PassageCache
from fieldguide.generation.prompt import REFUSAL_WORDS, build_messages
from fieldguide.settings import resolve_settings

ROOT = Path(__file__).parents[1]
WAYS = ("warm", "cold", "cold, 4 passages", "nothing kept", "half kept")


class Bench:
    """Three models over one file of weights: with the full cache, without one, and with one that is emptied."""

    def __init__(self, folder: Path) -> None:
        self.settings = settings = resolve_settings()
        self.fieldguide = Fieldguide(settings)
        for loading in self.fieldguide.loading(with_model=False):
            sys.stderr.write(f"{loading.what} {loading.detail}\n")
        path = self.fieldguide._model_path(lambda _: None)
        options: dict[str, Any] = {"context_length": settings.context_length, "threads": settings.threads}
        self.emptied = PassageCache(folder, 10**10)
        self.warm = LlamaModel(
            path, cache=PassageCache(settings.data_dir / "passage-cache", int(settings.passage_cache_gb * 1e9)), **options
        )
        self.plain = LlamaModel(path, **options)
        self.empty = LlamaModel(path, cache=self.emptied, **options)

    def fill(self) -> None:
        """Read every passage ahead of time."""
        chunks = self.fieldguide.chunks()
        for number, chunk in enumerate(chunks, 1):
            self.warm.warm(self.warm.render(build_messages("", [chunk.passage])), Cancellation())
            if number % 20 == 0:
                sys.stderr.write(f"read ahead: {number} of {len(chunks)}\n")

    def ask(self, question: Question, turn: int) -> dict[str, float]:
        """Seconds to the first word, by way; `turn` decides which way comes first."""
        times = {}
        for way in (*WAYS[turn % len(WAYS) :], *WAYS[: turn % len(WAYS)]):
            model = {"warm": self.warm, "cold": self.plain, "cold, 4 passages": self.plain}.get(way, self.empty)
            count = self.settings.cached_passages if way in ("warm", "cold") else self.settings.passages
            self._prepare(model, way, question)
            began = time.perf_counter()
            prompt = model.render(self._messages(question, count))
            for _ in model.read(prompt, Cancellation()):
                pass
            model.log_probability(REFUSAL_WORDS)
            times[way] = time.perf_counter() - began
        return times

    def _messages(self, question: Question, count: int) -> Any:  # noqa: ANN401
        asked = standalone(question.question, question.history)
        hits = self.fieldguide.search(asked.search_text, 12).hits[:count]
        return build_messages(question.question, [hit.chunk.passage for hit in hits], asked.earlier_question)

    def _prepare(self, model: LlamaModel, way: str, question: Question) -> None:
        """Rules and examples in place; the emptied cache empty, or holding every other passage."""
        if model is self.empty:
            self.emptied.clear()
            if way == "half kept":
                asked = standalone(question.question, question.history)
                for hit in self.fieldguide.search(asked.search_text, 12).hits[: self.settings.passages : 2]:
                    model.warm(model.render(build_messages("", [hit.chunk.passage])), Cancellation())
        for _ in model.read(model.render(build_messages("", [])), Cancellation()):
            pass


def summary(rows: Sequence[dict[str, float]]) -> dict[str, Any]:
    """Medians in seconds, and how many times sooner the cache is."""
    sooner = [row["cold"] / row["warm"] for row in rows]
    return {
        "questions": len(rows),
        "seconds": {way: median(row[way] for row in rows) for way in WAYS},
        "cold_over_warm": {"median": median(sooner), "worst_twentieth": float(np.percentile(sooner, 5))},
        "four_cold_over_warm": median(row["cold, 4 passages"] / row["warm"] for row in rows),
        "nothing_kept_over_cold": median(row["nothing kept"] / row["cold, 4 passages"] for row in rows),
        "half_kept_over_cold": median(row["half kept"] / row["cold, 4 passages"] for row in rows),
    }


def as_markdown(found: dict[str, Any]) -> str:
    """The report."""
    lines = ["# First word", "", found["machine"], ""]
    lines += ["| questions | n | " + " | ".join(f"{way} (s)" for way in WAYS) + " | cold / warm | worst twentieth |"]
    lines += ["|---" * (len(WAYS) + 4) + "|"]
    for name, part in found["by"].items():
        cells = [f"{part['seconds'][way]:.2f}" for way in WAYS]
        ratio = part["cold_over_warm"]
        lines.append(
            f"| {name} | {part['questions']} | {' | '.join(cells)} | {ratio['median']:.1f} | {ratio['worst_twentieth']:.1f} |"
        )
    every = found["by"]["all"]
    lines += [
        "",
        f"The prompt that is affordable without a cache takes {every['four_cold_over_warm']:.1f} times as long as the larger "
        f"one from the cache. Where nothing is kept yet, reading takes {every['nothing_kept_over_cold']:.2f} times as long as "
        f"without a cache; with every other passage kept {every['half_kept_over_cold']:.2f} times.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, and write where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=20)
    parser.add_argument("--split", default="dev")
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    asked = load_questions(ROOT / "evaluation" / "questions.jsonl")
    asked = [q for q in asked if q.split == options.split and not q.passages]
    asked = asked[:: max(1, len(asked) // options.questions)][: options.questions]  # all kinds take part
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        bench.fill()
        rows = []
        for turn, question in enumerate(asked):
            rows.append(bench.ask(question, turn))
            sys.stderr.write(f"{turn + 1} of {len(asked)}: cold / warm {rows[-1]['cold'] / rows[-1]['warm']:.1f}\n")
    kinds = {"all": rows, "follow-up": [row for row, question in zip(rows, asked, strict=True) if question.history]}
    settings = bench.settings
    found = {
        "machine": f"{os.cpu_count()} cores ({platform.machine()}), {settings.threads} threads, {bench.warm.name}, "
        f"{settings.cached_passages} passages warm and cold, {settings.passages} otherwise.",
        "by": {name: summary(part) for name, part in kinds.items() if part},
        "rows": [{"id": question.id, **row} for row, question in zip(rows, asked, strict=True)],
    }
    sys.stdout.write(as_markdown(found))
    if options.report:
        options.report.parent.mkdir(parents=True, exist_ok=True)
        options.report.write_text(as_markdown(found), encoding="utf-8")
        options.report.with_suffix(".json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
