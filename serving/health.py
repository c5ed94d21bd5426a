"""Is the process alive, and is it ready to be sent requests?"""

from __future__ import annotations

from fastapi import APIRouter, Response
from pydantic import BaseModel

from serving.services import Shared

router = APIRouter(tags=["health"])


class Alive(BaseModel):
    """The process answers."""

    status: str = "ok"


class Readiness(BaseModel):
    """Whether requests should be sent here, and what would answer them."""

    status: str
    model: str
    workers_busy: int
    queued: int
    store: str  # answers go on without it, so it does not make the server unready


@router.get("/healthz")
async def alive() -> Alive:
    """Alive: the event loop answers."""
    return Alive()


@router.get("/readyz", responses={503: {"model": Readiness, "description": "shutting down"}})
async def ready(services: Shared, response: Response) -> Readiness:
    """Ready: the model is loaded and warm, and the server is not shutting down."""
    scheduler = services.engine.scheduler
    if scheduler.closing:
        response.status_code = 503
    return Readiness(
        status="shutting down" if scheduler.closing else "ready",
        model=services.model,
        workers_busy=scheduler.busy,
        queued=scheduler.queued,
        store="ok" if services.store.trouble is None else type(services.store.trouble).__name__,
    )
