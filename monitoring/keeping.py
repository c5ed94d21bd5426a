"""For how long what is kept. What concerns one person goes first; counts, which are nobody's, much later.

A `Tidier` is asked at every tick, and does a little of what is due: the rest of a long purge waits for the next tick,
so that nothing else waits for it. Several processes may tidy one store at once.
"""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from monitoring.store import EventStore

LOG = logging.getLogger(__name__)

COMPACT_EVERY = timedelta(minutes=10)
PURGE_EVERY = timedelta(hours=1)
AT_ONCE = (
    20_000  # rows of a table and tick: at one tick in half a minute, thrice what 200 requests a second write
)


@dataclass(frozen=True, slots=True)
class Keeping:
    """How old rows may get; None: as old as they like."""

    records: timedelta | None = None  # and events, and what became of queries
    counts: timedelta | None = None

    @classmethod
    def of_days(cls, records: float, counts: float) -> Keeping:
        """As an operator says it: 0 is for ever."""
        return cls(
            None if records == 0 else timedelta(days=records), None if counts == 0 else timedelta(days=counts)
        )


FOR_EVER = Keeping()


class Tidier:
    """Deletes what is too old, and merges counts that are old enough."""

    def __init__(self, store: EventStore, keeping: Keeping, at_once: int = AT_ONCE) -> None:
        self._store, self._keeping, self._at_once = store, keeping, at_once
        self._compacted: datetime | None = None
        self._purged: datetime | None = None

    def tidy(self, now: datetime) -> None:
        """What is due by now. Raises ``StoreUnavailableError``; what failed is due again after the same time."""
        if self._purged is None or now - self._purged >= PURGE_EVERY:
            self._purged = now
            if self._purge(now) >= self._at_once:
                self._purged = None  # there may be more
        if self._compacted is None or now - self._compacted >= COMPACT_EVERY:
            self._compacted = now
            self._compact(now)

    def _purge(self, now: datetime) -> int:
        """The most rows of a table that are gone now."""
        if self._keeping.records is None:
            return 0
        deleted = self._store.purge(now - self._keeping.records, self._at_once)
        if deleted:
            LOG.info("purged", extra=asdict(deleted))
        return deleted.most

    def _compact(self, now: datetime) -> None:
        before = None if self._keeping.counts is None else now - self._keeping.counts
        if deleted := self._store.tidy_rollups(now, before):
            LOG.info("purged", extra={"counts": deleted})
