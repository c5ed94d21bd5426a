"""``monitoring.storage.migrations``: forward, all or nothing, and never from the future."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy
from sqlalchemy import Engine, select
from sqlalchemy.exc import OperationalError

from monitoring.errors import SchemaVersionError
from monitoring.record import Event, EventType
from monitoring.storage.database import create_engine, parse_url, reading, writing
from monitoring.storage.migrations import LATEST, MIGRATIONS, Migration, migrate
from monitoring.storage.schema import METADATA, SCHEMA_VERSION
from monitoring.store import EventStore

EVENT = Event("event", "query", EventType.CLICK, datetime(2026, 3, 1, tzinfo=UTC))


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """An empty SQLite database."""
    made = create_engine(parse_url(f"sqlite:///{tmp_path}/events.db"))
    yield made
    made.dispose()


def upgrade(engine: Engine, *migrations: Migration) -> int:
    """Migrate in a transaction of its own; the version before."""
    with writing(engine) as connection:
        return migrate(connection, migrations)


def test_migrations_are_numbered_without_a_gap() -> None:
    """From 1, in order: a version is a count of steps."""
    assert [migration.number for migration in MIGRATIONS] == list(range(1, LATEST + 1))


def test_the_migrated_tables_are_those_that_queries_see(engine: Engine) -> None:
    """Names, nullability and order of all columns, and an index for every column that is asked by."""
    upgrade(engine, *MIGRATIONS)
    inspector = sqlalchemy.inspect(engine)
    assert sorted(inspector.get_table_names()) == sorted(METADATA.tables)
    for table in METADATA.sorted_tables:
        made = [(column["name"], column["nullable"]) for column in inspector.get_columns(table.name)]
        declared = [(column.name, bool(column.nullable)) for column in table.columns]
        assert [name for name, _ in made] == [name for name, _ in declared]
        keys = {column.name for column in table.primary_key}
        assert {c for c in made if c[0] not in keys} == {c for c in declared if c[0] not in keys}
    for name in ("records", "events"):
        indexed = {index["column_names"][0] for index in inspector.get_indexes(name)}
        assert {"at_us", "query_id", "session"} < indexed


def test_an_old_database_is_brought_up_to_date_and_keeps_its_rows(engine: Engine, tmp_path: Path) -> None:
    """Version 1 with an event in it becomes the latest; opening again changes nothing."""
    assert upgrade(engine, MIGRATIONS[0]) == 0
    with writing(engine) as connection:
        connection.exec_driver_sql(
            "INSERT INTO events (event_id, query_id, type, at_us, text) VALUES ('event', 'query', 'click', ?, '')",
            (1_772_323_200_000_000,),
        )
    with EventStore.open(f"sqlite:///{tmp_path}/events.db") as store:
        assert store.events_of("query") == (EVENT,)
    assert upgrade(engine, *MIGRATIONS) == LATEST
    with reading(engine) as connection:
        versions = connection.execute(select(SCHEMA_VERSION.c.version)).scalars().all()
    assert list(versions) == list(range(1, LATEST + 1))


def test_a_step_that_fails_leaves_the_version_before(engine: Engine) -> None:
    """All in one transaction: not even the good half of a bad step stays."""
    upgrade(engine, *MIGRATIONS)
    bad = Migration(LATEST + 1, ("CREATE TABLE half (x TEXT)", "CREATE TABLE records (x TEXT)"))
    with pytest.raises(OperationalError, match="already exists"):
        upgrade(engine, *MIGRATIONS, bad)
    assert "half" not in sqlalchemy.inspect(engine).get_table_names()
    assert upgrade(engine, *MIGRATIONS) == LATEST


def test_a_newer_database_is_refused(engine: Engine, tmp_path: Path) -> None:
    """Opening it raises, and names both versions."""
    upgrade(engine, *MIGRATIONS, Migration(LATEST + 1, ()))
    with pytest.raises(
        SchemaVersionError, match=f"schema version {LATEST + 1}, this version .* up to {LATEST}"
    ):
        EventStore.open(f"sqlite:///{tmp_path}/events.db")
