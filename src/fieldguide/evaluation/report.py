"""Rows of answers to figures: by kind, with intervals, and for each miss the stage that lost it."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from fieldguide.errors import EvaluationError
from fieldguide.evaluation import metrics
from fieldguide.evaluation.questions import Question
from fieldguide.evaluation.run import Mode, Row, Run
from fieldguide.types import Chunk

READ_TO = (1000, 2000, 3000)  # characters of passages, best first
_CURVE = range(250, 6001, 250)
Figures = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Judged:
    """One question with its answer and what became of it."""

    question: Question
    row: Row
    right: bool
    lost_at: str


def judge(
    questions: Sequence[Question], rows: Sequence[Row], chunks: Sequence[Chunk], passages_read: int, mode: Mode
) -> list[Judged]:
    """Each answered question with its verdict; skipped and failed rows are left out."""
    corpus = [chunk.passage for chunk in chunks]
    judged = []
    for question, row in zip(questions, rows, strict=True):
        if "error" in row or "skipped" in row:
            continue
        right = metrics.is_right(question, row["answer"], abstained=row["abstained"])
        lost_at = "" if right else _lost_at(question, row, corpus, passages_read, mode)
        judged.append(Judged(question, row, right, lost_at))
    return judged


def figures(questions: Sequence[Question], rows: Sequence[Row], judged: Sequence[Judged], run: Run) -> Figures:
    """All numbers of a report as one JSON object."""
    content: Figures = {
        "run": {"mode": run.mode, **run.made_with},
        "questions": len(questions),
        "failed": {row["id"]: row["error"] for row in rows if "error" in row},
        "skipped": sum("skipped" in row for row in rows),
    }
    searched = [j for j in judged if not j.question.abstain and not j.question.passages]
    if run.mode in ("retrieval", "end-to-end"):
        content["retrieval"] = _retrieval_figures(searched)
    if run.mode != "retrieval":
        content["answers"] = _answer_figures(judged)
        content["right"] = {j.question.id: j.right for j in judged}
        content["misses"] = [
            {"id": j.question.id, "question": j.question.question, "answer": j.row["answer"], "lost_at": j.lost_at}
            for j in judged
            if not j.right
        ]
    else:
        content["right"] = {j.question.id: metrics.found_within(_texts(j), j.question.must, 3000) for j in searched}
        content["misses"] = [
            {"id": j.question.id, "question": j.question.question, "lost_at": "not retrieved in 3,000 characters"}
            for j in searched
            if not content["right"][j.question.id]
        ]
    return content


def compare(new: Figures, old: Figures) -> Figures:
    """The paired difference of two runs over the questions that both have; refuses runs over different guides."""
    require_comparable(new, old)
    return paired(new["right"], old["right"])


def paired(new: Mapping[str, bool], old: Mapping[str, bool]) -> Figures:
    """How many of the questions that both know got better and worse; raises EvaluationError when there is none."""
    shared = [i for i in new if i in old]
    if not shared:
        raise EvaluationError("The runs cannot be compared: they share no question.", "Use the same questions file.")
    better = sum(new[i] and not old[i] for i in shared)
    worse = sum(old[i] and not new[i] for i in shared)
    low, high = metrics.difference_interval(better, worse, len(shared))
    return {
        "questions": len(shared),
        "better": better,
        "worse": worse,
        "difference": (better - worse) / len(shared),
        "interval": [low, high],
        "p_value": metrics.mcnemar(better, worse),
    }


def require_comparable(new: Figures, old: Figures) -> None:
    """Raise EvaluationError unless both runs asked in the same mode over the same guides."""
    for key in ("corpus", "mode"):
        if new["run"].get(key) != old["run"].get(key):
            raise EvaluationError(
                f"The runs cannot be compared: they differ in {key}.", "Compare runs of one mode over the same guides."
            )


def share(flags: Sequence[bool]) -> Figures:
    """How many of how many, as a share with its 95% interval."""
    low, high = metrics.interval(sum(flags), len(flags))
    return {"count": sum(flags), "of": len(flags), "share": sum(flags) / len(flags) if flags else None, "interval": [low, high]}


def _retrieval_figures(searched: Sequence[Judged]) -> Figures:
    def over(group: Sequence[Judged]) -> Figures:
        relevant = [_relevance(j) for j in group]
        ranks = [metrics.first_relevant(flags) for flags in relevant]
        return {
            **{f"found_{n}": share([metrics.found_within(_texts(j), j.question.must, n) for j in group]) for n in READ_TO},
            "hit_1": share([rank == 1 for rank in ranks]),
            "hit_5": share([rank is not None and rank <= 5 for rank in ranks]),
            "mrr": sum(1 / rank for rank in ranks if rank) / len(group) if group else None,
            "ndcg_10": sum(map(metrics.ndcg, relevant)) / len(group) if group else None,
            "median_ms": median(1000 * j.row["timings"]["retrieve_s"] for j in group) if group else None,
        }

    def curve(group: Sequence[Judged]) -> list[float]:
        return [sum(metrics.found_within(_texts(j), j.question.must, n) for j in group) / len(group) for n in _CURVE]

    kinds = _by_kind(searched)
    return {
        "all": over(searched),
        "by_kind": {kind: over(group) for kind, group in kinds.items()},
        "found_after_characters": {
            "characters": list(_CURVE),
            **{name: curve(group) for name, group in {"all": searched, **kinds}.items() if group},
        },
    }


def _answer_figures(judged: Sequence[Judged]) -> Figures:
    answerable = [j for j in judged if not j.question.abstain]
    unanswerable = [j for j in judged if j.question.abstain]
    right = [j for j in answerable if j.right]
    citations = [(j, citation) for j in answerable for citation in j.row["citations"]]
    first = [j.row["timings"]["first_token_s"] for j in judged if j.row["timings"]["first_token_s"] is not None]
    return {
        "right": {
            "answerable": share([j.right for j in answerable]),
            "by_kind": {kind: share([j.right for j in group]) for kind, group in _by_kind(judged).items()},
        },
        "refused_rightly": share([j.right for j in unanswerable]),
        "refused_wrongly": share([j.row["abstained"] for j in answerable]),
        "right_answers_with_a_citation_that_holds_the_fact": share([_is_cited(j) for j in right]),
        "citations_that_hold_the_fact": share([_holds_any(c["passage"], j.question) for j, c in citations]),
        "sentences_with_a_citation": share([bool(s["markers"]) for j in judged for s in j.row["sentences"]]),
        "lost_at": dict(Counter(j.lost_at for j in judged if not j.right).most_common()),
        "first_token_s": {"median": median(first), "most": max(first)} if first else None,
        "total_s": {"median": median(j.row["timings"]["total_s"] for j in judged)} if judged else None,
    }


def _by_kind(judged: Sequence[Judged]) -> dict[str, list[Judged]]:
    groups: dict[str, list[Judged]] = {}
    for j in judged:
        groups.setdefault(j.question.kind, []).append(j)
    return groups


def _texts(j: Judged) -> list[str]:
    return [hit["text"] for hit in j.row["retrieved"]]


def _relevance(j: Judged) -> list[bool]:
    """A hit is relevant when it holds every fact, or is one of the sections that the question's author named."""
    return [
        metrics.holds(hit["text"], j.question.must)
        or f"{hit['document']}#{hit['section'].split(' > ')[-1]}" in j.question.sources
        for hit in j.row["retrieved"]
    ]


def _is_cited(j: Judged) -> bool:
    """Whether the cited passages, taken together, hold the facts of the answer."""
    return bool(j.row["citations"]) and metrics.holds("\n".join(c["passage"] for c in j.row["citations"]), j.question.must)


def _holds_any(passage: str, question: Question) -> bool:
    return any(metrics.holds(passage, [group]) for group in question.must)


def _lost_at(question: Question, row: Row, corpus: Sequence[str], passages_read: int, mode: Mode) -> str:
    """The stage that lost a wrong answer: nothing downstream can mend what an earlier stage lost."""
    if question.abstain:
        return "not refused"
    if mode == "no-retrieval":
        return "not known"
    if mode == "oracle":
        return "refused wrongly" if row["abstained"] else "not used"
    found = [hit["text"] for hit in row["retrieved"]]
    stages: list[tuple[str, Callable[[], bool]]] = [
        ("not in the corpus", lambda: bool(question.passages) or metrics.holds("\n".join(corpus), question.must)),
        ("not retrieved", lambda: metrics.holds("\n".join(found), question.must)),
        ("not packed", lambda: bool(question.passages) or metrics.holds("\n".join(found[:passages_read]), question.must)),
        ("refused wrongly", lambda: not row["abstained"]),
    ]
    return next((stage for stage, passed in stages if not passed()), "not used")
