"""The counts of the last days or weeks in memory, slot by slot: what alarms are judged on, without asking a database.

A slot is a minute or an hour. Late counts are added to the slot that they belong to, and a slot may be replaced by
what the store has of it, which is what all processes together saw.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import numpy as np
import numpy.typing as npt

from monitoring.counts.rollup import EDGES, LATENCY, RATES, Rollup
from monitoring.moments import microseconds

COUNTS = tuple(dict.fromkeys(name for rate in RATES.values() for name in rate))
_ROW = {name: place for place, name in enumerate(COUNTS)}
_BINS = len(EDGES[LATENCY]) + 1

Counts = npt.NDArray[np.int64]


class Series:
    """``length`` slots of ``step_s`` seconds, the newest ones; what is older is forgotten, or was never taken in."""

    def __init__(self, step_s: int, length: int) -> None:
        self.step_s = step_s
        self._length = length
        self._counts = np.zeros((len(COUNTS), length), np.int64)
        self._bins = np.zeros((length, _BINS), np.int64)
        self._newest = (
            -1
        )  # number of the newest slot since 1970; the ring holds it and ``length - 1`` before it

    def add(self, at_us: int, rollup: Rollup) -> None:
        """Count what ``rollup`` has counted in the slot of a time."""
        place = self._place(at_us // (self.step_s * 1_000_000))
        if place is None:
            return
        self._counts[:, place] += [rollup.counts[name] for name in COUNTS]
        bins = rollup.bins.get(LATENCY)
        if bins is not None:
            self._bins[place] += bins

    def replace(self, since: datetime, rows: Iterable[tuple[datetime, Rollup]]) -> None:
        """Forget the slots from ``since`` on, and take ``rows`` in their place."""
        first = microseconds(since) // (self.step_s * 1_000_000)
        for slot in range(max(first, self._newest - self._length + 1), self._newest + 1):
            self._forget(slot)
        for at, rollup in rows:
            self.add(microseconds(at), rollup)

    def counts(self, since: datetime, until: datetime, *names: str) -> Counts:
        """Of each slot that begins in ``[since, until)``, oldest first, its counts: shape (slots, names)."""
        places, kept = self._between(since, until)
        found: Counts = self._counts[[_ROW[name] for name in names]][:, places] * kept
        return found.T

    def latency(self, since: datetime, until: datetime) -> Counts:
        """The bins of the time to answer of ``[since, until)``, all slots together: shape (bins,)."""
        places, kept = self._between(since, until)
        summed: Counts = self._bins[places[kept]].sum(axis=0)
        return summed

    def _between(self, since: datetime, until: datetime) -> tuple[Counts, npt.NDArray[np.bool_]]:
        """Places in the ring of the slots that begin then; and which of them it still holds."""
        step_us = self.step_s * 1_000_000
        first, end = -(-microseconds(since) // step_us), -(-microseconds(until) // step_us)
        wanted = np.arange(first, max(first, end))
        return wanted % self._length, (wanted <= self._newest) & (wanted > self._newest - self._length)

    def _forget(self, slot: int) -> None:
        self._counts[:, slot % self._length] = 0
        self._bins[slot % self._length] = 0

    def _place(self, slot: int) -> int | None:
        if slot > self._newest:
            for passed in range(max(self._newest + 1, slot - self._length + 1), slot + 1):
                self._forget(passed)
            self._newest = slot
        return slot % self._length if slot > self._newest - self._length else None
