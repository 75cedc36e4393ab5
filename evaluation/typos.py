"""What misspelt words cost the search, and what correcting them gives back.

    python evaluation/typos.py [--report evaluation/reports/typos.md]

Answerable questions are spoilt by chance, always in the same way: in words of five letters or more one is left out, doubled,
swapped with the next or replaced by another, and all is in small letters. Found is a question whose facts all stand in the
passages that the model would read.
"""

import argparse
import random
import re
import sys
from pathlib import Path

from fieldguide.assembly import Fieldguide
from fieldguide.evaluation.markdown import table
from fieldguide.evaluation.metrics import holds
from fieldguide.evaluation.questions import Question, load_questions
from fieldguide.settings import resolve_settings

FOLDER = Path(__file__).parent
SETS = {"questions.jsonl": "test", "tuning-questions.jsonl": "dev"}
_WORD = re.compile(r"[^\W\d_]{5,}")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def spoilt(text: str, share: float, chance: random.Random) -> str:
    """The text in small letters with a typo in this share of its longer words."""
    return _WORD.sub(lambda match: _typo(match.group(), chance) if chance.random() < share else match.group(), text).lower()


def _typo(word: str, chance: random.Random) -> str:
    at = chance.randrange(1, len(word) - 1)
    kind = chance.choice(("left out", "doubled", "swapped", "another"))
    if kind == "left out":
        return word[:at] + word[at + 1 :]
    if kind == "doubled":
        return word[:at] + word[at] + word[at:]
    if kind == "swapped":
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return word[:at] + chance.choice(_LETTERS) + word[at + 1 :]


def is_found(made: Fieldguide, text: str, question: Question) -> bool:
    """Whether its facts stand in the passages that are read."""
    hits = made.searcher().search(text, made.settings.passages).hits
    return all(any(holds(hit.chunk.passage, [group]) for hit in hits) for group in question.must)


def measure(made: Fieldguide, questions: list[Question], share: float) -> tuple[int, int, int]:
    """How many are found as spoilt and as corrected, and how many texts the correction changed."""
    chance = random.Random(7)
    texts = [spoilt(q.question, share, chance) if share else q.question for q in questions]
    corrected = [made.searcher().corrected(text) for text in texts]
    before = sum(is_found(made, text, question) for text, question in zip(texts, questions, strict=True))
    after = sum(is_found(made, text, question) for text, question in zip(corrected, questions, strict=True))
    return before, after, sum(text != other for text, other in zip(texts, corrected, strict=True))


def main() -> None:
    """Spoil, search, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    made = Fieldguide(resolve_settings())
    for _ in made.loading(with_model=False):
        pass
    rows = []
    for name, split in SETS.items():
        questions = [
            q for q in load_questions(FOLDER / name) if q.split == split and not (q.abstain or q.history or q.passages)
        ]
        for share in (0.0, 0.4, 0.8):
            before, after, changed = measure(made, questions, share)
            rows.append([f"{name} ({split})", f"{share:.0%}", str(len(questions)), str(changed), str(before), str(after)])
    head = ["questions", "longer words misspelt", "asked", "changed", "found as typed", "found when corrected"]
    report = f"# Misspelt questions\n\n{(__doc__ or '').split(chr(10) * 2)[2]}\n\n{table(head, rows)}"
    sys.stdout.write(report)
    if options.report:
        options.report.write_text(report, encoding="utf-8")


if __name__ == "__main__":
    main()
