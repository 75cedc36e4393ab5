"""A conversation as text to take along: what was said, what it rests on, and what it was made with."""

from fieldguide.interfaces.conversations import Conversation, Exchange, Receipt
from fieldguide.types import Answer

VERDICTS = {"weak": "partly supported", "unsupported": "not supported"}


def answer_text(answer: Answer) -> str:
    """The prose with its citation markers; sentences that the guides do not bear out say so."""
    if answer.abstained:
        return answer.text
    pieces = []
    for sentence in answer.sentences:
        markers = "".join(f"[{marker}]" for marker in sentence.markers)
        note = "" if sentence.verdict == "supported" else f" ({VERDICTS[sentence.verdict]})"
        pieces.append(f"{sentence.text} {markers}".strip() + note)
    return " ".join(pieces)


def exchange_text(exchange: Exchange) -> str:
    """Answer and sources as plain text, for the clipboard."""
    if not exchange.answer:
        return "\n\n".join(filter(None, [exchange.written, exchange.failure]))
    lines = [answer_text(exchange.answer)]
    if exchange.answer.citations:
        lines += ["", *(f'[{c.marker}] {c.document}, {c.section}: "{c.quote}"' for c in exchange.answer.citations)]
    if exchange.alone is not None:
        lines += ["", f"Without the guides (not checked): {exchange.alone}"]
    return "\n".join(lines)


def to_markdown(conversation: Conversation) -> str:
    """The conversation with quotes, places and receipts, as Markdown."""
    parts = [f"# {_line(conversation.title)}"]
    for exchange in conversation.exchanges:
        parts += [f"## {_line(exchange.question)}", *_body(exchange)]
        if exchange.receipt:
            parts.append(_receipt(exchange.receipt))
    return "\n\n".join(parts) + "\n"


def _body(exchange: Exchange) -> list[str]:
    parts = [f"Searched for: {_line(exchange.search_text)}"] if exchange.search_text else []
    answer = exchange.answer
    if answer is None:
        parts += [_inert(text) for text in (exchange.written, f"*{exchange.failure}*" if exchange.failure else "") if text]
    else:
        parts.append(_inert(answer_text(answer)))
        for c in answer.citations:
            document = " ".join(c.document.replace("`", "'").split())
            parts.append(f"> {_line(c.quote)}\n>\n> [{c.marker}] `{document}`, {_line(c.section)}")
        if answer.note:
            parts.append(_inert(answer.note))
    if exchange.alone is not None:
        parts += ["### Without the guides (not checked)", _inert(exchange.alone)]
    return parts


def _receipt(receipt: Receipt) -> str:
    facts = [
        f"Fieldguide {receipt.fieldguide}",
        f"model {receipt.model} ({receipt.model_fingerprint})",
        f"index {receipt.index}",
        *([f"searched {', '.join(receipt.collections)}"] if receipt.collections else []),
        f"{receipt.passages} passages, at most {receipt.answer_tokens} tokens",
        f"temperature {receipt.temperature:g}, seed {receipt.seed}",
        f"asked {receipt.asked_at}",
    ]
    return f"<sub>{'; '.join(map(_line, facts))}</sub>"


def _line(text: str) -> str:
    return _inert(" ".join(text.split()))


def _inert(text: str) -> str:
    """As Markdown that loads nothing: viewers fetch pictures without being asked."""
    return text.replace("<", "&lt;").replace("![", "!\\[").replace("](", "]\\(")
