"""Changes in what becomes of queries, for the words of drift: streams of yes and no, read window by window.

Records come by as windows are read, what people did next is read beside them. A stream begins anew when a watch does,
so what changes while nobody watches, or in the first windows after, is not noticed here; ratios of a week before are
(`ratio`). Without the package river (extra ``monitor``) there are no such changes, and drift is judged without them.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from monitoring.drift.change import Change, Changes
from monitoring.errors import MissingPackageError
from monitoring.record import Record
from monitoring.store import EventStore

LOG = logging.getLogger(__name__)

SETTLED = timedelta(minutes=5)  # after so long it is known what became of a query
MOST = 20_000  # rows that are read at once
KEPT = 100  # changes


class OutcomeChanges:
    """All streams of a store. Each record and each row counts once, whichever windows it is read for."""

    def __init__(self, store: EventStore) -> None:
        self._store = store
        self._seen: deque[Change] = deque(maxlen=KEPT)
        self._record_at: datetime | None = None  # of the newest
        self._row_at: datetime | None = None
        self._changes: Changes | None = None
        self._missing = False

    def since(self, at: datetime) -> list[Change]:
        """What was noticed in records and rows from then on, by stream, oldest first."""
        return [change for change in self._seen if change.at >= at]

    def through(self, records: Iterable[Record]) -> Iterator[Record]:
        """The same records, oldest first; those that are new have been looked at."""
        changes, known = self._made(), self._record_at
        for record in records:
            if changes is not None and (known is None or record.at > known):
                self._seen.extend(changes.record(record))
                self._record_at = record.at
            yield record

    def follow(self, since: datetime, until: datetime) -> None:
        """What people did next, of queries up to ``until``; from ``since``, or since it was read last.

        Raises StoreUnavailableError: then it is read again.
        """
        changes, until = self._made(), until - SETTLED
        since = max(since - SETTLED, self._row_at or since - SETTLED)
        if changes is None or since >= until:
            return
        rows = list(self._store.followed(since, until, MOST))
        for row in rows:
            self._seen.extend(changes.followed(row))
        self._row_at = until

    def _made(self) -> Changes | None:
        """With the first window, for river takes a second to import."""
        if self._changes is None and not self._missing:
            try:
                self._changes = Changes()
            except MissingPackageError as error:
                self._missing = True
                LOG.warning("drift_without_changes", exc_info=error)
        return self._changes
