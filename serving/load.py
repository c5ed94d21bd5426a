"""Load on a server of one's own: requests over kept connections, closed or at a given rate. Loopback only.

A generator that shares the processor with what it measures must cost little, so requests are bytes made beforehand,
and of the answers only the status line and the length are read. Latency of an open load counts from the moment when a
request was due, not when it could be sent: a server that stalls must not be spared the requests behind it
("coordinated omission").
"""

from __future__ import annotations

import asyncio
import ipaddress
import itertools
import random
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np

from asr.errors import OptionError

REFUSED, DROPPED = 0, -1  # statuses of what was not answered: never connected; sent, and then cut off

BOUNDARY = "voicesearch-load"


class _UnansweredError(Exception):
    """The connection was closed without a byte of an answer."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer: when it was asked for (seconds from the start of the load), how long it took, and its status.

    Status 0 (`REFUSED`): there was no connection to be had. Status -1 (`DROPPED`): the request was sent over a new
    connection, or some of the answer had come, and then the connection was closed or broke.
    """

    at_s: float
    took_s: float
    status: int
    retry_after: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """All answers to one load."""

    replies: tuple[Reply, ...]
    seconds: float

    @property
    def statuses(self) -> dict[int, int]:
        """How many answers of each status; `REFUSED` and `DROPPED` are none."""
        return dict(sorted(Counter(reply.status for reply in self.replies).items()))

    @property
    def answered_per_s(self) -> float:
        """Answers with status 200, per second."""
        return sum(reply.status == 200 for reply in self.replies) / self.seconds

    def latency_ms(self, percentile: float, status: int = 200) -> float:
        """Of the answers of one status; NaN where there are none."""
        took = [reply.took_s for reply in self.replies if reply.status == status]
        return 1000.0 * float(np.percentile(took, percentile)) if took else float("nan")


def multipart(
    path: str, clip: bytes, fields: dict[str, str], host: str = "127.0.0.1", key: str | None = None
) -> bytes:
    """A whole POST request with ``clip`` (a WAV file) and other fields."""
    parts = [
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in fields.items()
    ]
    parts.append(
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="clip.wav"\r\n'
        "Content-Type: audio/wav\r\n\r\n".encode()
    )
    body = b"".join(parts) + clip + f"\r\n--{BOUNDARY}--\r\n".encode()
    head = [
        f"POST {path} HTTP/1.1",
        f"Host: {host}",
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}",
        f"Content-Length: {len(body)}",
    ]
    if key is not None:
        head.append(f"Authorization: Bearer {key}")
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


@dataclass(slots=True)
class Load:
    """Sends ``requests`` in turn to a server on this machine. Raises OptionError for any other."""

    host: str
    port: int
    requests: Sequence[bytes]
    _idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not ipaddress.ip_address(self.host).is_loopback:
            raise OptionError(f"{self.host} is not this machine; load tests go to loopback only")

    async def closed(self, clients: int, seconds: float) -> Report:
        """``clients`` at once, each asking again as soon as it is answered: what the server can do at most."""
        started = time.perf_counter()
        replies: list[Reply] = []
        turns = itertools.cycle(self.requests)

        async def client() -> None:
            while (at := time.perf_counter() - started) < seconds:
                replies.append(await self._ask(next(turns), started, at))

        await asyncio.gather(*(client() for _ in range(clients)))
        took_s = time.perf_counter() - started
        await self._hang_up()
        return Report(tuple(replies), took_s)

    async def open(self, per_s: float, seconds: float, seed: int = 0) -> Report:
        """``per_s`` requests a second at random moments (Poisson), whatever becomes of them."""
        rng = random.Random(seed)
        turns = itertools.cycle(self.requests)
        started = time.perf_counter()
        due_s = 0.0
        asked: list[asyncio.Task[Reply]] = []
        while (due_s := due_s + rng.expovariate(per_s)) < seconds:
            ahead = due_s - (time.perf_counter() - started)
            if ahead > 0.0:
                await asyncio.sleep(ahead)
            asked.append(asyncio.create_task(self._ask(next(turns), started, due_s)))
        replies = tuple(await asyncio.gather(*asked))
        await self._hang_up()
        return Report(replies, seconds)

    async def _ask(self, request: bytes, started: float, at_s: float) -> Reply:
        def reply(status: int, retry_after: bool = False) -> Reply:
            return Reply(at_s, time.perf_counter() - started - at_s, status, retry_after)

        while self._idle:
            # A server may close a kept connection at any moment, also while a request is on its way to it (RFC 9112,
            # 9.3.1): without a byte of an answer nobody has taken that up, and it is sent again.
            with suppress(_UnansweredError):
                return reply(*await self._over(*self._idle.pop(), request))
        try:
            connection = await asyncio.open_connection(self.host, self.port)
        except OSError:
            return reply(REFUSED)
        try:
            return reply(*await self._over(*connection, request))
        except _UnansweredError:
            return reply(DROPPED)

    async def _over(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
    ) -> tuple[int, bool]:
        """The status, and whether there was a Retry-After. Raises _UnansweredError where not a byte came back."""
        try:
            writer.write(request)
            with suppress(OSError):  # the answer may have come before the server hung up
                await writer.drain()
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            writer.close()
            if error.partial:
                return DROPPED, False
            raise _UnansweredError from None
        except OSError:
            writer.close()
            raise _UnansweredError from None
        lines = head.decode("latin-1").lower().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
        try:
            await reader.readexactly(int(headers.get("content-length", "0")))
        except (OSError, asyncio.IncompleteReadError):
            writer.close()
            return DROPPED, False
        if headers.get("connection") == "close":
            writer.close()
        else:
            self._idle.append((reader, writer))
        return int(lines[0].split()[1]), "retry-after" in headers

    async def _hang_up(self) -> None:
        for _, writer in self._idle:
            writer.close()
        self._idle.clear()
