"""Put messages into the chat template that a GGUF file carries, without losing sight of whose text is whose."""

import re
from collections.abc import Sequence
from functools import cache

from jinja2 import Template, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from fieldguide.errors import GenerationError
from fieldguide.generation.model import Message, PromptPart

# Characters for private use stand for the parts while the template is rendered; no document can forge them, because
# documents are put in only afterwards.
_MARK = re.compile("\ue000(\\d+)\ue001")


def render(template: str, messages: Sequence[Message], *, beginning: str = "", end: str = "") -> list[PromptPart]:
    """The messages in the template, as parts: the template's own text, and each part of each message unchanged.

    `beginning` and `end` are the model's begin and end tokens as text. Raises GenerationError when the template fails.
    """
    parts: list[PromptPart] = []
    marked = []
    for message in messages:
        content = "".join(f"\ue000{len(parts) + i}\ue001" for i in range(len(message.parts)))
        parts += message.parts
        marked.append({"role": message.role, "content": content})
    try:
        rendered = _compiled(template).render(
            messages=marked, bos_token=beginning, eos_token=end, add_generation_prompt=True, tools=None
        )
    except TemplateError as error:
        raise GenerationError(f"The model's chat template cannot be used: {error}.", "Choose another model.") from error

    prompt: list[PromptPart] = []
    for index, piece in enumerate(_MARK.split(rendered)):
        if index % 2:
            prompt.append(parts[int(piece)])
        elif piece:
            prompt.append(PromptPart("template", piece))
    return prompt


@cache
def _compiled(template: str) -> Template:
    """A template is rendered several times for each question; it is compiled once."""
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = _raise
    return environment.from_string(template)


def _raise(message: str) -> None:
    raise TemplateError(message)
