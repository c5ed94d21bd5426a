"""Deleting: what is too old, and what a person wants gone.

After an erasure nothing of it is left in the database's own files. For SQLite, ``secure_delete`` overwrites deleted
rows, but copies of a row may stay behind in the unused part of a page that was once split or merged, so the file
is rebuilt (``VACUUM``) and its log emptied. For PostgreSQL, ``VACUUM FULL`` writes the tables into new files; its
write-ahead log keeps older copies until the server recycles it, and backups are the operator's. Both take time in
proportion to the store, during which nothing else is written and the backlog grows; so a purge of what is old only
deletes, and such copies go with the next erasure.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Engine, Table, and_, delete, or_, select

from monitoring.errors import StoreUnavailableError
from monitoring.moments import microseconds
from monitoring.storage.database import writing
from monitoring.storage.schema import EVENTS, FOLLOWED, RECORDS

CHUNK = 2_000  # rows of one transaction, so that others get their turn
_TABLES = (RECORDS, EVENTS, FOLLOWED)  # all that is a person's, in the order of `Deleted`


Also = Callable[[Sequence[str]], object]  # given the ids of requests: deletes what is kept of them elsewhere


@dataclass(frozen=True, slots=True)
class Deleted:
    """How many rows."""

    records: int = 0
    events: int = 0
    followed: int = 0

    def __add__(self, other: Deleted) -> Deleted:
        return Deleted(
            self.records + other.records, self.events + other.events, self.followed + other.followed
        )

    def __bool__(self) -> bool:
        return bool(self.records or self.events or self.followed)

    @property
    def most(self) -> int:
        """Of one table."""
        return max(self.records, self.events, self.followed)


def purge_some(engine: Engine, before: datetime) -> Deleted:
    """Delete up to ``CHUNK`` of the rows of each table that are older; nothing deleted: there are none."""
    return Deleted(*(_purge_some(engine, table, before) for table in _TABLES))


def repeat(some: Callable[[], Deleted], most: int | None) -> Deleted:
    """Step by step, until nothing is left or so many rows of a table are gone."""
    total = Deleted()
    while most is None or total.most < most:
        step = some()
        if not step:
            break
        total += step
    return total


def _purge_some(engine: Engine, table: Table, before: datetime) -> int:
    (key,) = table.primary_key.columns
    some = select(key).where(table.c.at_us < microseconds(before)).order_by(table.c.at_us).limit(CHUNK)
    with writing(engine) as connection:
        return connection.execute(delete(table).where(key.in_(some))).rowcount


@dataclass(frozen=True, slots=True)
class Sessions:
    """Which are to be erased: all of these names, or those of one API key, since two keys may choose the same."""

    names: tuple[str, ...]
    key_id: str | None = None

    def of(self, table: Table) -> ColumnElement[bool]:
        """Whether a row with a session and a key is theirs."""
        named = table.c.session.in_(self.names)
        return named if self.key_id is None else and_(named, table.c.key_id == self.key_id)


def nothing_else(_request_ids: Sequence[str]) -> None:
    """An `Also` where nothing is kept elsewhere."""


def erase(engine: Engine, sessions: Sessions, also: Also) -> Deleted:
    """Delete the records of sessions, what became of them, their events, and what others sent about their queries.

    ``also`` is given the ids of their requests and deletes what is kept of them elsewhere, before anything here is
    gone for good: where it raises, the ids are still known, and the next try finds them. Raises what ``also`` does,
    and ``StoreUnavailableError`` where the rows are gone but their bytes are not yet: erase again.
    """
    queries = select(RECORDS.c.query_id).where(sessions.of(RECORDS), RECORDS.c.query_id.is_not(None))
    done = or_(sessions.of(EVENTS), EVENTS.c.query_id.in_(queries))
    with writing(engine) as connection:
        events = connection.execute(delete(EVENTS).where(done)).rowcount
        gone = delete(RECORDS).where(sessions.of(RECORDS)).returning(RECORDS.c.request_id)
        request_ids = connection.scalars(gone).all()
        # Last: what became of a query is written only while its record is there (`aftermath`), and locks it. The
        # table knows no keys: what another key's session of this name has come to still has its record.
        kept = select(RECORDS.c.query_id).where(RECORDS.c.query_id == FOLLOWED.c.query_id).exists()
        orphans = delete(FOLLOWED).where(FOLLOWED.c.session.in_(sessions.names), ~kept)
        followed = connection.execute(orphans).rowcount
        also(request_ids)
    _rebuild(engine)
    return Deleted(len(request_ids), events, followed)


def empty_log(engine: Engine) -> bool:
    """Move SQLite's log into the database and cut it to nothing; False where a reader is in the way."""
    if engine.dialect.name != "sqlite":
        return True
    return _outside_transactions(engine, "PRAGMA wal_checkpoint(TRUNCATE)")


def _rebuild(engine: Engine) -> None:
    if engine.dialect.name == "sqlite":
        _outside_transactions(engine, "VACUUM")
        if not empty_log(engine):
            raise StoreUnavailableError(
                "the rows are erased, but a reader keeps the log of the event store from being emptied: erase again"
            )
        return
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for table in _TABLES:
            connection.exec_driver_sql(f"VACUUM (FULL) {table.name}")


def _outside_transactions(engine: Engine, statement: str) -> bool:
    raw = engine.raw_connection()
    try:
        # A checkpoint's first column: whether it was kept from it.
        row = raw.cursor().execute(statement).fetchone()
    except sqlite3.Error as error:
        raise StoreUnavailableError(
            f"the rows are erased, but their pages are not overwritten ({error}): make room and erase again"
        ) from error
    finally:
        raw.close()
    return row is None or row[0] == 0
