"""Whether to answer at all is decided by a gate that reads signals, not by what the model happens to write."""

from dataclasses import dataclass

REFUSAL = "The guides do not answer this question."


@dataclass(frozen=True, slots=True)
class Signals:
    """What the gate reads: the model's leaning to refuse (natural logarithm), and the best passage's likeness."""

    refusal_log_probability: float
    best_score: float

    def as_object(self) -> dict[str, float]:
        """For the trace."""
        return {
            "refusal_log_probability": round(self.refusal_log_probability, 4),
            "best_score": round(self.best_score, 4),
        }


@dataclass(frozen=True, slots=True)
class Gate:
    """Two thresholds; how they were chosen stands in docs/abstaining.md."""

    refuse_above: float = -1.5
    refuse_below_score: float = 0.30

    def is_answerable(self, signals: Signals) -> bool:
        """Whether the passages seem to hold the answer."""
        return signals.refusal_log_probability <= self.refuse_above and signals.best_score >= self.refuse_below_score
