"""The tables of the event store, as queries see them. What creates them in a database is in ``migrations``.

``at_us`` is a time: microseconds since 1970 in UTC, an integer, so that it sorts and comes back exactly in every
database. Durations are seconds, levels dBFS, ratios in [0, 1], as in ``Record``. ``text`` is what a person said or
typed, and the only column that holds it. The columns of the clip begin with ``clip_`` and are NULL without one.
"""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Boolean, Column, Double, Integer, MetaData, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

METADATA = MetaData()

CLIP_COLUMNS = (
    "duration_s", "level_dbfs", "gain_db", "snr_db", "clipped_ratio", "speech_ratio",
    "leading_silence_s", "trailing_silence_s",
)  # fmt: skip

_ROW_ID = BigInteger().with_variant(Integer, "sqlite")  # an INTEGER PRIMARY KEY is SQLite's own row number
_JSON = JSON().with_variant(JSONB(), "postgresql")

SCHEMA_VERSION = Table(
    "schema_version",
    METADATA,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("applied_us", BigInteger, nullable=False),
)

RECORDS = Table(
    "records",
    METADATA,
    Column("id", _ROW_ID, primary_key=True),
    Column("request_id", Text, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("transport", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("model", Text, nullable=False),
    Column("arm", Text, nullable=False),
    Column("duration_s", Double),
    Column("query_id", Text),
    Column("session", Text),
    Column("key_id", Text),
    Column("null_reason", Text),
    Column("error", Text),
    Column("bytes_received", BigInteger, nullable=False),
    *(Column(f"clip_{name}", Double) for name in CLIP_COLUMNS),
    Column("confidence", Double),
    Column("n_words", Integer, nullable=False),
    Column("text", Text, nullable=False),
    Column("results", _JSON, nullable=False),
    Column("stages_s", _JSON, nullable=False),
    Column("first_partial_s", Double),
    Column("final_after_speech_s", Double),
    Column("fields_missing", _JSON, nullable=False),
    Column("perplexity", Double),
    Column("entropy", Double),
    Column("top_score", Double),
    Column("repeats", Double),
    Column("device", Text),
    Column("locale", Text),
)

EVENTS = Table(
    "events",
    METADATA,
    Column("id", _ROW_ID, primary_key=True),
    Column("event_id", Text, nullable=False),
    Column("query_id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("item_id", Text),
    Column("text", Text, nullable=False),
    Column("session", Text),
    Column("key_id", Text),
)

# What became of a query, once its session is settled (`outcomes`). No text.
FOLLOWED = Table(
    "followed",
    METADATA,
    Column("query_id", Text, primary_key=True),
    Column("at_us", BigInteger, nullable=False),  # of the query
    Column("model", Text, nullable=False),
    Column("arm", Text, nullable=False),
    Column("transport", Text, nullable=False),
    Column("session", Text),
    Column("again", Text),  # explicit, repeat, rephrase, typed; NULL: it was not asked again
    Column("again_as", Text),
    Column("told", Boolean, nullable=False),  # by the client; else it is inferred
    Column("clicks", Integer, nullable=False),
    Column("dwell_s", Double),  # of the longest click that ended
    Column("satisfied", Boolean, nullable=False),
    Column("spoken", Boolean, nullable=False),  # else it was typed, or nothing was said
)

# Counts of a minute, as one process saw them (`rollup`). Nobody's in particular: they outlive records.
ROLLUPS = Table(
    "rollups",
    METADATA,
    Column("minute_us", BigInteger, primary_key=True),
    Column("writer", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("arm", Text, primary_key=True),
    Column("transport", Text, primary_key=True),
    Column("body", _JSON, nullable=False),
)

# Which flushes of counts are in the table above, under which names: one that is tried again adds nothing, whether its
# rows have been merged since or not.
FLUSHES = Table(
    "flushes",
    METADATA,
    Column("writer", Text, primary_key=True),
    Column("at_us", BigInteger, nullable=False),  # the newest minute of its counts
)

# What alarms did, and every change of a threshold with its reason (`journal`). Only ever added to.
JOURNAL = Table(
    "journal",
    METADATA,
    Column("id", _ROW_ID, primary_key=True),
    Column("at_us", BigInteger, nullable=False),
    Column("alarm", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("body", _JSON, nullable=False),
)

# Frozen references for drift (`profile`), by name; the newest of a name holds.
PROFILES = Table(
    "profiles",
    METADATA,
    Column("id", _ROW_ID, primary_key=True),
    Column("at_us", BigInteger, nullable=False),
    Column("name", Text, nullable=False),
    Column("body", _JSON, nullable=False),
)
