"""Records and events into the tables, in one transaction, each once.

A request or event whose name is there already is left as it is: so a client may send an event again, and the
writer may repeat a batch of which it does not know whether it was committed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

from monitoring.record import Event, Record
from monitoring.storage.rows import event_row, record_row
from monitoring.storage.schema import EVENTS, RECORDS

_KEYS = {"request_id": RECORDS, "event_id": EVENTS}  # what makes a row the same; no table has both


def insert_all(connection: Connection, items: Sequence[Record | Event]) -> list[bool]:
    """Write items; for each, whether it is new.

    Raises what making a row raises (``TypeError``, ``AttributeError`` ...: the item is at fault) and what SQLAlchemy
    raises; ``database.is_outage`` tells which is which.
    """
    rows = [record_row(item) if isinstance(item, Record) else event_row(item) for item in items]
    fresh = {
        key: insert_new(connection, table, key, [row for row in rows if key in row])
        for key, table in _KEYS.items()
    }
    new = []
    for row in rows:
        key = next(key for key in _KEYS if key in row)
        new.append(row[key] in fresh[key])
        fresh[key].discard(row[key])  # the same again in one batch is new once
    return new


def insert_new(connection: Connection, table: Table, key: str, rows: list[dict[str, Any]]) -> set[str]:
    """Write rows that differ in ``key``, a unique column; the keys of those that were not there."""
    if not rows:
        return set()
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table).on_conflict_do_nothing(index_elements=[key]).returning(table.c[key])
    return set(connection.scalars(statement, rows))
