"""What a step of the model costs by batch and by threads, and whether drafting from the prompt would make writing faster.

    python benchmarks/decoding.py [--answers runs/end-to-end-test.jsonl] [--report benchmarks/reports/decoding.md]

Prompt lookup drafts the next tokens of an answer by finding its last tokens earlier in the prompt (Saxena 2023). Whatever the
model would not have written is thrown away, so the answer stays the same; it pays if checking a draft costs less than the
steps that it saves. Which drafts would have been kept is counted on answers that the model has written (the rows of an
evaluation); what checking costs is measured here.
"""

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import llama_cpp

from fieldguide import locations
from fieldguide.evaluation.markdown import write_with_figures
from fieldguide.generation.llama import LlamaModel
from fieldguide.generation.model import Cancellation, PromptPart
from fieldguide.generation.prompt import build_messages
from fieldguide.settings import default_threads, resolve_settings
from fieldguide.weights.catalog import load_catalog

BEHIND = 1000  # tokens that are held already
BATCHES = (1, 2, 3, 4, 5, 6, 8, 16, 24, 32, 64, 128)
NGRAMS, DRAFTS = (1, 2, 3), (1, 2, 3, 4, 5)
ROUNDS = 7


def batch_seconds(path: Path, threads: int, batches: Sequence[int]) -> dict[int, float]:
    """Median seconds to read so many tokens, with the logits of all, behind BEHIND others."""
    model = LlamaModel(path, context_length=2048, threads=threads)
    context: Any = model._context
    tokens = model._tokenize(PromptPart("question", "Somebody asked what this was all about. " * 150))
    for start in range(0, BEHIND, 100):
        context.decode(tokens[start : start + 100], start, 0, Cancellation())

    def once(count: int) -> float:
        context.forget(0, BEHIND)
        batch = llama_cpp.llama_batch_init(count, 0, 1)
        batch.n_tokens = count
        for i in range(count):
            batch.token[i], batch.pos[i], batch.logits[i] = tokens[BEHIND + i], BEHIND + i, 1
            batch.n_seq_id[i], batch.seq_id[i][0] = 1, 0
        began = time.perf_counter()
        llama_cpp.llama_decode(context._context, batch)
        seconds = time.perf_counter() - began
        llama_cpp.llama_batch_free(batch)
        return seconds

    found = {count: median(once(count) for _ in range(ROUNDS)) for count in batches}
    model.close()
    return found


def lookup(
    answers: Sequence[tuple[list[int], list[int]]], ngram: int, draft: int, seconds: dict[int, float]
) -> dict[str, float]:
    """What prompt lookup makes of answers (prompt and answer as tokens): the share of drafts kept, and how much faster."""
    drafted = kept = written = 0
    spent = 0.0
    for prompt, answer in answers:
        known, done = list(prompt), 0
        written += len(answer)
        while done < len(answer):
            candidates = _found_earlier(known, ngram, draft)
            right = 0
            while right < min(len(candidates), len(answer) - done - 1) and candidates[right] == answer[done + right]:
                right += 1
            spent += seconds[1 + len(candidates)]
            drafted, kept = drafted + len(candidates), kept + right
            known += answer[done : done + right + 1]
            done += right + 1
    return {"ngram": ngram, "draft": draft, "kept": kept / max(drafted, 1), "times_as_fast": written * seconds[1] / spent}


def _found_earlier(known: Sequence[int], ngram: int, draft: int) -> Sequence[int]:
    """What followed the last tokens where they stood before, latest place first."""
    end = list(known[-ngram:])
    for start in range(len(known) - ngram - 1, -1, -1):
        if known[start : start + ngram] == end:
            return known[start + ngram : start + ngram + draft]
    return ()


def written_answers(path: Path, model: LlamaModel, passages: int) -> list[tuple[list[int], list[int]]]:
    """Prompts and answers of an evaluation as tokens."""
    pairs = []
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if row.get("answer") and not row["abstained"]:
            messages = build_messages(row["question"], [hit["text"] for hit in row["retrieved"][:passages]])
            prompt = [token for part in model.render(messages) for token in model._tokenize(part)]
            pairs.append((prompt, list(model._tokenize(PromptPart("question", row["answer"])))))
    return pairs


def as_markdown(found: dict[str, Any]) -> str:
    """The report."""
    lines = ["# Decoding", "", found["about"], "", f"One step, behind {BEHIND:,} tokens:", "", "| tokens | ms | times one |"]
    lines.append("|---|---|---|")
    seconds = {int(count): value for count, value in found["seconds"].items()}
    lines += [f"| {count} | {1000 * value:.0f} | {value / seconds[1]:.1f} |" for count, value in seconds.items()]
    lines += ["", "| threads | one token (ms) | 128 tokens (ms) |", "|---|---|---|"]
    lines += [f"| {n} | {1000 * t['1']:.0f} | {1000 * t['128']:.0f} |" for n, t in found["threads"].items()]
    if found["lookup"]:
        lines += ["", f"Prompt lookup, {found['answers']} answers:", ""]
        lines += ["| n-gram | draft | kept | times as fast |", "|---|---|---|---|"]
    for row in found["lookup"]:
        lines.append(f"| {row['ngram']} | {row['draft']} | {100 * row['kept']:.0f} % | {row['times_as_fast']:.2f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, and write where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=Path, help="rows of an evaluation, end to end")
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    settings = resolve_settings()
    path = load_catalog(locations.catalog_file()).find("default").path(settings.models_dir)
    seconds = batch_seconds(path, settings.threads, BATCHES)
    threads = {
        n: {str(count): value for count, value in batch_seconds(path, n, (1, 128)).items()}
        for n in sorted({1, default_threads(), 2 * default_threads()})
    }
    answers = []
    if options.answers:
        model = LlamaModel(path, context_length=512, threads=1)
        answers = written_answers(options.answers, model, settings.passages)
        model.close()
    found = {
        "about": f"{path.stem}, {os.cpu_count()} cores ({platform.machine()}), {settings.threads} threads.",
        "seconds": seconds,
        "threads": threads,
        "answers": len(answers),
        "lookup": [lookup(answers, ngram, draft, seconds) for ngram in NGRAMS for draft in DRAFTS] if answers else [],
    }
    sys.stdout.write(as_markdown(found))
    if options.report:
        write_with_figures(options.report, as_markdown(found), found)


if __name__ == "__main__":
    main()
