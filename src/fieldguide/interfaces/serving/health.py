"""Is it alive, is it ready, what has it done: for whoever keeps it running."""

from typing import Any

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from fieldguide.interfaces.serving.metrics import CONTENT_TYPE
from fieldguide.interfaces.serving.service import Service

_TEXT = {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}


def health(service: Service) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["Operation"])

    @router.get("/healthz")
    def alive() -> dict[str, str]:
        """This process serves."""
        return {"status": "ok"}

    @router.get("/readyz", responses={503: {"description": "Not yet, or not any more."}})
    def ready() -> Response:
        """A question would be answered without loading anything first."""
        if service.is_ending:
            status = "ending"
        elif service.is_ready:
            return JSONResponse({"status": "ready"})
        else:
            status = "failed" if service.failure else "loading"
        told: dict[str, Any] = {"status": status, "loading": [loading.what for loading in service.still_loading]}
        return JSONResponse(told, 503)

    @router.get("/metrics", responses=_TEXT)  # type: ignore[arg-type]
    def metrics() -> Response:
        """Counters for Prometheus."""
        return Response(service.metrics.text(), media_type=CONTENT_TYPE)

    return router
