"""What became of queries, in the table ``followed``: written once for each query, when it has settled.

Numbers and names, no text: what a person typed instead stays where it was typed, in the event or the record.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy import Connection, Engine, select

from monitoring.aftermath import Aftermath
from monitoring.moments import microseconds, moment
from monitoring.outcomes import Again
from monitoring.record import Event, Record, Transport
from monitoring.storage.database import reading
from monitoring.storage.insert import insert_new
from monitoring.storage.queries import Window, pages
from monitoring.storage.rows import Row, event_of, finite, optional, plain, record_of
from monitoring.storage.schema import EVENTS, FOLLOWED, RECORDS

CHUNK = 500  # queries of one statement


def write(connection: Connection, rows: Sequence[Aftermath]) -> list[bool]:
    """Write them, in the caller's transaction; for each, whether it is new.

    One whose query is in the table stays as it is. One whose record is not in the store is not written: it was
    erased meanwhile, or purged, or lost.
    """
    new: set[str] = set()
    for start in range(0, len(rows), CHUNK):
        some = {plain(row.query_id): row for row in reversed(rows[start : start + CHUNK])}
        # The lock is PostgreSQL's: an erasure in another process comes before or after, not between.
        known = select(RECORDS.c.query_id).where(RECORDS.c.query_id.in_(list(some)))
        kept = set(connection.scalars(known.with_for_update(read=True, key_share=True)))
        fresh = [_row(row) for query_id, row in some.items() if query_id in kept]
        new |= insert_new(connection, FOLLOWED, "query_id", fresh)
    is_new = []
    for row in rows:
        is_new.append(plain(row.query_id) in new)
        new.discard(plain(row.query_id))  # the same twice is new once
    return is_new


def read(engine: Engine, window: Window) -> Iterator[Aftermath]:
    """By time of the query, oldest first, in bounded memory. Raises ``StoreUnavailableError``."""
    for page in pages(engine, FOLLOWED, window):
        yield from map(_aftermath, page)


def unfollowed(engine: Engine, since: datetime, limit: int) -> list[Record]:
    """Answered queries that are not in the table, oldest first; at most the newest ``limit`` of them.

    Raises ``StoreUnavailableError``.
    """
    missing = ~select(FOLLOWED.c.query_id).where(FOLLOWED.c.query_id == RECORDS.c.query_id).exists()
    rows = (
        select(RECORDS)
        .where(RECORDS.c.at_us >= microseconds(since), RECORDS.c.query_id.is_not(None), missing)
        .order_by(RECORDS.c.at_us.desc(), RECORDS.c.id.desc())
        .limit(limit)
    )
    with reading(engine) as connection:
        return [record_of(dict(row)) for row in connection.execute(rows).mappings()][::-1]


def events_on(engine: Engine, query_ids: Sequence[str]) -> Iterator[Event]:
    """All that was done with the results of these queries. Raises ``StoreUnavailableError``."""
    for start in range(0, len(query_ids), CHUNK):
        some = query_ids[start : start + CHUNK]
        with reading(engine) as connection:
            found = connection.execute(select(EVENTS).where(EVENTS.c.query_id.in_(some))).mappings().all()
        yield from (event_of(dict(row)) for row in found)


def _row(row: Aftermath) -> Row:
    return {
        "query_id": plain(row.query_id),
        "at_us": microseconds(row.at),
        "model": plain(row.model),
        "arm": plain(row.arm),
        "transport": row.transport.value,
        "session": optional(row.session),
        "again": None if row.again is None else row.again.value,
        "again_as": optional(row.again_as),
        "told": row.told,
        "clicks": row.clicks,
        "dwell_s": finite(row.dwell_s),
        "satisfied": row.satisfied,
    }


def _aftermath(row: Row) -> Aftermath:
    return Aftermath(
        query_id=row["query_id"],
        at=moment(row["at_us"]),
        model=row["model"],
        arm=row["arm"],
        transport=Transport(row["transport"]),
        session=row["session"],
        again=None if row["again"] is None else Again(row["again"]),
        again_as=row["again_as"],
        told=row["told"],
        clicks=row["clicks"],
        dwell_s=row["dwell_s"],
        satisfied=row["satisfied"],
    )
