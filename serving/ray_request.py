"""An HTTP request as a value: it can be sent to another process, and again to the next when that one dies.

The body is read whole and within limits first; it could not be read twice from a client. The answer is not held: its
ASGI messages are passed on as they come.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope

from serving.errors import SlowUploadError, TooLargeError
from serving.settings import Settings

# Besides the file: other fields, names and boundaries of parts. The app itself is exact about each.
AROUND_BYTES = 1 << 20
PARTS = (
    "method",
    "path",
    "raw_path",
    "query_string",
    "headers",
    "scheme",
    "http_version",
    "client",
    "server",
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: the parts of its ASGI scope that can travel, and its body, which ``repr`` does not show."""

    scope: dict[str, Any]
    body: bytes = field(repr=False)

    @classmethod
    async def read(cls, scope: Scope, receive: Receive, settings: Settings) -> Asked:
        """All of a request. Raises TooLargeError, SlowUploadError and ClientDisconnect."""
        most = settings.max_upload_bytes + AROUND_BYTES
        body = bytearray()
        try:
            async with asyncio.timeout(settings.upload_timeout_s):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ClientDisconnect
                    body += message.get("body", b"")
                    if len(body) > most:
                        raise TooLargeError(
                            f"The body is over the limit of {settings.max_upload_bytes} bytes."
                        )
                    if not message.get("more_body", False):
                        break
        except TimeoutError:
            raise SlowUploadError(
                f"The upload took longer than {settings.upload_timeout_s:g} s: send it in one go"
            ) from None
        parts = {name: scope[name] for name in PARTS if name in scope}
        parts["headers"] = [(bytes(name), bytes(value)) for name, value in parts["headers"]]
        return cls(parts, bytes(body))


async def answered(app: ASGIApp, asked: Asked) -> AsyncIterator[list[Message]]:
    """What ``app`` sends in answer, the first message with the second: few answers have a third.

    Raises what the app raises. Whoever stops listening cancels it.
    """
    messages: asyncio.Queue[Message] = asyncio.Queue()
    body: list[Message] = [{"type": "http.request", "body": asked.body, "more_body": False}]

    async def receive() -> Message:
        if body:
            return body.pop()
        await asyncio.Event().wait()  # for a client that hangs up: then this is cancelled, with all of it
        raise AssertionError

    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "root_path": "",
        **asked.scope,
    }
    working = asyncio.ensure_future(app(scope, receive, messages.put))
    try:
        over = False
        while not over:
            batch = [await _next(messages, working)]
            if batch[0]["type"] == "http.response.start":
                batch.append(await _next(messages, working))
            while not messages.empty():
                batch.append(messages.get_nowait())
            over = batch[-1]["type"] == "http.response.body" and not batch[-1].get("more_body", False)
            yield batch
        await working  # what it does behind its answer, such as its line in the log
    finally:
        working.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await working


async def _next(messages: asyncio.Queue[Message], working: asyncio.Future[None]) -> Message:
    """The next message, or what ended the app before it had one."""
    if messages.empty() and not working.done():
        coming = asyncio.ensure_future(messages.get())
        try:
            await asyncio.wait((coming, working), return_when=asyncio.FIRST_COMPLETED)
            if coming.done():
                return coming.result()
        finally:
            coming.cancel()
    if messages.empty():
        working.result()
        raise RuntimeError("the app ended without an answer")
    return messages.get_nowait()
