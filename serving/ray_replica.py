"""One replica on a Ray cluster: the app with its model and workers, asked by `serving.ray_door` or over a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator

from fastapi import FastAPI
from prometheus_client import generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving import logs
from serving.app import create_app
from serving.ray_request import Asked, answered
from serving.services import Services
from serving.settings import Settings


class Replica:
    """Made by Ray Serve on some node. Its HTTP side is for streams alone, which cannot be moved to another replica."""

    def __init__(self, settings: Settings) -> None:
        logs.configure(level=settings.log_level, form=settings.log_format)
        self._app: FastAPI = create_app(settings)

    def __serve_build_asgi_app__(self) -> ASGIApp:
        """What Ray Serve starts, asks and stops."""
        return unprefixed(self._app)

    async def answer(self, asked: Asked) -> AsyncIterator[list[Message]]:
        """The answer to a request. If this process dies of it or beside it, another replica can be asked."""
        async for messages in answered(self._app, asked):
            yield messages

    async def exposition(self) -> tuple[str, bytes]:
        """The name of this replica, and its metrics in Prometheus' text format."""
        from ray import serve

        services = self._services()
        self._app.state.metrics.set_queue(services.engine.scheduler.queued)
        return serve.get_replica_context().replica_id.unique_id, generate_latest(self._app.state.registry)

    def check_health(self) -> None:
        """Ray Serve puts another in the place of a replica that raises here."""
        if not self._services().engine.pids:
            raise RuntimeError("no worker process runs")

    def _services(self) -> Services:
        services: Services = self._app.state.services
        return services


def unprefixed(app: ASGIApp) -> ASGIApp:
    """``app`` with whole paths: Ray Serve takes an application's prefix for a root that the app is mounted at."""

    async def whole(scope: Scope, receive: Receive, send: Send) -> None:
        root = scope.get("root_path", "")
        if root:
            path = scope["path"] if scope["path"].startswith(root) else root + scope["path"]
            scope = {**scope, "path": path, "raw_path": path.encode(), "root_path": ""}
        await app(scope, receive, send)

    return whole
