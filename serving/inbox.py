"""What one client has sent and nobody has heard yet: bounded, so that a fast sender waits in TCP, not in our memory."""

from __future__ import annotations

import asyncio
from collections import deque

from serving.errors import TooLargeError

MAX_MESSAGE = 256 << 10  # bytes: 8 s of 16 kHz PCM16, 2.7 s of 48 kHz; a list of 500 hotwords fits as well
MAX_WAITING = 256 << 10  # bytes that wait before the next message is let in: so twice this much at most
JOINED = 16 << 10  # bytes: half a second of 16 kHz, which costs hardly more steps than one frame of 20 ms
OVERHEAD = 128  # bytes that even an empty message costs: there could be millions


class Inbox:
    """Messages in order. One task puts, one gets, both on one event loop."""

    def __init__(self) -> None:
        self._messages: deque[str | bytes] = deque()
        self._changed = asyncio.Condition()
        self._end: Exception | None = None
        self._waiting = 0  # bytes
        self.audio_bytes = 0  # that wait; other threads may look

    async def put(self, message: str | bytes) -> None:
        """Wait until there is room. What comes after the end is dropped. Raises TooLargeError."""
        if len(message) > MAX_MESSAGE:
            raise TooLargeError(
                f"A message of {len(message)} bytes; the limit is {MAX_MESSAGE}. Send audio in pieces of 20 to 200 ms.",
                code="message_too_large",
            )
        async with self._changed:
            await self._changed.wait_for(lambda: self._end is not None or self._waiting < MAX_WAITING)
            if self._end is not None:
                return
            self._messages.append(message)
            self._count(message, 1)
            self._changed.notify_all()

    async def end(self, why: Exception) -> None:
        """Nothing more comes. The first reason counts."""
        async with self._changed:
            self._end = self._end or why
            self._changed.notify_all()

    async def get(self) -> str | bytes:
        """The next message, audio with some of what waits behind it: who is late hears in fewer steps.

        Behind the last one, raises what the inbox was ended with.
        """
        async with self._changed:
            await self._changed.wait_for(lambda: self._messages or self._end is not None)
            if not self._messages:
                assert self._end is not None
                raise self._end
            taken = self._take()
            while isinstance(taken, bytes) and len(taken) < JOINED and self._messages:
                if not isinstance(self._messages[0], bytes):
                    break
                taken += self._messages[0]
                self._take()
            self._changed.notify_all()
            return taken

    def _take(self) -> str | bytes:
        message = self._messages.popleft()
        self._count(message, -1)
        return message

    def _count(self, message: str | bytes, sign: int) -> None:
        self._waiting += sign * (len(message) + OVERHEAD)
        if isinstance(message, bytes):
            self.audio_bytes += sign * len(message)
