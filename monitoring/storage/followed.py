"""What became of queries, in the table ``followed``: written once for each query, when it has settled.

Numbers and names, no text: what a person typed instead stays where it was typed, in the event or the record.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy import Connection, Engine, and_, select

from monitoring.aftermath import Aftermath
from monitoring.moments import microseconds, moment
from monitoring.outcomes import SHADOW, Again, Leftover
from monitoring.record import Event, Outcome, Record, Transport
from monitoring.storage.database import reading
from monitoring.storage.insert import insert_new
from monitoring.storage.queries import Window, pages
from monitoring.storage.rows import Row, event_of, finite, optional, plain, record_of
from monitoring.storage.schema import EVENTS, FOLLOWED, RECORDS

CHUNK = 500  # queries or sessions of one statement
BESIDE_US = 3_600_000_000  # after the last: long after anything that is charged to it

_ASKED = tuple(
    RECORDS.c[name]
    for name in (
        "request_id", "at_us", "transport", "outcome", "status", "model", "arm", "duration_s", "query_id", "session",
        "key_id", "null_reason", "confidence", "text", "results", "stages_s", "repeats",
    )
)  # fmt: skip
_NOT_ASKED: Row = {
    **{column.name: None for column in RECORDS.c},
    "bytes_received": 0,
    "n_words": 0,
    "fields_missing": (),
}
# As `outcomes.was_answered` says it.
_ANSWERED = and_(
    RECORDS.c.outcome != Outcome.ERROR.value, RECORDS.c.query_id.is_not(None), RECORDS.c.arm != SHADOW
)


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


def unfollowed(engine: Engine, since: datetime, until: datetime, limit: int) -> Leftover:
    """Answered queries of ``[since, until)`` that are not in the table: of many the newest ``limit``.

    Of records only what `outcomes` asks for. Raises ``StoreUnavailableError``.
    """
    missing = ~select(FOLLOWED.c.query_id).where(FOLLOWED.c.query_id == RECORDS.c.query_id).exists()
    inside = and_(RECORDS.c.at_us >= microseconds(since), RECORDS.c.at_us < microseconds(until))
    newest = RECORDS.c.at_us.desc(), RECORDS.c.id.desc()
    wanted = select(*_ASKED).where(inside, _ANSWERED, missing).order_by(*newest).limit(limit)
    with reading(engine) as connection:
        found = [_slim(dict(row)) for row in connection.execute(wanted).mappings()]
    ids = frozenset(record.query_id for record in found if record.query_id is not None)
    asked = {record.query_id: record for record in (*found, *_beside(engine, found))}
    in_order = sorted(asked.values(), key=lambda record: record.at)
    return Leftover(ids, tuple(in_order), tuple(_events_on(engine, sorted(ids))))


def _beside(engine: Engine, records: Sequence[Record]) -> Iterator[Record]:
    """What else was asked in the sessions of these, from the first of them on."""
    sessions = sorted({record.session for record in records if record.session is not None})
    if not sessions:
        return
    first, last = (microseconds(end(record.at for record in records)) for end in (min, max))
    inside = and_(RECORDS.c.at_us >= first, RECORDS.c.at_us <= last + BESIDE_US, _ANSWERED)
    for start in range(0, len(sessions), CHUNK):
        some = RECORDS.c.session.in_(sessions[start : start + CHUNK])
        with reading(engine) as connection:
            rows = connection.execute(select(*_ASKED).where(inside, some)).mappings().all()
        yield from (_slim(dict(row)) for row in rows)


def _events_on(engine: Engine, query_ids: Sequence[str]) -> Iterator[Event]:
    """All that was done with the results of these queries."""
    for start in range(0, len(query_ids), CHUNK):
        some = query_ids[start : start + CHUNK]
        with reading(engine) as connection:
            found = connection.execute(select(EVENTS).where(EVENTS.c.query_id.in_(some))).mappings().all()
        yield from (event_of(dict(row)) for row in found)


def _slim(row: Row) -> Record:
    return record_of(_NOT_ASKED | row)


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
        "spoken": row.spoken,
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
        spoken=row["spoken"],
    )
