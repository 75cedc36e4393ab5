"""What the page is made of, from top to bottom. What the parts do stands in `asking`, `shelf` and page.js."""

from dataclasses import dataclass
from typing import Any

import gradio as gr

from fieldguide.interfaces.heading import heading
from fieldguide.interfaces.web import rendering
from fieldguide.interfaces.web.looks import JAVASCRIPT

# The storage keys and the secret are fixed: left to Gradio they would change, and be forgotten, at each start.
_SECRET = "kept in this browser"
LENGTHS = {"Short": 0.4, "Normal": 1.0, "Long": 2.0}  # of the answer's tokens

_HEADER = heading("/", "Fieldguide", "Answers from guides to AI models, checked sentence by sentence.")
_NOTES = (
    "<div id='connection' class='fg-notice' role='alert' hidden></div>"
    "<div id='first-run' class='fg-notice' hidden><p>Nothing leaves this machine: the model, the guides and your conversations "
    "are all on it. The first start reads the guides ahead of time; until then an answer may take some seconds.</p>"
    "<button type='button' class='fg-button' data-do='dismiss'>Got it</button></div>"
)
_SOURCES = (
    "<aside class='fg-panel' aria-label='Sources'><div class='fg-panel-head'><h2>Sources</h2>"
    "<button type='button' class='fg-button fg-close' data-do='close-sources'>Close</button></div>"
    "<div class='fg-panel-body' tabindex='0' role='region' aria-label='Sources of the answer'><p class='fg-note'>"
    "Sources appear here: the sentences that an answer rests on, and where they stand.</p></div></aside>"
)
# The browser reads the file itself: Gradio's own upload would leave a copy in the system's folder for temporary files.
_IMPORT = (
    "<label class='fg-button fg-import'>Import JSON<input type='file' id='import' accept='.json,application/json' "
    "class='fg-hidden'></label>"
)
_TOPICS = (
    "<dialog id='topics' aria-labelledby='topics-title'><div class='fg-panel-head'><h2 id='topics-title'>What can I ask?</h2>"
    "<button type='button' class='fg-button' data-do='close-topics'>Close</button></div>"
    "<p class='fg-note'>The headings of the guides. Choose one to put it into the question box.</p>"
    "<div class='fg-topics'></div></dialog><div id='tooltip' role='tooltip' hidden></div>"
)


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts that handlers read or change."""

    owner: gr.BrowserState  # who this browser is
    last: gr.BrowserState  # the conversation it had open last
    current: gr.State  # the conversation in this tab
    editing: gr.State  # the position of the question that is being edited, or None
    new: gr.Button
    search: gr.Textbox
    shelf: gr.HTML
    undo: gr.HTML
    length: gr.Radio
    alone: gr.Checkbox
    where: gr.Dropdown
    model: gr.Dropdown
    model_note: gr.HTML
    conversation: gr.HTML
    under_way: gr.HTML
    banner: gr.HTML
    status: gr.HTML
    question: gr.Textbox
    send: gr.Button
    stop: gr.Button
    announcer: gr.HTML  # what screen readers are told, and the page's script


def _html(value: str, **options: Any) -> gr.HTML:  # noqa: ANN401 - Gradio's own
    """A piece of our own HTML, without Gradio's typography and without a round trip for every click in it."""
    return gr.HTML(value, **{"apply_default_css": False, "js_on_load": None, **options})


def build_parts(welcome: str, models: dict[str, str], model: str) -> Parts:
    """Lay the page out, inside an open `gr.Blocks`."""
    parts: dict[str, Any] = {
        "owner": gr.BrowserState("", storage_key="fieldguide-owner", secret=_SECRET),
        "last": gr.BrowserState("", storage_key="fieldguide-conversation", secret=_SECRET),
        "current": gr.State(""),
        "editing": gr.State(None),
    }
    with gr.Sidebar(label="Conversations and settings", open=False, elem_id="sidebar", width=300):
        parts |= _sidebar(models, model)
    with gr.Row(elem_id="columns", equal_height=False):
        with gr.Column(scale=3, min_width=280, elem_id="main"):
            _html(_HEADER, elem_id="header")
            _html(_NOTES)
            parts["conversation"] = _html(welcome, elem_id="conversation")
            parts["under_way"] = _html("", elem_id="under-way")
            with gr.Column(elem_id="composer"):
                parts |= _composer()
        with gr.Column(scale=2, min_width=280, elem_id="side"):
            _html(_SOURCES, elem_id="sources")
    _html(_TOPICS)
    parts["announcer"] = _html("", elem_id="announcer", html_template=_ANNOUNCER, js_on_load=JAVASCRIPT)
    return Parts(**parts)


_ANNOUNCER = "<p class='fg-hidden' role='status' aria-live='polite'>${value}</p>"


def model_choices(models: dict[str, str], model: str) -> list[tuple[str, str]]:
    """What the choice of models offers, the one in use among them."""
    return [(name, value) for value, name in ({model: model} | models).items()]


def _sidebar(models: dict[str, str], model: str) -> dict[str, Any]:
    _html("<h2 class='fg-heading'>Conversations</h2>")
    parts = {
        "new": gr.Button("New conversation", size="sm", elem_id="clear"),
        "search": gr.Textbox(
            label="Search conversations",
            placeholder="Search conversations",
            show_label=False,
            container=False,
            elem_id="search",
        ),
        "shelf": _html("", elem_id="shelf"),
        "undo": _html("", elem_id="undo"),
    }
    _html(_IMPORT)
    _html("<h2 class='fg-heading'>Answers</h2>")
    parts["length"] = gr.Radio(
        list(LENGTHS),
        value="Normal",
        label="Length",
        info="How much may be written at most. Longer takes longer.",
        elem_id="length",
    )
    parts["alone"] = gr.Checkbox(
        label="Also answer without the guides",
        info="Afterwards, from the model's memory, side by side. Nothing in it is checked.",
        elem_id="alone",
    )
    parts["where"] = gr.Dropdown(
        [],
        multiselect=True,
        label="Search in",
        info="The guides and all of your own documents, unless you choose.",
        visible=False,
        elem_id="where",
    )
    parts["model"] = gr.Dropdown(
        model_choices(models, model),
        value=model,
        label="Model",
        info="Default reads best; fast answers sooner and errs more. Of others the gate knows less.",
        elem_id="model",
        filterable=False,
    )
    parts["model_note"] = _html("", elem_id="model-note")
    return parts


def _composer() -> dict[str, Any]:
    parts = {
        "banner": _html("", elem_id="banner"),
        "status": _html(rendering.status(""), elem_id="status"),
    }
    with gr.Row(equal_height=False, elem_id="ask-row"):
        parts["question"] = gr.Textbox(
            label="Your question",
            show_label=False,
            placeholder="Ask the guides",
            elem_id="question",
            max_lines=6,
            scale=5,
            min_width=160,
            container=False,
        )
        parts["send"] = gr.Button("Ask", variant="primary", elem_id="send", scale=0, min_width=80)
        parts["stop"] = gr.Button("Stop", variant="stop", elem_id="stop", visible=False, scale=0, min_width=80)
    _html(
        "<p class='fg-foot'><span id='engine'>Starting</span>"
        "<span class='fg-keys'>Enter sends, Shift+Enter starts a new line, Esc stops, Up edits the last question</span></p>"
    )
    return parts
