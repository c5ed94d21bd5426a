"""uvicorn, as this service wants it: streams get their finals before a shutdown cuts their sockets.

uvicorn's own shutdown closes every WebSocket at once, and calls the app's lifespan only after that: too late for
whoever has just stopped speaking. So the streams are asked to finish first.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

import uvicorn
from fastapi import FastAPI

from serving.connections import HeadLimits, bounded_protocol
from serving.inbox import MAX_MESSAGE
from serving.services import Services
from serving.settings import Settings

# More than the app takes: it can then say itself that a message is too long; far beyond, the bare 1009 has to do.
# PCM hardly compresses, and a compressed frame could be a bomb: no deflate.
WEBSOCKET: dict[str, Any] = {"ws_max_size": 4 * MAX_MESSAGE, "ws_per_message_deflate": False}


OnReady = Callable[[str, int, str], None]  # host, port, model


class Server(uvicorn.Server):
    """A server of `serving.app`. ``on_ready`` is told where it listens, once it does."""

    def __init__(self, config: uvicorn.Config, on_ready: OnReady | None = None) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's, and the news."""
        await super().startup(sockets)
        if self.started and sockets and self._on_ready is not None:
            host, port = sockets[0].getsockname()[:2]
            self._on_ready(host, port, self._services().model)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish the open streams, then everything else."""
        services = self._services()
        ends = (
            time.monotonic() + services.settings.drain_s
        )  # for all of it: who waits for us has a limit, too
        services.engine.scheduler.drain(services.settings.drain_s)  # /readyz says so from here on
        await services.streams.close(services.settings.drain_s)
        self.config.timeout_graceful_shutdown = max(1, round(ends - time.monotonic()))
        await super().shutdown(sockets)

    def _services(self) -> Services:
        app = self.config.app
        assert isinstance(app, FastAPI)
        services: Services = app.state.services
        return services


def server(app: FastAPI, settings: Settings, on_ready: OnReady | None = None, **options: Any) -> Server:
    """A server that has not started yet; ``options`` are more of uvicorn's."""
    chosen: dict[str, Any] = {
        "host": settings.host,
        "port": settings.port,
        "timeout_graceful_shutdown": max(1, round(settings.drain_s)),
        "log_config": None,
        "access_log": False,  # `serving.access_log` writes route templates, never paths
        "server_header": False,
        "http": bounded_protocol(HeadLimits()),
        **WEBSOCKET,
        **options,
    }
    return Server(uvicorn.Config(app, **chosen), on_ready)
