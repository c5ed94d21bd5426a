"""What was handed over and is not durable yet: a bounded first-in first-out queue with one reader, the writer.

The reader looks at the head, writes it, and only then drops it, so the bound counts everything in memory, and
nobody misses an item between the queue and the database. Jobs (an erasure, a flush) keep their place in the order.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from monitoring.record import Event, Record

Job = Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose query it was: the API key's name, and the session; None where the request had none."""

    key_id: str | None
    session: str | None


@dataclass(frozen=True, slots=True, eq=False)
class Pending:
    """One item and who waits for it, if anyone does. ``since`` is monotonic seconds."""

    what: Record | Event | Job
    waiter: Future[Any] | None = None
    since: float = field(default_factory=time.monotonic)

    @property
    def is_job(self) -> bool:
        """Whether it runs alone, after all that came before it."""
        return not isinstance(self.what, (Record, Event))


class Backlog:
    """Up to ``capacity`` records and events; jobs always find room, for who sends one waits for it."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._queue: deque[Pending] = deque()
        self._owners: dict[str, Owner] = {}
        self._changed = threading.Condition()
        self._wanted = 1  # how many items wake the reader
        self._closed = False
        self._lost = 0

    def __len__(self) -> int:
        return len(self._queue)

    @property
    def lost(self) -> int:
        """Observed, and never to be in the store. Exact."""
        with self._changed:
            return self._lost

    @property
    def lag_s(self) -> float:
        """For how long the oldest item has waited; 0 when all is durable."""
        with self._changed:
            return time.monotonic() - self._queue[0].since if self._queue else 0.0

    def put(self, pending: Pending) -> bool:
        """Take it, or not: full, or closed. An item not taken is lost here and now, unless somebody waits for it."""
        with self._changed:
            full = len(self._queue) >= self._capacity and not pending.is_job
            if full or self._closed:
                self._lost += pending.waiter is None
                return False
            self._queue.append(pending)
            if isinstance(pending.what, Record) and pending.what.query_id is not None:
                self._owners[pending.what.query_id] = Owner(pending.what.key_id, pending.what.session)
            if len(self._queue) >= self._wanted or pending.is_job:
                self._changed.notify_all()
            return True

    def owner_of(self, query_id: str) -> Owner | None:
        """Of a query whose record waits here."""
        with self._changed:
            return self._owners.get(query_id)

    def head(self, limit: int, linger_s: float) -> list[Pending]:
        """Wait for work; the first items, up to ``limit``, or one job. Empty: closed, and all is done.

        After the first item, up to ``linger_s`` pass so that more can share its commit.
        """
        with self._changed:
            self._wait(1, None)
            self._wait(limit, linger_s)
            if self._queue and self._queue[0].is_job:
                return [self._queue[0]]
            batch = list(islice(self._queue, limit))
        return batch[: next((place for place, pending in enumerate(batch) if pending.is_job), limit)]

    def _wait(self, wanted: int, timeout_s: float | None) -> None:
        def enough() -> bool:
            return self._closed or len(self._queue) >= wanted or bool(self._queue and self._queue[0].is_job)

        self._wanted = wanted
        self._changed.wait_for(enough, timeout_s)
        self._wanted = 1

    def drop(self, count: int, *, lost: bool = False) -> None:
        """Forget the first ``count`` items: written, or given up."""
        with self._changed:
            for _ in range(count):
                self._forget(self._queue.popleft(), lost=lost)

    def give_up(self, before: float) -> list[Future[Any]]:
        """Forget the items that somebody has waited for since before this moment; those who wait are to be told."""
        with self._changed:
            expired = [pending for pending in self._queue if pending.waiter and pending.since < before]
            if expired:
                self._queue = deque(p for p in self._queue if not (p.waiter and p.since < before))
                for pending in expired:
                    self._forget(pending, lost=False)
        return [pending.waiter for pending in expired if pending.waiter]

    def _forget(self, pending: Pending, *, lost: bool) -> None:
        self._lost += lost and pending.waiter is None
        if isinstance(pending.what, Record) and pending.what.query_id is not None:
            self._owners.pop(pending.what.query_id, None)

    def close(self) -> None:
        """Take nothing more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def pause(self, seconds: float) -> bool:
        """Wait, at most until it is closed; whether it is."""
        with self._changed:
            return self._changed.wait_for(lambda: self._closed, seconds)
