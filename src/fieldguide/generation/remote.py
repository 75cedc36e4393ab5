"""A language model on a server that speaks OpenAI's chat completions: llama.cpp's own server, vLLM, and others.

Such a server tells neither what the model leans to before it writes nor its inner state, and keeps its own cache: the gate
goes by the search alone, nothing is read ahead of time, and influence cannot be computed. It counts tokens in its own way,
which is not asked for: sizes are estimated here, on the safe side.
"""

import json
import queue
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import httpx

from fieldguide.errors import Cancelled, GenerationError, RemoteError
from fieldguide.generation.model import Cancellation, Message, PromptPart, ReadProgress, WritingOptions, WrittenToken
from fieldguide.proxies import http_client
from fieldguide.retries import patiently

_CHARACTERS_PER_TOKEN = 3  # English prose has more than four
_TOKENS_PER_MESSAGE = 8
_TIMEOUT = httpx.Timeout(120.0, connect=5.0)  # the first word may wait for a long prompt and for other users
_POLL_SECONDS = 0.1
_BUSY = {429, 500, 502, 503, 504}
_END = "[DONE]"


class RemoteModel:
    """One model of one server; raises RemoteError where that cannot be reached. Safe from one thread at a time."""

    def __init__(self, url: str, model: str = "", key: str = "", *, context_length: int) -> None:
        self._url = url.rstrip("/")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._client = http_client(headers=headers, timeout=_TIMEOUT)
        try:
            served = self._served()
        except BaseException:
            self.close()
            raise
        if not served or (model and model not in served):
            what = f"serves no model '{model}'" if served else "serves no model"
            raise RemoteError(f"{self._url} {what}.", f"Set llm_model to one of: {', '.join(served) or 'none there'}.")
        self.name = model or served[0]
        self.fingerprint = f"remote {self.name}"
        self.context_length = context_length
        self._messages: list[dict[str, str]] = []

    def render(self, messages: Sequence[Message]) -> list[PromptPart]:
        """The messages with their roles before them: the server's template is the server's."""
        parts = []
        for message in messages:
            parts += [PromptPart("template", message.role), *message.parts]
        return parts

    def count_tokens(self, parts: Sequence[PromptPart]) -> list[int]:
        """An estimate for each part, rather too high."""
        return [_TOKENS_PER_MESSAGE if p.kind == "template" else -(-len(p.text) // _CHARACTERS_PER_TOKEN) for p in parts]

    def read(self, prompt: Sequence[PromptPart], cancellation: Cancellation) -> Iterator[ReadProgress]:
        """Take the prompt; the server reads it when it writes. Raises GenerationError when it does not seem to fit."""
        total = sum(self.count_tokens(prompt))
        if total >= self.context_length:
            raise GenerationError(
                f"The prompt has about {total} tokens, but the context holds {self.context_length}.",
                "Ask a shorter question, set fewer passages, or a larger context_length if the server has it.",
            )
        self._messages = []
        for part in prompt:
            if part.kind == "template":
                self._messages.append({"role": part.text, "content": ""})
            else:
                self._messages[-1]["content"] += part.text
        yield ReadProgress(0, total, 0)

    def cached(self, prompt: Sequence[PromptPart]) -> list[bool]:
        """None is known to be kept: what the server keeps is its own affair."""
        return [False for part in prompt if part.kind == "passage"]

    def warm(self, prompt: Sequence[PromptPart], cancellation: Cancellation) -> None:
        """Nothing: a passage alone is not the beginning of any prompt."""

    def log_probability(self, text: str) -> None:
        """Not known."""

    def log_probability_of(self, text: str, cancellation: Cancellation) -> float:
        """Not to be had of a server."""
        raise GenerationError("A model on a server does not tell how likely a text is.", "Unset llm_url for that.")

    def values(self) -> None:
        """Not known."""

    def write(self, options: WritingOptions, cancellation: Cancellation) -> Iterator[WrittenToken]:
        """What the server streams; raises Cancelled, or RemoteError where it fails. A start cannot be forbidden there."""
        asked = {
            "model": self.name,
            "messages": self._messages,
            "max_tokens": options.max_tokens,
            "temperature": options.temperature,
            "seed": options.seed,
            "stream": True,
        }
        pieces: queue.SimpleQueue[str | RemoteError | None] = queue.SimpleQueue()
        threading.Thread(target=self._receive, args=(asked, cancellation, pieces), name="receive", daemon=True).start()
        while True:
            if cancellation.is_cancelled:
                raise Cancelled
            try:
                piece = pieces.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                continue
            if piece is None:
                return
            if isinstance(piece, RemoteError):
                raise piece
            yield WrittenToken(piece, None)

    def close(self) -> None:
        """Release the connections."""
        self._client.close()

    def _receive(
        self, asked: dict[str, Any], cancellation: Cancellation, pieces: "queue.SimpleQueue[str | RemoteError | None]"
    ) -> None:
        """Hand on what comes; once the question is given up, hang up at the next piece, which stops the server's work."""
        try:
            response = patiently(lambda: self._begin(asked), lambda error: not cancellation.is_cancelled and _passes(error))
            try:
                for piece in _pieces(response):
                    if cancellation.is_cancelled:
                        return
                    pieces.put(piece)
            finally:
                response.close()
        except Exception as error:  # whatever such a server sends: who asked is told, and does not wait for ever
            pieces.put(self._failure(error))
        else:
            pieces.put(None)

    def _begin(self, asked: dict[str, Any]) -> httpx.Response:
        """The stream's beginning; until then nothing was written, so it may be asked for again."""
        request = self._client.build_request("POST", f"{self._url}/chat/completions", json=asked)
        response = self._client.send(request, stream=True)
        if response.is_error:
            try:
                response.read()
            finally:
                response.close()
            response.raise_for_status()
        return response

    def _served(self) -> list[str]:
        """The names of the server's models."""

        def ask() -> list[str]:
            response = self._client.get(f"{self._url}/models", timeout=10.0)
            response.raise_for_status()
            return [str(entry["id"]) for entry in response.json()["data"]]

        try:
            return patiently(ask, _passes)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as error:
            raise self._failure(error) from error

    def _failure(self, error: Exception) -> RemoteError:
        if isinstance(error, httpx.HTTPStatusError):
            said = " ".join(error.response.text.split())[:200]
            message = f"The model server at {self._url} answered {error.response.status_code}: {said}"
        elif isinstance(error, httpx.TimeoutException):
            message = f"The model server at {self._url} did not answer in time."
        elif isinstance(error, httpx.ConnectError):
            message = f"The model server at {self._url} cannot be reached ({error})."
        else:
            message = f"The model server at {self._url} broke off its answer ({type(error).__name__}: {error})."
        return RemoteError(message, "Look after the server, or correct llm_url.")


def _passes(error: BaseException) -> bool:
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code in _BUSY
    return isinstance(error, httpx.TransportError)


def _pieces(response: httpx.Response) -> Iterator[str]:
    """The text in a stream of server-sent events; raises RemoteProtocolError where it ends before its end."""
    for line in response.iter_lines():
        data = line.removeprefix("data:").strip() if line.startswith("data:") else ""
        if data == _END:
            return
        if data:
            content = json.loads(data)
            if "error" in content:
                raise httpx.RemoteProtocolError(str(content["error"])[:200])
            choices = content["choices"]
            if choices and (piece := choices[0]["delta"].get("content")):
                yield piece
    raise httpx.RemoteProtocolError("the stream ended early")
