"""`fieldguide eval`: ask a file of questions and report how good the answers are."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import fieldguide
from fieldguide import locations
from fieldguide.assembly import Fieldguide
from fieldguide.errors import EvaluationError
from fieldguide.evaluation.markdown import as_markdown, write_report
from fieldguide.evaluation.questions import Split, load_questions
from fieldguide.evaluation.report import Figures, compare, figures, judge, require_comparable
from fieldguide.evaluation.run import MODES, Mode, Run, run_file, run_questions, write_text
from fieldguide.events import Loading
from fieldguide.generation.prompt import PROMPT_VERSION
from fieldguide.interfaces.cli.terminal import LoadingDisplay, show_loading
from fieldguide.retrieval.search import RANKING_VERSION
from fieldguide.settings import resolve_settings


def evaluate(
    questions_path: Path,
    mode: str,
    answers: Path,
    report: Path,
    flags: Mapping[str, Any],
    *,
    split: str | None = None,
    limit: int | None = None,
    against: Path | None = None,
) -> None:
    """Run, judge, and write the report as Markdown and, beside it, as JSON."""
    if mode not in MODES:
        raise EvaluationError(f"There is no mode '{mode}'.", f"Known: {', '.join(MODES)}.")
    if split and split not in get_args(Split):
        raise EvaluationError(f"There is no split '{split}'.", "Known: dev, test.")
    chosen: Mode = mode
    _require_own_paths(questions_path, answers, report, against)
    questions = load_questions(questions_path, _warn)
    questions = [question for question in questions if split in (None, question.split)][:limit]
    earlier = _read_figures(against) if against else None

    made = Fieldguide(resolve_settings(flags))
    with_model = mode != "retrieval"
    show_loading(made.loading(with_model=with_model))
    run = Run(chosen, _made_with(made, questions_path, split, with_model=with_model))
    if earlier is not None:
        require_comparable({"run": {"mode": mode, **run.made_with}}, earlier)
    commit = _commit()  # before a report of this repository is written over: that is no change of the code
    write_text(report, "The evaluation is running.\n")  # a report that cannot be written is better known before
    with LoadingDisplay() as display:

        def show(done: int, total: int, seconds_left: float) -> None:
            detail = f"{done} of {total}, {seconds_left / 60:.0f} min left"
            display.show(Loading(f"Asking ({mode})", done / total, detail))

        rows = run_questions(made, questions, run, answers, show)
    judged = judge(questions, rows, made.chunks(), made.settings.passages, mode)
    content = figures(questions, rows, judged, run)
    if earlier is not None:
        content["comparison"] = compare(content, earlier)
    content["run"]["commit"] = commit
    written = write_report(content, report)
    sys.stdout.write(as_markdown(content).split("## Misses")[0])
    sys.stdout.write(f"Written: {', '.join(map(str, written))}\n")
    made.close()


def _made_with(made: Fieldguide, questions: Path, split: str | None, *, with_model: bool) -> dict[str, Any]:
    settings = made.settings
    about: dict[str, Any] = {
        "version": fieldguide.__version__,
        "ranking": f"v{RANKING_VERSION}",
        "questions": questions.name,
        "questions_sha256": hashlib.sha256(questions.read_bytes()).hexdigest()[:12],
        "split": split or "all",
        "corpus": made.manifest.corpus[:12],
        "embedder": made.manifest.embedder[:12],
        "chunk_tokens": made.manifest.chunk_tokens,
        "chunker_version": made.manifest.chunker_version,
    }
    if with_model:
        about |= {
            "model": made.model_name,
            "passages": settings.passages,
            "answer_tokens": settings.answer_tokens,
            "context_length": settings.context_length,
            "prompt_version": PROMPT_VERSION,
            "gate": made.gate.name,
            "passage_cache": "passages read apart" if settings.passage_cache_gb else "none",
        }
    return about


def _commit() -> str:
    """The commit that this code stands at, and whether it was changed since; the version outside a checkout."""
    root = locations.checkout_root()
    try:
        if root:
            command = ["git", "-C", str(root), "describe", "--always", "--dirty=, changed", "--exclude=*"]
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        pass  # no git, or not a repository
    return fieldguide.__version__


def _warn(warning: str) -> None:
    sys.stderr.write(f"{warning}\n")


def _read_figures(path: Path) -> Figures:
    try:
        content: Figures = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise EvaluationError(f"{path} is no report of an earlier run: {error}.", "Give the JSON of a report.") from error
    if not (isinstance(content, dict) and isinstance(content.get("run"), dict) and isinstance(content.get("right"), dict)):
        raise EvaluationError(f"{path} is no report of an earlier run.", "Give the JSON of a report.")
    return content


def _require_own_paths(questions: Path, answers: Path, report: Path, against: Path | None) -> None:
    """No file of the evaluation may overwrite another one."""
    paths = [questions, answers, run_file(answers), report, report.with_suffix(".json"), *([against] if against else [])]
    if len({path.resolve() for path in paths}) < len(paths):
        raise EvaluationError(
            "Questions, answers, the report to compare with and the new one "
            f"({report}, {report.with_suffix('.json')}) would overwrite each other.",
            "Give each a name of its own, the report's ending in .md.",
        )
