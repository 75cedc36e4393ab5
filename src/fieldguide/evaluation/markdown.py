"""A report's figures as Markdown, and the files of a report."""

import json
from collections.abc import Sequence
from pathlib import Path

from fieldguide.evaluation.plots import draw
from fieldguide.evaluation.report import READ_TO, Figures
from fieldguide.evaluation.run import write_text


def write_report(content: Figures, report: Path) -> list[Path]:
    """Write the report as Markdown, as JSON beside it, and what can be drawn; gives the paths."""
    pictures = draw(content, report)
    written = write_with_figures(report, as_markdown(content, [picture.name for picture in pictures]), content)
    return [*written, *pictures]


def write_with_figures(report: Path, text: str, content: Figures) -> list[Path]:
    """Write a report and, beside it, its figures as JSON; gives the paths."""
    figures = report.with_suffix(".json")
    write_text(report, text)
    write_text(figures, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    return [report, figures]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (head, ["---"] * len(head), *rows))


def as_markdown(content: Figures, pictures: Sequence[str] = ()) -> str:
    """The report as people read it; `pictures` are names of files beside it."""
    run = content["run"]
    lines = [f"# Evaluation: {run['mode']}", "", "| | |", "|---|---|"]
    lines += [f"| {key.replace('_', ' ')} | {value} |" for key, value in run.items()]
    lines += [f"| questions | {content['questions']} ({content['skipped']} skipped, {len(content['failed'])} failed) |", ""]
    if "answers" in content:
        lines += _answers(content["answers"])
    if "retrieval" in content:
        lines += _retrieval(content["retrieval"])
    if "comparison" in content:
        lines += _comparison(content["comparison"])
    lines += [line for name in pictures for line in (f"![{name}]({name})", "")]
    lines += _misses(content["misses"])
    lines += [f"- `{i}` failed: {error}" for i, error in content["failed"].items()]
    return "\n".join(lines) + "\n"


def _answers(answers: Figures) -> list[str]:
    lines = ["## Answers", "", "| figure | share | 95% interval | count |", "|---|---|---|---|"]
    named = {
        "answerable questions right": answers["right"]["answerable"],
        "unanswerable ones refused": answers["refused_rightly"],
        "answerable ones refused": answers["refused_wrongly"],
        "right answers whose citations hold the facts": answers["right_answers_with_a_citation_that_holds_the_fact"],
        "citations that hold a fact": answers["citations_that_hold_the_fact"],
        "sentences with a citation": answers["sentences_with_a_citation"],
    }
    lines += [_share_row(name, figure) for name, figure in named.items()]
    lines += ["", "| kind | right | 95% interval | count |", "|---|---|---|---|"]
    lines += [_share_row(kind, figure) for kind, figure in answers["right"]["by_kind"].items()]
    lines += ["", "| stage that lost the answer | answers |", "|---|---|"]
    lines += [f"| {stage} | {count} |" for stage, count in answers["lost_at"].items()]
    if answers["first_token_s"]:
        first, total = answers["first_token_s"], answers["total_s"]
        lines += ["", f"First token: median {first['median']:.1f} s, at most {first['most']:.1f} s. "]
        lines[-1] += f"Whole answer: median {total['median']:.1f} s."
    return [*lines, ""]


def _retrieval(retrieval: Figures) -> list[str]:
    heads = [*(f"in {n:,} characters" for n in READ_TO), "hit@1", "hit@5", "MRR", "nDCG@10", "ms", "questions"]
    lines = ["## Retrieval", "", f"| kind | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for kind, row in {"all": retrieval["all"], **retrieval["by_kind"]}.items():
        if row["mrr"] is None:
            continue
        cells = [_percent(row[f"found_{n}"]) for n in READ_TO] + [_percent(row["hit_1"]), _percent(row["hit_5"])]
        cells += [f"{row['mrr']:.2f}", f"{row['ndcg_10']:.2f}", f"{row['median_ms']:.0f}", str(row["hit_1"]["of"])]
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return [*lines, ""]


def _comparison(comparison: Figures) -> list[str]:
    low, high = comparison["interval"]
    return [
        "## Compared with the earlier run",
        "",
        f"{comparison['better']} questions better, {comparison['worse']} worse of {comparison['questions']}: "
        f"{100 * comparison['difference']:+.1f} points (95% interval {100 * low:+.1f} to {100 * high:+.1f}, "
        f"McNemar p = {comparison['p_value']:.3f}).",
        "",
    ]


def _misses(misses: Sequence[Figures]) -> list[str]:
    if not misses:
        return []
    lines = ["## Misses", "", "| id | question | answer | lost at |", "|---|---|---|---|"]
    for miss in misses:
        cells = [miss["id"], miss["question"], miss.get("answer", ""), miss["lost_at"]]
        lines.append(f"| {' | '.join(cell.replace('|', '/').replace(chr(10), ' ')[:220] for cell in cells)} |")
    return [*lines, ""]


def _share_row(name: str, figure: Figures) -> str:
    low, high = figure["interval"]
    return f"| {name} | {_percent(figure)} | {100 * low:.0f} to {100 * high:.0f}% | {figure['count']} of {figure['of']} |"


def _percent(figure: Figures) -> str:
    return "-" if figure["share"] is None else f"{100 * figure['share']:.1f}%"
