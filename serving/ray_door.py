"""The way in on a Ray cluster: a request is read, then put to a replica, and to another one if that dies of it.

Ray Serve finds another replica only for requests that it has not handed out; what a dying one had ends as a 500
(ray-project/ray, issue 47219, and its guide to fault tolerance, which leaves retries to clients). Every request of
ours may be asked twice: hearing and searching change nothing, and an event has an id by which the second is none.
A door holds no model and runs no native code; what kills replicas leaves it alone.
"""

from __future__ import annotations

import logging
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving import logs
from serving.errors import OverloadedError, ServiceError
from serving.problems import problem
from serving.ray_metrics import merged
from serving.ray_request import Asked
from serving.settings import Settings

LOG = logging.getLogger(__name__)

TRIES = (
    4  # replicas that a request is put to before it is given up: who kills that many is likely the request
)
RETRY_S = 1.0
METRICS = "/metrics"
GATHER_S = 5.0


class Door:
    """Made by Ray Serve. ``replicas`` is the handle of `serving.ray_replica.Replica`'s deployment."""

    def __init__(self, settings: Settings, replicas: Any) -> None:
        logs.configure(level=settings.log_level, form=settings.log_format)
        self._settings = settings
        self._replicas = replicas.options(stream=True, method_name="answer")
        self._all = replicas

    def __serve_build_asgi_app__(self) -> ASGIApp:
        """What Ray Serve asks."""

        async def serve(
            scope: Scope, receive: Receive, send: Send
        ) -> None:  # uvicorn takes a method for ASGI 2
            await self._serve(scope, receive, send)

        return serve

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})  # streams have a way of their own
        else:
            try:
                asked = await Asked.read(scope, receive, self._settings)
                if scope["path"] == METRICS:
                    await self._metrics(asked, scope, receive, send)
                else:
                    await self._ask(asked, send)
            except ServiceError as error:
                await problem(error).response()(scope, receive, send)
            except ClientDisconnect:
                return

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
            await Response(merged(found), media_type=kind.decode())(scope, receive, send)
            return
        for message in answer:
            await send(message)


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
