"""Answers that many ask for at once, made once: a key and a way to make its JSON in, bytes with their tag out.

Ten open dashboards cost one query. What is made is kept for a moment, compressed, at most ``MOST`` of them; who asks
while it is being made waits for that one. An answer that did not change has the same tag, so it need not be sent.
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

FRESH_S = 5.0
MOST = 32
AT_ONCE = 2  # made in threads that others need, too
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


class Answers:
    """The last of them, by key. For one event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._kept: OrderedDict[Hashable, tuple[float, asyncio.Task[Answer]]] = OrderedDict()

    async def get(self, key: Hashable, make: Callable[[], Mapping[str, Any]]) -> Answer:
        """What ``make`` gives, called in a thread, or gave a moment ago for the same key. Raises what it raises."""
        now = self._clock()
        kept = self._kept.get(key)
        if kept is None or kept[0] + FRESH_S <= now or _failed(kept[1]):
            task = asyncio.create_task(self._make(make))
            self._kept[key] = (now, task)
            self._kept.move_to_end(key)
            while len(self._kept) > MOST:
                self._kept.popitem(last=False)
        else:
            task = kept[1]
        return await asyncio.shield(task)  # who leaves does not take it from the others

    async def _make(self, make: Callable[[], Mapping[str, Any]]) -> Answer:
        async with self._turns:
            return await asyncio.to_thread(lambda: Answer.of(make()))


def _failed(task: asyncio.Task[Answer]) -> bool:
    return task.done() and (task.cancelled() or task.exception() is not None)
