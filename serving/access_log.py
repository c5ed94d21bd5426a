"""One line a request when it has been answered: the route's template, never the path that was asked for.

A route adds what it knows with `annotate`: ``annotate(request, model=..., audio_s=..., null_reason=...)``.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import structlog
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

STATE = "log"
UNMATCHED = "unmatched"
SWITCHING_PROTOCOLS = 101  # what an accepted WebSocket was answered
NOT_ANSWERED = 499  # the client left, or the stream was never accepted


def annotate(connection: HTTPConnection, **fields: str | float | None) -> None:
    """Fields of `serving.log_fields` for this request's line, in addition to those that every line has."""
    connection.scope.setdefault("state", {}).setdefault(STATE, {}).update(fields)


class AccessLogMiddleware:
    """Logs ``request`` once for each, with its id bound to everything that is logged while it is answered."""

    def __init__(self, app: ASGIApp, clock: Callable[[], float] = time.perf_counter) -> None:
        self.app = app
        self.clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        started = self.clock()
        status, received, ended = NOT_ANSWERED, 0, None

        async def count() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body") or message.get("bytes") or b"")
            return message

        async def watch(message: Message) -> None:
            nonlocal status, ended
            if message["type"] == "websocket.accept":
                status = SWITCHING_PROTOCOLS
            elif message["type"] in ("http.response.start", "websocket.http.response.start"):
                status = message["status"]
            elif message["type"] == "http.response.body" and not message.get("more_body", False):
                ended = self.clock()  # what is done after the answer is nobody's waiting time
            await send(message)

        state = scope.setdefault("state", {})
        with structlog.contextvars.bound_contextvars(request_id=state.get("request_id")):
            try:
                await self.app(scope, count, watch)
            except Exception:
                status = 500
                raise
            finally:
                principal = state.get("principal")
                line = {
                    **state.get(STATE, {}),
                    "route": getattr(scope.get("route"), "path", UNMATCHED),
                    "method": "WEBSOCKET" if scope["type"] == "websocket" else scope["method"],
                    "status": status,
                    "duration_ms": round(1_000 * ((ended or self.clock()) - started), 1),
                    "bytes": received,
                    "key_id": None if principal is None else principal.key_id,
                }
                failed = status >= 500 and status != 503  # being full is no error of the program's
                structlog.get_logger().log(logging.ERROR if failed else logging.INFO, "request", **line)
