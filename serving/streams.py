"""Who streams at the moment: a bounded number of seats, a thread for each, and an orderly end for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final, TypeVar, cast

from serving.errors import OverloadedError

T = TypeVar("T")

RETRY_S = 5.0  # a query takes about as long: then a seat is free
RESTART_S = 2.0  # after which another server may answer in our place
_NO_MORE: Final = object()


class ClosingError(OverloadedError):
    """The server is shutting down: what is open is finished, nothing new begins."""

    def __init__(self) -> None:
        super().__init__("The server is shutting down; connect again.", RESTART_S)


class Streams:
    """Seats and threads of one server. Everything but the work itself happens on its event loop."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.closing = False
        self._stops: set[Callable[[], Awaitable[None]]] = set()
        self._emptied = asyncio.Event()
        # As many threads as seats: nobody ever waits for another one's step.
        self._threads = ThreadPoolExecutor(max(limit, 1), thread_name_prefix="stream")

    @property
    def open(self) -> int:
        """Seats that are taken."""
        return len(self._stops)

    @contextmanager
    def seat(self, stop: Callable[[], Awaitable[None]]) -> Iterator[None]:
        """A seat, until the block ends. ``stop`` asks its owner to finish soon. Raises OverloadedError."""
        if self.closing:
            raise ClosingError
        if len(self._stops) >= self.limit:
            raise OverloadedError(
                f"{self.limit} streams are open, which is the limit; try again later", RETRY_S
            )
        self._stops.add(stop)
        try:
            yield
        finally:
            self._stops.discard(stop)
            if not self._stops:
                self._emptied.set()

    async def each(self, steps: Iterator[T]) -> AsyncIterator[T]:
        """What ``steps`` gives, each computed in a thread as it is asked for."""
        while (found := await self.run(lambda: next(steps, _NO_MORE))) is not _NO_MORE:
            yield cast("T", found)

    async def run(self, step: Callable[[], T]) -> T:
        """One step, in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, step)

    async def close(self, timeout_s: float) -> None:
        """Let nobody in any more, ask everybody to finish, and wait so long at most."""
        self.closing = True
        self._emptied.clear()
        for stop in tuple(self._stops):
            await stop()
        if self._stops:
            try:
                await asyncio.wait_for(self._emptied.wait(), timeout_s)
            except TimeoutError:
                return  # a step that hangs keeps its thread, and the interpreter waits for that at its exit
        self._threads.shutdown(wait=False)
