"""What counts as right, as found and as cited, and how sure a figure is."""

import math
import re
import unicodedata
from collections.abc import Sequence

from scipy.stats import binomtest, mannwhitneyu

from fieldguide.evaluation.questions import Question

_DASHES = re.compile(r"[\u2010-\u2015\u2212]")


def normalized(text: str) -> str:
    """Case-folded, dashes and blanks made alike, with one blank at each end."""
    text = _DASHES.sub("-", unicodedata.normalize("NFC", text)).casefold()
    return f" {' '.join(text.split())} "


def holds(text: str, must: Sequence[Sequence[str]]) -> bool:
    """Whether every group has an alternative in the text; blanks at either end of an alternative count."""
    plain = normalized(text)
    return all(any(_alternative(alternative) in plain for alternative in group) for group in must)


def _alternative(text: str) -> str:
    """Normalised, but with its own blanks at the ends, and no others."""
    plain = normalized(text)
    return plain[0 if text[:1].isspace() else 1 : len(plain) if text[-1:].isspace() else -1]


def is_right(question: Question, answer: str, *, abstained: bool) -> bool:
    """Whether this is the expected answer: the refusal where one is expected, else the facts and none of the errors."""
    if question.abstain or abstained:
        return question.abstain and abstained
    plain = normalized(answer)
    return holds(answer, question.must) and not any(_alternative(text) in plain for text in question.must_not)


def found_within(passages: Sequence[str], must: Sequence[Sequence[str]], characters: int) -> bool:
    """Whether the first so many characters of the passages, best first, hold the facts."""
    return holds("\n".join(passages)[:characters], must)


def first_relevant(relevant: Sequence[bool]) -> int | None:
    """The rank of the first relevant passage, from 1."""
    return next((rank for rank, is_relevant in enumerate(relevant, 1) if is_relevant), None)


def ndcg(relevant: Sequence[bool], depth: int = 10) -> float:
    """Normalised discounted cumulative gain with relevance 0 or 1 (Järvelin and Kekäläinen 2002)."""
    gain = sum(1 / math.log2(rank + 1) for rank, hit in enumerate(relevant[:depth], 1) if hit)
    best = sum(1 / math.log2(rank + 1) for rank in range(1, min(sum(relevant), depth) + 1))
    return gain / best if best else 0.0


def interval(successes: int, total: int) -> tuple[float, float]:
    """The 95% confidence interval of a share (Wilson 1927)."""
    if not total:
        return 0.0, 1.0
    found = binomtest(successes, total).proportion_ci(method="wilson")
    return float(found.low), float(found.high)


def mcnemar(better: int, worse: int) -> float:
    """The exact two-sided p-value for two runs on the same questions that differ in `better` + `worse` of them."""
    return float(binomtest(better, better + worse).pvalue) if better + worse else 1.0


def difference_interval(better: int, worse: int, total: int) -> tuple[float, float]:
    """The 95% confidence interval of a paired difference of shares (normal approximation, Newcombe 1998 method 1)."""
    difference = (better - worse) / total
    spread = 1.96 * math.sqrt(max(better + worse - (better - worse) ** 2 / total, 0.0)) / total
    return max(difference - spread, -1.0), min(difference + spread, 1.0)


def area_under_curve(due: Sequence[float], not_due: Sequence[float]) -> float:
    """How well a signal tells questions that are due for refusal from others: 1 always, 0.5 as a coin does."""
    return float(mannwhitneyu(due, not_due).statistic) / (len(due) * len(not_due))
