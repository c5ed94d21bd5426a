"""Records as they happen to counts of their minute: the observer that feeds the rollups.

``observe`` costs microseconds and never waits for more than another's. What has been counted since the last
``drain`` is handed out once, and is then the caller's to keep; the next counts of the same minute begin at zero, and
add up with them.
"""

from __future__ import annotations

import threading
from dataclasses import replace

from monitoring.counts.rollup import Rollup, RollupKey, key_of
from monitoring.label_values import LabelValues
from monitoring.outcomes import Followed
from monitoring.record import Event, Outcome, Record

MODELS, ARMS = 20, 8  # different ones that are counted apart; all later ones are "other"
MOST = 2_000  # minutes x what served them that are held, about 20 MB: two hours of 16 in use


class Tally:
    """Counts that wait to be drained. An ``Observer``; safe from many threads; bounded in memory."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._held: dict[RollupKey, Rollup] = {}
        self._models = LabelValues(MODELS)
        self._arms = LabelValues(ARMS)
        self._lock = threading.Lock()
        self._lost = 0

    @property
    def lost(self) -> int:
        """How many items were not counted, because nobody drains."""
        return self._lost

    def observe(self, item: Record | Event) -> None:
        """Count a record. What an event means is said by ``followed``, once its session is settled."""
        if isinstance(item, Record):
            with self._lock:
                if (rollup := self._at(item)) is not None:
                    rollup.record(item)

    def followed(self, record: Record, followed: Followed) -> None:
        """Count what became of a query, in the minute of the query."""
        with self._lock:
            if (rollup := self._at(record)) is not None:
                rollup.followed(followed, shown=bool(record.results))

    def drain(self) -> list[tuple[RollupKey, Rollup]]:
        """All that was counted since the last time, in order of time."""
        with self._lock:
            held, self._held = self._held, {}
        return sorted(held.items(), key=lambda pair: pair[0])

    def _at(self, record: Record) -> Rollup | None:
        key = key_of(record)
        # Only what was served makes a model known: a request may name any model, and then fails.
        known = self._models.known if record.outcome is Outcome.ERROR else self._models.seen
        key = replace(key, model=known(key.model), arm=self._arms.seen(key.arm))
        rollup = self._held.get(key)
        if rollup is None:
            if len(self._held) >= self._most:
                self._lost += 1
                return None
            rollup = self._held[key] = Rollup()
        return rollup
