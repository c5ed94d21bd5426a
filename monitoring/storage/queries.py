"""What the store is asked. All answers come in pages, each its own short transaction: memory is bounded however much
is asked for, and a slow reader never holds SQLite's log open.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine, Table, literal, select, tuple_

from monitoring.moments import microseconds
from monitoring.record import Event, Record
from monitoring.storage.backlog import Owner
from monitoring.storage.database import reading
from monitoring.storage.rows import Row, event_of, record_of
from monitoring.storage.schema import EVENTS, RECORDS

PAGE = 1_000  # rows, about 2 MB


@dataclass(frozen=True, slots=True)
class Window:
    """Times ``[since, until)``; None is open. At most ``limit`` rows, the oldest."""

    since: datetime | None = None
    until: datetime | None = None
    limit: int | None = None


def pages(engine: Engine, table: Table, window: Window) -> Iterator[list[Row]]:
    """Rows of a table with ``at_us`` and a primary key, oldest first, in pages of up to ``PAGE``.

    What is written meanwhile with a time already passed is not seen. Raises ``StoreUnavailableError``.
    """
    (key,) = table.primary_key.columns
    place = tuple_(table.c.at_us, key)
    rows = select(table).order_by(table.c.at_us, key)
    if window.since is not None:
        rows = rows.where(table.c.at_us >= microseconds(window.since))
    if window.until is not None:
        rows = rows.where(table.c.at_us < microseconds(window.until))
    left, page_rows = window.limit, rows
    while left is None or left > 0:
        with reading(engine) as connection:
            wanted = PAGE if left is None else min(left, PAGE)
            page = [dict(row) for row in connection.execute(page_rows.limit(wanted)).mappings()]
        if page:
            yield page
        if len(page) < wanted:
            return
        left = None if left is None else left - len(page)
        page_rows = rows.where(place > tuple_(literal(page[-1]["at_us"]), literal(page[-1][key.name])))


def records(engine: Engine, window: Window) -> Iterator[Record]:
    """Records by time of the request."""
    for page in pages(engine, RECORDS, window):
        yield from map(record_of, page)


def events(engine: Engine, window: Window) -> Iterator[Event]:
    """Events by time of the act."""
    for page in pages(engine, EVENTS, window):
        yield from map(event_of, page)


def events_of(engine: Engine, query_id: str) -> tuple[Event, ...]:
    """What people did with one query's results, in order of time."""
    rows = select(EVENTS).where(EVENTS.c.query_id == query_id).order_by(EVENTS.c.at_us, EVENTS.c.id)
    with reading(engine) as connection:
        return tuple(event_of(dict(row)) for row in connection.execute(rows).mappings())


def owner_of(engine: Engine, query_id: str) -> Owner | None:
    """Whose query it was; None where no record names it."""
    row = select(RECORDS.c.key_id, RECORDS.c.session).where(RECORDS.c.query_id == query_id).limit(1)
    with reading(engine) as connection:
        found = connection.execute(row).first()
    return None if found is None else Owner(found.key_id, found.session)
