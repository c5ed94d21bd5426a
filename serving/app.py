"""The service, composed: settings in, an ASGI app out. Everything it composes stands in a file of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from anyio import CapacityLimiter
from fastapi import FastAPI

from asr.commands.command import version
from monitoring.record import Observer
from serving import auth, documented, headers, health, models, problems, retention, transcriptions
from serving.auth import Access
from serving.engine import Engine
from serving.jobs import WorkerSpec
from serving.linger import LingerMiddleware
from serving.queries import Queries
from serving.rates import RateLimit, RateLimiter
from serving.sandbox import Sandbox
from serving.services import Services
from serving.settings import Settings


def create_app(settings: Settings, observers: Sequence[Observer] = ()) -> FastAPI:
    """The app. It loads the model when it starts, and finishes what it accepted when it stops.

    Raises ExposureError and OptionError for settings under which it may not be started.
    """
    access = Access.decide(settings.keys, settings.host, settings.insecure)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        spec = WorkerSpec(settings.model, settings.device)
        engine = await Engine.start(spec, settings.workers, settings.latency_budget_ms / 1000)
        sandbox = Sandbox()
        audio = retention.store(settings.state_folder, settings.retain_audio_days)
        app.state.services = Services(
            settings,
            engine,
            Queries(),
            _rates(settings),
            CapacityLimiter(settings.workers),
            sandbox,
            audio,
            tuple(observers),
        )
        purging = None if audio is None else asyncio.create_task(retention.purging(audio))
        try:
            yield
        finally:
            if purging is not None:
                purging.cancel()
            await engine.close(settings.drain_s)
            sandbox.close()

    app = FastAPI(title="voicesearch", version=version(), lifespan=lifespan, docs_url=None, redoc_url=None)
    for router in (health.router, models.router, transcriptions.router):
        app.include_router(router)
    documented.install(app)
    problems.install(app)
    auth.install(app, access, settings.allowed_origins)
    app.add_middleware(LingerMiddleware)
    headers.install(app, settings.allowed_origins)
    return app


def _rates(settings: Settings) -> RateLimiter:
    a_minute = settings.audio_s_per_minute
    return RateLimiter(RateLimit(capacity_s=max(a_minute, 1.0), refill_per_s=a_minute / 60.0))
