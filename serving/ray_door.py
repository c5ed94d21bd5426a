"""The way in on a Ray cluster: a request is read, then put to a replica, and to another one if that dies of it.

Ray Serve finds another replica only for requests that it has not handed out; what a dying one had ends as a 500
(ray-project/ray, issue 47219, and its guide to fault tolerance, which leaves retries to clients). Every request of
ours may be asked twice: hearing and searching change nothing, and an event has an id by which the second is none.
A door holds no model and runs no native code; what kills replicas leaves it alone.
"""

from __future__ import annotations

import logging
import time
from typing import Any

import structlog
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving import headers, logs
from serving.access_log import UNMATCHED
from serving.auth import Access, KeylessMiddleware, authenticate, bearer
from serving.errors import OverloadedError, ServiceError
from serving.linger import LingerMiddleware, has_body
from serving.problems import CatchMiddleware, problem
from serving.ray_metrics import merged
from serving.ray_request import RETRY_S, Asked, Held, largest_body
from serving.settings import Settings

LOG = logging.getLogger(__name__)

TRIES = (
    4  # replicas that a request is put to before it is given up: who kills that many is likely the request
)
BODIES = 8  # of the largest size, that a door holds at once; of clips of some seconds, two thousand
NAME_OF_ID = headers.REQUEST_ID.lower().encode()
METRICS = "/metrics"
GATHER_S = 5.0


class Door:
    """Made by Ray Serve. ``replicas`` is the handle of `serving.ray_replica.Replica`'s deployment."""

    def __init__(self, settings: Settings, replicas: Any) -> None:
        logs.configure(level=settings.log_level, form=settings.log_format)
        self._settings = settings
        self._access = Access.decide(settings.keys, settings.host, settings.insecure)
        self._held = Held(BODIES * largest_body(settings))
        self._replicas = replicas.options(stream=True, method_name="answer")
        self._all = replicas

    def __serve_build_asgi_app__(self) -> ASGIApp:
        """What Ray Serve asks: the door with what stands around every answer of ours, its own refusals included."""

        async def serve(
            scope: Scope, receive: Receive, send: Send
        ) -> None:  # uvicorn takes a method for ASGI 2
            await self._serve(scope, receive, send)

        app: ASGIApp = CatchMiddleware(serve)  # Ray would log what nobody catches, with its message
        allowed = headers.check_origins(self._settings.allowed_origins)
        if self._access.keys is None:
            app = KeylessMiddleware(app, self._access.local, allowed)
        return headers.around(LingerMiddleware(app), allowed)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})  # streams have a way of their own
        else:
            began = time.perf_counter()
            try:
                await self._let_in(scope, receive, send)
            except ServiceError as error:
                log_refusal(scope, error, time.perf_counter() - began)
                await problem(error).response()(scope, receive, send)
            except ClientDisconnect:
                return

    async def _let_in(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read a request and have it answered. Raises ServiceError for one that gets no further."""
        if has_body(Headers(scope=scope)):  # the rest costs nothing, and the app knows what is open to all
            await authenticate(self._access, await bearer(HTTPConnection(scope)))
        async with Asked.reading(named(scope), receive, self._settings, self._held) as asked:
            if scope["path"] == METRICS:
                await self._metrics(asked, scope, receive, send)
            else:
                await self._ask(asked, send)

    async def _ask(self, asked: Asked, send: Send) -> None:
        """Send the answer of the first replica that lives to give one. Raises OverloadedError."""
        from ray.exceptions import RayActorError
        from ray.serve.exceptions import BackPressureError, DeploymentUnavailableError

        for _ in range(TRIES):
            begun = False
            try:
                async for messages in self._replicas.remote(asked):
                    for message in messages:
                        begun = True
                        await send(message)
                return
            except RayActorError:
                if begun:  # half an answer cannot be taken back; the connection ends without its end
                    raise
                LOG.warning("a replica died, another is asked")
            except (BackPressureError, DeploymentUnavailableError):
                break
        raise OverloadedError("No replica could answer; try again.", RETRY_S)

    async def _metrics(self, asked: Asked, scope: Scope, receive: Receive, send: Send) -> None:
        """What one replica answers, which asks for the key, and if that is yes, the metrics of all."""
        answer: list[Message] = []

        async def keep(message: Message) -> None:
            answer.append(message)

        await self._ask(asked, keep)
        if answer[0]["status"] == 200:
            told = await self._all.broadcast("exposition").results_async(
                timeout_s=GATHER_S, return_exceptions=True
            )
            found = dict(each for each in told if not isinstance(each, BaseException))
            kind = next(value for name, value in answer[0]["headers"] if name.lower() == b"content-type")
            await Response(merged(found, len(told)), media_type=kind.decode())(scope, receive, send)
            return
        for message in answer:
            await send(message)


def named(scope: Scope) -> Scope:
    """``scope`` with the id of its request as a header: the replica's lines in the log and its answer are under it."""
    request_id = scope["state"]["request_id"].encode()
    others = [(name, value) for name, value in scope["headers"] if name != NAME_OF_ID]
    return {**scope, "headers": [*others, (NAME_OF_ID, request_id)]}


def log_refusal(scope: Scope, error: ServiceError, took_s: float) -> None:
    """The line of a request that no replica has seen, as `serving.access_log` writes those of the others."""
    structlog.get_logger().info(
        "request",
        request_id=scope["state"]["request_id"],
        route=UNMATCHED,
        method=scope["method"],
        status=problem(error).status,
        duration_ms=round(1_000 * took_s, 1),
    )


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
