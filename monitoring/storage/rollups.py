"""Rollups in the database: added to by every process that serves, made coarser with age, read by stretches of time.

A flush appends rows under a ``writer`` of its own: nothing is read or changed, so processes never wait for each
other. A flush that is tried again under the same name counts once, also after its rows were merged (``flushes``).
``compact`` merges rows of the same stretch, and makes the stretches longer with age (``TIERS``), so that a week is
some thousands of rows. A reader sums: it does not matter to it what was merged, except that nothing is told apart
within a merged stretch.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Engine, and_, delete, func, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from monitoring.counts.rollup import Delta, Rollup, RollupKey
from monitoring.counts.tiers import TIERS
from monitoring.moments import microseconds, moment
from monitoring.storage.database import reading, writing
from monitoring.storage.schema import FLUSHES, ROLLUPS

# How far back a row may still come that has to be merged: outcomes of leftovers come a week late (`follower`). What is
# older was merged long ago and is not looked at again, however much of it there is.
MERGED = timedelta(days=9)
TRIED_AGAIN = timedelta(days=10)  # a flush waits some hours in a process; but its counts may be a week old
CHUNK = 60  # stretches merged in a transaction, so that others get their turn

_KEY = (ROLLUPS.c.minute_us, ROLLUPS.c.model, ROLLUPS.c.arm, ROLLUPS.c.transport)


def write(engine: Engine, deltas: Sequence[Delta], writer: str) -> None:
    """Add counts. ``writer`` is new with each flush; the same one again, after a failed try, adds nothing twice."""
    rows = _rows(deltas, writer)
    if rows:
        flush = {"writer": writer, "at_us": max(key.minute_us for key, _ in deltas)}
        dialect = postgresql if engine.dialect.name == "postgresql" else sqlite
        new = dialect.insert(FLUSHES).on_conflict_do_nothing().returning(FLUSHES.c.writer)
        with writing(engine) as connection:  # its name and its rows together, or neither
            if connection.scalars(new, flush).first() is not None:
                connection.execute(ROLLUPS.insert(), rows)


def read(
    engine: Engine, since: datetime, until: datetime, step: timedelta
) -> list[tuple[datetime, RollupKey, Rollup]]:
    """Sums for each step of ``[since, until)``, counted from ``since``, and each key; in order of time.

    The first of a triple is when the step begins, and so is the ``minute_us`` of its key. Steps in which nothing
    happened are not there. A merged stretch belongs where it begins: at a distance of more than a day ask for whole
    hours. Raises StoreUnavailableError.
    """
    assert step > timedelta(0), f"a step of {step}"
    first, step_us = microseconds(since), step // timedelta(microseconds=1)
    rows = select(*_KEY, ROLLUPS.c.body).where(
        ROLLUPS.c.minute_us >= first, ROLLUPS.c.minute_us < microseconds(until)
    )
    sums: dict[RollupKey, Rollup] = {}
    with reading(
        engine
    ) as connection:  # one statement: what is merged meanwhile is seen before or after, not twice
        for minute_us, model, arm, transport, body in connection.execute(rows).yield_per(1_000):
            key = RollupKey(minute_us - (minute_us - first) % step_us, model, arm, transport)
            sums.setdefault(key, Rollup()).add_dict(body)
    return [(moment(key.minute_us), key, sums[key]) for key in sorted(sums)]


def compact(engine: Engine, now: datetime) -> int:
    """Merge what is old enough; how many rows that saved. Safe beside other processes that do the same."""
    end = microseconds(now - MERGED)
    saved = 0
    for age, span_us in TIERS:
        until = microseconds(now - age)
        until -= until % span_us
        end -= end % span_us
        spans = _unmerged(engine, end, until, span_us)
        for at in range(0, len(spans), CHUNK):
            saved += _merge(engine, spans[at : at + CHUNK], span_us)
        end = until
    return saved


def forget_flushes(engine: Engine, now: datetime) -> int:
    """Delete the names of flushes that nobody tries again any more; how many."""
    with writing(engine) as connection:
        old = FLUSHES.c.at_us < microseconds(now - TRIED_AGAIN)
        return connection.execute(delete(FLUSHES).where(old)).rowcount


def purge(engine: Engine, before: datetime) -> int:
    """Delete what is older; how many rows."""
    with writing(engine) as connection:
        return connection.execute(delete(ROLLUPS).where(ROLLUPS.c.minute_us < microseconds(before))).rowcount


def _rows(deltas: Iterable[Delta], writer: str) -> list[dict[str, object]]:
    return [
        {
            "minute_us": key.minute_us,
            "writer": writer,
            "model": key.model,
            "arm": key.arm,
            "transport": key.transport,
            "body": rollup.as_dict(),
        }
        for key, rollup in deltas
    ]


def _unmerged(engine: Engine, since_us: int, until_us: int, span_us: int) -> Sequence[int]:
    """Where the stretches of a tier begin that have more than one row of a key, or one that begins within."""
    span = (ROLLUPS.c.minute_us - ROLLUPS.c.minute_us % span_us).label("span")
    inside = and_(ROLLUPS.c.minute_us >= since_us, ROLLUPS.c.minute_us < until_us)
    groups = (
        select(span, func.count().label("n"), func.max(ROLLUPS.c.minute_us).label("last"))
        .where(inside)
        .group_by(span, *_KEY[1:])
        .subquery()
    )
    wanted = select(groups.c.span).where((groups.c.n > 1) | (groups.c.last > groups.c.span)).distinct()
    with reading(engine) as connection:
        return sorted(connection.scalars(wanted))


def _merge(engine: Engine, spans: Sequence[int], span_us: int) -> int:
    minute_us = ROLLUPS.c.minute_us
    inside = or_(*(and_(minute_us >= span, minute_us < span + span_us) for span in spans))
    sums: dict[RollupKey, Rollup] = {}
    with writing(engine) as connection:
        # Deleted and read in one: another process that merges the same finds each row once, here or there.
        gone = delete(ROLLUPS).where(inside).returning(*_KEY, ROLLUPS.c.body)
        rows = connection.execute(gone).all()
        for at_us, model, arm, transport, body in rows:
            key = RollupKey(at_us - at_us % span_us, model, arm, transport)
            sums.setdefault(key, Rollup()).add_dict(body)
        if sums:
            connection.execute(ROLLUPS.insert(), _rows(sums.items(), f"merged-{uuid.uuid4().hex}"))
    return len(rows) - len(sums)
