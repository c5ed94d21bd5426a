"""Which queries were answered lately: whose they are, and by which model, so that events can be charged to them."""

from __future__ import annotations

import time
import uuid
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

KEPT = 100_000  # queries; the oldest are forgotten first
KEPT_S = 3_600.0  # an event an hour later says nothing about the answer


@dataclass(frozen=True, slots=True)
class Query:
    """One answered query. ``key_id`` is that of the API key it came with, None without keys."""

    id: str
    key_id: str | None
    model: str
    session: str | None
    at: float  # of the clock


class Queries:
    """The last queries, bounded in number and age. Thread-safe."""

    def __init__(
        self, kept: int = KEPT, kept_s: float = KEPT_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._kept = kept
        self._kept_s = kept_s
        self._clock = clock
        self._queries: OrderedDict[str, Query] = OrderedDict()
        self._lock = Lock()

    def open(self, key_id: str | None, model: str, session: str | None = None) -> Query:
        """A new query, with an id that cannot be guessed."""
        query = Query(f"q_{uuid.uuid4().hex}", key_id, model, session, self._clock())
        with self._lock:
            self._queries[query.id] = query
            while len(self._queries) > self._kept:
                self._queries.popitem(last=False)
        return query

    def forget(self, *sessions: str) -> None:
        """Keep no query of these sessions: with the next event, their names would be stored anew."""
        with self._lock:
            for query_id in [at for at, query in self._queries.items() if query.session in sessions]:
                del self._queries[query_id]

    def find(self, query_id: str, key_id: str | None) -> Query | None:
        """The query of that id, if it is this key's and not forgotten. Another's looks like one that never was."""
        with self._lock:
            query = self._queries.get(query_id)
        if query is None or query.key_id != key_id or self._clock() - query.at > self._kept_s:
            return None
        return query
