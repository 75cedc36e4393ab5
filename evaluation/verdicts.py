"""How far the verdicts on sentences can be trusted: against labels given by hand.

    python evaluation/verdicts.py [--report evaluation/reports/verdicts.md]

`labelled-sentences.jsonl` holds sentences of real answers to development and tuning questions, right ones and made-up ones,
each labelled by reading it against the passages that the model had been shown (their ids): supported when they state all
of it, partly when its core, unsupported when they do not. Rows whose passages have left the guides are counted apart.
"""

import argparse
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from fieldguide.answering.assistant import RETRIEVED
from fieldguide.answering.support import SupportChecker
from fieldguide.assembly import Fieldguide
from fieldguide.evaluation.markdown import table, write_with_figures
from fieldguide.evaluation.report import share
from fieldguide.settings import resolve_settings

LABELS = ("supported", "partly", "unsupported")
VERDICTS = ("supported", "weak", "unsupported")


def judge(made: Fieldguide, rows: list[dict[str, Any]]) -> list[tuple[dict[str, Any], str]]:
    """Each row whose passages are all there, with the verdict on its sentence."""
    chunks = {chunk.id: chunk for chunk in made.chunks()}
    support = SupportChecker(made._ready_embedder())
    known = [row for row in rows if all(i in chunks for i in row["passages"])]
    found: list[tuple[dict[str, Any], str]] = []
    for row in known:
        passages = [chunks[i] for i in row["passages"]]
        nearest = made.searcher().search(row["question"], RETRIEVED).quotes
        sentences, _ = support.check(row["sentence"], passages, row["question"], nearest)
        found.append((row, sentences[0].verdict))
    return found


def figures(judged: list[tuple[dict[str, Any], str]], rows: int) -> dict[str, Any]:
    """The table of labels and verdicts, and what follows from it."""
    counts = Counter((row["label"], verdict) for row, verdict in judged)
    return {
        "sentences": len(judged),
        "left_out": rows - len(judged),
        "counts": {label: {verdict: counts[label, verdict] for verdict in VERDICTS} for label in LABELS},
        "shares": {
            "called supported, and is": share([row["label"] == "supported" for row, v in judged if v == "supported"]),
            "is supported, and called so": share([v == "supported" for row, v in judged if row["label"] == "supported"]),
            "called unsupported, and is": share([row["label"] == "unsupported" for row, v in judged if v == "unsupported"]),
            "is unsupported, and not called supported": share(
                [v != "supported" for row, v in judged if row["label"] == "unsupported"]
            ),
        },
        "called_supported_but_not": [
            {key: row[key] for key in ("question", "sentence", "label", "why")}
            for row, verdict in judged
            if verdict == "supported" and row["label"] == "unsupported"
        ],
    }


def as_markdown(found: dict[str, Any]) -> str:
    """The report."""
    counts = [[label, *(str(found["counts"][label][verdict]) for verdict in VERDICTS)] for label in LABELS]
    shares = []
    for name, row in found["shares"].items():
        low, high = row["interval"]
        count = f"{row['count']} of {row['of']}"
        shares.append([name, f"{100 * row['share']:.0f} %", count, f"{100 * low:.0f} to {100 * high:.0f} %"])
    misses = [[row["question"], row["sentence"].replace("|", "/"), row["why"]] for row in found["called_supported_but_not"]]
    return "\n".join(
        [
            "# Verdicts on sentences, against labels given by hand\n",
            f"{found['sentences']} sentences of real answers ({found['left_out']} left out: their passages have changed).\n",
            table(["label / verdict", *VERDICTS], counts),
            table(["", "share", "count", "95% interval"], shares),
            "## Called supported, and is not\n",
            table(["question", "sentence", "why not"], misses),
        ]
    )


def main() -> None:
    """Judge, and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    text = Path(__file__).with_name("labelled-sentences.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    made = Fieldguide(resolve_settings())
    for _ in made.loading(with_model=False):
        pass
    found = figures(judge(made, rows), len(rows))
    sys.stdout.write(as_markdown(found))
    if options.report:
        write_with_figures(options.report, as_markdown(found), found)


if __name__ == "__main__":
    main()
