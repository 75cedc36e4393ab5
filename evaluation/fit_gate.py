"""Fit the gate that decides whether a question is answered, and report what it trades.

    python evaluation/foreign_texts.py runs/foreign
    python evaluation/fit_gate.py --signals runs/gate [--foreign runs/foreign] [--write] [--report evaluation/reports/gate.md]

Fitted to are the dev questions, `tuning-questions.jsonl` (about the guides, too, by other writers) and those about invented
documents, `tuning-document-questions.jsonl`, but for all that the adapter has learnt from; never a test question.
`tuning-foreign-questions.jsonl`, about texts that have nothing to do with either, only tells how the gate does there. Each is
answered with the gate held open. An answerable one is read once more over the best of the passages that do not hold its facts,
where a refusal is due; not so of foreign texts. What the model held and wrote is kept in the folder `--signals`; questions
that stand there are not read again. `--write` puts the fitted gate into the package.
"""

import argparse
import hashlib
import json
import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from gate_readings import Numbers, Readings, invented, joined, load, read, unsupported, use_of
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from fieldguide.answering.abstain import UNSUPPORTED_NEEDS, DraftSignals, FittedGate, Probe, Signals, ThresholdGate
from fieldguide.assembly import Fieldguide
from fieldguide.evaluation.markdown import table, write_with_figures
from fieldguide.evaluation.metrics import area_under_curve
from fieldguide.evaluation.questions import load_questions
from fieldguide.generation.prompt import PROMPT_VERSION
from fieldguide.settings import resolve_settings

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "evaluation"
GATES = ROOT / "src" / "fieldguide" / "answering" / "gates"
LAYERS = range(10, 24)  # of 28: the middle ones know most (see the report); the last ones turn to the next word
STRENGTH = 1e-3  # of the regularisation, inverse
# What a row counts whose facts were taken away. At 0 the probe learns which sort of question has no answer; at 1 it has to
# judge passages that answer by half, or in other words, as if they said nothing.
WITHOUT_FACTS = 0.25
STRENGTHS = (1e-5, 1e-4, 1e-3, 1e-2)  # compared in the report
WITHOUT_FACTS_COMPARED = (0.0, 0.1, 0.25, 0.5, 1.0)
COMPARED_LAYERS = (range(8), range(8, 16), range(16, 22), range(22, 28), LAYERS)
FOLDS = 8
SHARES_REFUSED_WRONGLY = (0.02, 0.03, 0.04, 0.05, 0.06, 0.08)
REFUSED_AT_ONCE = 0.01  # the share of answerable questions whose refusal is accepted before a word is written
CHOSEN = 0.04  # the same, with what is refused over its draft: farthest from both floors (5 % here, 85 % of the others)


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a probe is fitted."""

    layers: Sequence[int] = LAYERS
    strength: float = STRENGTH
    without_facts: float = WITHOUT_FACTS


DEFAULT = Recipe()


def fit(readings: Readings, values: Numbers, recipe: Recipe = DEFAULT) -> tuple[Numbers, float]:
    """Weights (layers, width) and bias of a probe over values (rows, layers, width)."""
    layers = recipe.layers
    flat = values[:, list(layers)].reshape(len(values), -1)
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=recipe.strength, max_iter=3000))
    counts = np.where(readings.as_found, 1.0, recipe.without_facts)
    probe.fit(flat, ~readings.due, logisticregression__sample_weight=counts)
    scaler, regression = probe
    weights = regression.coef_[0] / scaler.scale_
    bias = float(regression.intercept_[0] - weights @ scaler.mean_)
    return weights.reshape(len(layers), -1).astype(np.float32), bias


def probed(values: Numbers, weights: Numbers, bias: float, layers: Sequence[int] = LAYERS) -> Numbers:
    """The probe's evidence for an answer, as log-odds, one number a row."""
    return np.asarray(np.einsum("rlw,lw->r", values[:, list(layers)], weights) + bias, np.float32)


def crossed(readings: Readings, values: Numbers, recipe: Recipe = DEFAULT) -> Numbers:
    """The evidence for each row by a probe that has not seen its question."""
    evidence = np.zeros(len(values), np.float32)
    for train, test in GroupKFold(FOLDS).split(values, groups=readings.groups):
        probe = fit(readings.only(train), values[train], recipe)
        evidence[test] = probed(values[test], *probe, recipe.layers)
    return evidence


def weigh(features: Mapping[str, Numbers], answerable: NDArray[np.bool_]) -> tuple[dict[str, float], float, Numbers]:
    """How numbers are weighed against each other: their weights, the bias, and the evidence that comes of it."""
    columns = np.column_stack(list(features.values()))
    weighing = LogisticRegression(class_weight="balanced").fit(columns, answerable)
    weights = dict(zip(features, map(float, weighing.coef_[0]), strict=True))
    return weights, float(weighing.intercept_[0]), np.asarray(weighing.decision_function(columns), np.float32)


def area(readings: Readings, evidence: Numbers, *, as_found: bool = True) -> float:
    """The area under the ROC curve: answerable rows against those where a refusal is due, as found or with the facts gone."""
    due = readings.due & (readings.as_found == as_found)
    return area_under_curve(list(-evidence[due]), list(-evidence[~readings.due])) if due.any() else float("nan")


def study(readings: Readings, shares: Numbers) -> dict[str, Any]:
    """All figures of the report, and the gate fitted to everything that was read."""
    seen = crossed(readings, readings.values)
    found = readings.only(readings.as_found)  # the weighing sees what the gate will see
    answerable, shares = ~found.due, shares[readings.as_found]
    numbers = {"probe": seen[readings.as_found], "refusal_log_probability": found.leaning, "best_score": found.score}
    before_weights, before_bias, before = weigh(numbers, answerable)
    drafted = crossed(found, found.draft_values)
    numbers = {"probe": drafted, "evidence": before, "log_probability": found.surety, "unsupported": shares}
    draft_weights, draft_bias, over_draft = weigh(numbers, answerable)

    first = float(np.quantile(before[answerable], REFUSED_AT_ONCE))
    passed = np.where(before >= first, over_draft - UNSUPPORTED_NEEDS * (shares == 1), -np.inf)
    trades = [_trade(share, first, before, passed, found) for share in SHARES_REFUSED_WRONGLY]
    return {
        "areas": {
            "probe before the answer": area(found, seen[readings.as_found]),
            "leaning to refuse": area(found, -found.leaning),
            "best score": area(found, found.score),
            "these three, weighed": area(found, before),
            "probe over the draft": area(found, drafted),
            "how sure the model was of its words": area(found, found.surety),
            "sentences without support": area(found, -shares),
            "all together": area(found, over_draft),
        },
        "trade": trades,
        "across_sets": across_sets(readings),
        "strengths": {f"{value:g}": _both(readings, Recipe(strength=value)) for value in STRENGTHS},
        "without_facts": {f"{value:g}": _both(readings, Recipe(without_facts=value)) for value in WITHOUT_FACTS_COMPARED},
        "layers": {f"{some[0]} to {some[-1]}": _both(readings, Recipe(layers=some)) for some in COMPARED_LAYERS},
        "drafts": {"right": int(found.right.sum()), "of": int(answerable.sum())},
        "before": _probe(fit(readings, readings.values), before_weights, before_bias, first),
        "over_draft": _probe(
            fit(found, found.draft_values),
            draft_weights,
            draft_bias,
            next(row["refuse_below"] for row in trades if row["wanted"] == CHOSEN),
        ),
    }


def _trade(share: float, first: float, before: Numbers, passed: Numbers, found: Readings) -> dict[str, float]:
    """The limit over the draft at which, both stages together, this share of the answerable questions is refused."""
    limit = float(np.quantile(passed[~found.due], share))
    refused = passed < limit
    return {
        "wanted": share,
        "refuse_below": round(limit, 4),
        "refused_wrongly": float(refused[~found.due].mean()),
        "of_them_right": int((refused & found.right)[~found.due].sum()),
        "refused": float(refused[found.due].mean()),
        "refused_before_a_word": float((before < first)[found.due].mean()),
    }


def held_against(found: Mapping[str, Any], readings: Readings, shares: Numbers) -> dict[str, dict[str, float]]:
    """What the fitted gate makes of a set that it was not fitted to."""
    before_draft, over_it = (Probe(tuple(LAYERS), **found[name]) for name in ("before", "over_draft"))
    gate = FittedGate("", before_draft, over_it, ThresholdGate())
    refused = np.zeros(len(readings.due), bool)
    over_draft = np.zeros(len(readings.due), np.float32)
    for row in range(len(readings.due)):
        before = gate.judge(Signals(float(readings.leaning[row]), float(readings.score[row]), readings.values[row]))
        signals = DraftSignals(before, float(readings.surety[row]), float(shares[row]), readings.draft_values[row])
        draft = gate.judge_draft(signals)
        refused[row] = not (before.answerable and draft.answerable)
        over_draft[row] = draft.numbers["draft_evidence"]
    return {
        "foreign texts": {
            "answerable": int((~readings.due).sum()),
            "refused": int((refused & ~readings.due).sum()),
            "of them with a right draft": int((refused & readings.right)[~readings.due].sum()),
            "unanswerable": int(readings.due.sum()),
            "refused rightly": int((refused & readings.due).sum()),
            "area": area(readings, over_draft),
        }
    }


def _probe(fitted: tuple[Numbers, float], weights: dict[str, float], bias: float, refuse_below: float) -> dict[str, Any]:
    """A probe and what it is weighed with, as one sum."""
    values, own_bias = fitted
    share = weights["probe"]
    return {
        "weights": values * share,
        "number_weights": {name: weight for name, weight in weights.items() if name != "probe"},
        "bias": own_bias * share + bias,
        "refuse_below": refuse_below,
    }


def across_sets(readings: Readings) -> dict[str, dict[str, float]]:
    """Each set judged by a probe that was fitted to the other sets: other writers, other subjects."""
    found = {}
    for name in sorted(set(readings.sets)):
        here = readings.sets == name
        if here.all():
            break
        rows = readings.only(here)
        evidence = probed(rows.values, *fit(readings.only(~here), readings.values[~here]))
        found[str(name)] = {
            "answerable": int((rows.as_found & ~rows.due).sum()),
            "unanswerable": int((rows.as_found & rows.due).sum()),
            "probe": area(rows, evidence),
            "probe, facts taken away": area(rows, evidence, as_found=False),
            "leaning to refuse": area(rows, -rows.leaning),
            "best score": area(rows, rows.score),
        }
    return found


def _both(readings: Readings, recipe: Recipe) -> dict[str, float]:
    evidence = crossed(readings, readings.values, recipe)
    return {"as found": area(readings, evidence), "facts taken away": area(readings, evidence, as_found=False)}


def as_markdown(about: str, found: dict[str, Any]) -> str:
    """The report."""
    trades = [
        [
            f"{row['refuse_below']:.2f}",
            f"{100 * row['refused_wrongly']:.1f} %",
            str(row["of_them_right"]),
            f"{100 * row['refused']:.1f} %",
            f"{100 * row['refused_before_a_word']:.1f} %",
        ]
        for row in found["trade"]
    ]
    head = ["refused below (log-odds)", "answerable refused", "of them with a right draft", "unanswerable refused"]
    head += ["before a word was written"]
    chosen = found["over_draft"]["refuse_below"]
    sections = {
        "By signal, as found": _areas("signal", {name: {"area": value} for name, value in found["areas"].items()}),
        f"What it trades, as found (chosen: {chosen:.2f})": table(head, trades),
        "At the chosen limits, over texts that it was not fitted to": _areas("set", found["foreign"]),
        "One set of questions judged by a probe that was fitted to the others": _areas("set", found["across_sets"]),
        "Regularisation (inverse strength), the probe before the answer": _areas("strength", found["strengths"]),
        "What a row counts whose facts were taken away, the probe before the answer": _areas("weight", found["without_facts"]),
        "Layers, the probe before the answer": _areas("layers", found["layers"]),
    }
    return "\n".join([f"# Fitting the gate\n\n{about}\n", *(f"## {name}\n\n{text}" for name, text in sections.items())])


def _areas(name: str, rows: Mapping[str, Mapping[str, float]]) -> str:
    columns = list(next(iter(rows.values()), {}))
    cells = [[key, *(f"{row[column]:.3f}".removesuffix(".000") for column in columns)] for key, row in rows.items()]
    return table([name, *columns], cells)


def write_gate(found: dict[str, Any], name: str, fingerprint: str, made_from: str) -> Path:
    """Put the gate into the package."""
    about: dict[str, Any] = {
        "weights": fingerprint,
        "prompt_version": PROMPT_VERSION,
        "made_from": made_from,
        "layers": list(LAYERS),
    }
    arrays = {}
    for stage in ("before", "over_draft"):
        about[stage] = {key: value for key, value in found[stage].items() if key != "weights"}
        arrays[stage] = found[stage]["weights"].astype(np.float32)
    GATES.mkdir(exist_ok=True)
    path = GATES / f"{name}.npz"
    np.savez(path, about=np.array(json.dumps(about)), **arrays)
    return path


def main() -> None:
    """Read what was not read yet, fit, report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--signals", type=Path, required=True, help="a folder")
    parser.add_argument("--foreign", type=Path, help="the folder that foreign_texts.py wrote")
    parser.add_argument("--most", type=int, default=1000, help="questions of each set: each takes some seven seconds")
    parser.add_argument("--write", action="store_true", help="put the gate into the package")
    parser.add_argument("--report", type=Path)
    options = parser.parse_args()
    options.signals.mkdir(parents=True, exist_ok=True)
    settings = resolve_settings()
    sets = {
        "dev": (settings, "questions"),
        "tuning": (settings, "tuning-questions"),
        "documents": (invented(settings), "tuning-document-questions"),
    }
    if options.foreign:
        elsewhere = replace(settings, guides_dir=options.foreign, data_dir=settings.data_dir / "foreign")
        sets["foreign"] = elsewhere, "tuning-foreign-questions"
    parts, shares = [], []
    for name, (where, questions) in sets.items():
        made = Fieldguide(where)
        for _ in made.loading():
            pass
        path = options.signals / f"{name}-{PROMPT_VERSION}.npz"
        rows = load_questions(FOLDER / f"{questions}.jsonl")
        rows = [row for row in rows if not row.passages and (name != "dev" or row.split == "dev")]
        rows = [row for row in rows if name == "foreign" or use_of(row) == "gate"]
        random.Random(0).shuffle(rows)
        read(made, rows[: options.most], name, path, take_facts_away=name != "foreign")
        parts.append(load(path))
        shares.append(unsupported(made, parts[-1]))
        model, fingerprint = made.model_name, made.model_fingerprint
        made.close()
    fitted = [name for name in sets if name != "foreign"]
    readings = joined(parts[: len(fitted)])
    found = study(readings, np.concatenate(shares[: len(fitted)]))
    found["foreign"] = held_against(found, parts[-1], shares[-1]) if options.foreign else {}
    about = (
        f"{int((~readings.due).sum())} answerable and {int((readings.due & readings.as_found).sum())} unanswerable questions "
        f"({', '.join(fitted)}), and {int((~readings.as_found).sum())} of the answerable ones again with passages "
        f"that do not hold their facts. {found['drafts']['right']} of {found['drafts']['of']} drafts are right with the gate "
        f"held open. Every row is judged by a probe that has not seen its question ({FOLDS} folds). Figures are areas under "
        f"the ROC curve unless they are shares or counts; model {model}."
    )
    text = as_markdown(about, found)
    sys.stdout.write(f"\n{text}")
    if options.report:
        figures = {key: value for key, value in found.items() if key not in ("before", "over_draft")}
        write_with_figures(options.report, text, {"about": about, **figures})
    if options.write:
        digest = hashlib.sha256("".join(sorted(set(map(str, readings.questions)))).encode()).hexdigest()[:12]
        path = write_gate(found, model, fingerprint, digest)
        sys.stdout.write(f"Written: {path}\n")


if __name__ == "__main__":
    main()
