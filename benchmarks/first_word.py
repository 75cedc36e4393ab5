"""How soon the first word comes: Fieldguide with passages kept, half of them, or none; llama.cpp reading the same prompt; and
the same questions through LangChain and LlamaIndex.

    python benchmarks/first_word.py [--questions 30] [--split test] [--others] [--report benchmarks/reports/first-word.md]

For each question the ways take turns in one process, so that a slow moment of the machine hits all of them; what counts is the
ratio within a question. Measured is the time from the question to the first word (or to the refusal): follow-up rewriting,
search, prompt, reading and gate. Rules and examples are in place beforehand. `plain llama.cpp` is llama-cpp-python's own
`Llama` over the very tokens of the prompt, after the same search, without a gate. `--others` installs LangChain and
LlamaIndex into an environment of their own (`.venv-benchmarks`) and runs there.
"""

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

import llama_cpp
import numpy as np
import psutil
from bars import draw

from fieldguide.answering.abstain import gate_for
from fieldguide.answering.assistant import Assistant
from fieldguide.answering.reader import AnswerOptions
from fieldguide.answering.rewrite import standalone
from fieldguide.answering.support import SupportChecker
from fieldguide.assembly import Fieldguide
from fieldguide.engines import model_path
from fieldguide.evaluation.markdown import write_with_figures
from fieldguide.evaluation.questions import Question, load_questions
from fieldguide.events import Finished, Token
from fieldguide.generation.llama import LlamaModel
from fieldguide.generation.model import Cancellation
from fieldguide.generation.passage_cache import PassageCache
from fieldguide.generation.prompt import build_messages
from fieldguide.indexing.documents import read_folder
from fieldguide.locations import catalog_file
from fieldguide.settings import resolve_settings
from fieldguide.weights.catalog import load_catalog

_default_parameters = llama_cpp.llama_cpp.llama_model_default_params


def _parameters_as_ours() -> Any:  # noqa: ANN401 - a ctypes structure of the binding
    """Without repacked buffers, as Fieldguide loads weights: what GCC 12 makes of them for AMX crashes."""
    parameters = _default_parameters()
    parameters.use_extra_bufts = False
    return parameters


llama_cpp.llama_cpp.llama_model_default_params = _parameters_as_ours  # whoever loads weights through the class `Llama`

ROOT = Path(__file__).parents[1]
KEPT, HALF, NONE, PLAIN = "all kept", "half kept", "nothing kept", "plain llama.cpp"
Measured = dict[str, float]


class Bench:
    """The ways, each with a model of its own over one file of weights."""

    def __init__(self, folder: Path, *, others: bool) -> None:
        self.settings = settings = resolve_settings()
        self.fieldguide = Fieldguide(settings)
        for loading in self.fieldguide.loading(with_model=False):
            sys.stderr.write(f"{loading.what} {loading.detail}\n")
        self.weights = model_path(settings, lambda _: None)
        self.passages = settings.passages
        self.memory: dict[str, float] = {}
        embedder = self.fieldguide._ready_embedder()
        self.caches = {way: PassageCache(folder / way.replace(" ", "-"), 10**10) for way in (KEPT, HALF, NONE)}
        self.models: dict[str, LlamaModel] = {}
        self.assistants: dict[str, Assistant] = {}
        for way, cache in self.caches.items():
            threads, context = settings.threads, settings.context_length
            load = partial(LlamaModel, self.weights, context_length=context, threads=threads, cache=cache)
            self.models[way] = self._weighed(way, load)
            support = SupportChecker(embedder)
            gate = gate_for(self.models[way].fingerprint)
            self.assistants[way] = Assistant(lambda _: self.fieldguide.searcher(), self.models[way], support, gate)
        self.plain = self._weighed(PLAIN, lambda: llama_cpp.Llama(
            str(self.weights), n_ctx=settings.context_length, n_threads=settings.threads,
            n_threads_batch=settings.threads, verbose=False,
        ))  # fmt: skip
        self.others: dict[str, Any] = {}
        if others:
            from other_pipelines import LangChain, LlamaIndex

            texts = [document.text for document in read_folder(settings.guides_dir)]
            folder = load_catalog(catalog_file()).find("embedder").path(settings.models_dir)
            for name, kind in (("LangChain", LangChain), ("LlamaIndex", LlamaIndex)):
                made = (self.weights, folder, texts, self.passages, settings.threads, settings.answer_tokens)
                self.others[name] = self._weighed(name, partial(kind, *made))
        self.ways: dict[str, Callable[[Question], Measured]] = {
            **{way: partial(self._ask_fieldguide, way) for way in self.caches},
            PLAIN: self._ask_plain,
            **{name: partial(self._ask_other, name) for name in self.others},
        }

    def _weighed(self, way: str, make: Callable[[], Any]) -> Any:  # noqa: ANN401
        """What `make` gives; notes by how much the process grew (weights are mapped, and counted each time)."""
        before = psutil.Process().memory_info().rss
        made = make()
        self.memory[way] = (psutil.Process().memory_info().rss - before) / 1e6
        return made

    def ask(self, question: Question, turn: int) -> dict[str, Measured]:
        """First word, whole answer and tokens a second, by way; `turn` decides which way comes first."""
        names = list(self.ways)
        first = turn % len(names)
        found = {way: self.ways[way](question) for way in (*names[first:], *names[:first])}
        return {way: found[way] for way in names}

    def _passages(self, question: Question) -> list[str]:
        asked = standalone(question.question, question.history)
        hits = self.fieldguide.search(asked.search_text, 12).hits[: self.passages]
        return [hit.chunk.passage for hit in hits]

    def _ask_fieldguide(self, way: str, question: Question) -> Measured:
        model, passages = self.models[way], self._passages(question)
        if way != KEPT:
            self.caches[way].clear()
        if way != NONE:
            model.warm(model.render(build_messages("", passages[::2] if way == HALF else passages)), Cancellation())
        for _ in model.read(model.render(build_messages("", [])), Cancellation()):
            pass
        options = AnswerOptions(self.passages, self.settings.answer_tokens)
        began, first, words = time.perf_counter(), 0.0, 0
        for event in self.assistants[way].answer(question.question, question.history, options):
            if isinstance(event, Token | Finished) and not first:
                first = time.perf_counter() - began
            words += isinstance(event, Token)
        return _measured(first, time.perf_counter() - began, words)

    def _ask_plain(self, question: Question) -> Measured:
        model = self.models[KEPT]
        rules = model._tokenized(model.render(build_messages("", []))).all
        self.plain.reset()
        self.plain.eval(rules[:-8])  # what every prompt begins with; the last tokens belong to the question
        began = time.perf_counter()
        asked = standalone(question.question, question.history)
        prompt = model.render(build_messages(question.question, self._passages(question), asked.earlier_question))
        written = self.plain.generate(model._tokenized(prompt).all, temp=0.0)
        first, words = 0.0, 0
        for token in islice(written, self.settings.answer_tokens):
            first = first or time.perf_counter() - began
            if token == self.plain.token_eos():
                break
            words += 1
        return _measured(first, time.perf_counter() - began, words)

    def _ask_other(self, name: str, question: Question) -> Measured:
        began, first, words = time.perf_counter(), 0.0, 0
        for piece in self.others[name].stream(question.question):
            if piece:
                first = first or time.perf_counter() - began
                words += 1
        return _measured(first, time.perf_counter() - began, words)


def _measured(first: float, total: float, words: int) -> Measured:
    rate = {"tokens_per_second": words / (total - first)} if words > 1 else {}  # a refusal has none
    return {"first": first, "total": total, **rate}


def summary(rows: Sequence[dict[str, Measured]]) -> dict[str, Any]:
    """Medians, and how many times as long each way takes to its first word as Fieldguide with all passages kept."""

    def over(numbers: Iterator[float]) -> dict[str, float]:
        found = list(numbers)
        return {"median": median(found), "worst_twentieth": float(np.nanpercentile(found, 5))}

    return {
        "questions": len(rows),
        "ways": {
            way: {
                **{
                    name: median(row[way][name] for row in rows if name in row[way])
                    for name in {name: None for row in rows for name in row[way]}
                },
                "times_as_long": over(row[way]["first"] / row[KEPT]["first"] for row in rows),
                "of_plain": median(row[way]["first"] / row[PLAIN]["first"] for row in rows),
            }
            for way in rows[0]
        },
    }


def as_markdown(found: dict[str, Any]) -> str:
    """The report."""
    lines = ["# First word", "", found["about"], ""]
    for name, part in found["by"].items():
        lines += [f"## {name} ({part['questions']})", ""]
        lines += ["| way | first word (s) | times as long as all kept: median, worst twentieth | of plain llama.cpp | "]
        lines[-1] += "whole answer (s) | tokens a second | memory (MB) |"
        lines += ["|---" * 7 + "|"]
        for way, figures in part["ways"].items():
            ratio = figures["times_as_long"]
            cells = [way, f"{figures['first']:.2f}", f"{ratio['median']:.1f}, {ratio['worst_twentieth']:.1f}"]
            cells += [f"{figures['of_plain']:.2f}", f"{figures['total']:.1f}"]
            cells.append(f"{figures['tokens_per_second']:.1f}" if "tokens_per_second" in figures else "–")
            cells.append(f"{found['memory_mb'][way]:,.0f}")
            lines.append(f"| {' | '.join(cells)} |")
        lines.append("")
    lines += ["Memory is by how much the process grew, weights included: they are mapped and shared, and counted each time."]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, and write where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--questions", type=int, default=30)
    parser.add_argument("--split", default="test")
    parser.add_argument("--others", action="store_true", help="also LangChain and LlamaIndex")
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    if options.others and Path(sys.prefix).name != ".venv-benchmarks":
        from other_pipelines import environment

        python = environment(ROOT / ".venv-benchmarks")
        os.execv(python, [str(python), *sys.argv])
    asked = [q for q in load_questions(ROOT / "evaluation" / "questions.jsonl") if q.split == options.split and not q.passages]
    asked = asked[:: max(1, len(asked) // options.questions)][: options.questions]  # all kinds take part
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), others=options.others)
        rows = []
        for turn, question in enumerate(asked):
            rows.append(bench.ask(question, turn))
            shown = ", ".join(f"{way} {measured['first']:.2f}" for way, measured in sorted(rows[-1].items()))
            sys.stderr.write(f"{turn + 1} of {len(asked)}: {shown}\n")
    groups = {"all questions": rows, "follow-ups": [row for row, question in zip(rows, asked, strict=True) if question.history]}
    found: dict[str, Any] = {
        "about": f"{os.cpu_count()} cores ({platform.machine()}), {bench.settings.threads} threads, {bench.weights.stem}, "
        f"{bench.passages} passages, {len(asked)} questions ({options.split}).",
        "memory_mb": bench.memory,
        "by": {name: summary(part) for name, part in groups.items() if part},
        "rows": [{"id": question.id, **row} for row, question in zip(rows, asked, strict=True)],
    }
    sys.stdout.write(as_markdown(found))
    if options.report:
        write_with_figures(options.report, as_markdown(found), found)
        ways = found["by"]["all questions"]["ways"]
        spans = {name: (0.0, figures["first"]) for name, figures in ways.items()}
        draw(spans, "seconds to the first word, median", options.report.with_suffix(".png"))


if __name__ == "__main__":
    main()
