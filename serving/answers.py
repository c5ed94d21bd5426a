"""Answers that many ask for at once, made once: a key and a way to make its JSON in, bytes with their tag out.

Ten open dashboards cost one query. What is made is kept for a moment, compressed, at most ``MOST`` of them; who asks
while it is being made waits for that one. An answer that did not change has the same tag, so it need not be sent.
Who asks for too many different things is told to come back, and what nobody waits for any longer is not made.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from serving.errors import OverloadedError

FRESH_S = 5.0
MOST = 32
AT_ONCE = 2  # made in threads that others need, too
MOST_WAITING = 8  # for their turn: two open dashboards of three questions each, and some
RETRY_S = 5.0
LEVEL = 5  # of compression: 6 and more take twice as long for one part in a hundred


@dataclass(frozen=True, slots=True)
class Answer:
    """A body as JSON and as gzip, and its tag. Weak (RFC 9110, 8.8.1): the same content in either coding."""

    plain: bytes
    packed: bytes
    etag: str

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Answer:
        """Pack it. Takes some milliseconds: in a thread."""
        plain = json.dumps(body, separators=(",", ":"), allow_nan=False).encode()
        tag = hashlib.sha256(plain).hexdigest()[:32]
        return cls(plain, gzip.compress(plain, LEVEL, mtime=0), f'W/"{tag}"')

    def response(self, request: Request) -> Response:
        """The answer, or 304 for a browser that has it."""
        headers = {
            "Cache-Control": "private, no-cache",
            "ETag": self.etag,
            "Vary": "Accept-Encoding, Authorization",
        }
        asked = request.headers.get("if-none-match", "")
        if {tag.strip() for tag in asked.split(",")} & {self.etag, self.etag.removeprefix("W/"), "*"}:
            return Response(status_code=304, headers=headers)
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(
                self.packed, media_type="application/json", headers={**headers, "Content-Encoding": "gzip"}
            )
        return Response(self.plain, media_type="application/json", headers=headers)


@dataclass(slots=True)
class _Making:
    """An answer that waits for its turn, is being made, or is there; and for how many requests."""

    since: float
    task: asyncio.Task[Answer]
    awaiting: int = 0

    @property
    def failed(self) -> bool:
        """Whether there is nothing to give."""
        return self.task.done() and (self.task.cancelled() or self.task.exception() is not None)


class Answers:
    """The last of them, by key. For one event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._waiting: set[asyncio.Task[Answer] | None] = set()  # for their turn; no thread has begun
        self._kept: OrderedDict[Hashable, _Making] = OrderedDict()

    async def get(self, key: Hashable, make: Callable[[], Mapping[str, Any]]) -> Answer:
        """What ``make`` gives, called in a thread, or gave a moment ago for the same key.

        Raises what it raises, and OverloadedError where ``MOST_WAITING`` others wait to be made.
        """
        making = self._kept.get(key)
        if making is None or making.since + FRESH_S <= self._clock() or making.failed:
            making = self._begin(key, make)
        making.awaiting += 1
        try:
            return await asyncio.shield(making.task)  # who leaves does not take it from the others
        finally:
            making.awaiting -= 1
            if making.awaiting == 0 and making.task in self._waiting:
                self._waiting.discard(making.task)
                making.task.cancel()
                if self._kept.get(key) is making:  # or who asks next would wait for what never comes
                    del self._kept[key]

    def _begin(self, key: Hashable, make: Callable[[], Mapping[str, Any]]) -> _Making:
        if len(self._waiting) >= MOST_WAITING:
            raise OverloadedError(
                f"{MOST_WAITING} other questions wait to be answered, the most that may; try again.", RETRY_S
            )
        task = asyncio.create_task(self._make(make))
        self._waiting.add(task)
        making = self._kept[key] = _Making(self._clock(), task)
        self._kept.move_to_end(key)
        while len(self._kept) > MOST:
            self._kept.popitem(last=False)
        return making

    async def _make(self, make: Callable[[], Mapping[str, Any]]) -> Answer:
        async with self._turns:
            self._waiting.discard(asyncio.current_task())
            return await asyncio.to_thread(lambda: Answer.of(make()))
