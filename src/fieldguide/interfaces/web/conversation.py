"""What the page does: a question in, redraws out, and a stop that stops."""

import time
from collections.abc import Iterator
from html import escape, unescape
from typing import Any

import gradio as gr

from fieldguide.events import Failed, Finished, Quoted, Token, Withdrawn
from fieldguide.generation.model import Cancellation
from fieldguide.interfaces.answerer import Answerer
from fieldguide.interfaces.web import rendering
from fieldguide.types import Turn

_REDRAW_SECONDS = 0.07  # redrawing for each token would make the page stutter

Messages = list[dict[str, Any]]


class Conversations:
    """The handlers of the page, one instance for all tabs; each tab may have one answer under way."""

    def __init__(self, answerer: Answerer) -> None:
        self._answerer = answerer
        self._running: dict[str, Cancellation] = {}

    def respond(self, question: str, messages: Messages, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        """Redraws of: question box, conversation, status, sources, ask button, stop button."""
        self.stop(request)
        cancellation = self._running[_tab(request)] = Cancellation()
        history = [Turn(message["role"], _plain(message["content"])) for message in messages]
        asked = [*messages, _message("user", question)]
        text, status, sources, drawn = "", "Starting", rendering.NO_SOURCES, 0.0
        yield "", asked, rendering.status(status), sources, *_buttons(answering=True)
        for event in self._answerer.answer(question, history, cancellation=cancellation):
            status = rendering.status_line(event) or status
            match event:
                case Token():
                    text += event.text
                    if time.monotonic() - drawn < _REDRAW_SECONDS:
                        continue
                case Quoted():
                    sources = rendering.quotes_panel(event.quotes)
                case Withdrawn():
                    text = ""
                case Finished():
                    text, sources = rendering.answer_text(event.answer), rendering.sources_panel(event.answer)
                case Failed():
                    text = f"{text}\n\n{status}".strip()
            drawn = time.monotonic()
            going_on = not isinstance(event, Finished | Failed)
            yield gr.skip(), _with_answer(asked, text), rendering.status(status), sources, *_buttons(answering=going_on)

    def stop(self, request: gr.Request) -> None:
        """End the tab's answer, if one is under way, within milliseconds."""
        if cancellation := self._running.pop(_tab(request), None):
            cancellation.cancel()

    def engine_status(self) -> tuple[str, gr.Timer]:
        """Whether models and index are ready; the timer that asks again until they are."""
        if failure := self._answerer.failure:
            return rendering.status(str(failure)), gr.Timer(active=True)
        lines = [" ".join(filter(None, [rendering.status_line(e), e.detail])) for e in self._answerer.still_loading]
        if self._answerer.is_ready:
            return rendering.status(" · ".join(["Ready", *lines])), gr.Timer(active=bool(lines))
        return rendering.status(" · ".join(lines) or "Starting"), gr.Timer(active=True)


def _with_answer(asked: Messages, text: str) -> Messages:
    return [*asked, _message("assistant", text)] if text else asked


def _message(role: str, text: str) -> dict[str, Any]:
    """A message whose text is shown as text: Gradio would render HTML in it, even with Markdown switched off."""
    return {"role": role, "content": escape(text, quote=False)}


def _buttons(*, answering: bool) -> tuple[gr.Button, gr.Button]:
    return gr.Button(visible=not answering), gr.Button(visible=answering)


def _tab(request: gr.Request) -> str:
    return str(request.session_hash)


def _plain(content: Any) -> str:  # noqa: ANN401 - Gradio hands back strings or lists of typed parts
    """The text of a message, as it was before `_message` escaped it."""
    if isinstance(content, str):
        return unescape(content)
    return unescape(" ".join(str(part.get("text", "")) for part in content if isinstance(part, dict)))
