import numpy as np
import pytest

from fieldguide.answering.abstain import UNSUPPORTED_NEEDS, DraftSignals, FittedGate, Probe, Signals, ThresholdGate, gate_for
from fieldguide.generation.llama import LlamaModel
from fieldguide.generation.model import Cancellation
from fieldguide.generation.prompt import REFUSAL_WORDS, build_messages

ZERO = np.zeros((3, 2), np.float32)


def gate(*, before=0.0, over_draft=0.0, refuse_below=0.0) -> FittedGate:
    """The first probe takes 1 of the first layer's first value and 2 of the last one's second; the other none of them."""
    weights = np.array([[1, 0], [0, 2]], np.float32)
    numbers = {"refusal_log_probability": -1.0, "best_score": 0.5}
    drafted = {"evidence": 1.0, "log_probability": 2.0, "unsupported": -3.0}
    first = Probe((0, 2), weights, numbers, before, refuse_below)
    second = Probe((0, 2), 0 * weights, drafted, over_draft, refuse_below)
    return FittedGate("test", first, second, ThresholdGate())


@pytest.mark.parametrize(("leaning", "score", "answerable"), [(-2.0, 0.5, True), (-1.0, 0.5, False), (-2.0, 0.2, False)])
def test_the_gate_for_any_model_wants_both_signals(leaning, score, answerable):
    assert ThresholdGate().judge(Signals(leaning, score)).answerable is answerable


def test_the_fitted_gate_adds_up_what_its_layers_hold_and_the_other_signals():
    values = np.array([[1, 9], [9, 9], [9, 1]], np.float32)
    found = gate(before=-4.0).judge(Signals(-1.0, 1.0, values))
    # 1 + 2 from the layers, 1 from the leaning, 0.5 from the score, -4
    assert found.numbers["evidence"] == pytest.approx(0.5)
    assert found.answerable
    assert found.numbers["best_score"] == 1.0


def test_below_its_limit_the_fitted_gate_refuses():
    signals = Signals(0.0, 0.0, ZERO)
    assert not gate(before=-0.1).judge(signals).answerable
    assert gate(before=0.1).judge(signals).answerable
    assert not gate(before=0.1, refuse_below=0.6).judge(signals).answerable


def test_over_the_draft_what_was_known_before_is_weighed_with_how_sure_and_how_supported_it_is():
    before = gate(before=1.0).judge(Signals(0.0, 0.0, ZERO))
    found = gate(before=1.0).judge_draft(DraftSignals(before, -0.25, 0.5, ZERO))
    assert found.numbers["draft_evidence"] == pytest.approx(1.0 - 0.5 - 1.5)
    assert not found.answerable
    assert gate(before=1.0, over_draft=2.0).judge_draft(DraftSignals(before, -0.25, 0.5, ZERO)).answerable


@pytest.mark.parametrize(("bias", "answerable"), [(UNSUPPORTED_NEEDS - 0.1, False), (UNSUPPORTED_NEEDS + 0.1, True)])
def test_a_draft_that_no_passage_supports_needs_more_evidence(bias, answerable):
    before = gate(before=1.0).judge(Signals(0.0, 0.0, ZERO))
    unsupported = gate(over_draft=bias + 3.0 - 1.0).judge_draft(DraftSignals(before, 0.0, 1.0, ZERO))
    assert unsupported.numbers["draft_evidence"] == pytest.approx(bias)
    assert unsupported.answerable is answerable
    in_part = gate(over_draft=bias + 2.7 - 1.0).judge_draft(DraftSignals(before, 0.0, 0.9, ZERO))
    assert in_part.numbers["draft_evidence"] == pytest.approx(bias)
    assert in_part.answerable


@pytest.mark.parametrize("values", [None, np.zeros((2, 2), np.float32), np.zeros((3, 5), np.float32)])
def test_without_the_inner_state_it_was_fitted_to_the_thresholds_decide(values):
    signals = Signals(-2.0, 0.5, values)
    assert "evidence" not in gate().judge(signals).numbers
    assert gate(before=-99.0).judge(signals).answerable
    before = gate().judge(signals)
    assert gate(over_draft=-99.0).judge_draft(DraftSignals(before, -0.1, 0.5, values)).answerable
    assert not gate(over_draft=99.0).judge_draft(DraftSignals(before, -0.1, 1.0, values)).answerable


def test_weights_that_no_gate_was_fitted_to_get_the_thresholds():
    assert isinstance(gate_for("unheard of"), ThresholdGate)


@pytest.mark.weights
def test_the_default_weights_have_a_gate_that_fits_them_and_the_prompt(default_model_path):
    model = LlamaModel(default_model_path, context_length=1024, threads=2)
    found = gate_for(model.fingerprint)
    assert isinstance(found, FittedGate)  # else: a new prompt or a new layout wants evaluation/fit_gate.py
    judged = {}
    for question in ("How tall is the light of Sarn?", "Who painted the light of Sarn?"):
        passage = "Lights > Sarn\nThe light of Sarn is 41 metres tall and stands on the cliff. It was finished in 1888."
        for _ in model.read(model.render(build_messages(question, [passage])), Cancellation()):
            pass
        signals = Signals(model.log_probability(REFUSAL_WORDS), 0.7, model.values())
        judged[question] = found.judge(signals).numbers["evidence"]
    model.close()
    assert judged["How tall is the light of Sarn?"] > judged["Who painted the light of Sarn?"]
