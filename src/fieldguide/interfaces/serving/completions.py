"""OpenAI's chat completions: any client of theirs can ask. The forms stand in `forms`."""

import asyncio
import json
import re
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from fieldguide.answering.reader import AnswerOptions
from fieldguide.events import Event, Failed, Finished, Loading, Queued, Token, Withdrawn
from fieldguide.generation.model import Cancellation
from fieldguide.interfaces.serving.access import client_of
from fieldguide.interfaces.serving.embeddings import OPENAI_REFUSALS, unknown_model
from fieldguide.interfaces.serving.forms import (
    CHAT_MODEL,
    AnswerMessage,
    ChatRequest,
    Choice,
    Completion,
    Extension,
    Usage,
)
from fieldguide.interfaces.serving.problems import openai_error, problem, problem_of_failed, status_of
from fieldguide.interfaces.serving.service import Service
from fieldguide.interfaces.streaming import as_they_come
from fieldguide.types import Answer, Turn

_SILENCE_SECONDS = 15.0  # then a comment is sent, so that nobody in between takes the connection for dead
_LOOK_SECONDS = 0.25  # how often it is looked whether the asker is still there
_STREAM = {"text/event-stream": {"schema": {"type": "string"}, "example": 'data: {"object": "chat.completion.chunk", ...}\n\n'}}


def completions(service: Service) -> APIRouter:
    """The routes under /v1."""
    router = APIRouter(prefix="/v1", tags=["OpenAI"], responses=OPENAI_REFUSALS)

    @router.post("/chat/completions", response_model=Completion, responses={200: {"content": _STREAM}})
    async def complete(asked: ChatRequest, request: Request) -> Completion | Response:
        """Answer the last message. The text is sent once it was checked, sentence by sentence when streamed; until then a
        stream tells the place in the queue and the draft in the field `fieldguide`.
        """
        path = request.url.path
        if refused := unknown_model(path, asked.model, CHAT_MODEL):
            return refused
        if asked.messages[-1].role != "user":
            return problem(path, 400, "messages: the last one must be the user's question.")
        question = _Question(service, asked, client_of(request))
        if not asked.stream:
            end = await question.end(request)
            return problem_of_failed(path, end) if isinstance(end, Failed) else question.completion(end)
        events = question.events()
        first = await anext(events)
        while isinstance(first, Loading):  # whether there will be an answer is said in the status
            first = await anext(events)
        if isinstance(first, Failed):
            return problem_of_failed(path, first)
        headers = {"cache-control": "no-cache", "x-accel-buffering": "no"}
        return StreamingResponse(question.stream(first, events), media_type="text/event-stream", headers=headers)

    return router


@dataclass(slots=True)
class _Question:
    """A chat completion on its way."""

    service: Service
    asked: ChatRequest
    client: str
    cancellation: Cancellation = field(default_factory=Cancellation)
    seen: list[Event] = field(default_factory=list)
    id: str = field(default_factory=lambda: secrets.token_hex(12))
    created: int = field(default_factory=lambda: int(time.time()))

    async def events(self) -> AsyncIterator[Event]:
        """What happens; kept to be looked at later."""
        said = [message for message in self.asked.messages if message.role in ("user", "assistant")]
        history = [Turn("user" if m.role == "user" else "assistant", m.text) for m in said[:-1]]
        events = self.service.answer(said[-1].text, history, self._options(), self.cancellation)
        async for event in as_they_come(events, self.cancellation):
            self.seen.append(event)
            if isinstance(event, Finished | Failed):
                self.service.keep_trace(self.id, self.client, self.seen)
            yield event

    async def end(self, request: Request) -> Answer | Failed:
        """What comes of it, unless the asker goes away: then it is stopped."""

        async def stop_when_alone() -> None:
            while not await request.is_disconnected():
                await asyncio.sleep(_LOOK_SECONDS)
            self.cancellation.cancel()

        looking = asyncio.create_task(stop_when_alone())
        try:
            # To the very end: only then is the line free for whoever asks next.
            *_, last = [event async for event in self.events()]
        finally:
            looking.cancel()
        assert isinstance(last, Finished | Failed)
        return last.answer if isinstance(last, Finished) else last

    def completion(self, answer: Answer) -> Completion:
        """The answer in OpenAI's form."""
        return Completion(
            id=f"chatcmpl-{self.id}",
            created=self.created,
            model=self.asked.model,
            choices=[Choice(message=AnswerMessage(content=answer.text), finish_reason=self._reason(answer))],
            usage=_usage(answer),
            fieldguide=self._extension(answer),
        )

    async def stream(self, first: Event, rest: AsyncIterator[Event]) -> AsyncIterator[str]:
        """The same as server-sent events."""
        yield self._chunk({"role": "assistant", "content": ""})
        async for event in _with_beats(first, rest):
            match event:
                case None:
                    yield ": still here\n\n"
                case Queued(position, seconds):
                    yield self._chunk({}, fieldguide={"queued": {"position": position, "seconds": seconds}})
                case Token(text):
                    yield self._chunk({}, fieldguide={"draft": text})
                case Withdrawn(reason):
                    yield self._chunk({}, fieldguide={"withdrawn": reason})
                case Failed():
                    yield _data(openai_error(status_of(event), event.told))
                case Finished(answer):
                    for number, sentence in enumerate(_pieces(answer)):
                        yield self._chunk({"content": f" {sentence}" if number else sentence})
                    yield self._chunk({}, self._reason(answer), self._extension(answer).model_dump())
                    if self.asked.stream_options and self.asked.stream_options.include_usage:
                        yield _data(self._frame() | {"choices": [], "usage": _usage(answer).model_dump()})
        yield "data: [DONE]\n\n"

    def _options(self) -> AnswerOptions:
        asked, options = self.asked, self.service.default_options()
        tokens = asked.max_completion_tokens or asked.max_tokens or options.answer_tokens
        return replace(
            options,
            answer_tokens=min(tokens, self.service.settings.context_length // 2),
            temperature=options.temperature if asked.temperature is None else asked.temperature,
            seed=options.seed if asked.seed is None else asked.seed % 2**32,
            collections=tuple(asked.fieldguide.collections),
            client=self.client,
        )

    def _reason(self, answer: Answer) -> Any:  # noqa: ANN401 - one of the two words that pydantic checks
        return "length" if answer.tokens.generated >= self._options().answer_tokens else "stop"

    def _extension(self, answer: Answer) -> Extension:
        systems = {m.role for m in self.asked.messages} - {"user", "assistant"}
        names = (self.asked.model_extra or {}).keys() | {f"{role} messages" for role in systems}
        ignored = sorted(name for name in names if re.fullmatch(r"[\w ]{1,60}", name, re.ASCII))
        told = answer.as_object()
        fields = {name: told[name] for name in ("abstained", "sentences", "citations", "note")}
        return Extension(trace_id=self.id, ignored=ignored, **fields)

    def _frame(self) -> dict[str, Any]:
        frame = {"id": f"chatcmpl-{self.id}", "object": "chat.completion.chunk", "created": self.created}
        return frame | {"model": self.asked.model}

    def _chunk(self, delta: dict[str, str], reason: str | None = None, fieldguide: dict[str, Any] | None = None) -> str:
        told = {"choices": [{"index": 0, "delta": delta, "finish_reason": reason}]}
        return _data(self._frame() | told | ({"fieldguide": fieldguide} if fieldguide else {}))


async def _with_beats(first: Event, rest: AsyncIterator[Event]) -> AsyncIterator[Event | None]:
    """All events, and None whenever nothing has happened for a while."""
    yield first
    coming: asyncio.Future[Event] = asyncio.ensure_future(anext(rest))
    try:
        while True:
            await asyncio.wait({coming}, timeout=_SILENCE_SECONDS)
            if not coming.done():
                yield None
                continue
            try:
                event = coming.result()
            except StopAsyncIteration:
                return
            yield event
            coming = asyncio.ensure_future(anext(rest))
    finally:
        coming.cancel()


def _pieces(answer: Answer) -> list[str]:
    """The text in the pieces that are sent: joined with blanks they are the text, whatever its sentences are."""
    sentences = [sentence.text for sentence in answer.sentences]
    return sentences if " ".join(sentences) == answer.text else [answer.text]


def _usage(answer: Answer) -> Usage:
    tokens = answer.tokens
    cached = {"cached_tokens": tokens.reused}
    total = tokens.prompt + tokens.generated
    return Usage(
        prompt_tokens=tokens.prompt, completion_tokens=tokens.generated, total_tokens=total, prompt_tokens_details=cached
    )


def _data(content: dict[str, Any]) -> str:
    return f"data: {json.dumps(content)}\n\n"
