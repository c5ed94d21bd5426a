"""Records to numbers that can be compared: one row a sitting, one column a feature.

Clips of one sitting come from one person, one microphone and one room: ten of them say little more than one, and a
test that takes them for ten independent ones alarms on nothing. So a sitting counts once, with the first value of
each feature. (A design effect would keep all clips and guess how alike they are; and who asks again speaks
differently, so with all clips a rise of redo would look like other microphones.) A sitting is a session of a key; a
record without a session is one of its own, so clients that send none get the calibration that their traffic deserves.

Each row keeps in which hours of which kind of day it began, so that an hour can be compared with such hours.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from math import nan

import numpy as np
from numpy.typing import NDArray

from monitoring.features import FEATURES
from monitoring.outcomes import was_shown
from monitoring.record import Record

LIMIT = 100_000  # sittings kept: 13 MB. Of more, an even share, drawn by the digest of their names
BLOCK_H = 4
BLOCKS = 24 // BLOCK_H
SLOTS = 2 * BLOCKS  # of working days, then of Saturdays and Sundays; hours of UTC
_PLACES = 2**64


@dataclass(frozen=True, slots=True)
class Sample:
    """``values``: float64 ``(sittings, len(FEATURES))``, NaN where there is none; ``slots``: ``(sittings,)``."""

    values: NDArray[np.float64]
    slots: NDArray[np.int64]
    records: int
    since: datetime | None
    until: datetime | None
    models: tuple[str, ...]

    @property
    def sittings(self) -> int:
        """How many rows."""
        return len(self.slots)

    def column(self, feature: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """What there is of a feature, by its place in ``FEATURES``, and the slots of these."""
        there = np.isfinite(self.values[:, feature])
        return self.values[there, feature], self.slots[there]


def gather(records: Iterable[Record], limit: int = LIMIT) -> Sample:
    """One pass over records that people got, oldest first, in memory bounded by ``limit`` sittings."""
    rows: dict[tuple[str | None, str], list[float]] = {}
    slots: dict[tuple[str | None, str], int] = {}
    models: set[str] = set()
    since = until = None
    count, bar = 0, _PLACES
    for record in filter(was_shown, records):
        count += 1
        since, until = since or record.at, record.at
        models.add(record.model)
        key = (record.key_id, record.session or f"\0{record.request_id}")
        if bar < _PLACES and _place(key) >= bar:
            continue
        row = rows.get(key)
        if row is None:
            row = rows[key] = [nan] * len(FEATURES)
            slots[key] = slot_of(record.at)
        for at, feature in enumerate(FEATURES):
            if row[at] != row[at]:
                value = feature.of(record)
                row[at] = nan if value is None else value
        while len(rows) > limit:
            bar //= 2
            rows = {key: row for key, row in rows.items() if _place(key) < bar}
    return Sample(
        np.array([*rows.values()], dtype=np.float64).reshape(len(rows), len(FEATURES)),
        np.array([slots[key] for key in rows], dtype=np.int64),
        count,
        since,
        until,
        tuple(sorted(models)),
    )


def slot_of(at: datetime) -> int:
    """In which hours of which kind of day, in UTC: 0 to ``SLOTS`` - 1."""
    utc = at.astimezone(UTC) if at.tzinfo else at
    return utc.hour // BLOCK_H + BLOCKS * (utc.weekday() >= 5)


def _place(key: tuple[str | None, str]) -> int:
    name = f"{key[0]}\0{key[1]}".encode("utf-8", "surrogatepass")
    return int.from_bytes(blake2b(name, digest_size=8).digest(), "big")
