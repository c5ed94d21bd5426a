"""The first reference of drift is frozen by itself, once enough traffic has been seen and nothing was wrong in it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from math import ceil

import numpy as np

from monitoring.alarms.rules import Reference
from monitoring.alarms.spell import when
from monitoring.counts.series import Series
from monitoring.drift.profile import DEFAULT, Profile
from monitoring.record import Record
from monitoring.storage.journal import WATCH, Entry, Kind
from monitoring.store import EventStore

MOST = 20_000  # records that are read, some of each hour: 0.7 s of the watch
HOUR = timedelta(hours=1)
IN_FLIGHT = timedelta(minutes=1)  # a record is of when its request began, and is there when it has ended
BACK = 24 * 28  # hours: the newest traffic is what is compared first, and older is not looked for
AGAIN = HOUR  # after a try that came to nothing


def complete(store: EventStore, now: datetime) -> datetime:
    """Until when a store has all records: not those of requests that go on, or that wait to be written."""
    return now - max(IN_FLIGHT, timedelta(seconds=store.lag_s))


class FirstReference:
    """Makes it, or finds that there is one. One thread calls it."""

    def __init__(self, reference: Reference, store: EventStore) -> None:
        self._reference, self._store = reference, store
        self._there = False
        self._tried: datetime | None = None

    def freeze(self, hours: Series, now: datetime, *, calm: bool) -> list[Entry]:
        """Where there is none, all of the rule holds, and no alarm fired in all that time. ``calm``: none fires now.

        Raises StoreUnavailableError, and ``ProfileError`` where too few of the records have a clip.
        """
        if self._there or not calm or (self._tried is not None and now - self._tried < AGAIN):
            return []
        until = complete(self._store, now)
        stretch = self._stretch(hours, until)
        if stretch is None:
            return []
        self._tried = now
        since, counts = stretch
        self._there = self._store.profile(DEFAULT) is not None
        # An alarm that fires now may have begun before ``since``; one that is over has left its end in the journal.
        if self._there or self._store.journal(since, kinds=(Kind.FIRED, Kind.CLEARED), newest=1):
            return []
        share = min(1.0, MOST / sum(counts))
        profile = Profile.freeze(self._some(since, until, counts, share), DEFAULT, now)
        self._store.freeze(profile)
        self._there = True
        some = "" if share == 1.0 else f", some of each hour of {sum(counts)},"
        words = (
            f"the first reference was frozen by itself, from {profile.records} records{some} since {when(since)}; "
            "from now on only a person freezes another (voicesearch monitor freeze)"
        )
        body = {"name": profile.name, "digest": profile.digest, "records": profile.records, "by": WATCH}
        return [Entry(now, WATCH, Kind.PROFILE, words, body)]

    def _stretch(self, hours: Series, until: datetime) -> tuple[datetime, list[int]] | None:
        """The beginning, on the hour, and the requests of each hour from there; None: there is too little."""
        first = until.replace(minute=0, second=0, microsecond=0) - BACK * HOUR
        counts = hours.counts(first, until, "requests")[:, 0]
        back = np.cumsum(counts[::-1])
        enough = int(np.searchsorted(back, self._reference.records)) + 1
        seen = np.flatnonzero(counts)
        if enough > len(counts) or not len(seen):
            return None
        oldest = int(seen[0])
        if until - (first + oldest * HOUR) < timedelta(seconds=self._reference.span_s):
            return None
        # Whole hours before the one that goes on.
        span_hours = ceil(self._reference.span_s / 3_600) + 1
        begins = max(oldest, len(counts) - max(enough, span_hours))
        return first + begins * HOUR, counts[begins:].tolist()

    def _some(self, since: datetime, until: datetime, counts: list[int], share: float) -> Iterator[Record]:
        """A share of each hour, its first records: sittings stay whole, and the mix of hours as it was."""
        for place, requests in enumerate(counts):
            begins = since + place * HOUR
            limit = None if share == 1.0 else ceil(requests * share)
            yield from self._store.records(begins, min(begins + HOUR, until), limit)
