"""The service, composed: settings in, an ASGI app out. Everything it composes stands in a file of its own."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from fastapi import FastAPI

from asr.commands.command import version
from monitoring.record import Observer
from monitoring.store import EventStore
from serving import access_log, auth, docs, events, headers, health, pages, problems, voice_search
from serving.auth import Access
from serving.engine import Engine
from serving.jobs import WorkerSpec
from serving.linger import LingerMiddleware
from serving.queries import Queries
from serving.rates import RateLimit, RateLimiter
from serving.services import Services
from serving.settings import Settings

STORE_FILE = "events.sqlite3"


def create_app(settings: Settings, observers: Sequence[Observer] = ()) -> FastAPI:
    """The app. It loads the model when it starts, and finishes what it accepted when it stops.

    Raises ExposureError and OptionError for settings under which it may not be started.
    """
    access = Access.decide(settings.keys, settings.host, settings.insecure)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            app.state.services = await _services(settings, observers, stack)
            yield

    app = FastAPI(title="voicesearch", version=version(), lifespan=lifespan, docs_url=None, redoc_url=None)
    for module in (health, voice_search, events, docs, pages):
        app.include_router(module.router)
    problems.install(app)
    auth.install(app, access, settings.allowed_origins)
    app.add_middleware(LingerMiddleware)
    app.add_middleware(access_log.AccessLogMiddleware)
    headers.install(app, settings.allowed_origins)
    return app


async def _services(settings: Settings, observers: Sequence[Observer], stack: AsyncExitStack) -> Services:
    """Everything that the routes share, started; ``stack`` stops it, the engine first."""
    store = await asyncio.to_thread(EventStore.open, _store_url(settings, stack))
    stack.push_async_callback(asyncio.to_thread, store.close)
    spec = WorkerSpec(settings.model, settings.device)
    engine = await Engine.start(spec, settings.workers, settings.latency_budget_ms / 1000)
    stack.push_async_callback(engine.close, settings.drain_s)
    return Services(
        settings,
        engine,
        Queries(),
        _rates(settings),
        store,
        index=None,
        observers=tuple(observers),
    )


def _store_url(settings: Settings, stack: AsyncExitStack) -> str:
    if settings.store is not None:
        return settings.store
    folder = settings.state_folder
    if folder is None:  # kept as long as the process
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="voicesearch-")))
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return f"sqlite:///{folder / STORE_FILE}"


def _rates(settings: Settings) -> RateLimiter:
    a_minute = settings.audio_s_per_minute
    return RateLimiter(RateLimit(capacity_s=max(a_minute, 1.0), refill_per_s=a_minute / 60.0))
