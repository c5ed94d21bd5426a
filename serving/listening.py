"""uvicorn, as this service wants it: streams get their finals before a shutdown cuts their sockets.

uvicorn's own shutdown closes every WebSocket at once, and calls the app's lifespan only after that: too late for
whoever has just stopped speaking. So the streams are asked to finish first.
"""

from __future__ import annotations

import socket
from typing import Any

import uvicorn
from fastapi import FastAPI

from serving.inbox import MAX_MESSAGE
from serving.services import Services
from serving.settings import Settings

# More than the app takes: it can then say itself that a message is too long; far beyond, the bare 1009 has to do.
# PCM hardly compresses, and a compressed frame could be a bomb: no deflate.
WEBSOCKET: dict[str, Any] = {"ws_max_size": 4 * MAX_MESSAGE, "ws_per_message_deflate": False}


class Server(uvicorn.Server):
    """A server of `serving.app`."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish the open streams, then everything else."""
        app = self.config.app
        assert isinstance(app, FastAPI)
        services: Services | None = getattr(app.state, "services", None)
        if services is not None:
            await services.streams.close(services.settings.drain_s)
        await super().shutdown(sockets)


def server(app: FastAPI, settings: Settings, **options: Any) -> Server:
    """A server that has not started yet; ``options`` are more of uvicorn's."""
    chosen: dict[str, Any] = {
        "host": settings.host,
        "port": settings.port,
        "timeout_graceful_shutdown": max(1, round(settings.drain_s)),
        "log_config": None,
        **WEBSOCKET,
        **options,
    }
    return Server(uvicorn.Config(app, **chosen))
