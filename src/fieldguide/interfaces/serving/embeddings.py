"""OpenAI's lists of models and embeddings."""

import base64
import time
from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from starlette.responses import Response

from fieldguide.interfaces.serving.forms import (
    CHAT_MODEL,
    EMBEDDER,
    EmbeddingForm,
    EmbeddingRequest,
    Embeddings,
    ModelForm,
    Models,
    OpenAIProblem,
)
from fieldguide.interfaces.serving.problems import problem
from fieldguide.interfaces.serving.service import Service

OPENAI_REFUSALS: dict[int | str, dict[str, Any]] = {"4XX": {"model": OpenAIProblem}, 503: {"model": OpenAIProblem}}


def embeddings(service: Service) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/v1", tags=["OpenAI"], responses=OPENAI_REFUSALS)
    started = int(time.time())

    @router.get("/models")
    def models() -> Models:
        """What can be named as `model`."""
        return Models(data=[ModelForm(id=name, created=started) for name in (CHAT_MODEL, EMBEDDER)])

    @router.get("/models/{name}", response_model=ModelForm)
    def model(name: str, request: Request) -> ModelForm | Response:
        """One of them."""
        return unknown_model(request.url.path, name, CHAT_MODEL, EMBEDDER) or ModelForm(id=name, created=started)

    @router.post("/embeddings", response_model=Embeddings)
    def embed(asked: EmbeddingRequest, request: Request) -> Embeddings | Response:
        """Texts as vectors, as the search has them of passages."""
        return unknown_model(request.url.path, asked.model, EMBEDDER) or _embed(service, asked, request.url.path)

    return router


def unknown_model(path: str, name: str, *known: str) -> Response | None:
    """What is said when a model is asked for that is not here; None when it is."""
    if name in known:
        return None
    return problem(path, 404, f"There is no model '{name[:100]}' here.", f"Use: {', '.join(known)}.")


def _embed(service: Service, asked: EmbeddingRequest, path: str) -> Embeddings | Response:
    for _ in service.loading(with_model=False):
        pass
    embedder, texts = service.embedder(), [asked.input] if isinstance(asked.input, str) else asked.input
    if asked.dimensions not in (None, embedder.dimension):
        return problem(path, 400, f"dimensions: a vector has {embedder.dimension} numbers.", "Leave it out.")
    sizes = [embedder.count_tokens(text) if text.strip() else 0 for text in texts]
    for number, size in enumerate(sizes):
        if not 0 < size <= embedder.max_tokens:
            told = f"has {size} tokens" if size else "is empty"
            return problem(path, 400, f"input {number} {told}; 1 to {embedder.max_tokens} tokens are read.", "Cut it.")
    vectors = [np.asarray(embedding.vector, "<f4") for embedding in embedder.embed(texts)]
    as_text = asked.encoding_format == "base64"
    data = [
        EmbeddingForm(index=n, embedding=base64.b64encode(v.tobytes()).decode() if as_text else v.tolist())
        for n, v in enumerate(vectors)
    ]
    total = sum(sizes)
    return Embeddings(data=data, model=asked.model, usage={"prompt_tokens": total, "total_tokens": total})
