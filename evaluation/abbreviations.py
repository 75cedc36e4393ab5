"""Ask what every abbreviation of the guides stands for, those that they spell out and those that they do not.

    python evaluation/abbreviations.py [--report evaluation/reports/abbreviations.md]

Which are spelled out is looked up in all passages; an answer sees only those that a search finds.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

from fieldguide.answering.abbreviations import spelled_out
from fieldguide.assembly import Fieldguide
from fieldguide.events import Finished
from fieldguide.settings import resolve_settings
from fieldguide.types import Chunk
from fieldguide.words import content_words

_ABBREVIATION = re.compile(r"\b[A-Z][A-Za-z]?[A-Z]{1,4}\b")


def abbreviations(chunks: list[Chunk]) -> list[str]:
    """Short words with at least two capitals, in the order of the guides."""
    return list(dict.fromkeys(word for chunk in chunks for word in _ABBREVIATION.findall(chunk.text)))


def main() -> None:
    """Ask, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--report", type=Path, default=Path("evaluation/reports/abbreviations.md"))
    asked = parser.parse_args()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    fieldguide = Fieldguide(resolve_settings())
    for _ in fieldguide.loading():
        pass
    chunks = fieldguide.chunks()
    words, rows, known, right, refused = abbreviations(chunks), list[str](), 0, 0, 0
    for number, short in enumerate(words, 1):
        sys.stderr.write(f"\r{number} of {len(words)} ")
        *_, last = fieldguide.answer(f"What does {short} stand for?")
        assert isinstance(last, Finished), last
        sentences, _ = spelled_out(short, chunks)
        said = last.answer.text
        meant = [sentence.text.split(" stands for ")[1].rstrip(".") for sentence in sentences]
        if meant:
            known += 1
            right += any(content_words(meaning) <= content_words(said) for meaning in meant)
        else:
            refused += last.answer.abstained
        rows.append(f"| {short} | {' '.join(meant) or '-'} | {said} |")
    report = [
        "# What letters stand for",
        "",
        f"Commit {commit}, {fieldguide.model_name}. `python evaluation/abbreviations.py` makes this report.",
        "",
        f"Of {known} abbreviations that the guides spell out, {right} were answered so. Of {len(words) - known} that they"
        f" do not spell out in brackets, {refused} were refused; the others are to be read below.",
        "",
        "| asked | spelled out as | answer |",
        "|---|---|---|",
        *rows,
    ]
    asked.report.write_text("\n".join(report) + "\n", encoding="utf-8")
    fieldguide.close()


if __name__ == "__main__":
    main()
