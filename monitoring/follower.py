"""What became of queries, live: records and events in as they happen, each query out when it has settled.

A query has settled when its last window is over and the watermark for events that come late, too: with `TOLD_S` and a
watermark of a minute, three minutes after its results. Until then a slim copy is kept in memory: at most ``most``
queries, a kilobyte each, however long a session lasts. A query without a session is followed alone. Cheap enough
for an observer; the comparing happens in `settled`, in whose thread that is.

Each process follows what it has served: sessions should stick to one server. What is left when it ends, or had to
make room, is found in the store by the others, or by itself (`leftover`): once it is so old that whoever still followed
it would have said so.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from heapq import heappop, heappush
from itertools import zip_longest
from typing import Protocol

from monitoring.outcomes import TOLD_S, Distance, Followed, Leftover, follow_one, shown_at, was_answered
from monitoring.record import Event, Record

WATERMARK = timedelta(minutes=1)
MOST = 50_000  # queries: four minutes of 200 a second, and 50 MB
MOST_EVENTS = 32  # of a query; no person does more with one list of results
GRACE = timedelta(minutes=1)  # two ticks: another process that follows a query has told by then
REACH = timedelta(days=7)  # how far back the first look for leftovers goes
OVERLAP = timedelta(hours=1)  # how far behind the one before each later look begins: records come late, too
LOOK = timedelta(minutes=5)
MOST_LEFT = 2_000  # leftovers of one look; of more, the next look is at once

Sitting = tuple[str | None, str | None, str | None]  # key, session and, where there is no session, the query


class Store(Protocol):
    """What is left over from before."""

    def unfollowed(self, since: datetime, until: datetime, limit: int) -> Leftover:
        """Answered queries of then that nobody has followed; of many the newest."""


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
        self._look: datetime | None = None  # when to look for leftovers; None: now
        self._seen: datetime | None = None  # up to when there were none any more
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
        """Queries that had to make room before they had settled. They are in the store: `leftover` finds them."""
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

    def leftover(self, store: Store, now: datetime) -> list[tuple[Record, Followed]]:
        """What became of queries that nobody has followed to their end, as `settled` says it; looked for now and then.

        For one thread, that of `settled`; not again before the store knows of the last ones. Raises
        ``StoreUnavailableError``.
        """
        if self._look is not None and now < self._look:
            return []
        until = now - self._wait - GRACE
        since = now - REACH if self._seen is None else max(now - REACH, self._seen - OVERLAP)
        left = store.unfollowed(since, until, MOST_LEFT)
        if len(left.query_ids) < MOST_LEFT:
            self._look, self._seen = now + LOOK, until
        return [
            (replace(first, text="", results=first.results[:1]), self._compare(first, second, events))
            for first, second, events in self._sort(left)
            if shown_at(first) <= until and first.query_id not in self._open
        ]

    def _sort(self, left: Leftover) -> Iterator[tuple[Record, Record | None, list[Event]]]:
        """Each query that is left over, the next one of its sitting, and its events, as it would have been settled."""
        sittings: dict[Sitting, list[Record]] = {}
        for record in left.asked:
            sittings.setdefault(_sitting(record), []).append(record)
        happened: dict[str, list[Event]] = {}
        for event in sorted(left.events, key=lambda event: event.at):
            happened.setdefault(event.query_id, []).append(event)
        for asked in sittings.values():
            for first, second in zip_longest(asked, asked[1:]):
                if first.query_id in left.query_ids:
                    settles = shown_at(first) + self._wait
                    events = [event for event in happened.get(first.query_id, ()) if event.at <= settles]
                    yield first, second if second is not None and second.at <= settles else None, events

    def forget(self, *sessions: str, key_id: str | None = None) -> None:
        """Keep nothing of these sessions, whosever they are or of this key: somebody wants it gone."""
        with self._lock:
            for query_id in [
                at
                for at, (_, (key, session, _)) in self._open.items()
                if session in sessions and key_id in (None, key)
            ]:
                self._close(query_id)

    def _asked(self, record: Record) -> None:
        if not was_answered(record) or record.query_id is None or record.query_id in self._open:
            return
        while len(self._open) >= self._most:
            self._unfollowed += self._close(heappop(self._due)[1])
        slim = replace(record, clip=None, results=record.results[:1], fields_missing=())
        sitting = _sitting(record)
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
        ):  # whatever a text provokes: it must not cost the query, nor those that settle after it
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


def _sitting(record: Record) -> Sitting:
    return record.key_id, record.session, record.query_id if record.session is None else None


def _asked_at(record: Record) -> datetime:
    return record.at


def _place(record: Record, asked: list[Record]) -> int:
    """Where it is, among others in order of time; it is there."""
    place = bisect_left(asked, record.at, key=_asked_at)
    while asked[place] is not record:
        place += 1
    return place
