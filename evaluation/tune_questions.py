"""Teach the embedder how people ask: a small adapter (LoRA) that questions alone are embedded with.

    pip install 'fieldguide[tuning]'
    python evaluation/tune_questions.py [--epochs 4] [--write] [--report evaluation/reports/question-adapter.md]

Passages stay as they are embedded, so no index changes. Learnt from are `tuning-everyday-questions.jsonl`, as newcomers might
ask about the guides, and the answerable questions about guides and invented documents that the language model's adapter
learns from, too (`use_of`): the passages that hold a question's facts are to score above the best of all others, by the very
score that the search ranks by. Others tell how that carries over: those that are the gate's, documents that nobody has learnt
from, and the texts of `foreign_texts.py` (`--foreign`). Never a test question. LoRA: Hu et al. 2021, arXiv 2106.09685.
"""

import argparse
import math
import random
import sys
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean

import numpy as np
import torch
from adapter_network import new_pair
from gate_readings import invented, use_of
from torch import Tensor
from torch.nn import functional

from fieldguide.answering.rewrite import standalone
from fieldguide.assembly import Fieldguide
from fieldguide.evaluation.markdown import table, write_with_figures
from fieldguide.evaluation.metrics import holds
from fieldguide.evaluation.questions import Question, load_questions
from fieldguide.retrieval.embedder import SentenceTransformerEmbedder
from fieldguide.retrieval.projection import SHORTEST
from fieldguide.retrieval.question_adapter import QuestionAdapter
from fieldguide.retrieval.search import WHOLE_PASSAGE_SHARE, Searcher, weigh
from fieldguide.settings import Settings, resolve_settings
from fieldguide.types import Chunk

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "evaluation"
ADAPTERS = ROOT / "src" / "fieldguide" / "retrieval" / "adapters"
RANK = 8
RATE = 1e-3  # of Adam
AT_ONCE = 32  # questions a step
SHARPNESS = 25.0  # scores of right and wrong passages are some hundredths apart
NEAR = 1.0  # what it counts to stay near the vectors without the adapter: scores shall mean what they meant
READ = (1, 2, 4)  # passages


@dataclass(frozen=True, slots=True)
class Passages:
    """All passages of one index: tokens (passages, p, r), zero beyond their end, vectors (passages, d), directions (d, r)."""

    tokens: Tensor
    vectors: Tensor
    directions: Tensor


@dataclass(frozen=True, slots=True)
class Example:
    """A question, how rare its tokens are, and which passages answer it and which do not, by their rows."""

    text: str
    rarity: Tensor
    passages: Passages
    right: list[int]
    wrong: list[int]


def examples(searcher: Searcher, rows: Sequence[Question]) -> list[Example]:
    """Every answerable question with the passages that answer it, and the best of those that do not."""
    chunks = searcher.passage_store.chunks()
    number_of = {chunk.id: number for number, chunk in enumerate(chunks)}
    passages = _passages(searcher, list(number_of))
    made = []
    for question in rows:
        text = standalone(question.question, question.history).search_text
        right = [number_of[chunk.id] for chunk in right_passages(question, chunks)]
        if right:
            answering = {*right, *(number for number, chunk in enumerate(chunks) if holds(chunk.passage, question.must))}
            weighed = weigh(text, searcher.embedder, [searcher.passage_store])
            best = [number_of[i] for i in searcher.rankings(text, searcher.asked(text, weighed)).best]
            wrong = [number for number in best if number not in answering]
            made.append(Example(text, torch.from_numpy(weighed.rarity), passages, right, wrong))
            sys.stderr.write(f"\r{len(made)} questions ")
    return made


def _passages(searcher: Searcher, ids: Sequence[str]) -> Passages:
    tokens, vectors = searcher.passage_store.token_vectors(ids), searcher.vector_store.vectors(ids)
    longest = max(map(len, tokens.values()))
    padded = np.stack([np.pad(tokens[i], ((0, longest - len(tokens[i])), (0, 0))) for i in ids])
    arrays = padded, np.stack([vectors[i] for i in ids]), searcher.passage_store.directions
    return Passages(*map(torch.from_numpy, arrays))


def right_passages(question: Question, chunks: Sequence[Chunk]) -> list[Chunk]:
    """The passages of a question's sections; of several in one section those that hold some of its facts."""
    if question.abstain or question.passages:
        return []
    there = [chunk for chunk in chunks if f"{chunk.document}#{chunk.heading_path[-1]}" in question.sources]
    holding = [chunk for chunk in there if any(holds(chunk.passage, [group]) for group in question.must)]
    return holding or there


class Learning:
    """The embedder with an adapter that is learnt."""

    def __init__(self, embedder: SentenceTransformerEmbedder) -> None:
        self._model = embedder._model
        self._special = torch.tensor(sorted(embedder._special_ids))
        adapted = {name: module for name, module in self._model.named_modules() if _is_adapted(name, module)}
        self.pairs = {name: new_pair(module.out_features, module.in_features, RANK) for name, module in adapted.items()}
        # An adapter of the package stays in its place, and is never on again.
        self._adapter = embedder._question_adapter = QuestionAdapter(self._model, self.pairs)

    def embed(self, texts: Sequence[str], *, adapted: bool) -> tuple[Tensor, list[Tensor]]:
        """Vectors (texts, d) and each text's token vectors (q, d), of length 1."""
        with self._adapter.on() if adapted else nullcontext():
            made = self._model(self._model.preprocess(list(texts)))
        words = made["attention_mask"].bool() & ~torch.isin(made["input_ids"], self._special)
        tokens = [functional.normalize(made["token_embeddings"][row][kept], dim=-1) for row, kept in enumerate(words)]
        return functional.normalize(made["sentence_embedding"], dim=-1), tokens

    def losses(self, some: Sequence[Example]) -> tuple[Tensor, Tensor]:
        """How unlikely the right passages are among the wrong ones, and how far questions are from where they would be."""
        texts = [one.text for one in some]
        vectors, tokens = self.embed(texts, adapted=True)
        with torch.no_grad():
            plain_vectors, plain_tokens = self.embed(texts, adapted=False)
        unlikely = [_unlikely(*each) for each in zip(some, vectors, tokens, strict=True)]
        moved = [1 - (a * b).sum(-1).mean() for a, b in zip([vectors, *tokens], [plain_vectors, *plain_tokens], strict=True)]
        return torch.stack(unlikely).mean(), torch.stack(moved).mean()

    def learn(self, rows: list[Example], epochs: int, chance: random.Random) -> Iterator[tuple[float, float]]:
        """Adam with a cosine schedule; yields the mean loss of each epoch, and how far it has moved the questions."""
        parameters = [tensor for pair in self.pairs.values() for tensor in pair]
        optimizer = torch.optim.Adam(parameters)
        steps = [range(start, min(start + AT_ONCE, len(rows))) for start in range(0, len(rows), AT_ONCE)]
        for epoch in range(epochs):
            chance.shuffle(rows)
            told = []
            for number, step in enumerate(steps):
                done = (epoch + number / len(steps)) / epochs
                optimizer.param_groups[0]["lr"] = RATE * (1 + math.cos(math.pi * done)) / 2
                optimizer.zero_grad()
                loss, moved = self.losses([rows[i] for i in step])
                (loss + NEAR * moved).backward()
                torch.nn.utils.clip_grad_norm_(parameters, 1.0)
                optimizer.step()
                told.append((loss.item(), moved.item()))
            yield mean(loss for loss, _ in told), mean(moved for _, moved in told)


def _unlikely(one: Example, vector: Tensor, tokens: Tensor) -> Tensor:
    """The mean over the right passages of how unlikely each is beside all wrong ones, by the scores of the search."""
    rows = [*one.right, *one.wrong]
    reduced = tokens @ one.passages.directions
    reduced = reduced / reduced.norm(dim=-1, keepdim=True).clamp_min(SHORTEST)
    there = one.passages.tokens[rows]
    matches = (reduced @ there.flatten(0, 1).T).view(len(reduced), *there.shape[:2]).amax(-1)
    words = (matches * one.rarity[:, None]).sum(0) / one.rarity.sum()
    scores = SHARPNESS * (words + WHOLE_PASSAGE_SHARE * (one.passages.vectors[rows] @ vector)) / (1 + WHOLE_PASSAGE_SHARE)
    wrong = scores[len(one.right) :].logsumexp(0)
    return functional.softplus(wrong - scores[: len(one.right)]).mean()


def _is_adapted(name: str, module: torch.nn.Module) -> bool:
    return isinstance(module, torch.nn.Linear) and ".encoder.layer." in name


def found(searcher: Searcher, rows: Sequence[Question]) -> list[list[bool]]:
    """Of each answerable question, whether its facts stand in the first so many passages that the search brings."""
    told = []
    for question in rows:
        if not question.abstain and not question.passages:
            hits = searcher.search(standalone(question.question, question.history).search_text, max(READ)).hits
            texts = [hit.chunk.passage for hit in hits]
            told.append([holds("\n".join(texts[:number]), question.must) for number in READ])
    return told


def write_adapter(name: str, identity: str, pairs: dict[str, tuple[Tensor, Tensor]]) -> Path:
    """Put what was learnt into the package."""
    arrays = {}
    for weight, pair in pairs.items():
        for end, tensor in zip(("down", "up"), pair, strict=True):
            arrays[f"{weight}.{end}"] = tensor.detach().numpy().astype(np.float16)
    path = ADAPTERS / f"{name}.npz"
    np.savez_compressed(path, embedder=np.array(identity), **arrays)
    return path


def _opened(settings: Settings) -> Searcher:
    made = Fieldguide(settings)
    for _ in made.loading(with_model=False):
        pass
    return made.searcher()


def main() -> None:
    """Learn, tell how it carries over, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--foreign", type=Path, help="the folder that foreign_texts.py wrote")
    parser.add_argument("--write", action="store_true", help="put the adapter into the package")
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    settings = resolve_settings()
    guides, documents = _opened(settings), _opened(invented(settings))
    embedder = guides.embedder
    assert isinstance(embedder, SentenceTransformerEmbedder)
    documents = replace(documents, embedder=embedder)
    about_guides = [row for row in load_questions(FOLDER / "questions.jsonl") if row.split == "dev"]
    about_guides += load_questions(FOLDER / "tuning-questions.jsonl")
    about_documents = load_questions(FOLDER / "tuning-document-questions.jsonl")
    others = {
        "guides, everyday words, learnt": (guides, load_questions(FOLDER / "tuning-everyday-questions.jsonl")),
        "guides, learnt": (guides, [row for row in about_guides if use_of(row) == "adapter"]),
        "guides, not learnt": (guides, [row for row in about_guides if use_of(row) != "adapter"]),
        "the same, paraphrases": (guides, [r for r in about_guides if use_of(r) != "adapter" and r.kind == "paraphrase"]),
        "documents, learnt": (documents, [row for row in about_documents if use_of(row) == "adapter"]),
        "documents, not learnt": (documents, [row for row in about_documents if use_of(row) != "adapter"]),
    }
    if options.foreign:
        elsewhere = replace(settings, guides_dir=options.foreign, data_dir=settings.data_dir / "foreign")
        rows = load_questions(FOLDER / "tuning-foreign-questions.jsonl") + load_questions(FOLDER / "foreign-questions.jsonl")
        others["foreign texts"] = replace(_opened(elsewhere), embedder=embedder), rows
    torch.manual_seed(0)
    learning = Learning(embedder)
    before = {name: found(*each) for name, each in others.items()}  # an adapter adds nothing before it has learnt
    learnt = [one for name in others if name.endswith(", learnt") for one in examples(*others[name])]
    for number, (loss, moved) in enumerate(learning.learn(learnt, options.epochs, random.Random(0)), 1):
        sys.stderr.write(f"\rEpoch {number}: loss {loss:.3f}, moved {moved:.3f} \n")
    cells = [_compared(name, before[name], found(*each)) for name, each in others.items()]
    about = (
        f"Share of answerable questions whose facts stand in the first {', '.join(map(str, READ))} passages that the search "
        f"brings, before and after; {len(learnt)} questions learnt from, {options.epochs} times, rank {RANK}; loss {loss:.3f}, "
        f"mean distance from the question without adapter {moved:.3f}."
    )
    heads = ["questions", "answerable", *(f"in {number}" for number in READ), f"better, worse in {max(READ)}"]
    text = f"# Teaching the embedder how people ask\n\n{about}\n\n{table(heads, cells)}"
    sys.stdout.write(f"\n{text}\n")
    if options.report:
        write_with_figures(options.report, text, {"about": about, "rows": cells})
    if options.write:
        sys.stdout.write(f"Written: {write_adapter('all-MiniLM-L6-v2', embedder.identity, learning.pairs)}\n")


def _compared(name: str, before: list[list[bool]], after: list[list[bool]]) -> list[str]:
    shares = [
        " → ".join(f"{100 * mean(row[column] for row in rows):.1f}" for rows in (before, after)) for column in range(len(READ))
    ]
    better = sum(now[-1] and not then[-1] for then, now in zip(before, after, strict=True))
    worse = sum(then[-1] and not now[-1] for then, now in zip(before, after, strict=True))
    return [name, str(len(before)), *shares, f"{better}, {worse}"]


if __name__ == "__main__":
    main()
