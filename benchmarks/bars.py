"""Bars along time, as the reports of several benchmarks have them."""

from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure


def draw(spans: Mapping[str, tuple[float, float]], axis: str, path: Path) -> None:
    """One bar for each name, from when to when in seconds, with its end beside it."""
    figure = Figure(figsize=(7, 0.6 + 0.4 * len(spans)))
    axes = figure.subplots()
    begins, ends = [begin for begin, _ in spans.values()], [end for _, end in spans.values()]
    lengths = [end - begin for begin, end in spans.values()]
    bars = axes.barh(list(spans), lengths, left=begins, color="#0f766e")
    axes.bar_label(bars, [f"{end:.1f} s" for end in ends], padding=3)
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel(axis)
    figure.savefig(path, dpi=120, bbox_inches="tight", metadata={"Software": None})
