"""Counts of this process, out of memory into the store, each exactly once, whenever the store can take them."""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Callable, Sequence

from monitoring.counts.rollup import Delta
from monitoring.counts.tally import Tally

MOST = 500  # flushes that wait for the store: four hours of one every 30 s


class Flusher:
    """Drains a tally into the store. What the store would not take is kept, and tried again under the same name."""

    def __init__(self, tally: Tally, add: Callable[[Sequence[Delta], str], None]) -> None:
        """``add``: as ``EventStore.add_rollups``."""
        self._tally, self._add = tally, add
        self._waiting: deque[tuple[str, list[Delta]]] = deque()
        self.lost = 0  # requests whose counts found no room; their records are in the store's own backlog

    @property
    def oldest_us(self) -> int | None:
        """The first minute that the store lacks; None: it has all."""
        return min((deltas[0][0].minute_us for _, deltas in self._waiting), default=None)

    @property
    def waiting(self) -> int:
        """How many requests are counted, and not in the store. From any thread."""
        return sum(rollup.counts["requests"] for _, deltas in self._waiting.copy() for _, rollup in deltas)

    def drain(self) -> list[Delta]:
        """What was counted since the last time; it waits to be written."""
        deltas = self._tally.drain()
        if deltas:
            if len(self._waiting) >= MOST:
                _, dropped = self._waiting.popleft()
                self.lost += sum(rollup.counts["requests"] for _, rollup in dropped)
            self._waiting.append((uuid.uuid4().hex, deltas))
        return deltas

    def flush(self) -> None:
        """Write what waits, oldest first. Raises StoreUnavailableError; what was not written waits on."""
        while self._waiting:
            writer, deltas = self._waiting[0]
            self._add(deltas, writer)
            self._waiting.popleft()
