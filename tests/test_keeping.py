"""``monitoring.keeping``: what is old is deleted, little by little, by the process that leads."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from monitoring.aftermath import Aftermath
from monitoring.alarms import rules
from monitoring.counts.rollup import Rollup, RollupKey
from monitoring.follower import Follower
from monitoring.keeping import FOR_EVER, PURGE_EVERY, Keeping, Tidier
from monitoring.metrics import Metrics
from monitoring.moments import microseconds
from monitoring.outcomes import Followed
from monitoring.record import Event, EventType, Outcome, Record, Transport
from monitoring.storage.retention import Deleted
from monitoring.store import EventStore
from monitoring.watch import Watch

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DAY = timedelta(days=1)
RECORD = Record("r", NOW, Transport.SEARCH, Outcome.OK, 200, "en-small@0", 0.1)
KEEPING = Keeping.of_days(90, 400)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EventStore]:
    """With a record, an event, an outcome and a count of each of some ages, in days."""
    with EventStore.open(f"sqlite:///{tmp_path}/events.db") as made:
        for age in (0, 89, 91, 401):
            at = NOW - age * DAY
            record = replace(RECORD, request_id=f"r{age}", query_id=f"q{age}", at=at)
            made.observe(record)
            made.observe(Event(f"e{age}", f"q{age}", EventType.DISMISS, at))
            made.keep([Aftermath.of(record, Followed(f"q{age}", record.model, record.arm, null=False))])
            made.add_rollups(
                [(RollupKey(microseconds(at), "en-small@0", "stable", "search"), Rollup())], f"w{age}"
            )
        yield made


def ages(store: EventStore) -> dict[str, list[int]]:
    """Of what is there, by table, the youngest first."""
    counts = [at for at, _, _ in store.rollups(NOW - 999 * DAY, NOW + DAY, timedelta(minutes=1))]
    found = {
        "records": [record.at for record in store.records()],
        "events": [event.at for event in store.events()],
        "followed": [row.at for row in store.followed()],
        "counts": counts,
    }
    return {name: sorted((NOW - at).days for at in moments) for name, moments in found.items()}


def test_what_is_too_old_is_deleted(store: EventStore, caplog: pytest.LogCaptureFixture) -> None:
    """What concerns a person after 90 days, counts after 400; the log says how much, and nothing else."""
    caplog.set_level(logging.INFO)
    Tidier(store, KEEPING).tidy(NOW)
    young = [0, 89]
    assert ages(store) == {"records": young, "events": young, "followed": young, "counts": [0, 89, 91]}
    lines = [line.__dict__ for line in caplog.records]
    assert [line["message"] for line in lines] == ["purged", "purged"]
    assert [lines[0][name] for name in ("records", "events", "followed")] == [2, 2, 2]
    assert lines[1]["counts"] == 1


def test_zero_days_are_for_ever(store: EventStore) -> None:
    """As is what nobody has said anything of."""
    assert Keeping.of_days(0, 0) == FOR_EVER
    Tidier(store, FOR_EVER).tidy(NOW)
    assert {tuple(kept) for kept in ages(store).values()} == {(0, 89, 91, 401)}


def test_a_long_purge_is_done_in_pieces(store: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many rows a tick, the oldest first, until none is too old; then it is not looked for until an hour later."""
    monkeypatch.setattr("monitoring.storage.retention.CHUNK", 1)
    tidier = Tidier(store, Keeping(records=DAY), at_once=2)
    tidier.tidy(NOW)
    assert ages(store)["records"] == [0, 89]
    tidier.tidy(NOW)
    assert ages(store)["records"] == [0]
    store.observe(replace(RECORD, request_id="late", at=NOW - 2 * DAY))
    store.flush()
    tidier.tidy(NOW + PURGE_EVERY - timedelta(seconds=1))
    assert ages(store)["records"] == [0, 2]
    tidier.tidy(NOW + PURGE_EVERY)
    assert ages(store)["records"] == [0]


def test_a_purge_may_be_bounded(store: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """By rows of a table; without a bound it goes to the end."""
    monkeypatch.setattr("monitoring.storage.retention.CHUNK", 1)
    assert store.purge(NOW, most=1) == Deleted(1, 1, 1)
    assert store.purge(NOW) == Deleted(2, 2, 2)
    assert store.purge(NOW, most=1) == Deleted()


def test_the_one_that_leads_deletes(store: EventStore) -> None:
    """Of two processes with one store; the other leaves it alone."""
    follower = Follower(lambda _a, _b: 1.0)
    watches = [
        Watch(store, Metrics(CollectorRegistry()), rules.load(), follower, keeping=KEEPING) for _ in range(2)
    ]
    watches[0].tick(NOW)
    assert ages(store)["records"] == [0, 89]
    store.observe(replace(RECORD, request_id="old", at=NOW - 99 * DAY))
    store.flush()
    watches[1].tick(NOW)
    assert ages(store)["records"] == [0, 89, 99]
    watches[0].tick(NOW + PURGE_EVERY)
    assert ages(store)["records"] == [0, 89]
    assert watches[0].failures == {}
    for watch in watches:
        watch.close()
