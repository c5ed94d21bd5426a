"""An HTTP request as a value: it can be sent to another process, and again to the next when that one dies.

The body is read whole and within limits first; it could not be read twice from a client. The answer is not held: its
ASGI messages are passed on as they come.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope

from serving.errors import OverloadedError, SlowUploadError, TooLargeError
from serving.settings import Settings

LOG = logging.getLogger(__name__)

RETRY_S = 1.0  # what who was refused for want of room is told to wait
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


def largest_body(settings: Settings) -> int:
    """Bytes that a body may have."""
    return settings.max_upload_bytes + AROUND_BYTES


class Held:
    """The bytes of all bodies that this process holds at once, which ``most`` bounds."""

    def __init__(self, most: int) -> None:
        self.most, self.bytes = most, 0

    def take(self, count: int) -> None:
        """So many more. Raises OverloadedError."""
        if self.bytes + count > self.most:
            raise OverloadedError("Too much is being uploaded; try again.", RETRY_S)
        self.bytes += count

    def give_back(self, count: int) -> None:
        """So many less."""
        self.bytes -= count


class AnswerError(RuntimeError):
    """The app failed at a request. Bare of what it failed at."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request: the parts of its ASGI scope that can travel, and its body, which ``repr`` does not show."""

    scope: dict[str, Any]
    body: bytes = field(repr=False)

    @classmethod
    @asynccontextmanager
    async def reading(
        cls, scope: Scope, receive: Receive, settings: Settings, held: Held
    ) -> AsyncIterator[Asked]:
        """All of a request, whose body counts as ``held`` to the end of ``async with``.

        Raises TooLargeError, SlowUploadError, OverloadedError and ClientDisconnect.
        """
        pieces: list[bytes] = []
        taken = 0
        try:
            async for piece in _pieces(scope, receive, settings):
                held.take(len(piece))
                taken += len(piece)
                pieces.append(piece)
            body = b"".join(pieces)
            pieces.clear()
            parts = {name: scope[name] for name in PARTS if name in scope}
            parts["headers"] = [(bytes(name), bytes(value)) for name, value in parts["headers"]]
            yield cls(parts, body)
        finally:
            held.give_back(taken)


async def _pieces(scope: Scope, receive: Receive, settings: Settings) -> AsyncIterator[bytes]:
    """The body as it comes, as long as it keeps to the limits (those of `serving.uploads`)."""
    most = largest_body(settings)
    too_large = TooLargeError(f"The body is over the limit of {settings.max_upload_bytes} bytes.")
    announced = Headers(scope=scope).get("content-length", "0")
    if not announced.isdecimal() or int(announced[:20]) > most:
        raise too_large
    received, more = 0, True
    until = time.monotonic() + settings.upload_timeout_s
    while more:
        wait_s = min(settings.upload_stall_s, until - time.monotonic())
        try:
            if wait_s <= 0.0:  # asyncio.timeout alone never ends what never waits
                raise TimeoutError
            async with asyncio.timeout(wait_s):
                message = await receive()
        except TimeoutError:
            raise SlowUploadError(
                f"The upload stalled for {settings.upload_stall_s:g} s or took longer than "
                f"{settings.upload_timeout_s:g} s: send it in one go"
            ) from None
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        piece = message.get("body", b"")
        received += len(piece)
        if received > most:
            raise too_large
        yield piece
        more = message.get("more_body", False)


async def answered(app: ASGIApp, asked: Asked) -> AsyncIterator[list[Message]]:
    """What ``app`` sends in answer, the first message with the second: few answers have a third.

    Raises AnswerError where the app fails: what it raises is in our log alone, for Ray writes messages of errors, which
    may quote what was said, into its own. Whoever stops listening cancels it.
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
    except Exception as error:
        LOG.error("unhandled", exc_info=error)
        raise AnswerError("the app failed at its answer; its log has the reason") from None
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
