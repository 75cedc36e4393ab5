"""What putting kept passages together costs in answers, and what more passages or reading again give back.

    python evaluation/passage_cache_curve.py --answers runs/curve [--split dev] [--variants "8 kept" "8 cold"] [--report OUT.md]
    python evaluation/passage_cache_curve.py --answers runs/curve --split all --answerable --variants "4 cold" "4 kept" \
        --questions evaluation/questions.jsonl evaluation/tuning-questions.jsonl  # an hour and a half: the smaller interval

Each variant answers the same questions with the gate held open, so that only reading differs, and is compared with the cold
read of the same prompt, question by question. Answers are kept: a run that was stopped goes on where it was.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import Any

from fieldguide.answering.abstain import DraftSignals, Judgement, ThresholdGate
from fieldguide.answering.assistant import Assistant
from fieldguide.answering.drafting import DOUBTFUL_BELOW
from fieldguide.answering.reader import AnswerOptions
from fieldguide.answering.rewrite import standalone
from fieldguide.answering.support import SupportChecker
from fieldguide.assembly import Fieldguide
from fieldguide.engines import model_path
from fieldguide.evaluation.markdown import table, write_with_figures
from fieldguide.evaluation.metrics import area_under_curve, is_right
from fieldguide.evaluation.questions import Question, load_questions
from fieldguide.evaluation.report import paired, share
from fieldguide.events import Failed, Finished, Gated
from fieldguide.generation.llama import LlamaModel
from fieldguide.generation.model import Cancellation, PromptPart, ReadProgress
from fieldguide.generation.passage_cache import PassageCache
from fieldguide.generation.prompt import build_messages
from fieldguide.settings import Settings, resolve_settings

ROOT = Path(__file__).parents[1]
Row = dict[str, Any]


class HeldOpen(ThresholdGate):
    """A gate that tells what it sees and refuses nothing: not even a draft that no passage seems to support."""

    def judge_draft(self, signals: DraftSignals) -> Judgement:
        """The signals."""
        return replace(super().judge_draft(signals), answerable=True)


OPEN = HeldOpen(refuse_above=0.0, refuse_below_score=-1.0)


@dataclass(frozen=True, slots=True)
class Variant:
    """How many passages are read, and how."""

    passages: int
    kept: bool = True
    reread: int = 0
    best_first: bool = False
    second_reading: bool = False  # of doubtful drafts, as users have it


VARIANTS = {
    "4 cold": Variant(4, kept=False),
    "3 kept": Variant(3),
    "4 kept": Variant(4),
    "5 kept": Variant(5),
    "6 kept": Variant(6),
    "8 kept": Variant(8),
    "4 kept, best first": Variant(4, best_first=True),
    "4 kept, 8 reread": Variant(4, reread=8),
    "4 kept, 16 reread": Variant(4, reread=16),
    "8 kept, 16 reread": Variant(8, reread=16),
    "4 cold, doubtful ones twice": Variant(4, kept=False, second_reading=True),
    "4 kept, doubtful ones twice": Variant(4, second_reading=True),
}
NAMES = {variant: name for name, variant in VARIANTS.items()}


class BestFirst:
    """A model that is shown the passages in the opposite order."""

    def __init__(self, model: LlamaModel) -> None:
        self._model = model

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the model has
        return getattr(self._model, name)

    def read(self, prompt: Sequence[PromptPart], cancellation: Cancellation) -> Iterator[ReadProgress]:
        """Read the prompt with its passages turned round."""
        passages = [part for part in prompt if part.kind == "passage"]
        turned = [passages.pop() if part.kind == "passage" else part for part in prompt]
        return self._model.read(turned, cancellation)


def answers(made: Fieldguide, variant: Variant, questions: Sequence[Question], path: Path) -> list[Row]:
    """One row a question: the answer as if the gate were open, and the gate's signals."""
    rows = kept_rows(path)
    if variant.second_reading:  # what was not doubtful comes out as it did when it was read once
        once = kept_rows(path.with_name(f"{path.stem.partition(',')[0]}.jsonl"))
        rows = {name: row for name, row in once.items() if not is_doubtful(row)} | rows
    left = [question for question in questions if question.id not in rows]
    if not left:
        return [rows[question.id] for question in questions]
    model = load(made, variant)
    support = SupportChecker(made._load_embedder(lambda _: None))
    assistant = Assistant(lambda _: made.searcher(), BestFirst(model) if variant.best_first else model, support, OPEN)
    options = AnswerOptions(
        variant.passages, made.settings.answer_tokens, second_reading=variant.second_reading, compared=False
    )
    with path.open("a", encoding="utf-8") as out:
        for number, question in enumerate(left, 1):
            if variant.kept:
                asked = standalone(question.question, question.history).search_text
                best = [hit.chunk.passage for hit in made.search(asked, variant.passages).hits]
                model.warm(model.render(build_messages("", best)), Cancellation())
            row = rows[question.id] = {"id": question.id, **ask(assistant, question, options)}
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
            out.flush()
            sys.stderr.write(f"\r{path.stem}: {number} of {len(left)} ")
    model.close()
    return [rows[question.id] for question in questions]


def kept_rows(path: Path) -> dict[str, Row]:
    """What was answered already, by question."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return {row["id"]: row for row in map(json.loads, lines)}


def is_doubtful(row: Row) -> bool:
    """Whether the draft would have been read a second time (`Draft.is_doubtful`)."""
    return bool(row.get("log_probability", DOUBTFUL_BELOW - 1) < DOUBTFUL_BELOW or row["unsupported"] == 1)


def load(made: Fieldguide, variant: Variant) -> LlamaModel:
    """The weights with what the variant needs; rules and examples are in place."""
    settings: Settings = made.settings
    cache = PassageCache(settings.data_dir / "passage-cache", int(settings.passage_cache_gb * 1e9)) if variant.kept else None
    model = LlamaModel(
        model_path(made.settings, lambda _: None),
        context_length=settings.context_length,
        threads=settings.threads,
        cache=cache,
        reread=variant.reread,
    )
    for _ in model.read(model.render(build_messages("", [])), Cancellation()):
        pass
    return model


def ask(assistant: Assistant, question: Question, options: AnswerOptions) -> Row:
    """What came of one question; where a refusal is due, nothing is written: only the signals count there."""
    row: Row = {}
    for event in (stream := assistant.answer(question.question, question.history, options)):
        if isinstance(event, Gated):
            row |= event.signals
            if question.abstain:
                stream.close()
        elif isinstance(event, Finished):
            answer = event.answer
            row |= {"answer": answer.text, "abstained": answer.abstained, "first_token_s": answer.timings.first_token_s}
        elif isinstance(event, Failed):
            raise SystemExit(f"{question.id}: {event.message}")
    return row


def judge(questions: Sequence[Question], rows: Sequence[Row]) -> dict[str, Any]:
    """Figures of one variant: what was read right, and how well its leaning to refuse tells when a refusal is due."""
    both = list(zip(questions, rows, strict=True))
    answered = [(q, row) for q, row in both if not q.abstain]
    right = {q.id: is_right(q, row["answer"], abstained=row["abstained"]) for q, row in answered}
    return {
        "right": right,
        "read_right": share(list(right.values())),
        "area_under_curve": area_under_curve(
            [row["refusal_log_probability"] for q, row in both if q.abstain],
            [row["refusal_log_probability"] for q, row in answered],
        )
        if len(answered) < len(both)
        else None,
        "first_token_s": median([row["first_token_s"] for _, row in answered if row["first_token_s"] is not None]),
    }


def as_markdown(found: Mapping[str, Any]) -> str:
    """The report."""
    rows = []
    for name, figures in found["variants"].items():
        against = figures.get("against_cold")
        low, high = (100 * end for end in against["interval"]) if against else (0.0, 0.0)
        rows.append(
            [
                name,
                f"{figures['first_token_s']:.1f}",
                _percent(figures["read_right"]),
                f"{against['better']} : {against['worse']}" if against else "",
                f"{100 * against['difference']:+.1f} ({low:+.0f} to {high:+.0f})" if against else "",
                "" if figures["area_under_curve"] is None else f"{figures['area_under_curve']:.2f}",
            ]
        )
    head = ["variant", "first word (s)", "read right", "better : worse", "points against cold (95 %)", "gate's area"]
    return f"# Passage cache: what reading apart costs\n\n{found['about']}\n\n{table(head, rows)}"


def _percent(figure: Mapping[str, Any]) -> str:
    return f"{100 * figure['share']:.0f} % ({figure['count']}/{figure['of']})"


def main() -> None:
    """Ask, judge, and write the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--answers", type=Path, required=True, help="a folder")
    parser.add_argument("--questions", nargs="+", type=Path, default=[ROOT / "evaluation" / "questions.jsonl"])
    parser.add_argument("--split", choices=("dev", "test", "all"), default="dev")
    parser.add_argument("--answerable", action="store_true", help="only questions that the guides answer")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    questions = [q for path in options.questions for q in load_questions(path)]
    questions = [q for q in questions if options.split in ("all", q.split) and not q.passages]
    questions = [q for q in questions if not (options.answerable and q.abstain)]
    options.answers.mkdir(parents=True, exist_ok=True)
    made = Fieldguide(resolve_settings())
    for _ in made.loading(with_model=False):
        pass
    found: dict[str, Any] = {}
    for name in options.variants:
        path = options.answers / f"{name}.jsonl"
        found[name] = judge(questions, answers(made, VARIANTS[name], questions, path))
    for name, figures in found.items():
        cold = NAMES.get(replace(VARIANTS[name], kept=False, reread=0, best_first=False))
        if cold in found and cold != name:
            figures["against_cold"] = paired(figures["right"], found[cold]["right"])
    what = "answerable questions" if options.answerable else "questions"
    about = f"{len(questions)} {what} ({options.split}), {model_path(made.settings, lambda _: None).stem}."
    content = {"about": about, "variants": found}
    sys.stdout.write(as_markdown(content))
    if options.report:
        write_with_figures(options.report, as_markdown(content), content)


if __name__ == "__main__":
    main()
