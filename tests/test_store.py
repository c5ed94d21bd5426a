"""``monitoring.store``: what is observed is kept and can be asked about, the same in SQLite and in PostgreSQL.

The PostgreSQL is a real server, started here in a folder of its own, on a socket and no port.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType

import postgres_server
import psycopg
import pytest
from postgres_server import Cluster

from asr.transcript import ClipStats, NullReason
from monitoring.aftermath import Aftermath
from monitoring.errors import StoreUnavailableError, StoreUrlError, UnstorableError
from monitoring.outcomes import Again, Leftover
from monitoring.record import Event, EventType, Outcome, Record, Transport
from monitoring.storage.backlog import Owner
from monitoring.storage.retention import Deleted
from monitoring.storage.writer import Limits
from monitoring.store import EventStore

AT = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
RECORD = Record(
    request_id="request-0",
    at=AT,
    transport=Transport.STREAM,
    outcome=Outcome.NULL,
    status=200,
    model="en-small@0123456789ab",
    duration_s=0.125,
    arm="canary",
    query_id="query-0",
    session="sitting",
    key_id="key",
    null_reason=NullReason.TOO_QUIET,
    error="AudioLimitError",
    bytes_received=2**40,
    clip=ClipStats(3.5, -23.25, 3.25, None, 0.0, 0.5, 0.25, 0.125),
    confidence=0.75,
    n_words=2,
    text="flat white, please ☕",
    results=("item-2", "item-1"),
    stages_s=MappingProxyType({"vad": 0.0625, "model": 0.03125}),
    first_partial_s=0.5,
    final_after_speech_s=0.25,
    fields_missing=("language", "session"),
)
AFTERMATH = Aftermath(
    "query-0", AT, "en-small@0123456789ab", "canary", Transport.STREAM, "sitting", Again.TYPED, "query-1", False, 2,
    9.5, False,
)  # fmt: skip
EVENT = Event("event-0", "query-0", EventType.TYPED, AT, "item-1", "flat white", "sitting", "key")


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A running server."""
    with postgres_server.running() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/events.db"
    server = request.getfixturevalue("cluster")
    assert isinstance(server, Cluster)
    return server.create(tmp_path.name)


@pytest.fixture
def store(url: str) -> Iterator[EventStore]:
    """An open store on it."""
    with EventStore.open(url) as opened:
        yield opened


def until_recovered(store: EventStore) -> None:
    """Wait until the writer has written all that waits."""
    while True:
        try:
            return store.flush()
        except StoreUnavailableError:
            time.sleep(0.01)


def test_a_record_and_an_event_come_back_as_they_were(store: EventStore) -> None:
    """Every field, to the microsecond and the last bit."""
    store.observe(RECORD)
    store.observe(EVENT)
    store.flush()
    assert list(store.records()) == [RECORD]
    assert list(store.events()) == [EVENT]
    assert store.events_of("query-0") == (EVENT,)
    assert (store.lost, store.waiting, store.lag_s, store.trouble) == (0, 0, 0.0, None)


def test_a_bare_record_comes_back_as_it_was(store: EventStore) -> None:
    """A failed request has no clip, no query and no text; that is kept, too."""
    bare = Record("r", AT, Transport.REST, Outcome.ERROR, 415, "en-small@0", 0.001)
    store.observe(bare)
    store.flush()
    assert list(store.records()) == [bare]


def test_what_is_stored_outlives_the_store(url: str) -> None:
    """Closing finishes what was accepted; the next store finds it."""
    with EventStore.open(url) as first:
        first.observe(RECORD)
    with EventStore.open(url) as second:
        assert list(second.records()) == [RECORD]


def test_the_same_event_again_is_the_same_event(store: EventStore) -> None:
    """In one commit or in many, it is kept once, and only its first sender hears that it is new."""
    futures = [store.submit(EVENT) for _ in range(3)]
    assert [future.result() for future in futures] == [True, False, False]
    assert store.submit(replace(EVENT, text="other")).result() is False
    store.observe(RECORD)
    store.observe(replace(RECORD, status=500))
    store.flush()
    assert list(store.events()) == [EVENT]
    assert list(store.records()) == [RECORD]
    assert store.lost == 0


def test_an_acknowledged_event_can_be_read_at_once(store: EventStore) -> None:
    """The future of ``submit`` is awaitable in an event loop, and resolves after the commit."""

    async def send() -> tuple[Event, ...]:
        assert await asyncio.wrap_future(store.submit(EVENT)) is True
        return store.events_of("query-0")

    assert asyncio.run(send()) == (EVENT,)


def test_a_sender_that_hangs_up_does_not_disturb_the_writer(store: EventStore) -> None:
    """A cancelled wait is the waiter's affair: the event is kept, and the next one is too."""

    async def send_and_leave() -> None:
        waiting = asyncio.wrap_future(store.submit(EVENT))
        waiting.cancel()
        await asyncio.sleep(0)

    asyncio.run(send_and_leave())
    assert store.submit(replace(EVENT, event_id="event-1")).result() is True
    assert [event.event_id for event in store.events()] == ["event-0", "event-1"]


def test_many_threads_lose_nothing(store: EventStore) -> None:
    """Eight threads at once, more than one batch: each record and each event is there, once."""

    def hand_over(number: int) -> None:
        for count in range(250):
            store.observe(replace(RECORD, request_id=f"{number}-{count}"))
            store.observe(replace(EVENT, event_id=f"{number}-{count}"))

    threads = [threading.Thread(target=hand_over, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.flush()
    names = {f"{number}-{count}" for number in range(8) for count in range(250)}
    assert sorted(record.request_id for record in store.records()) == sorted(names)
    assert sorted(event.event_id for event in store.events()) == sorted(names)
    assert store.lost == 0


def test_windows_are_half_open_ordered_and_limited(
    store: EventStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By time, then by arrival; from ``since`` up to, without, ``until``; across the edges of pages."""
    monkeypatch.setattr("monitoring.storage.queries.PAGE", 2)
    times = [AT + timedelta(seconds=second) for second in (3, 1, 2, 2, 2, 0)]
    for number, at in enumerate(times):
        store.observe(replace(RECORD, request_id=str(number), at=at))
        store.observe(replace(EVENT, event_id=str(number), at=at))
    store.flush()
    after, until = AT + timedelta(seconds=1), AT + timedelta(seconds=3)
    assert [record.request_id for record in store.records()] == ["5", "1", "2", "3", "4", "0"]
    assert [record.request_id for record in store.records(after, until)] == ["1", "2", "3", "4"]
    assert [event.event_id for event in store.events(after, until, limit=3)] == ["1", "2", "3"]
    assert list(store.records(limit=0)) == []


def test_times_of_other_zones_are_the_same_moments(store: EventStore) -> None:
    """What comes with a zone is kept in UTC; what comes without is UTC, as ``Record`` says."""
    elsewhere = datetime.fromisoformat("2026-03-01T14:00:00.123456+02:00")
    store.observe(replace(RECORD, at=elsewhere))
    store.observe(replace(EVENT, at=AT.replace(tzinfo=None)))
    store.flush()
    assert [record.at for record in store.records()] == [AT]
    assert [event.at for event in store.events()] == [AT]


def test_an_owner_is_known_before_and_after_the_commit(url: str) -> None:
    """A click may follow its query faster than the commit; another user's query is told from none at all."""
    with EventStore.open(url, Limits(linger_s=0.2)) as store:
        store.observe(RECORD)
        assert store.owner_of("query-0") == Owner("key", "sitting")
        store.flush()
        assert store.waiting == 0
        assert store.owner_of("query-0") == Owner("key", "sitting")
        store.observe(replace(RECORD, request_id="r", query_id="query-1", key_id=None, session=None))
        assert store.owner_of("query-1") == Owner(None, None)
        assert store.owner_of("query-2") is None


def test_what_databases_choke_on_is_made_harmless(store: EventStore) -> None:
    """NUL and lone surrogates become U+FFFD, numbers that are not finite nothing; the rest of the record is kept."""
    text = "a\0b\ud800c"
    store.observe(
        replace(RECORD, text=text, confidence=float("nan"), stages_s={"vad\0": float("inf"), "model": 1.0})
    )
    store.observe(replace(EVENT, text=text, event_id="\0"))
    store.flush()
    (record,), (event,) = store.records(), store.events()
    assert (record.text, record.confidence, record.stages_s) == ("a\ufffdb\ufffdc", None, {"model": 1.0})
    assert (event.text, event.event_id) == ("a\ufffdb\ufffdc", "\ufffd")
    assert store.lost == 0


def test_what_cannot_be_stored_harms_nothing_else(store: EventStore) -> None:
    """Among good items in one commit, one that no database takes is lost and counted; its sender is told."""
    store.observe(replace(RECORD, request_id="before"))
    store.observe(replace(RECORD, request_id="bad", n_words=2**80))
    store.observe(replace(RECORD, request_id="after"))
    bad = store.submit(replace(EVENT, at="yesterday"))  # type: ignore[arg-type]  # meant
    good = store.submit(EVENT)
    with pytest.raises(UnstorableError, match="refuses this event"):
        bad.result()
    assert good.result() is True
    assert [record.request_id for record in store.records()] == ["before", "after"]
    assert store.lost == 1
    assert store.trouble is None


def test_a_purge_deletes_what_is_older(store: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Strictly older rows of all tables, in steps; what is left is left."""
    monkeypatch.setattr("monitoring.storage.retention.CHUNK", 3)
    for second in range(10):
        store.observe(replace(RECORD, request_id=str(second), at=AT + timedelta(seconds=second)))
    store.observe(replace(EVENT, at=AT))
    store.keep([AFTERMATH])
    assert store.purge(AT + timedelta(seconds=7)) == Deleted(records=7, events=1, followed=1)
    assert [record.request_id for record in store.records()] == ["7", "8", "9"]
    assert store.purge(AT + timedelta(seconds=7)) == Deleted(0, 0)


def test_what_became_of_a_query_is_kept_once(store: EventStore) -> None:
    """And comes back as it was; the same query again, in one call or in two, is not new and changes nothing."""
    store.observe(RECORD)
    other = replace(AFTERMATH, told=True, again=None, again_as=None, clicks=0, dwell_s=None, session=None)
    assert store.keep([AFTERMATH, other]) == [True, False]
    assert store.keep([other]) == [False]
    assert list(store.followed()) == [AFTERMATH]
    store.observe(replace(RECORD, request_id="2", query_id="query-2", at=AT + timedelta(seconds=1)))
    later = replace(other, query_id="query-2", at=AT + timedelta(seconds=1))
    assert store.keep([later]) == [True]
    assert list(store.followed(AT + timedelta(seconds=1))) == [later]
    assert list(store.followed(until=AT + timedelta(seconds=1))) == [AFTERMATH]


def test_what_became_of_many_is_kept_in_steps(store: EventStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database takes so many names in one statement; the answer is for all."""
    monkeypatch.setattr("monitoring.storage.followed.CHUNK", 2)
    for count in range(5):
        store.observe(replace(RECORD, request_id=f"{count}", query_id=f"query-{count}"))
    rows = [replace(AFTERMATH, query_id=f"query-{count}") for count in (0, 1, 2, 7, 4)]
    assert store.keep(rows) == [True, True, True, False, True]
    assert [row.query_id for row in store.followed()] == ["query-0", "query-1", "query-2", "query-4"]


def test_what_became_of_an_erased_query_is_gone_and_stays_gone(store: EventStore) -> None:
    """Also where somebody still follows it: without its record, nothing is kept. Who asked to forget is told first."""
    forgotten: list[str] = []
    store.on_erasure(lambda *sessions, key_id: forgotten.extend([*sessions, key_id]))
    store.observe(RECORD)
    assert store.keep([AFTERMATH]) == [True]
    assert store.erase("sitting") == Deleted(records=1, followed=1)
    assert forgotten == ["sitting", None]
    assert store.keep([AFTERMATH]) == [False]
    assert list(store.followed()) == []


def test_what_nobody_has_followed_is_found_again(store: EventStore) -> None:
    """Answered queries without an aftermath, the newest first to be taken, with the events on them, and what else was
    asked in their sessions; what is never followed takes nobody's place."""
    for count in range(4):
        at = AT + timedelta(seconds=count)
        store.observe(replace(RECORD, request_id=f"{count}", query_id=f"query-{count}", at=at))
        store.observe(replace(EVENT, event_id=f"{count}", query_id=f"query-{count}"))
    never = ({"query_id": None}, {"outcome": Outcome.ERROR}, {"arm": "shadow"})
    for number, change in enumerate(never):
        values = {
            "request_id": f"n{number}",
            "query_id": f"n{number}",
            "at": AT + timedelta(seconds=9),
            **change,
        }
        store.observe(replace(RECORD, **values))  # type: ignore[arg-type]  # this test's own names
    assert store.keep([replace(AFTERMATH, query_id="query-2")]) == [True]
    since, until = AT + timedelta(seconds=1), AT + timedelta(seconds=10)
    left = store.unfollowed(since, until, 10)
    assert left.query_ids == {"query-1", "query-3"}
    assert [record.query_id for record in left.asked] == ["query-1", "query-2", "query-3"]
    assert sorted(event.event_id for event in left.events) == ["1", "3"]
    first = left.asked[0]
    assert (first.text, first.results, first.clip) == (RECORD.text, RECORD.results, None)
    assert store.unfollowed(since, until, 1).query_ids == {"query-3"}
    assert store.unfollowed(since, AT + timedelta(seconds=3), 10).query_ids == {"query-1"}
    assert store.unfollowed(until, until, 10) == Leftover()


def test_an_erasure_takes_a_session_with_all_that_was_done_with_it(store: EventStore) -> None:
    """Its records, its events, and what others sent about its queries; nobody else's."""
    store.observe(RECORD)
    store.observe(replace(RECORD, request_id="other", query_id="query-1", session="other"))
    store.observe(EVENT)
    store.observe(replace(EVENT, event_id="about", session=None))
    store.observe(replace(EVENT, event_id="other", query_id="query-1", session="other"))
    assert store.erase("sitting") == Deleted(records=1, events=2)
    assert [record.request_id for record in store.records()] == ["other"]
    assert [event.event_id for event in store.events()] == ["other"]
    assert store.owner_of("query-0") is None


def test_an_erasure_may_be_of_one_key(store: EventStore) -> None:
    """Another's session of the same name stays, with its events and what became of it."""
    for key in ("key", "other"):
        record = replace(RECORD, request_id=key, query_id=f"query-{key}", key_id=key)
        store.observe(record)
        store.observe(replace(EVENT, event_id=key, query_id=f"query-{key}", key_id=key))
        assert store.keep([replace(AFTERMATH, query_id=f"query-{key}")]) == [True]
    assert store.erase("sitting", key_id="key") == Deleted(records=1, events=1, followed=1)
    assert [record.key_id for record in store.records()] == ["other"]
    assert [event.key_id for event in store.events()] == ["other"]
    assert [row.query_id for row in store.followed()] == ["query-other"]


def test_what_is_elsewhere_is_erased_first(store: EventStore) -> None:
    """It is told the requests; where it fails, they are still known, and the next try tells them again."""
    told: list[Sequence[str]] = []

    def fails(request_ids: Sequence[str]) -> None:
        told.append(request_ids)
        raise PermissionError(1, "read-only")

    store.observe(RECORD)
    with pytest.raises(StoreUnavailableError, match="read-only"):
        store.erase("sitting", also=fails)
    assert store.erase("sitting", also=told.append) == Deleted(records=1)
    assert told == [["request-0"], ["request-0"]]


def test_an_erased_name_is_as_it_was_written(store: EventStore) -> None:
    """What no database takes is replaced, when it is written and when it is erased."""
    store.observe(replace(RECORD, session="sit\0ting"))
    assert store.erase("sit\0ting").records == 1


def test_a_closed_store_takes_nothing_and_says_so(url: str) -> None:
    """An observer that comes too late is not disturbed, but counted; a sender is told."""
    store = EventStore.open(url)
    store.close()
    store.observe(RECORD)
    with pytest.raises(StoreUnavailableError, match="closed"):
        store.submit(EVENT).result()
    assert store.lost == 1
    with EventStore.open(url) as again:
        assert list(again.records()) == []


@pytest.mark.parametrize(
    "bad", ["mysql://host/name", "sqlite://", "sqlite:///:memory:", "sqlite:///a.db?mode=ro", "events.db"]
)
def test_urls_of_other_databases_are_refused(bad: str) -> None:
    """With what is expected instead."""
    with pytest.raises(StoreUrlError, match=r"sqlite:///relative/path\.db"):
        EventStore.open(bad)


def test_postgresql_keeps_nothing_of_an_erased_session_in_its_tables(cluster: Cluster) -> None:
    """Not in the rows, and not in the files of tables and indexes either."""
    with EventStore.open(cluster.create("erased")) as store:
        for count in range(300):
            store.observe(
                replace(RECORD, request_id=f"{count}", session=f"s{count % 3}", text=f"canary-s{count % 3}")
            )
        store.flush()
        assert b"canary-s1" in cluster.bytes_of_tables()
        assert store.erase("s1") == Deleted(records=100)
        left = cluster.bytes_of_tables()
        assert b"canary-s1" not in left
        assert b"canary-s2" in left


def test_postgresql_may_go_and_come_back(cluster: Cluster) -> None:
    """While the server is gone senders are told and observers are not; when it is back, what was observed is there."""
    with EventStore.open(cluster.create("restarted"), Limits(patience_s=0.1, pause_s=0.1)) as store:
        store.observe(RECORD)
        store.flush()
        cluster.stop()
        try:
            store.observe(replace(RECORD, request_id="meanwhile", query_id="query-1"))
            with pytest.raises(StoreUnavailableError, match="check its disk or server"):
                store.submit(EVENT).result()
            assert "check its disk or server" in str(store.trouble)
            assert store.owner_of("query-1") == Owner("key", "sitting")
            with pytest.raises(StoreUnavailableError):
                store.owner_of("query-0")
        finally:
            cluster.start()
        until_recovered(store)
        assert [record.request_id for record in store.records()] == ["request-0", "meanwhile"]
        assert store.trouble is None
        assert store.lost == 0
        assert store.submit(EVENT).result() is True


def test_postgresql_acknowledges_what_it_has_synced(cluster: Cluster) -> None:
    """Whatever the server's default, our commits wait for its disk."""
    url = cluster.create("synchronous")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ALTER DATABASE synchronous SET synchronous_commit = off")
    with EventStore.open(url) as store, store._engine.connect() as ours:
        assert ours.exec_driver_sql("SHOW synchronous_commit").scalar() == "on"


def test_one_of_several_leads(url: str) -> None:
    """Of two processes on one store one leads, until it resigns or its connection is gone; then the other does."""
    with EventStore.open(url) as one, EventStore.open(url) as other:
        first, second = one.candidate(), other.candidate()
        assert first.leads()
        assert not second.leads()
        assert first.leads(), "it still does"
        first.resign()
        assert second.leads()
        assert not first.leads()
        second.resign()
