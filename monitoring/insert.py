"""Records and events into the tables, in one transaction, each once.

A request or event whose name is there already is left as it is: so a client may send an event again, and the
writer may repeat a batch of which it does not know whether it was committed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy
from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite

from monitoring.record import Event, Record
from monitoring.rows import event_row, record_row
from monitoring.schema import EVENTS, RECORDS


def insert_all(connection: Connection, items: Sequence[Record | Event]) -> list[bool]:
    """Write items; for each, whether it is new.

    Raises what making a row raises (``TypeError``, ``AttributeError`` ...: the item is at fault) and what SQLAlchemy
    raises; ``database.is_outage`` tells which is which.
    """
    records = [record_row(item) for item in items if isinstance(item, Record)]
    events = [event_row(item) for item in items if isinstance(item, Event)]
    fresh = _insert(connection, RECORDS, "request_id", records) | _insert(connection, EVENTS, "event_id", events)
    new = []
    for item in items:
        table, name = (RECORDS, item.request_id) if isinstance(item, Record) else (EVENTS, item.event_id)
        new.append((table.name, name) in fresh)
        fresh.discard((table.name, name))  # the same again in one batch is new once
    return new


def _insert(connection: Connection, table: Table, key: str, rows: list[dict[str, Any]]) -> set[tuple[str, str]]:
    if not rows:
        return set()
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table).on_conflict_do_nothing(index_elements=[key]).returning(table.c[key])
    return {(table.name, name) for name in connection.scalars(statement, rows)}
