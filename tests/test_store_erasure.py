"""``monitoring.storage.retention`` on SQLite: what is erased is nowhere in the files, not even between the rows."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from monitoring.aftermath import Aftermath
from monitoring.errors import StoreUnavailableError
from monitoring.outcomes import Again, Followed
from monitoring.record import Event, EventType, Outcome, Record, Transport
from monitoring.storage.database import create_engine, parse_url, reading
from monitoring.store import EventStore

AT = datetime(2026, 3, 1, tzinfo=UTC)
RECORD = Record("0", AT, Transport.SEARCH, Outcome.OK, 200, "en-small@0", 0.1, query_id="query-0")
FOLLOWED = Followed("query-0", RECORD.model, RECORD.arm, null=False, again=Again.REPEAT)
EVENT = Event("0", "query-0", EventType.TYPED, AT)


def holds(folder: Path, canary: str) -> list[str]:
    """The files of a folder that contain a string, as raw bytes."""
    return [path.name for path in sorted(folder.iterdir()) if canary.encode() in path.read_bytes()]


def test_an_erased_session_is_in_no_file(tmp_path: Path) -> None:
    """Neither what was said nor what was typed nor the session's name, in database, log or anything beside them."""
    with EventStore.open(f"sqlite:///{tmp_path}/events.db") as store:
        store.observe(replace(RECORD, session="canary-session", text="canary-said", results=("canary-item",)))
        store.observe(replace(EVENT, session="canary-session", text="canary-typed"))
        store.observe(replace(RECORD, request_id="1", query_id="query-1", session="other", text="kept"))
        row = Aftermath.of(
            replace(RECORD, session="canary-session"), replace(FOLLOWED, again_as="canary-query")
        )
        assert store.keep([row]) == [True]
        said = ("canary-session", "canary-said", "canary-item", "canary-typed", "canary-query", "kept")
        for canary in said:
            assert holds(tmp_path, canary) == ["events.db-wal"]
        store.erase("canary-session")
        assert holds(tmp_path, "canary") == []
        assert holds(tmp_path, "kept") == ["events.db"]
    assert [path.name for path in tmp_path.iterdir()] == ["events.db"]


def test_erasing_reaches_what_still_waits_to_be_written(tmp_path: Path) -> None:
    """What was observed before the erasure does not come to light after it."""
    with EventStore.open(f"sqlite:///{tmp_path}/events.db") as store:
        for number in range(5_000):
            store.observe(replace(RECORD, request_id=str(number), session="canary", text="canary"))
        assert store.erase("canary").records == 5_000
        assert (list(store.records()), holds(tmp_path, "canary")) == ([], [])


def test_no_copy_stays_behind_in_a_page(tmp_path: Path) -> None:
    """Pages that were split and merged keep copies of rows where ``secure_delete`` does not look; rebuilding does.

    Without the rebuilding this draw leaves some (see ``retention``).
    """
    rng = random.Random(7)
    names = [f"{rng.getrandbits(64):016x}" for _ in range(400)]
    with EventStore.open(f"sqlite:///{tmp_path}/events.db") as store:
        for start in (0, 1000, 2000, 3000):
            for number in range(start, start + 1000):
                name = rng.choice(names)
                request = replace(RECORD, request_id=f"{rng.getrandbits(64):x}", query_id=f"q{number}")
                store.observe(replace(request, session=name, text=name * rng.choice([1, 2, 5, 150])))
            store.flush()
            gone = [names.pop() for _ in range(40)]
            store.erase(*gone)
            assert [name for name in gone if holds(tmp_path, name)] == []


def test_an_erasure_that_a_reader_holds_up_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader in the middle of a transaction keeps the log; the error asks for another try, which succeeds."""
    monkeypatch.setattr("monitoring.storage.database.BUSY_TIMEOUT_MS", 50)
    url = f"sqlite:///{tmp_path}/events.db"
    reader = create_engine(parse_url(url))
    with EventStore.open(url) as store:
        store.observe(replace(RECORD, session="canary", text="canary"))
        store.flush()
        with reading(reader) as connection:
            connection.exec_driver_sql("SELECT count(*) FROM records").scalar()
            with pytest.raises(StoreUnavailableError, match="erase again"):
                store.erase("canary")
        assert store.erase("canary").records == 0
        assert holds(tmp_path, "canary") == []
    reader.dispose()


def test_errors_do_not_quote_what_was_said(tmp_path: Path) -> None:
    """SQLAlchemy's errors carry the parameters of a statement, unless told not to: ours are told."""
    engine = create_engine(parse_url(f"sqlite:///{tmp_path}/events.db"))
    with pytest.raises(StoreUnavailableError, match="no such table") as raised, reading(engine) as connection:
        connection.exec_driver_sql("SELECT ? FROM nowhere", ("canary",))
    engine.dispose()
    assert "canary" not in f"{raised.value} {raised.value.__cause__}"
