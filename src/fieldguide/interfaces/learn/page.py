"""The Learn page in Gradio: one part that holds our own HTML, with the laboratory's functions for its script to call."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import gradio as gr

from fieldguide.assembly import Fieldguide
from fieldguide.errors import FieldguideError
from fieldguide.interfaces.heading import heading
from fieldguide.interfaces.learn.experiments import EXPERIMENTS
from fieldguide.interfaces.learn.failures import failures_shown
from fieldguide.interfaces.learn.laboratory import Laboratory
from fieldguide.interfaces.learn.lessons import LESSONS, lessons_shown
from fieldguide.interfaces.learn.pieces import button, paragraph, table, text
from fieldguide.interfaces.learn.plotting import ADDRESS
from fieldguide.interfaces.learn.shipped import FIRST, RUNS, shipped

_HERE = Path(__file__).parent
_CSS = (_HERE / "learn.css").read_text(encoding="utf-8")
_JAVASCRIPT = "\n".join((_HERE / name).read_text(encoding="utf-8") for name in ("learn.js", "plots.js", "pictures.js"))
PATH = "/learn"


def add_learn_page(app: gr.Blocks, fieldguide: Fieldguide) -> None:
    """Add the page to the app, under its own address."""
    laboratory = Laboratory(fieldguide)
    with app.route("Learn", PATH, show_in_navbar=False):
        gr.HTML(
            page_shown(laboratory),
            elem_id="learn",
            apply_default_css=False,
            js_on_load=_JAVASCRIPT,
            server_functions=_served(laboratory),
        )


def _served(laboratory: Laboratory) -> list[Any]:
    """The functions that the page's script may call; Gradio marks them, which bound methods do not bear."""
    names = ("show", "begin", "measure", "progress", "stop", "ready", "recut", "compare")
    return [_function(getattr(laboratory, name)) for name in names]


def _function(method: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[[dict[str, Any]], dict[str, Any]]:
    @wraps(method)
    def call(order: dict[str, Any]) -> dict[str, Any]:
        return method(order)

    return call


def page_shown(laboratory: Laboratory) -> str:
    """The whole page as HTML, with the first recorded run in it."""
    try:
        run = laboratory.html(FIRST)
    except FieldguideError as error:
        run = paragraph(text(error), "fl-bad")
    return (
        f"<style>{_CSS}</style><div class='fl-page' data-plotly='{ADDRESS}'>{_header()}<div class='fl-columns'>"
        f"<nav class='fl-rail' aria-label='Lessons'>{_lessons()}</nav><div class='fl-main'>{_bar()}"
        f"<div id='run'>{run}</div>{_experiments()}{_failures()}{_real()}</div></div></div>"
    )


def _header() -> str:
    tools = f"<div class='fl-tools'>{button('presenter', 'Large type')}{button('reset', 'Start over')}</div>"
    return heading(PATH, "Learn", "See how a program looks things up before it answers, on real runs of this one.", tools)


def _lessons() -> str:
    return (
        f"<div class='fl-rail-head'><h2>Lessons</h2><p id='score' role='status'>0 of {len(LESSONS)} done</p></div>"
        f"<div class='fl-lessons'>{lessons_shown()}</div>"
    )


def _bar() -> str:
    try:
        names = list(shipped())
    except FieldguideError:
        names = []
    options = "".join(
        f"<option value='{name}'>{text(RUNS[name].title)}: {text(RUNS[name].question)}</option>" for name in names
    )
    return (
        f"<div class='fl-bar-top'><label>Recorded run <select id='runs'>{options}</select></label>"
        "<form class='fl-ask' data-learn-form='ask'><label for='fl-question'>Or ask live</label>"
        "<input id='fl-question' name='question' maxlength='500' placeholder='Your own question about the guides'>"
        f"<button class='fg-button'>Ask</button>{button('stop', 'Stop')}</form>"
        "<p id='engine-state' class='fl-note' role='status'></p>"
        "<p id='live' class='fg-status' role='status' aria-live='polite'></p></div>"
    )


def _experiments() -> str:
    cards = "".join(
        f"<form class='fl-card' data-learn-form='experiment' data-experiment='{e.name}'><h3>{text(e.title)}</h3>"
        f"<p>{text(e.look_at)}</p>{e.fields}<button class='fg-button'>Try it</button></form>"
        for e in EXPERIMENTS
    )
    return (
        "<section class='fl-section' id='experiments' aria-label='Experiments'><h2>Experiments</h2>"
        + paragraph(
            "One change to the run above, and the question asked again, live. They need the model, which loads in the "
            "background; recorded runs work without it."
        )
        + f"<div class='fl-cards'>{cards}</div><div id='changes' aria-live='polite'></div></section>"
    )


def _failures() -> str:
    return (
        "<section class='fl-section' id='failures' aria-label='Failures'><h2>How it fails</h2>"
        + paragraph("Every way to fail in this list is one click away, on a real run.")
        + failures_shown()
        + "</section>"
    )


def _real() -> str:
    rows = [
        ("Recorded runs", "Real: made once by this program with the model named above each, kept as files, shown as they are."),
        ("Live runs", "Real: made now, on this machine, by the same code that answers in the chat."),
        ("Scores, ranks, words, probabilities", "Read from the run; none is made up or smoothed."),
        ("The map", "Real numbers, but pressed from 384 into 2: it may mislead, and says where."),
        ("The temperature slider", "Computed in your browser from the ten likeliest tokens that were recorded."),
        ("Pictures", "Drawn in your browser by Plotly, which this machine serves; each has its numbers as a table below it."),
        (
            "Cutting by words",
            "A stand-in for plainer programs: Fieldguide itself cuts along headings and sentences. The search among the "
            "pieces is real, and made now.",
        ),
        ("The stale index", "Real: recorded over an index of guides that were corrected before the question was asked."),
        ("Swapped, poisoned and contradicting pages", "Made up on purpose, marked as such, and never added to your guides."),
    ]
    return (
        "<section class='fl-section' id='what-is-real' aria-label='What is real here'><h2>What is real here?</h2>"
        + table("What is real and what is a stand-in", ("what you see", "where it comes from"), rows, folded=False)
        + "</section>"
    )
