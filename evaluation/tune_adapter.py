"""Teach the default model to read: a small adapter (LoRA) for questions and answers behind kept passages.

    pip install 'fieldguide[tuning]'
    OPENBLAS_THREAD_TIMEOUT=4 OMP_WAIT_POLICY=passive python evaluation/tune_adapter.py [--examples 850] [--epochs 1] \
        [--go-on] [--report evaluation/reports/adapter.md]

(The variables keep the threads of two libraries from waiting busily for each other.)

Learnt from are dev and tuning questions about the guides, and questions about the invented documents in `tuning-documents/`,
but for those that are kept from it (`use_of`): of answerable ones the answers in `tuning-answers.jsonl`, of unanswerable ones
the refusal, and the refusal, too, where the facts are taken from among the passages of a document's question. Those that are
the gate's tell how likely answers become that were not learnt; never a test question. Passages are kept as the weights alone
read them: only question and answer see the adapter. LoRA: Hu et al. 2021, arXiv 2106.09685. What an answer says beyond the
question counts more than what it repeats. With `--go-on`, learning goes on from the adapter in the package with what was
written to teach comparing, and with the older comparisons and tables about the guides. Afterwards the gate has to be fitted
anew (`fit_gate.py`).
"""

import argparse
import json
import math
import random
import re
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, islice, pairwise
from pathlib import Path
from statistics import mean

import gguf
import numpy as np
import torch
from adapter_network import Adapter, Network, Stretch
from gate_readings import document_of, invented, teaches_comparing, use_of, without_facts
from numpy.typing import NDArray
from torch import Tensor

from fieldguide.answering.rewrite import standalone
from fieldguide.assembly import Fieldguide
from fieldguide.engines import model_path
from fieldguide.evaluation.markdown import table, write_with_figures
from fieldguide.evaluation.metrics import holds
from fieldguide.evaluation.questions import Question, load_questions
from fieldguide.generation import sequence_state
from fieldguide.generation.adapter import digest
from fieldguide.generation.llama import LlamaModel
from fieldguide.generation.model import Cancellation, PromptPart
from fieldguide.generation.prompt import REFUSAL_WORDS, build_messages
from fieldguide.settings import Settings, resolve_settings
from fieldguide.types import Chunk
from fieldguide.words import content_words, is_negated

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "evaluation"
ADAPTERS = ROOT / "src" / "fieldguide" / "generation" / "adapters"
RANK, ALPHA = 8, 16.0
FIRST_LAYER = 10  # of 28: what stands below is computed once for all epochs
RATE = 6e-4  # of Adam
RATE_AFTERWARDS = 4e-4  # the same, when learning goes on
NEWS = 4.0  # what a token counts of a word that the question does not have; others count 1
AT_ONCE = 8  # examples a step
WARM_UP = 10  # steps
WITHOUT_FACTS = 4  # of every so many answerable questions about invented documents, one is asked again without its facts
TOLD_APART = ("compare", "table")  # kinds of questions that are answered by what stands beside something else
SAMPLE = 48  # questions that are not learnt from, of each corpus


@dataclass(frozen=True, slots=True)
class Example:
    """A question behind its passages, and what to answer."""

    kind: str
    before: tuple[str, ...]  # keys in the passage cache: the beginning, and the passages
    asked: list[int]  # the tokens of the question
    answer: list[int]
    news: list[bool]  # of the answer's first tokens: whether they say what the question does not


class States:
    """Kept keys and values of beginnings and passages, moved to their places."""

    def __init__(self, model: LlamaModel, kept: dict[str, bytes]) -> None:
        self._reader = model._reader
        self.kept = kept

    def keep(self, names: Sequence[str]) -> bool:
        """Take what a question needs out of the passage cache, into memory; False where some of it is not there."""
        assert self._reader._cache
        for name in names:
            if name not in self.kept and (state := self._reader._cache.get(name)) is not None:
                self.kept[name] = state
        return all(name in self.kept for name in names)

    def of(self, names: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Keys and values of the beginning and of passages, one behind the other: (layers, cells, width)."""
        parts: list[tuple[NDArray[np.float16], NDArray[np.float16]]] = []
        distance = 0
        for number, name in enumerate(names):
            moved, _ = self._reader._context.moved(self.kept[name], distance)
            there = sequence_state.keys_and_values(moved)
            assert there
            parts.append(there)
            distance += there[0].shape[1] if number else 0  # passages are read right behind the beginning
        keys, values = (torch.from_numpy(np.concatenate(arrays, 1)) for arrays in zip(*parts, strict=True))
        return keys, values


def examples(made: Fieldguide, model: LlamaModel, rows: Sequence[Question], states: States) -> Iterator[Example]:
    """One of each question for which there is an answer or a refusal to learn, and some with their facts taken away."""
    with (FOLDER / "tuning-answers.jsonl").open() as lines:
        answers = {row["id"]: row["answer"] for row in map(json.loads, lines)}
    invented = 0
    for number, question in enumerate(rows, 1):
        text = REFUSAL_WORDS if question.abstain else answers.get(question.id)
        if not text or question.passages:
            continue
        rewritten = standalone(question.question, question.history)
        hits = made.search(rewritten.search_text, made.settings.passages).hits[: made.settings.passages]
        chunks = tuple(hit.chunk for hit in hits)
        asked = question.question, rewritten.earlier_question
        if question.abstain or holds("\n".join(chunk.passage for chunk in chunks), question.must):
            kind = "unanswerable" if question.abstain else "answerable"
            yield from _example(model, states, kind, question, asked, chunks, text)
        if not question.abstain and document_of(question):
            invented += 1
            if invented % WITHOUT_FACTS == 0 and (others := without_facts(made, question)):
                yield from _example(model, states, "facts taken away", question, asked, others, REFUSAL_WORDS)
        sys.stderr.write(f"\rPassages of {number} of {len(rows)} questions ")


def _is_learnt_from(question: Question, *, going_on: bool) -> bool:
    if teaches_comparing(question) or not going_on:
        return teaches_comparing(question) == going_on
    return document_of(question) is None and question.kind in TOLD_APART


def _example(
    model: LlamaModel,
    states: States,
    kind: str,
    question: Question,
    asked: tuple[str, str],
    chunks: Sequence[Chunk],
    text: str,
) -> Iterator[Example]:
    messages = build_messages(asked[0], [chunk.passage for chunk in chunks], asked[1])
    model.warm(parts := model.render(messages), Cancellation())
    prompt = model._tokenized(parts)
    reader = model._reader
    assert reader._cache
    before = (
        reader._cache.key(reader._made_by, prompt.beginning),
        *(reader._key(prompt, passage) for passage in prompt.passages),
    )
    if states.keep(before):
        answer = list(model._tokenize(PromptPart("question", text)))
        told = news([model._token_bytes(token) for token in answer], " ".join(asked)) if text != REFUSAL_WORDS else []
        end = model._edge_tokens()[1]
        yield Example(kind, before, list(prompt.rest), [*answer, end], told)


def news(pieces: Sequence[bytes], question: str) -> list[bool]:
    """Of an answer's pieces: which belong to words that the question does not have, or to a denial."""
    asked = content_words(question)
    bounds = [*accumulate(map(len, pieces), initial=0)]
    told = [False] * len(pieces)
    text = b"".join(pieces).decode()
    for word in re.finditer(r"[^\W_]+", text):
        if content_words(word.group()) - asked or is_negated(word.group()):
            start, end = (len(text[:place].encode()) for place in word.span())
            told = [one or (a < end and b > start) for one, (a, b) in zip(told, pairwise(bounds), strict=True)]
    return told


class Learning:
    """The network, the adapter that is learnt, and what the lower layers make of each example."""

    def __init__(self, network: Network, states: States) -> None:
        self.network, self._states = network, states
        self.adapter = network.adapter = Adapter(network, range(FIRST_LAYER, network.layers), RANK, ALPHA)
        self._below: dict[int, Tensor] = {}

    def losses(self, some: Sequence[Example]) -> list[Tensor]:
        """How unlikely each answer's tokens are: their negative log-probabilities."""
        stretches = [
            Stretch([*one.asked, *one.answer[:-1]], *self._states.of(one.before), predicted_from=len(one.asked) - 1)
            for one in some
        ]
        new = [i for i, one in enumerate(some) if id(one) not in self._below]
        if new:
            with torch.no_grad():
                below = self.network.states([stretches[i] for i in new], range(FIRST_LAYER))
            sizes = [len(stretches[i].tokens) for i in new]
            self._below |= {id(some[i]): part.clone() for i, part in zip(new, below.split(sizes), strict=True)}
        state = torch.cat([self._below[id(one)] for one in some])
        state = self.network.states(stretches, range(FIRST_LAYER, self.network.layers), state)
        found = self.network.log_probabilities(stretches, state)
        return [-part[range(len(one.answer)), one.answer] for part, one in zip(found, some, strict=True)]

    def held_out(self, rows: Sequence[Example]) -> dict[str, float]:
        """The mean loss a token over questions that are not learnt from, by kind, and that of what answers say anew."""
        found: dict[str, list[float]] = {}
        with torch.no_grad():
            for start in range(0, len(rows), AT_ONCE):
                some = rows[start : start + AT_ONCE]
                for row, loss in zip(some, self.losses(some), strict=True):
                    found.setdefault(row.kind, []).append(loss.mean().item())
                    if any(row.news):
                        anew = loss[: len(row.news)][torch.tensor(row.news)].mean().item()
                        found.setdefault(f"{row.kind}, new words", []).append(anew)
        return {kind: round(mean(values), 4) for kind, values in sorted(found.items())}

    def learn(self, rows: list[Example], epochs: int, rate: float, chance: random.Random) -> Iterator[float]:
        """Adam with a cosine schedule; yields the mean loss of each epoch."""
        parameters = [tensor for pair in self.adapter.pairs.values() for tensor in pair]
        optimizer = torch.optim.Adam(parameters, betas=(0.9, 0.98))
        an_epoch = len(rows) // AT_ONCE
        steps, started, found = epochs * an_epoch, time.monotonic(), list[float]()
        for step in range(steps):
            if step % an_epoch == 0:
                chance.shuffle(rows)
            share = min(1, (step + 1) / WARM_UP) * (0.05 + 0.475 * (1 + math.cos(math.pi * step / steps)))
            optimizer.param_groups[0]["lr"] = rate * share
            optimizer.zero_grad()
            first = step % an_epoch * AT_ONCE
            some = rows[first : first + AT_ONCE]
            values = [_weighed(*pair) for pair in zip(self.losses(some), some, strict=True)]
            torch.stack(values).mean().backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            found += [value.item() for value in values]
            left = (time.monotonic() - started) * (steps - step - 1) / (step + 1) / 60
            sys.stderr.write(f"\rStep {step + 1} of {steps}, {left:.0f} min left, loss {mean(found[-80:]):.3f} ")
            if (step + 1) % an_epoch == 0:
                yield mean(found[-an_epoch * AT_ONCE :])


def _weighed(losses: Tensor, example: Example) -> Tensor:
    counts = torch.ones(len(losses))
    counts[: len(example.news)][torch.tensor(example.news, dtype=torch.bool)] = NEWS
    return (losses * counts).sum() / counts.sum()


def write_adapter(adapter: Adapter, model: LlamaModel, beginning: Sequence[int]) -> Path:
    """Put what was learnt into the package, in the form of llama.cpp's adapters."""
    ADAPTERS.mkdir(exist_ok=True)
    path = ADAPTERS / f"{model.name}.gguf"
    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_string("general.type", "adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", adapter.alpha)
    writer.add_string("fieldguide.weights", model.fingerprint)
    writer.add_string("fieldguide.beginning", digest(beginning))
    for name, (down, up) in adapter.pairs.items():
        writer.add_tensor(f"{name}.lora_a", down.detach().numpy().astype(np.float16))
        writer.add_tensor(f"{name}.lora_b", up.detach().numpy().astype(np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _loaded(settings: Settings) -> tuple[Fieldguide, LlamaModel]:
    made = Fieldguide(settings)
    for _ in made.loading():
        pass
    assert made._model
    model = made._model.result()
    assert isinstance(model, LlamaModel)
    return made, model


def main() -> None:
    """Read, learn, write, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--examples", type=int, default=850, help="learnt from, at most: first those about guides")
    parser.add_argument("--go-on", action="store_true", help="from the adapter in the package, with comparisons")
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    settings = resolve_settings()
    dev = [row for row in load_questions(FOLDER / "questions.jsonl") if row.split == "dev"]
    corpora: list[tuple[Settings, list[Question]]] = [
        (settings, [*dev, *load_questions(FOLDER / "tuning-questions.jsonl")]),
        (invented(settings), load_questions(FOLDER / "tuning-document-questions.jsonl")),
    ]
    learnt: list[Example] = []
    others: list[Example] = []
    chance = random.Random(0)
    kept: dict[str, bytes] = {}
    for where, rows in corpora:
        made, model = _loaded(where)
        states = States(model, kept)
        ours, kept_back = ([row for row in rows if use_of(row) == use] for use in ("adapter", "gate"))
        ours = [row for row in ours if _is_learnt_from(row, going_on=options.go_on)]
        ours.sort(key=lambda row: not row.id.startswith("if-"))  # documents about learning machines come first
        learnt += islice(examples(made, model, ours, states), options.examples - len(learnt))
        others += islice(examples(made, model, kept_back, states), SAMPLE)
    sys.stderr.write(f"\n{len(learnt)} examples to learn from, {len(kept)} stretches kept\n")
    torch.manual_seed(0)
    learning = Learning(Network(model_path(settings, lambda _: None)), states)
    if options.go_on:
        learning.adapter.take(ADAPTERS / f"{model.name}.gguf")
    beginning = model._tokenized(model.render(build_messages("?", ["?"]))).beginning
    before = "those before" if options.go_on else "none"
    lines = [(before, "", learning.held_out(others))]
    sys.stderr.write(f"{lines[-1]}\n")
    rate = RATE_AFTERWARDS if options.go_on else RATE
    for number, loss in enumerate(learning.learn(learnt, options.epochs, rate, chance), 1):
        path = write_adapter(learning.adapter, model, beginning)
        lines.append((f"{before}, {number} x {len(learnt)}", f"{loss:.3f}", learning.held_out(others)))
        sys.stderr.write(f"{lines[-1]}\n")
    kinds = list(lines[0][2])
    cells = [[number, loss, *(f"{of[kind]:.3f}" for kind in kinds)] for number, loss, of in lines]
    about = (
        "Mean negative log-probability a token: of the examples learnt from as they are weighed, and by kind of "
        f"{len(others)} others. "
        f"Rank {RANK}, alpha {ALPHA:g}, layers {FIRST_LAYER} to {learning.network.layers - 1} of {model.name}; "
        f"{path.stat().st_size / 1e6:.1f} MB."
    )
    text = f"# Teaching the model to read\n\n{about}\n\n{table(['learnt from', 'its loss', *kinds], cells)}"
    sys.stdout.write(f"\n{text}\nWritten: {path}\n")
    if options.report:
        write_with_figures(options.report, text, {"about": about, "epochs": lines})


if __name__ == "__main__":
    main()
