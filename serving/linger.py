"""An early answer that arrives: what is left of a refused body is read and thrown away for a moment.

A server that answers 401 or 413 to a body still coming in, and closes, makes the client's system drop the answer:
data for a closed socket is met with a reset, and a reset discards what was received. So the answer is sent whole,
what still comes is discarded for at most `Linger.seconds`, and then the connection is closed. The same is known as
lingering close (nginx's ``lingering_close``, RFC 9112, section 9.6).
"""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LINGER_S = 2.0


class LingerMiddleware:
    """For every answer that is given before the body of its request has come in."""

    def __init__(self, app: ASGIApp, linger_s: float = LINGER_S) -> None:
        self.app = app
        self.linger_s = linger_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not has_body(Headers(scope=scope)):
            await self.app(scope, receive, send)
            return
        coming = True

        async def watch() -> Message:
            nonlocal coming
            message = await receive()
            coming = message["type"] == "http.request" and message.get("more_body", False)
            return message

        async def discard() -> None:
            try:
                async with asyncio.timeout(self.linger_s):
                    while coming:
                        await watch()
            except TimeoutError:
                return  # it had its chance; the connection is closed with the answer's end

        async def answer(message: Message) -> None:
            if not coming:
                await send(message)
            elif message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Connection"] = "close"
                await send(message)
            elif message.get("more_body", False):
                await send(message)
            else:
                await send({**message, "more_body": True})
                await discard()
                await send({"type": "http.response.body"})

        await self.app(scope, watch, answer)


def has_body(headers: Headers) -> bool:
    """Whether these headers announce a body."""
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
