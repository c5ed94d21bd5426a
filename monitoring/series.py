"""The counts of the last days or weeks in memory, slot by slot: what alarms are judged on, without asking a database.

A slot is a minute or an hour. Late counts are added to the slot that they belong to, and a slot may be replaced by
what the store has of it, which is what all processes together saw.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import numpy as np
import numpy.typing as npt

from monitoring.rollup import EDGES, LATENCY, RATES, Rollup
from monitoring.rows import microseconds

COUNTS = tuple(dict.fromkeys(name for rate in RATES.values() for name in rate))
_COLUMN = {name: place for place, name in enumerate(COUNTS)}
_BINS = len(EDGES[LATENCY]) + 1

Counts = npt.NDArray[np.int64]


class Series:
    """``length`` slots of ``step_s`` seconds, the newest ones; what is older is forgotten, or was never taken in."""

    def __init__(self, step_s: int, length: int) -> None:
        self.step_s = step_s
        self._slots = np.zeros((length, len(COUNTS) + _BINS), np.int64)
        self._newest = (
            -1
        )  # number of the newest slot since 1970; the ring holds it and ``length - 1`` before it

    def add(self, at_us: int, rollup: Rollup) -> None:
        """Count what ``rollup`` has counted in the slot of a time."""
        place = self._place(at_us // (self.step_s * 1_000_000))
        if place is None:
            return
        row = self._slots[place]
        for name, column in _COLUMN.items():
            row[column] += rollup.counts[name]
        bins = rollup.bins.get(LATENCY)
        if bins is not None:
            row[len(COUNTS) :] += bins

    def replace(self, since: datetime, rows: Iterable[tuple[datetime, Rollup]]) -> None:
        """Forget the slots from ``since`` on, and take ``rows`` in their place."""
        first = microseconds(since) // (self.step_s * 1_000_000)
        for slot in range(max(first, self._newest - len(self._slots) + 1), self._newest + 1):
            self._slots[slot % len(self._slots)] = 0
        for at, rollup in rows:
            self.add(microseconds(at), rollup)

    def counts(self, since: datetime, until: datetime, *names: str) -> Counts:
        """Of each slot that begins in ``[since, until)``, oldest first, its counts: shape (slots, names)."""
        return self._between(since, until)[:, [_COLUMN[name] for name in names]]

    def latency(self, since: datetime, until: datetime) -> Counts:
        """The bins of the time to answer of ``[since, until)``, all slots together: shape (bins,)."""
        summed: Counts = self._between(since, until)[:, len(COUNTS) :].sum(axis=0)
        return summed

    def _between(self, since: datetime, until: datetime) -> Counts:
        step_us = self.step_s * 1_000_000
        first, end = -(-microseconds(since) // step_us), -(-microseconds(until) // step_us)
        wanted = np.arange(first, max(first, end))
        kept = (wanted <= self._newest) & (wanted > self._newest - len(self._slots))
        found = self._slots[wanted % len(self._slots)]
        found[~kept] = 0
        return found

    def _place(self, slot: int) -> int | None:
        length = len(self._slots)
        if slot > self._newest:
            for passed in range(max(self._newest + 1, slot - length + 1), slot + 1):
                self._slots[passed % length] = 0
            self._newest = slot
        return slot % length if slot > self._newest - length else None
