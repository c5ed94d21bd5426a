"""The service, composed: settings in, an ASGI app out. Everything it composes stands in a file of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from fastapi import FastAPI

from asr.commands.command import version
from monitoring.record import Observer
from serving import health
from serving.engine import Engine
from serving.jobs import WorkerSpec
from serving.queries import Queries
from serving.services import Services
from serving.settings import Settings


def create_app(settings: Settings, observers: Sequence[Observer] = ()) -> FastAPI:
    """The app. It loads the model when it starts, and finishes what it accepted when it stops."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        spec = WorkerSpec(settings.model, settings.device)
        engine = await Engine.start(spec, settings.workers, settings.latency_budget_ms / 1000)
        app.state.services = Services(settings, engine, Queries(), tuple(observers))
        try:
            yield
        finally:
            await engine.close(settings.drain_s)

    app = FastAPI(title="voicesearch", version=version(), lifespan=lifespan, docs_url=None, redoc_url=None)
    app.include_router(health.router)
    return app
