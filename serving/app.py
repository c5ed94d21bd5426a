"""The service, composed: settings in, an ASGI app out. Everything it composes stands in a file of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI

from asr.commands.command import version
from asr.errors import AsrError
from monitoring.errors import MonitoringError
from monitoring.record import Observer
from serving import (
    docs,
    documented,
    erasure,
    events,
    exposition,
    health,
    middleware,
    models,
    monitor,
    pages,
    startup,
    stream,
    transcriptions,
    voice_search,
    wyoming,
)
from serving.auth import Access
from serving.settings import Settings


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
                app.state.services = await startup.start(settings, metrics, observers, stack)
            except (AsrError, MonitoringError) as error:
                app.state.failure = error  # for whoever started the server: uvicorn only logs it
                raise
            async with wyoming.listening(app.state.services) as app.state.wyoming:
                yield

    app = FastAPI(title="voicesearch", version=version(), lifespan=lifespan, docs_url=None, redoc_url=None)
    for module in (health, models, transcriptions, voice_search, events, stream, docs, pages):
        app.include_router(module.router)
    erasure.install(app)
    monitor.install(app)
    documented.install(app)
    metrics = exposition.install(app)
    middleware.install(app, access, metrics, settings.allowed_origins)
    return app
