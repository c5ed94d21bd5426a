"""``GET /metrics`` for Prometheus, and what the server measures of itself: requests by route, and how many at once."""

from __future__ import annotations

import time
from collections.abc import Callable

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from monitoring.metrics import Metrics
from serving import keys
from serving.access_log import NOT_ANSWERED, UNMATCHED
from serving.auth import require
from serving.documented import refusals
from serving.services import Services, Shared

router = APIRouter(tags=["health"])


@router.get(
    "/metrics",
    response_class=Response,
    dependencies=[Depends(require(keys.Scope.REVIEW))],
    responses={200: {"content": {CONTENT_TYPE_LATEST: {}}}, **refusals(401, 403)},
)
async def metrics(request: Request, services: Shared) -> Response:
    """All metrics, in Prometheus' text format. With API keys, one with the scope review is needed."""
    scheduler = services.engine.scheduler
    measured: Metrics = request.app.state.metrics
    measured.set_queue(scheduler.queued)
    return Response(generate_latest(request.app.state.registry), media_type=CONTENT_TYPE_LATEST)


class StoreOf:
    """What the event store of an app says of itself; there is none before it has started."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app

    @property
    def lost(self) -> int:
        """Records and events that are lost."""
        services = self._services
        return 0 if services is None else services.store.lost

    @property
    def lag_s(self) -> float:
        """Seconds that the oldest one has waited."""
        services = self._services
        return 0.0 if services is None else services.store.lag_s

    @property
    def _services(self) -> Services | None:
        return getattr(self._app.state, "services", None)


class MeasuringMiddleware:
    """Times every request by the template of its route: a path would make a series of each."""

    def __init__(
        self, app: ASGIApp, metrics: Metrics, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.app = app
        self.metrics = metrics
        self.clock = clock
        self.inflight = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = self.clock(), NOT_ANSWERED

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        self._now(+1)
        try:
            await self.app(scope, receive, watch)
        except Exception:
            status = 500
            raise
        finally:
            self._now(-1)
            route = getattr(scope.get("route"), "path", UNMATCHED)
            self.metrics.request(route, status, self.clock() - started)

    def _now(self, change: int) -> None:
        self.inflight += change
        self.metrics.set_inflight(self.inflight)


def install(app: FastAPI) -> Metrics:
    """Metrics of ``app`` in a registry of its own, and the route that shows them."""
    app.state.registry = CollectorRegistry()
    app.state.metrics = Metrics(app.state.registry, StoreOf(app))
    app.include_router(router)
    measured: Metrics = app.state.metrics
    return measured
