"""Pictures beside a report, where they say more than a table."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fieldguide.errors import EvaluationError
from fieldguide.evaluation.report import Figures


def draw(content: Figures, report: Path) -> list[Path]:
    """Draw what there is to draw as PNG files beside the report; gives their paths.

    None are drawn where matplotlib is not installed (it comes with `fieldguide[plots]`). Raises EvaluationError when a file
    cannot be written.
    """
    drawn: dict[str, Callable[[Any, Figures], None]] = {}
    if content.get("retrieval", {}).get("found_after_characters", {}).get("all"):
        drawn["found"] = _found
    if content.get("answers", {}).get("lost_at"):
        drawn["misses"] = _misses
    try:
        from matplotlib.figure import Figure  # the object-oriented interface needs neither a display nor global state
    except ImportError:
        return []
    paths = []
    for name, plot in drawn.items():
        figure = Figure(figsize=(6.4, 3.6), dpi=110, layout="constrained")
        plot(figure.subplots(), content)
        path = report.with_name(f"{report.stem}-{name}.png")
        try:
            figure.savefig(path, metadata={"Software": None})  # the same figures give the same file
        except OSError as error:
            raise EvaluationError(f"{path} cannot be written: {error.strerror or error}.", "Give another path.") from error
        paths.append(path)
    return paths


def _found(axes: Any, content: Figures) -> None:  # noqa: ANN401 - matplotlib's classes are known only where it is installed
    curves = dict(content["retrieval"]["found_after_characters"])
    characters = curves.pop("characters")
    for name, shares in curves.items():
        width = 2.5 if name == "all" else 1.0
        axes.plot(characters, [100 * share for share in shares], label=name, linewidth=width)
    axes.set(xlabel="characters of passages read, best first", ylabel="questions whose facts are found (%)", ylim=(0, 102))
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")


def _misses(axes: Any, content: Figures) -> None:  # noqa: ANN401
    stages = content["answers"]["lost_at"]
    bars = axes.barh(list(stages), list(stages.values()))
    axes.bar_label(bars, padding=3)
    axes.invert_yaxis()
    axes.set(xlabel="answers lost at this stage")
