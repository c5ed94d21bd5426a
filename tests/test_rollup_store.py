"""``monitoring.storage.rollups``: counts in SQLite and PostgreSQL add up, whatever is repeated, merged or raced for."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from sqlalchemy import Engine, func, select
from test_store import cluster, url

from monitoring.counts.rollup import MINUTE_US, Rollup, RollupKey, total
from monitoring.moments import microseconds
from monitoring.storage import database
from monitoring.storage import rollups as rollup_store
from monitoring.storage.migrations import migrate
from monitoring.storage.schema import ROLLUPS
from monitoring.store import EventStore

__all__ = ["cluster", "url"]  # fixtures: a real server, and an empty database of each kind

NOW = datetime(2026, 3, 8, 12, 0, 30, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    """A database with our tables."""
    made = database.create_engine(database.parse_url(url))
    with database.writing(made) as connection:
        migrate(connection)
    yield made
    made.dispose()


def delta(ago: timedelta, requests: int = 1, model: str = "en@1") -> tuple[RollupKey, Rollup]:
    """Some requests, all at 30 ms."""
    rollup = Rollup(Counter(requests=requests), {"latency_s": [0] * 43})
    rollup.bins["latency_s"][15] = requests
    return RollupKey.of(microseconds(NOW - ago), model, "stable", "search"), rollup


def rows(engine: Engine) -> int:
    """How many there are."""
    with database.reading(engine) as connection:
        return connection.scalar(select(func.count()).select_from(ROLLUPS)) or 0


def test_flushes_of_one_minute_add_up(engine: Engine) -> None:
    """Two of one process or of two are summed; the same one tried again adds nothing."""
    rollup_store.write(engine, [delta(MINUTE, 2), delta(MINUTE, 5, "en@2")], "a-1")
    rollup_store.write(engine, [delta(MINUTE, 3)], "b-1")
    rollup_store.write(engine, [delta(MINUTE, 3)], "b-1")
    rollup_store.write(engine, [], "c-1")
    (at, one, first), (_, two, second) = rollup_store.read(engine, NOW - HOUR, NOW, MINUTE)
    assert (one.model, first.counts, first.bins["latency_s"][15]) == ("en@1", Counter(requests=5), 5)
    assert (two.model, second.counts["requests"]) == ("en@2", 5)
    assert at == datetime(2026, 3, 8, 11, 58, 30, tzinfo=UTC)  # a step counted from since


def test_a_flush_that_is_tried_again_after_a_merge_counts_once(engine: Engine) -> None:
    """Its answer was lost, its rows are merged, and then it comes again: under its name, so it adds nothing."""
    rollup_store.write(engine, [delta(3 * HOUR, 1)], "a-1")
    rollup_store.write(engine, [delta(3 * HOUR, 10)], "b-1")
    assert rollup_store.compact(engine, NOW) == 1
    rollup_store.write(engine, [delta(3 * HOUR, 10)], "b-1")
    ((_, _, whole),) = rollup_store.read(engine, LONG_AGO, NOW, timedelta(days=10_000))
    assert whole.counts["requests"] == 11
    assert rollup_store.forget_flushes(engine, NOW) == 0
    assert rollup_store.forget_flushes(engine, NOW + rollup_store.TRIED_AGAIN) == 2


def test_what_was_merged_long_ago_is_not_looked_at_again(engine: Engine) -> None:
    """Tidying takes as long after a year as after a fortnight: only the last days are read."""
    for flush in ("a", "b"):
        rollup_store.write(engine, [delta(8 * DAY), delta(12 * DAY)], flush)
    assert rollup_store.compact(engine, NOW) == 1
    assert rows(engine) == 3


def test_steps_are_counted_from_since_and_until_is_left_out(engine: Engine) -> None:
    """Three steps of 20 minutes, the first of which begins where the hour does."""
    minutes = [60, 59, 41, 40, 1, 0, 61]
    rollup_store.write(engine, [delta(minute * MINUTE) for minute in minutes], "a")
    noon = NOW.replace(second=0)
    got = rollup_store.read(engine, noon - HOUR, noon, 20 * MINUTE)
    assert [(at - noon) / MINUTE for at, _, _ in got] == [-60, -40, -20]
    assert [key.minute_us for _, key, _ in got] == [microseconds(at) for at, _, _ in got]
    assert [rollup.counts["requests"] for _, _, rollup in got] == [3, 1, 1]


def test_merging_saves_rows_and_loses_nothing(engine: Engine) -> None:
    """Young minutes stay as they are, older ones become ten minutes and hours; twice is as once; late ones join in."""
    ages = [minute * MINUTE for minute in (*range(300), *range(1500, 1700))]
    for flush in ("a", "b"):
        rollup_store.write(engine, [delta(age) for age in ages], flush)
    before = rollup_store.read(engine, LONG_AGO, NOW + MINUTE, HOUR)
    assert rows(engine) == 1_000
    assert rollup_store.compact(engine, NOW) == 1_000 - rows(engine)
    merged = rows(engine)
    # 12:00 to 11:45 twice, to 10:00 once, to 7:01 in 18 of ten minutes; the day before 11:00 to 7:41 in 5 hours.
    assert merged == 2 * 16 + 105 + 18 + 5
    after = rollup_store.read(engine, LONG_AGO, NOW + MINUTE, HOUR)
    assert total(rollup for _, _, rollup in after) == total(rollup for _, _, rollup in before)
    assert rollup_store.compact(engine, NOW) == 0
    rollup_store.write(engine, [delta(1600 * MINUTE, 7)], "late")
    assert rollup_store.compact(engine, NOW) == 1
    assert rows(engine) == merged
    requests = sum(r.counts["requests"] for _, _, r in rollup_store.read(engine, LONG_AGO, NOW + MINUTE, DAY))
    assert requests == 1_007


def test_two_that_merge_at_once_double_nothing(engine: Engine) -> None:
    """Two processes tidy the same store: each row is counted once."""
    for flush in range(4):
        rollup_store.write(engine, [delta(DAY + minute * MINUTE) for minute in range(60, 400)], f"w{flush}")
    both = [threading.Thread(target=rollup_store.compact, args=(engine, NOW)) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    ((_, _, whole),) = rollup_store.read(engine, LONG_AGO, NOW, timedelta(days=10_000))
    assert whole.counts["requests"] == 4 * 340


def test_what_is_too_old_goes(engine: Engine) -> None:
    """Before a time, and nothing from it on."""
    rollup_store.write(engine, [delta(3 * DAY), delta(2 * DAY), delta(MINUTE)], "a")
    assert rollup_store.purge(engine, NOW.replace(second=0) - 2 * DAY) == 1
    assert rows(engine) == 2


def test_a_store_keeps_them(url: str) -> None:
    """Through the store's own writer: added, tidied, purged, read, beside its records."""
    with EventStore.open(url) as store:
        store.add_rollups([delta(40 * DAY), delta(2 * HOUR), delta(2 * HOUR + 2 * MINUTE)], "a")
        store.add_rollups([delta(MINUTE)], "b")
        store.tidy_rollups(NOW, before=NOW - 30 * DAY)
        got = store.rollups(LONG_AGO, NOW, DAY)
        assert sum(rollup.counts["requests"] for _, _, rollup in got) == 3


def test_minutes_are_whole() -> None:
    """Every tier is a whole number of the one after it, so that stretches never overlap."""
    spans = [span for _, span in rollup_store.TIERS]
    assert all(longer % shorter == 0 for longer, shorter in pairwise(spans))
    assert spans[-1] == MINUTE_US
