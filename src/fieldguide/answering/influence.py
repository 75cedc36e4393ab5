"""What each passage did to an answer: how likely the model is to write the same answer when that passage is gone.

Exact, not estimated: the prompt is put together again without the passage, and the same words are scored.
"""

from collections.abc import Iterator, Sequence

from fieldguide.answering.assistant import Assistant
from fieldguide.answering.rewrite import Standalone
from fieldguide.generation import prompt as prompts
from fieldguide.generation.model import Cancellation


def influence(
    assistant: Assistant, asked: Standalone, passages: Sequence[str], text: str, cancellation: Cancellation
) -> Iterator[float]:
    """The text's log-probability with all passages (best first), then without the first, without the second, and so on.

    Stands in line like a question. Raises Cancelled.
    """
    ticket = assistant.line.enter()
    assistant.warmer.interrupt()
    try:
        for _ in assistant.line.wait(ticket, cancellation):
            pass
        for left_out in (None, *range(len(passages))):
            shown = [passage for number, passage in enumerate(passages) if number != left_out]
            prompt = assistant.model.render(prompts.build_messages(asked.question, shown, asked.earlier_question))
            for _ in assistant.model.read(prompt, cancellation):
                pass
            yield assistant.model.log_probability_of(text, cancellation)
    finally:
        assistant.line.leave(ticket)
