"""Numbered steps from an empty database to the tables of ``schema``. Forward only.

A step that has been released is never changed: the next change is the next number. All steps that a database lacks
run in one transaction, so a database is at one version or another and never between. A database of a higher
version than this code knows is refused, because nobody can say what an old writer would break in it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, insert, select, text

from monitoring.errors import SchemaVersionError
from monitoring.storage.schema import SCHEMA_VERSION

_TYPES = {
    "sqlite": {"id": "INTEGER PRIMARY KEY", "json": "JSON"},
    "postgresql": {"id": "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "json": "JSONB"},
}
_LOCK = 0x766F6963  # "voic": whoever else migrates this PostgreSQL database waits


@dataclass(frozen=True, slots=True)
class Migration:
    """One step. ``{id}`` and ``{json}`` in a statement stand for the database's own types."""

    number: int
    statements: tuple[str, ...]


MIGRATIONS = (
    Migration(
        1,
        (
            """CREATE TABLE records (
                id {id}, request_id TEXT NOT NULL, at_us BIGINT NOT NULL, transport TEXT NOT NULL,
                outcome TEXT NOT NULL, status INTEGER NOT NULL, model TEXT NOT NULL, arm TEXT NOT NULL,
                duration_s DOUBLE PRECISION, query_id TEXT, session TEXT, key_id TEXT,
                null_reason TEXT, error TEXT, bytes_received BIGINT NOT NULL,
                clip_duration_s DOUBLE PRECISION, clip_level_dbfs DOUBLE PRECISION,
                clip_gain_db DOUBLE PRECISION, clip_snr_db DOUBLE PRECISION,
                clip_clipped_ratio DOUBLE PRECISION, clip_speech_ratio DOUBLE PRECISION,
                clip_leading_silence_s DOUBLE PRECISION, clip_trailing_silence_s DOUBLE PRECISION,
                confidence DOUBLE PRECISION, n_words INTEGER NOT NULL, text TEXT NOT NULL,
                results {json} NOT NULL, stages_s {json} NOT NULL, first_partial_s DOUBLE PRECISION,
                final_after_speech_s DOUBLE PRECISION, fields_missing {json} NOT NULL)""",
            """CREATE TABLE events (
                id {id}, event_id TEXT NOT NULL, query_id TEXT NOT NULL, type TEXT NOT NULL,
                at_us BIGINT NOT NULL, item_id TEXT, text TEXT NOT NULL, session TEXT, key_id TEXT)""",
            # The same request or event a second time is the same one: a writer may safely try again.
            "CREATE UNIQUE INDEX records_request_id ON records (request_id)",
            "CREATE UNIQUE INDEX events_event_id ON events (event_id)",
        ),
    ),
    Migration(
        2,
        tuple(
            f"CREATE INDEX {table}_{columns.split(',')[0]} ON {table} ({columns})"
            for table in ("records", "events")
            for columns in ("at_us, id", "query_id", "session")
        ),
    ),
    Migration(
        3,
        (
            *(
                f"ALTER TABLE records ADD COLUMN {column}"
                for column in (
                    "perplexity DOUBLE PRECISION",
                    "entropy DOUBLE PRECISION",
                    "top_score DOUBLE PRECISION",
                    "repeats DOUBLE PRECISION",
                    "device TEXT",
                    "locale TEXT",
                )
            ),
            """CREATE TABLE followed (
                query_id TEXT PRIMARY KEY NOT NULL, at_us BIGINT NOT NULL, model TEXT NOT NULL, arm TEXT NOT NULL,
                transport TEXT NOT NULL, session TEXT, again TEXT, again_as TEXT, told BOOLEAN NOT NULL,
                clicks INTEGER NOT NULL, dwell_s DOUBLE PRECISION, satisfied BOOLEAN NOT NULL,
                spoken BOOLEAN NOT NULL)""",
            "CREATE INDEX followed_at_us ON followed (at_us)",
            "CREATE INDEX followed_session ON followed (session)",
            """CREATE TABLE rollups (
                minute_us BIGINT NOT NULL, writer TEXT NOT NULL, model TEXT NOT NULL, arm TEXT NOT NULL,
                transport TEXT NOT NULL, body {json} NOT NULL,
                PRIMARY KEY (minute_us, writer, model, arm, transport))""",
            "CREATE TABLE flushes (writer TEXT PRIMARY KEY NOT NULL, at_us BIGINT NOT NULL)",
            "CREATE INDEX flushes_at_us ON flushes (at_us)",
            """CREATE TABLE journal (
                id {id}, at_us BIGINT NOT NULL, alarm TEXT NOT NULL, kind TEXT NOT NULL, reason TEXT NOT NULL,
                body {json} NOT NULL)""",
            "CREATE INDEX journal_at_us ON journal (at_us, id)",
            "CREATE TABLE profiles (id {id}, at_us BIGINT NOT NULL, name TEXT NOT NULL, body {json} NOT NULL)",
        ),
    ),
)
LATEST = MIGRATIONS[-1].number


def migrate(connection: Connection, migrations: Sequence[Migration] = MIGRATIONS) -> int:
    """Bring the database of an open transaction to the last of ``migrations``; the version that it had before.

    Raises ``SchemaVersionError`` for a database of a higher version.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    SCHEMA_VERSION.create(connection, checkfirst=True)
    before = connection.scalar(select(func.max(SCHEMA_VERSION.c.version))) or 0
    latest = migrations[-1].number
    if before > latest:
        raise SchemaVersionError(
            f"the event store has schema version {before}, this version of voicesearch knows up to {latest}: "
            f"install the newer version again, or name another store"
        )
    for migration in migrations:
        if migration.number > before:
            for statement in migration.statements:
                connection.execute(text(statement.format(**_TYPES[connection.dialect.name])))
            row = {"version": migration.number, "applied_us": time.time_ns() // 1000}
            connection.execute(insert(SCHEMA_VERSION).values(row))
    return int(before)
