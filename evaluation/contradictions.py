"""Whether passages that contradict each other are told from passages that only seem to.

    python evaluation/contradictions.py [--split test] [--report evaluation/reports/contradictions.md]

`contradictions.jsonl` holds questions with three or four passages about invented things. In half of them another passage
gives another value for what is asked; in the others it looks so: a sibling's number, another unit, another year, a part.
Each is asked as a user would ask it. Code and thresholds were chosen on the dev half.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from fieldguide.assembly import Fieldguide
from fieldguide.evaluation.markdown import table, write_with_figures
from fieldguide.evaluation.report import share
from fieldguide.evaluation.run import as_chunks
from fieldguide.events import Compared, Failed, Finished
from fieldguide.settings import resolve_settings
from fieldguide.types import Answer

TOLD = "The passages may disagree"


def ask(made: Fieldguide, row: dict[str, Any]) -> tuple[Answer, int]:
    """The answer from the row's passages, and how many of them were asked alone."""
    given = as_chunks(row["id"], [(passage["title"], passage["text"]) for passage in row["passages"]])
    compared = 0
    for event in made.answer(row["question"], (), replace(made.default_options(), temperature=0.0, given=given)):
        compared += isinstance(event, Compared)
        if isinstance(event, Failed):
            raise SystemExit(f"{row['id']}: {event.message}")
        if isinstance(event, Finished):
            return event.answer, compared
    raise SystemExit(f"{row['id']}: the stream ended without an answer")


def as_markdown(found: dict[str, Any]) -> str:
    """The report."""
    named = {"told": "contradictions told", "told_wrongly": "told where there is none", "refused": "questions refused"}
    rows = [[name, f"{f['count']} of {f['of']}", f"{f['share']:.0%}"] for key, name in named.items() for f in [found[key]]]
    rows.append(["passages asked alone", str(found["compared"]), ""])
    wrong = [[row["id"], row["question"], row["answer"]] for row in found["rows"] if row["told"] != row["disagree"]]
    return (
        f"# Passages that contradict each other\n\n{found['about']}\n\n{table(['figure', 'count', 'share'], rows)}\n"
        f"## Not as labelled\n\n{table(['id', 'question', 'answer'], wrong)}"
    )


def main() -> None:
    """Ask, judge, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", choices=("dev", "test"), default="test")
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    lines = Path(__file__).with_name("contradictions.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [row for row in map(json.loads, lines) if row["split"] == options.split]
    made = Fieldguide(resolve_settings())
    for _ in made.loading():
        pass
    asked: list[dict[str, Any]] = []
    for row in rows:
        answer, compared = ask(made, row)
        told = TOLD in answer.text
        kept = {key: row[key] for key in ("id", "question", "disagree")}
        asked.append({**kept, "answer": answer.text, "told": told, "refused": answer.abstained, "compared": compared})
        sys.stderr.write(f"\r{len(asked)} of {len(rows)} ")
    found = {
        "about": f"{len(rows)} questions ({options.split}), {made.model_name}, gate {made.gate.name}.",
        "told": share([row["told"] for row in asked if row["disagree"]]),
        "told_wrongly": share([row["told"] for row in asked if not row["disagree"]]),
        "refused": share([row["refused"] for row in asked]),
        "compared": sum(row["compared"] for row in asked),
        "rows": asked,
    }
    sys.stdout.write(as_markdown(found))
    if options.report:
        write_with_figures(options.report, as_markdown(found), found)


if __name__ == "__main__":
    main()
