"""What became of queries, while it waits for the store: bounded, each query once, gone when somebody wants it gone."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from monitoring.outcomes import Followed
from monitoring.record import Record

MOST = 50_000  # queries, about 50 MB: minutes of 200 a second

Pair = tuple[Record, Followed]


class Settled:
    """Waits in order. Safe from many threads: an erasure comes from any."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._waiting: dict[str, Pair] = {}
        self._lock = threading.Lock()
        self.lost = 0  # found no room, oldest first: as leftovers they may still be found (`follower`)

    def __len__(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def add(self, pairs: Iterable[Pair]) -> None:
        """These are to be kept."""
        with self._lock:
            for record, followed in pairs:
                self._waiting[followed.query_id] = record, followed
            while len(self._waiting) > self._most:
                del self._waiting[next(iter(self._waiting))]
                self.lost += 1

    def waiting(self) -> list[Pair]:
        """All that wait now; they wait on."""
        with self._lock:
            return list(self._waiting.values())

    def done(self, pairs: Iterable[Pair]) -> None:
        """The store has these."""
        with self._lock:
            for _, followed in pairs:
                self._waiting.pop(followed.query_id, None)

    def forget(self, *sessions: str, key_id: str | None = None) -> None:
        """Keep nothing of these sessions, whosever they are or of this key: somebody wants it gone."""
        with self._lock:
            for query_id in [
                at
                for at, (record, _) in self._waiting.items()
                if record.session in sessions and key_id in (None, record.key_id)
            ]:
                del self._waiting[query_id]
