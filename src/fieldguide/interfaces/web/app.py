"""The chat page in Gradio. `create_app` builds it, `launch` serves it; what it does stands in `conversation`."""

from typing import Any

import gradio as gr
from starlette.middleware import Middleware
from starlette.routing import Mount
from starlette.types import ASGIApp

from fieldguide.interfaces.answerer import Answerer
from fieldguide.interfaces.web import rendering
from fieldguide.interfaces.web.conversation import Conversations
from fieldguide.interfaces.web.looks import CSS, theme
from fieldguide.interfaces.web.policy import StayOnThisMachine

EXAMPLES = (
    "Who introduced GANs, and when?",
    "What is a context window?",
    "How many hours of audio was Whisper trained on?",
    "How does a vision-language-action model control a robot?",
    "How does Fieldguide decide whether to answer?",
    "What does latent diffusion do, and which system uses it?",
)
_HEADER = (
    "<header class='fg-header'><h1>Fieldguide</h1><p>Answers from guides to AI models, checked sentence by sentence. "
    "Nothing you type leaves this machine.</p></header>"
)
_MANY_AT_ONCE = 40  # waiting happens in our own line, where its position can be shown


def create_app(answerer: Answerer) -> gr.Blocks:
    """The page, ready to be launched or driven by a test."""
    with gr.Blocks(title="Fieldguide", analytics_enabled=False, fill_height=True) as page:
        gr.HTML(_HEADER)
        with gr.Row(equal_height=False):
            with gr.Column(scale=3, min_width=320):
                chatbot = gr.Chatbot(
                    label="Conversation",
                    show_label=False,
                    elem_id="conversation",
                    height="58vh",
                    examples=[{"text": example} for example in EXAMPLES],
                    placeholder="Ask a question about AI models, or try one of these.",
                    render_markdown=False,
                    buttons=["copy"],
                    feedback_options=None,
                    allow_tags=False,
                    allow_file_downloads=False,
                )
                status = gr.HTML(rendering.status(""), elem_id="status")
                with gr.Row(equal_height=True):
                    question = gr.Textbox(
                        label="Your question",
                        placeholder="Ask the guides",
                        info="Enter sends, Shift+Enter starts a new line",
                        elem_id="question",
                        max_lines=6,
                        scale=5,
                        autofocus=True,
                    )
                    send = gr.Button("Ask", variant="primary", elem_id="send", scale=1, min_width=80)
                    stop = gr.Button("Stop", variant="stop", elem_id="stop", visible=False, scale=1, min_width=80)
                with gr.Row():
                    engine = gr.HTML(rendering.status("Starting"), elem_id="engine")
                    clear = gr.Button("New conversation", size="sm", elem_id="clear", scale=0, min_width=150)
            with gr.Column(scale=2, min_width=300):
                gr.HTML("<h2 class='fg-sources-title'>Sources</h2>")
                sources = gr.HTML(rendering.NO_SOURCES, elem_id="sources")

        conversations = Conversations(answerer)
        quiet: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
        at_once: dict[str, Any] = {**quiet, "queue": False}
        answering: dict[str, Any] = {**quiet, "concurrency_limit": _MANY_AT_ONCE}
        answering["outputs"] = [question, chatbot, status, sources, send, stop]
        gr.on([question.submit, send.click], conversations.respond, [question, chatbot], **answering)
        chosen = chatbot.example_select(_chosen_example, None, question, **at_once)
        chosen.then(conversations.respond, [question, chatbot], **answering)
        stop.click(conversations.stop, **at_once)
        clear.click(conversations.stop, **at_once).then(
            lambda: ([], rendering.status(""), rendering.NO_SOURCES), None, [chatbot, status, sources], **at_once
        )
        timer = gr.Timer(1.0)
        gr.on([timer.tick, page.load], conversations.engine_status, None, [engine, timer], **at_once)
        page.unload(conversations.stop)
    return page


def launch(page: gr.Blocks, host: str, port: int, api: ASGIApp) -> str:
    """Serve the page in the background, with the API under /api, and return the page's address."""
    page.queue(default_concurrency_limit=_MANY_AT_ONCE)
    page.launch(
        server_name=host,
        server_port=port,
        share=False,
        inbrowser=False,
        prevent_thread_lock=True,
        quiet=True,
        run_history=False,
        ssr_mode=False,
        footer_links=[],
        theme=theme(),
        css=CSS,
        app_kwargs={
            "middleware": [Middleware(StayOnThisMachine)],
            "routes": [Mount("/api", api)],
            "docs_url": None,
            "redoc_url": None,
        },
    )
    return f"http://{host}:{port}/"


def _chosen_example(data: gr.SelectData) -> str:
    return str(data.value["text"])
