"""uvicorn's HTTP over httptools, with an end to waiting: the head of a request has a time and a size.

    uvicorn.Config(app, http=bounded_protocol(HeadLimits()), log_config=None, access_log=False)

uvicorn by itself waits for ever for a request that never starts or whose headers drip (slow loris), and httptools
collects headers of any size. `serving.uploads` bounds bodies; this bounds what comes before one, and what may come
after a body nobody wanted. A request that is being answered, and a WebSocket, may take as long as it takes.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


@dataclass(frozen=True, slots=True)
class HeadLimits:
    """Of one request's line and headers: seconds from the connection or the first byte, and bytes."""

    seconds: float = 10.0
    bytes: int = 64 << 10  # as h11's


def bounded_protocol(limits: HeadLimits) -> type[HttpToolsProtocol]:
    """The protocol class with these limits: uvicorn makes one object of it for each connection."""

    class BoundedProtocol(HttpToolsProtocol):
        """Closes the connection without a word: there is no request yet that could be answered."""

        _deadline: asyncio.TimerHandle | None = None
        _head_bytes = 0

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
            super().connection_made(transport)
            self._await_head()

        def data_received(self, data: bytes) -> None:
            if self._deadline is None and (self.cycle is None or self.cycle.response_complete):
                self._await_head()
            self._head_bytes += len(data)
            super().data_received(data)
            if self._deadline is not None and self._head_bytes > limits.bytes:
                self._give_up()

        def on_headers_complete(self) -> None:
            self._head_has_come()
            super().on_headers_complete()

        def connection_lost(self, exc: Exception | None) -> None:
            self._head_has_come()
            super().connection_lost(exc)

        def _await_head(self) -> None:
            self._head_bytes = 0
            self._deadline = self.loop.call_later(limits.seconds, self._give_up)

        def _head_has_come(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()
                self._deadline = None

        def _give_up(self) -> None:
            self._head_has_come()
            self.transport.abort()

    return BoundedProtocol
