"""Two runs side by side: what an experiment changed."""

from fieldguide.events import Prompted
from fieldguide.interfaces.learn.experiments import Experiment
from fieldguide.interfaces.learn.pieces import button, paragraph, table, text
from fieldguide.interfaces.learn.view import first_word
from fieldguide.trace import Trace

_STATES = {True: "refused", False: "answered"}


def changes_shown(experiment: Experiment, before: Trace, after: Trace, name: str) -> str:
    """Both answers, and the few numbers that tell what changed."""
    columns = "".join(
        f"<section><h4>{when}</h4><p class='fl-said'>{text(trace.answer.text if trace.answer else 'No answer.')}</p></section>"
        for when, trace in (("Before", before), ("After", after))
    )
    rows = [(told, was, now) for (told, was), (_, now) in zip(_facts(before), _facts(after), strict=True)]
    return (
        f"<div class='fl-changes' data-experiment='{experiment.name}'><h3>{text(experiment.title)}: {text(after.question)}</h3>"
        f"<div class='fl-sides'>{columns}</div>{paragraph(text(experiment.look_at))}"
        + table("What changed", ("", "before", "after"), rows, folded=False)
        + button("open", "Open this run, stage by stage", trace=name, stage=experiment.stage)
        + "</div>"
    )


def _facts(trace: Trace) -> list[tuple[str, str]]:
    answer, prompted, first = trace.answer, trace.last(Prompted), first_word(trace)
    verdicts = [sentence.verdict for sentence in answer.sentences] if answer else []
    return [
        ("passages read", str(len(trace.passages))),
        ("prompt, in tokens", str(sum(part.tokens for part in prompted.parts) if prompted else 0)),
        ("outcome", _STATES[answer.abstained] if answer else "failed"),
        ("sentences supported", f"{sum(verdict == 'supported' for verdict in verdicts)} of {len(verdicts)}"),
        ("first word after", f"{first:.1f} s" if first is not None else "no word"),
    ]
