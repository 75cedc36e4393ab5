"""Whether to answer at all is decided by a gate that reads signals, not by what the model happens to write."""

import json
from dataclasses import dataclass
from importlib import resources
from typing import Protocol

import numpy as np

from fieldguide.generation.prompt import PROMPT_VERSION
from fieldguide.types import FloatMatrix

REFUSAL = "The guides do not answer this question."
UNSUPPORTED_NEEDS = 2.0  # log-odds of evidence, above the gate's limit, for a draft that no passage supports


@dataclass(frozen=True, slots=True)
class Signals:
    """What a gate reads when the model has read the passages and the question, and has not yet written."""

    # how far the model leans to refuse: the natural logarithm of the first refusal token's probability; None where unknown
    refusal_log_probability: float | None
    # the best passage's likeness to the question
    best_score: float
    # (layers, width): what attention keeps of the prompt's last token; None where the model does not tell
    values: FloatMatrix | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """The decision, and the numbers it was taken on, for the trace."""

    answerable: bool
    numbers: dict[str, float]


@dataclass(frozen=True, slots=True)
class DraftSignals:
    """What a gate reads when the answer is written, but not yet given."""

    before: Judgement
    # mean natural logarithm of the written tokens' probabilities: how sure the model was of its words; None where unknown
    log_probability: float | None
    # the share of the draft's sentences that no passage supports
    unsupported: float
    # (layers, width): what attention keeps of the draft's last token
    values: FloatMatrix | None = None

    @property
    def has_support(self) -> bool:
        """Whether a passage says any of it, if only weakly."""
        return self.unsupported < 1


class Gate(Protocol):
    """Decides from signals whether a question will be answered: before a word is written, and again over the draft."""

    @property
    def name(self) -> str:
        """What tells this gate from others, for reports."""

    def judge(self, signals: Signals) -> Judgement:
        """Whether the passages seem to hold the answer."""

    def judge_draft(self, signals: DraftSignals) -> Judgement:
        """Whether the draft may be given as the answer."""


@dataclass(frozen=True, slots=True)
class ThresholdGate:
    """Two thresholds, for any model; how they were chosen stands in docs/abstaining.md."""

    refuse_above: float = -1.5
    refuse_below_score: float = 0.30

    @property
    def name(self) -> str:
        """The thresholds."""
        return f"leaning to refuse above {self.refuse_above} or best score below {self.refuse_below_score}"

    def judge(self, signals: Signals) -> Judgement:
        """Both signals must speak for an answer; of a model on a server only the search is known."""
        leaning = signals.refusal_log_probability
        leans = leaning is not None and leaning > self.refuse_above
        return Judgement(not leans and signals.best_score >= self.refuse_below_score, _numbers(signals))

    def judge_draft(self, signals: DraftSignals) -> Judgement:
        """Only its support counts."""
        return Judgement(signals.has_support, _draft_numbers(signals))


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """A logistic regression over what a model's layers hold (a linear probe) and over some plain numbers.

    Whether a text answers a question can be read off a model's inner state far better than from its words (Slobodkin et al.
    2023, arXiv 2310.11877). `weights` (k, width) belong to `layers`.
    """

    layers: tuple[int, ...]
    weights: FloatMatrix
    number_weights: dict[str, float]
    bias: float
    refuse_below: float  # log-odds

    def fits(self, values: FloatMatrix) -> bool:
        """Whether there are values of these layers."""
        return len(values) > max(self.layers) and values.shape[1] == self.weights.shape[1]

    def evidence(self, values: FloatMatrix, numbers: dict[str, float]) -> float:
        """For an answer, as log-odds."""
        plain = sum(weight * numbers[name] for name, weight in self.number_weights.items())
        return round(self.bias + plain + float((values[list(self.layers)] * self.weights).sum()), 4)


@dataclass(frozen=True, slots=True, eq=False)
class FittedGate:
    """Two probes, fitted to one model and one prompt by evaluation/fit_gate.py: one before the answer, one over the draft."""

    name: str
    before: Probe
    over_draft: Probe
    otherwise: Gate

    def judge(self, signals: Signals) -> Judgement:
        """Few are refused before a word is written; without inner state, `otherwise` decides."""
        if signals.values is None or not self.before.fits(signals.values):
            return self.otherwise.judge(signals)
        numbers = _numbers(signals)
        evidence = self.before.evidence(signals.values, numbers)
        return Judgement(evidence >= self.before.refuse_below, {"evidence": evidence, **numbers})

    def judge_draft(self, signals: DraftSignals) -> Judgement:
        """The draft's own signals are weighed together with those before it; what no passage says needs more evidence."""
        if signals.values is None or "evidence" not in signals.before.numbers:
            return self.otherwise.judge_draft(signals)
        numbers = {**signals.before.numbers, **_draft_numbers(signals)}
        evidence = self.over_draft.evidence(signals.values, numbers)
        limit = self.over_draft.refuse_below + (0 if signals.has_support else UNSUPPORTED_NEEDS)
        return Judgement(evidence >= limit, {**numbers, "draft_evidence": evidence})


def gate_for(fingerprint: str) -> Gate:
    """The gate that was fitted to these weights and to the prompt as it is, or the one for any model."""
    for file in resources.files("fieldguide.answering").joinpath("gates").iterdir():
        if not file.name.endswith(".npz"):
            continue
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as found:
            about = json.loads(str(found["about"]))
            if (about["weights"], about["prompt_version"]) == (fingerprint, PROMPT_VERSION):
                before, over_draft = (
                    Probe(tuple(about["layers"]), found[name], **about[name]) for name in ("before", "over_draft")
                )
                return FittedGate(f"fitted {about['made_from']}", before, over_draft, ThresholdGate())
    return ThresholdGate()


def _numbers(signals: Signals) -> dict[str, float]:
    return _known(refusal_log_probability=signals.refusal_log_probability, best_score=signals.best_score)


def _draft_numbers(signals: DraftSignals) -> dict[str, float]:
    return _known(log_probability=signals.log_probability, unsupported=signals.unsupported)


def _known(**numbers: float | None) -> dict[str, float]:
    return {name: round(number, 4) for name, number in numbers.items() if number is not None}
