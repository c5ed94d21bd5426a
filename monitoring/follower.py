"""What became of queries, live: records and events in as they happen, each query out when it has settled.

A query has settled when its last window is over and the watermark for events that come late, too: with `TOLD_S` and a
watermark of a minute, three minutes after its results. Until then a slim copy is kept in memory: at most ``most``
queries, a kilobyte each, however long a session lasts. A query without a session is followed alone. Cheap enough
for an observer; the comparing happens in `settled`, in whose thread that is.

Each process follows what it has served: sessions should stick to one server. What is left when it ends is found in the
store again (`resume`).
"""

from __future__ import annotations

import threading
from bisect import bisect_left, insort
from dataclasses import replace
from datetime import datetime, timedelta
from heapq import heappop, heappush
from typing import Protocol

from monitoring.outcomes import TOLD_S, Distance, Followed, follow_one, shown_at, was_answered
from monitoring.record import Event, Record

WATERMARK = timedelta(minutes=1)
MOST = 50_000  # queries: four minutes of 200 a second, and 50 MB
MOST_EVENTS = 32  # of a query; no person does more with one list of results
REACH = timedelta(days=7)  # how far back `resume` looks

Sitting = tuple[str | None, str | None, str | None]  # key, session and, where there is no session, the query


class Store(Protocol):
    """What is left over from before."""

    def unfollowed(self, since: datetime, limit: int) -> tuple[list[Record], list[Event]]:
        """Answered queries that nobody has followed, and the events on them."""


class Follower:
    """Who waits for what people do next. An observer; safe from many threads."""

    def __init__(self, distance: Distance, watermark: timedelta = WATERMARK, most: int = MOST) -> None:
        """``distance`` of texts, see `outcomes`; it is called by `settled` alone."""
        self._distance = distance
        self._wait = timedelta(seconds=TOLD_S) + watermark
        self._most = most
        self._lock = threading.Lock()
        self._sittings: dict[Sitting, list[Record]] = {}
        self._open: dict[str, tuple[Record, Sitting]] = {}
        self._events: dict[str, dict[str, Event]] = {}
        self._due: list[tuple[datetime, str]] = []
        self._late = self._unfollowed = self._uncompared = 0

    def __len__(self) -> int:
        """Queries that have not settled."""
        return len(self._open)

    @property
    def late(self) -> int:
        """Events on queries that had settled before, or were never answered here: nobody is charged with them."""
        return self._late

    @property
    def unfollowed(self) -> int:
        """Queries that had to make room before they had settled. They are in the store: `resume` finds them."""
        return self._unfollowed

    @property
    def uncompared(self) -> int:
        """Queries whose comparison with the next one raised: they are settled by all but their texts."""
        return self._uncompared

    def observe(self, item: Record | Event) -> None:
        """Take note: an `Observer`."""
        with self._lock:
            if isinstance(item, Event):
                self._late += not self._happened(item)
            else:
                self._asked(item)

    def settled(self, now: datetime) -> list[tuple[Record, Followed]]:
        """Queries that nothing can change any more, each once, by time of their settling, and what became of them.

        The records are slim: no text, no clip, and the first result alone.
        """
        found = []
        while (due := self._due_by(now)) is not None:
            first, second, events = due
            followed = self._compare(first, second, events)
            with self._lock:  # only now: a comparison that is broken off leaves the query where it was
                if self._close(followed.query_id):  # else it was forgotten meanwhile
                    found.append((replace(first, text=""), followed))
        return found

    def resume(self, store: Store, now: datetime) -> None:
        """Follow what is in the store and was not followed to its end: after a restart, before the first `settled`.

        Raises ``StoreUnavailableError``.
        """
        records, events = store.unfollowed(now - REACH, self._most)
        with self._lock:
            for record in records:
                self._asked(record)
            for event in events:
                self._happened(event)

    def forget(self, *sessions: str) -> None:
        """Keep nothing of these sessions: somebody wants it gone."""
        with self._lock:
            for query_id in [at for at, (_, sitting) in self._open.items() if sitting[1] in sessions]:
                self._close(query_id)

    def _asked(self, record: Record) -> None:
        if not was_answered(record) or record.query_id is None or record.query_id in self._open:
            return
        while len(self._open) >= self._most:
            self._unfollowed += self._close(heappop(self._due)[1])
        slim = replace(record, clip=None, results=record.results[:1], fields_missing=())
        alone = record.query_id if record.session is None else None
        sitting = (record.key_id, record.session, alone)
        self._open[record.query_id] = slim, sitting
        insort(self._sittings.setdefault(sitting, []), slim, key=_asked_at)
        heappush(self._due, (shown_at(record) + self._wait, record.query_id))

    def _happened(self, event: Event) -> bool:
        if event.query_id not in self._open:
            return False
        known = self._events.setdefault(event.query_id, {})
        if len(known) < MOST_EVENTS:
            known[event.event_id] = event
        return True

    def _due_by(self, now: datetime) -> tuple[Record, Record | None, list[Event]] | None:
        """The query that is to settle next, the one after it in its sitting, and its events; None: it is too soon."""
        with self._lock:
            while self._due and self._due[0][0] <= now:
                query_id = self._due[0][1]
                if query_id not in self._open:
                    heappop(self._due)  # settled, or forgotten
                    continue
                first, sitting = self._open[query_id]
                asked = self._sittings[sitting]
                after = _place(first, asked) + 1
                events = sorted(self._events.get(query_id, {}).values(), key=lambda event: event.at)
                return first, asked[after] if after < len(asked) else None, events
        return None

    def _compare(self, first: Record, second: Record | None, events: list[Event]) -> Followed:
        try:
            return follow_one(first, second, events, self._distance)
        except (
            Exception
        ):  # whatever a text provokes: it must not cost the query, nor all that settle after it
            self._uncompared += 1
            return follow_one(first, second, events, None)

    def _close(self, query_id: str) -> bool:
        """Let go of a query, if it is still here."""
        if query_id not in self._open:
            return False
        first, sitting = self._open.pop(query_id)
        self._events.pop(query_id, None)
        asked = self._sittings[sitting]
        del asked[_place(first, asked)]
        if not asked:
            del self._sittings[sitting]
        return True


def _asked_at(record: Record) -> datetime:
    return record.at


def _place(record: Record, asked: list[Record]) -> int:
    """Where it is, among others in order of time; it is there."""
    place = bisect_left(asked, record.at, key=_asked_at)
    while asked[place] is not record:
        place += 1
    return place
