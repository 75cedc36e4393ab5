"""Tune the prompt's beginning: small changes to its keys and values that make the default model read and refuse better.

    pip install 'fieldguide[tuning]'
    python evaluation/tune_prefix.py [--epochs 4] [--report evaluation/reports/tuned-prefix.md]

Learnt from are those dev and tuning questions that the gate is not fitted to (`is_for_the_gate`): of answerable ones the
answers in `tuning-answers.jsonl` (what the model itself wrote where that was right, else written by hand from the passages), of
unanswerable ones the refusal. The others tell how likely answers become that were not learnt; never a test question. The
weights stay as they are, and passages are kept as they were read behind the beginning as it is written: only question and
answer see the change. Prefix tuning: Li and Liang 2021, arXiv 2101.00190; begun at the states of a text: Eyuboglu et al. 2025,
arXiv 2506.06266. Takes half an hour on two cores, and afterwards the gate has to be fitted anew (`fit_gate.py`).
"""

import argparse
import json
import math
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from gate_readings import is_for_the_gate
from numpy.typing import NDArray
from prefix_network import Network, Stretch
from torch import Tensor

from fieldguide.answering.rewrite import standalone
from fieldguide.assembly import Fieldguide
from fieldguide.engines import model_path
from fieldguide.evaluation.markdown import table, write_with_figures
from fieldguide.evaluation.questions import Question, load_questions
from fieldguide.generation import sequence_state
from fieldguide.generation.llama import LlamaModel
from fieldguide.generation.model import Cancellation, PromptPart
from fieldguide.generation.prompt import PROMPT_VERSION, REFUSAL_WORDS, build_messages
from fieldguide.generation.tuned_prefix import digest
from fieldguide.settings import resolve_settings

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "evaluation"
PREFIXES = ROOT / "src" / "fieldguide" / "generation" / "prefixes"
RATE = 0.01  # of Adam, in standard deviations of each number over the beginning's tokens
AT_ONCE, TOGETHER = 8, 4  # examples a step, and of them computed side by side
WARM_UP = 10  # steps
STEPS = 127  # of an 8-bit integer, each way


@dataclass(frozen=True, slots=True)
class Example:
    """A question behind its passages, and what to answer."""

    kind: str
    held_out: bool
    passages: tuple[str, ...]  # keys in the passage cache
    asked: list[int]  # the tokens of the question
    answer: list[int]


class States:
    """Kept keys and values of passages, moved to their places."""

    def __init__(self, model: LlamaModel) -> None:
        self._reader = model._reader
        self._kept: dict[str, bytes] = {}

    def arrays(self, state: bytes | bytearray) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
        """Keys and values, (layers, cells, width)."""
        there = sequence_state.keys_and_values(state)
        assert there
        return there

    def of(self, names: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Keys and values of passages, one behind the other."""
        parts, distance = [], 0
        for name in names:
            if name not in self._kept:
                assert self._reader._cache
                self._kept[name] = self._reader._cache.get(name) or b""
            moved, _ = self._reader._context.moved(self._kept[name], distance)
            parts.append(self.arrays(moved))
            distance += parts[-1][0].shape[1]
        keys, values = (torch.from_numpy(np.concatenate(arrays, 1)) for arrays in zip(*parts, strict=True))
        return keys, values


class Prefix:
    """What is learnt: changes of all cells but the first, where attention leaves what it has no use for (arXiv 2309.17453)."""

    def __init__(self, keys: NDArray[np.float16], values: NDArray[np.float16]) -> None:
        self._written = [torch.from_numpy(array.astype(np.float32)) for array in (keys, values)]
        self._spread = [array.std(1, keepdim=True) for array in self._written]
        self.changes = [torch.zeros_like(array[:, 1:]).requires_grad_() for array in self._written]

    def states(self) -> tuple[Tensor, Tensor]:
        """Keys and values as they are now."""
        keys, values = (written + change for written, change in zip(self._written, self.differences(), strict=True))
        return keys, values

    def differences(self) -> list[Tensor]:
        """From what is written, in its units."""
        whole = [torch.nn.functional.pad(change, (0, 0, 1, 0)) for change in self.changes]
        return [change * spread for change, spread in zip(whole, self._spread, strict=True)]


def examples(made: Fieldguide, model: LlamaModel) -> Iterator[Example]:
    """One of each question for which there is an answer or a refusal to learn."""
    with (FOLDER / "tuning-answers.jsonl").open() as lines:
        answers = {row["id"]: row["answer"] for row in map(json.loads, lines)}
    dev = [row for row in load_questions(FOLDER / "questions.jsonl") if row.split == "dev"]
    for question in (*dev, *load_questions(FOLDER / "tuning-questions.jsonl")):
        text = REFUSAL_WORDS if question.abstain else answers.get(question.id)
        if text and not question.passages:
            yield _example(made, model, question, text)


def _example(made: Fieldguide, model: LlamaModel, question: Question, text: str) -> Example:
    rewritten = standalone(question.question, question.history)
    hits = made.search(rewritten.search_text, made.settings.passages).hits[: made.settings.passages]
    messages = build_messages(question.question, [hit.chunk.passage for hit in hits], rewritten.earlier_question)
    model.warm(parts := model.render(messages), Cancellation())
    prompt = model._tokenized(parts)
    answer = [*model._tokenize(PromptPart("question", text)), model._edge_tokens()[1]]
    return Example(
        "unanswerable" if question.abstain else "answerable",
        is_for_the_gate(question),
        tuple(model._reader._key(prompt, passage) for passage in prompt.passages),
        list(prompt.rest),
        answer,
    )


def losses(network: Network, states: States, prefix: Prefix, some: Sequence[Example]) -> list[Tensor]:
    """How unlikely each answer is, a token: the mean negative log-probability."""
    stretches = [
        Stretch([*one.asked, *one.answer[:-1]], *states.of(one.passages), predicted_from=len(one.asked) - 1) for one in some
    ]
    found = network.log_probabilities(prefix.states(), stretches)
    return [-part[range(len(one.answer)), one.answer].mean() for part, one in zip(found, some, strict=True)]


def held_out(network: Network, states: States, prefix: Prefix, rows: Sequence[Example]) -> dict[str, float]:
    """The mean loss over questions that are not learnt from, by kind."""
    found: dict[str, list[float]] = {}
    with torch.no_grad():
        for row in rows:
            found.setdefault(row.kind, []).append(losses(network, states, prefix, [row])[0].item())
    return {kind: mean(values) for kind, values in found.items()}


def learn(
    network: Network, states: States, prefix: Prefix, rows: list[Example], epochs: int, chance: random.Random
) -> Iterator[float]:
    """Adam with a cosine schedule; yields the mean loss of each epoch."""
    optimizer = torch.optim.Adam(prefix.changes, betas=(0.9, 0.98))
    steps, started = epochs * (len(rows) // AT_ONCE), time.monotonic()
    for step in range(steps):
        if step % (steps // epochs) == 0:
            found = list[float]()
            chance.shuffle(rows)
        optimizer.param_groups[0]["lr"] = (
            RATE * min(1, (step + 1) / WARM_UP) * (0.1 + 0.45 * (1 + math.cos(math.pi * step / steps)))
        )
        optimizer.zero_grad()
        first = step % (steps // epochs) * AT_ONCE
        for start in range(first, first + AT_ONCE, TOGETHER):
            values = losses(network, states, prefix, rows[start : start + TOGETHER])
            (torch.stack(values).sum() / AT_ONCE).backward()
            found += [value.item() for value in values]
        optimizer.step()
        left = (time.monotonic() - started) * (steps - step - 1) / (step + 1) / 60
        sys.stderr.write(f"\rStep {step + 1} of {steps}, {left:.0f} min left ")
        if (step + 1) % (steps // epochs) == 0:
            yield mean(found)


def write_prefix(prefix: Prefix, model: LlamaModel, beginning: Sequence[int]) -> Path:
    """Put what was learnt into the package, as 8-bit integers."""
    arrays: dict[str, Any] = {}
    for name, difference in zip(("key", "value"), prefix.differences(), strict=True):
        step = np.maximum(np.abs(exact := difference.detach().numpy()).max(1, keepdims=True) / STEPS, np.float32(1e-9))
        arrays |= {f"{name}s": np.rint(exact / step).astype(np.int8), f"{name}_steps": step.astype(np.float32)}
    about = {"weights": model.fingerprint, "beginning": digest(beginning), "prompt_version": PROMPT_VERSION}
    PREFIXES.mkdir(exist_ok=True)
    np.savez_compressed(path := PREFIXES / f"{model.name}.npz", about=np.array(json.dumps(about)), **arrays)
    return path


def main() -> None:
    """Read, learn, write, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    settings = resolve_settings()
    made = Fieldguide(settings)
    for _ in made.loading():
        pass
    assert made._model
    model = made._model.result()
    assert isinstance(model, LlamaModel)
    rows = list(examples(made, model))
    states = States(model)
    prompt = model._tokenized(model.render(build_messages("?", ["?"])))
    assert model._reader._cache
    written = model._reader._cache.get(model._reader._cache.key(model._reader._made_by, prompt.beginning))
    assert written
    prefix = Prefix(*states.arrays(written))
    learnt, others = ([row for row in rows if row.held_out == is_held_out] for is_held_out in (False, True))
    network = Network(model_path(settings, lambda _: None))
    torch.manual_seed(0)
    lines = [["none", "", *_cells(held_out(network, states, prefix, others))]]
    for number, loss in enumerate(learn(network, states, prefix, list(learnt), options.epochs, random.Random(0)), 1):
        lines.append([str(number), f"{loss:.3f}", *_cells(held_out(network, states, prefix, others))])
        sys.stderr.write(f"{lines[-1]}\n")
    path = write_prefix(prefix, model, prompt.beginning)
    made.close()
    head = ["epochs", "learnt from", "not learnt from: answers", "not learnt from: refusals"]
    about = (
        f"Mean negative log-probability a token of answers and refusals: {len(learnt)} questions learnt from, "
        f"{len(others)} not. "
        f"{len(prompt.beginning)} tokens of {model.name}; {path.stat().st_size / 1e6:.1f} MB."
    )
    text = f"# Tuning the prompt's beginning\n\n{about}\n\n{table(head, lines)}"
    sys.stdout.write(f"\n{text}\nWritten: {path}\n")
    if options.report:
        write_with_figures(options.report, text, {"about": about, "epochs": lines})


def _cells(found: dict[str, float]) -> list[str]:
    return [f"{found[kind]:.3f}" for kind in ("answerable", "unanswerable")]


if __name__ == "__main__":
    main()
