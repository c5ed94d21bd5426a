"""The service, composed: settings in, an ASGI app out. Everything it composes stands in a file of its own."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from anyio import CapacityLimiter
from fastapi import FastAPI

from asr.commands.command import version
from asr.errors import AsrError
from monitoring.errors import MonitoringError
from monitoring.metrics import Metrics
from monitoring.record import Observer
from monitoring.store import EventStore
from serving import (
    docs,
    events,
    exposition,
    health,
    middleware,
    models,
    pages,
    retention,
    stream,
    transcriptions,
    voice_search,
    wyoming,
)
from serving.auth import Access
from serving.engine import Engine
from serving.jobs import WorkerSpec
from serving.queries import Queries
from serving.rates import RateLimit, RateLimiter
from serving.services import Services
from serving.settings import Settings
from serving.streams import Streams

STORE_FILE = "events.sqlite3"


def create_app(settings: Settings, observers: Sequence[Observer] = ()) -> FastAPI:
    """The app. It loads the model when it starts, and finishes what it accepted when it stops.

    Raises ExposureError and OptionError for settings under which it may not be started.
    """
    access = Access.decide(settings.keys, settings.host, settings.insecure)
    wyoming.check_exposure(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            try:
                app.state.services = await _services(settings, metrics, observers, stack)
            except (AsrError, MonitoringError) as error:
                app.state.failure = error  # for whoever started the server: uvicorn only logs it
                raise
            async with wyoming.listening(app.state.services) as app.state.wyoming:
                yield

    app = FastAPI(title="voicesearch", version=version(), lifespan=lifespan, docs_url=None, redoc_url=None)
    for module in (health, models, transcriptions, voice_search, events, stream, docs, pages):
        app.include_router(module.router)
    metrics = exposition.install(app)
    middleware.install(app, access, settings.allowed_origins)
    return app


async def _services(
    settings: Settings, metrics: Metrics, observers: Sequence[Observer], stack: AsyncExitStack
) -> Services:
    """Everything that the routes share, started; ``stack`` stops it, the engine first."""
    store = await asyncio.to_thread(EventStore.open, _store_url(settings, stack))
    stack.push_async_callback(asyncio.to_thread, store.close)
    spec = WorkerSpec(settings.model, settings.device)
    engine = await Engine.start(spec, settings.workers, settings.latency_budget_ms / 1000, metrics)
    stack.push_async_callback(engine.close, settings.drain_s)
    streams = Streams(settings.max_streams)
    stack.push_async_callback(streams.close, 0.0)  # under `serving.listening` all have finished by now
    audio = retention.store(settings.state_folder, settings.retain_audio_days)
    if audio is not None:
        purging = asyncio.create_task(retention.purging(audio))
        stack.callback(purging.cancel)
    return Services(
        settings,
        engine,
        Queries(),
        _rates(settings),
        CapacityLimiter(settings.workers),
        streams,
        store,
        audio,
        index=None,
        observers=(metrics.observe, *observers),
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
