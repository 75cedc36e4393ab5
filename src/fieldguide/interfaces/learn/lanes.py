"""The two lanes: every stage as a box that shows one number even when closed, and the code that did it."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from fieldguide.answering import abstain, clock, drafting, influence, rewrite, support
from fieldguide.events import Checked, Prompted, Token
from fieldguide.generation import prompt, reading
from fieldguide.indexing import chunking, documents
from fieldguide.interfaces.learn import outcome, preparing, searching
from fieldguide.interfaces.learn.following import followed_shown
from fieldguide.interfaces.learn.pieces import button, paragraph, text
from fieldguide.interfaces.learn.view import View, first_word
from fieldguide.retrieval import embedder, explain, search

_CODE_LINES = 45


@dataclass(frozen=True, slots=True)
class Stage:
    """One box: its name, the one number it shows, what is inside, and the code that did it."""

    name: str
    title: str
    number: Callable[[View], str]
    inside: Callable[[View], str]
    code: tuple[Any, ...]


def _count(view: View) -> int:
    return len(view.trace.search.passages) if view.trace.search else 0


def _passages(view: View) -> str:
    return f"{_count(view)} passages" if _count(view) else "no passages"


def _best(view: View) -> str:
    return f"best {view.hits[0].score:.2f}" if view.hits else "not asked"


def _prompt_tokens(view: View) -> str:
    prompted = view.trace.last(Prompted)
    return f"{sum(part.tokens for part in prompted.parts)} tokens" if prompted else "none"


def _written(view: View) -> str:
    return f"{len(view.trace.of_last_draft(Token))} tokens"


def _checked(view: View) -> str:
    answer = view.trace.answer
    if answer is None:
        return "failed"
    if answer.abstained:
        return "refused"
    if not view.trace.all(Checked):
        return "not checked"
    supported = sum(sentence.verdict == "supported" for sentence in answer.sentences)
    return f"{supported} of {len(answer.sentences)} supported"


def _influence(view: View) -> str:
    found = view.trace.influence
    if not found or not found.without:
        return "not measured"
    return f"up to {outcome.times(max(found.whole - number for number in found.without))}"


def _first_word(view: View) -> str:
    first = first_word(view.trace)
    return f"{first:.1f} s" if first is not None else "no word"


AHEAD = (
    Stage("file", "File", lambda v: f"{len(v.documents)} guides", preparing.file_stage, (documents.read_document,)),
    Stage("passages", "Passages", _passages, preparing.passages_stage, (chunking.chunk_document, chunking._pack)),
    Stage(
        "vectors",
        "Vectors",
        lambda v: f"{v.trace.made_with.dimension} numbers",
        preparing.vectors_stage,
        (embedder.SentenceTransformerEmbedder._embedding, embedder._unit),
    ),
    Stage("map", "Map", lambda v: f"{_count(v)} dots", preparing.map_stage, (explain.map_directions,)),
)
ASKED = (
    Stage(
        "question",
        "Question",
        lambda v: f"{len(v.trace.question.split())} words",
        searching.question_stage,
        (rewrite.standalone,),
    ),
    Stage("search", "Search", _best, searching.search_stage, (search.Searcher.rankings, search.fuse, search.weighted_best)),
    Stage("prompt", "Prompt", _prompt_tokens, searching.prompt_stage, (prompt.build_messages, prompt.pack)),
    Stage("answer", "Answer", _written, outcome.answer_stage, (drafting.write_draft,)),
    Stage("check", "Check", _checked, outcome.check_stage, (support.SupportChecker._judge, abstain.FittedGate.judge_draft)),
    Stage("influence", "Influence", _influence, outcome.influence_stage, (influence.influence,)),
    Stage("timings", "Timings", _first_word, outcome.timings_stage, (reading.PromptReader.read, clock.Clock)),
)
STAGES = AHEAD + ASKED


def run_shown(view: View, name: str) -> str:
    """A whole run: what was asked and answered, both lanes, and all stages, closed."""
    return (
        f"<section class='fl-run' data-trace='{text(name)}' data-live='{str(view.is_live).lower()}'>{_summary(view)}"
        f"{_lane('Once, ahead of time', AHEAD, view)}{_lane('For each question', ASKED, view)}"
        + "".join(_panel(stage, view) for stage in STAGES)
        + "</section>"
    )


def _summary(view: View) -> str:
    trace, answer = view.trace, view.trace.answer
    made = trace.made_with
    kind = "Asked live, just now" if view.is_live else "Recorded"
    asked = text(trace.question)
    said = text(answer.text) if answer else "No answer."
    followed = ""
    if view.followed:
        followed = paragraph(
            f"Follow {view.named(view.followed.chunk.id)} through all stages: <i>{text(view.followed.chunk.section)}</i>.",
            "fl-note",
        )
    again = button("again", "Ask it again, live" if view.is_live else "Ask this live")
    return (
        f"<header class='fl-summary'><p class='fl-note'><b>{kind}</b> with {text(made.model)}, Fieldguide "
        f"{text(made.fieldguide)}</p>"
        f"<h2>{asked}</h2><p class='fl-said'>{said}</p>{followed}{again}</header>"
    )


def _lane(name: str, stages: tuple[Stage, ...], view: View) -> str:
    boxes = "".join(
        f"<li><button type='button' class='fl-box' data-learn='stage' data-stage='{stage.name}' aria-expanded='false' "
        f"aria-controls='stage-{stage.name}'><span>{stage.title}</span><b>{text(stage.number(view))}</b></button></li>"
        for stage in stages
    )
    return f"<h3 class='fl-lane-name'>{name}</h3><ol class='fl-lane'>{boxes}</ol>"


def _panel(stage: Stage, view: View) -> str:
    return (
        f"<section class='fl-stage' id='stage-{stage.name}' data-stage='{stage.name}' aria-label='{stage.title}' hidden>"
        f"<div class='fl-stage-head'><h3 tabindex='-1'>{stage.title}</h3>"
        f"<button type='button' class='fg-button' data-learn='stage' data-stage='{stage.name}'>Close</button></div>"
        f"{followed_shown(view, stage.name)}{stage.inside(view)}{code_shown(stage)}</section>"
    )


@cache
def code_shown(stage: Stage) -> str:
    """The lines of this very program that did it."""
    drawn = []
    for thing in stage.code:
        lines, first = inspect.getsourcelines(thing)
        module = inspect.getmodule(thing)
        name = module.__name__.replace(".", "/") if module else ""
        more = f"\n… {len(lines) - _CODE_LINES} more lines" if len(lines) > _CODE_LINES else ""
        shown = (
            inspect.cleandoc("\n" + "".join(lines[:_CODE_LINES])) if lines[0].startswith(" ") else "".join(lines[:_CODE_LINES])
        )
        drawn.append(
            f"<p class='fg-document'>src/{text(name)}.py, line {first}</p><pre><code>{text(shown.rstrip())}{more}</code></pre>"
        )
    return f"<details class='fl-code'><summary>The code that did this</summary>{''.join(drawn)}</details>"
