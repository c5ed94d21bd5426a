"""``monitoring.watch``: what happens beside the service, tick by tick, on a real store; and without one."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import postgres_server
import psycopg
import pytest
from postgres_server import Cluster
from prometheus_client import CollectorRegistry

from monitoring.alarms import rules
from monitoring.alarms.actions import Notice
from monitoring.alarms.rules import Rules
from monitoring.alarms.states import Phase
from monitoring.counts.rollup import total
from monitoring.errors import StoreUnavailableError
from monitoring.follower import Follower
from monitoring.metrics import Metrics
from monitoring.moments import microseconds
from monitoring.outcomes import Again
from monitoring.record import Outcome, Record, Transport
from monitoring.storage.journal import Entry, Kind
from monitoring.storage.writer import Limits
from monitoring.store import EventStore
from monitoring.watch import Watch, _Entries

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
SHIPPED = rules.load()
RULES = replace(SHIPPED, contracts=SHIPPED.contracts[:1])  # the page for errors is enough to see


class Told:
    """An action that remembers."""

    name = "told"
    again_s: float | None = None

    def __init__(self) -> None:
        self.notices: list[Notice] = []
        self.heard = threading.Event()

    def tell(self, notices: Sequence[Notice]) -> None:
        """Remember."""
        self.notices += notices
        self.heard.set()


class Scene:
    """A store and watches on it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.store = EventStore.open(self.url, Limits(patience_s=0.2, pause_s=0.05, close_s=0.5))
        self.number = 0

    def watch(self, told: Told | None = None, of: Rules = RULES) -> tuple[Watch, CollectorRegistry]:
        """Another process, as it were."""
        registry = CollectorRegistry()
        follower = Follower(lambda a, b: 0.0 if a == b else 1.0)
        return Watch(self.store, Metrics(registry), of, follower, [told] if told else []), registry

    def requests(self, watch: Watch, at: datetime, count: int, failed: int) -> None:
        """So many requests at a time, some of which failed."""
        for place in range(count):
            self.number += 1
            bad = place < failed
            record = Record(
                f"r{self.number}", at, Transport.SEARCH, Outcome.ERROR if bad else Outcome.OK,
                500 if bad else 200, "en-small@0", 0.1, query_id=None if bad else f"q{self.number}", session=None,
            )  # fmt: skip
            self.store.observe(record)
            watch.observe(record)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """A fresh one."""
    made = Scene(f"sqlite:///{tmp_path}/events.db")
    yield made
    made.store.close()


@pytest.fixture
def away(tmp_path: Path) -> Iterator[Scene]:
    """One whose database cannot be: a file is where its folder should be, until somebody unlinks ``away``."""
    (tmp_path / "away").touch()
    made = Scene(f"sqlite:///{tmp_path}/away/events.db")
    yield made
    made.store.close()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A running PostgreSQL."""
    with postgres_server.running() as server:
        yield server


def active(registry: CollectorRegistry, alarm: str) -> float | None:
    """The gauge of an alarm."""
    return registry.get_sample_value("voicesearch_alarm_active", {"alarm": alarm})


def test_an_outage_is_told_once_shown_and_cleared(scene: Scene) -> None:
    """Errors fire the page: journal, gauge, action; when they have stopped for long enough it clears, likewise."""
    told = Told()
    watch, registry = scene.watch(told)
    now = NOON
    for minute in range(90):
        scene.requests(watch, now, 20, failed=10 if 30 <= minute < 40 else 0)
        now += MINUTE
        watch.tick(now)
    watch.close()
    assert watch.failures == {}
    entries = scene.store.journal(alarm="errors-page")
    assert [entry.kind for entry in entries] == [Kind.FIRED, Kind.CLEARED]
    fired, cleared = entries
    assert timedelta(minutes=30) < fired.at - NOON <= timedelta(minutes=36), "within minutes"
    assert "the budget burns" in fired.reason
    assert cleared.at - NOON == 79 * MINUTE, (
        "the short window of half an hour, all but one minute, and ten minutes"
    )
    pages = [notice for notice in told.notices if notice.name == "errors-page"]
    assert [notice.ended is not None for notice in pages] == [False, True]
    assert pages[0].started == fired.at
    assert active(registry, "errors-page") == 0.0


def test_a_restart_takes_up_where_it_was(scene: Scene) -> None:
    """What fires still fires, is not told of twice, and is told to have cleared."""
    first, _ = scene.watch()
    now = NOON
    for _ in range(10):
        scene.requests(first, now, 20, failed=10)
        now += MINUTE
        first.tick(now)
    assert [alarm.name for alarm in first.alarms if alarm.firing] == ["errors-page"]
    since = next(alarm.since for alarm in first.alarms if alarm.firing)
    first.close()
    told = Told()
    second, registry = scene.watch(told)
    second.tick(now + MINUTE)
    found = {alarm.name: alarm for alarm in second.alarms}["errors-page"]
    assert (found.phase, found.since) == (Phase.FIRING, since)
    assert active(registry, "errors-page") == 1.0
    for minute in range(2, 60):
        second.tick(now + minute * MINUTE)
    second.close()
    assert [notice.ended is not None for notice in told.notices] == [True]
    kinds = [entry.kind for entry in scene.store.journal(alarm="errors-page")]
    assert kinds == [Kind.FIRED, Kind.CLEARED]


def test_one_of_two_judges_what_both_saw(scene: Scene) -> None:
    """Each writes its counts; the other shows what the one found, and takes over when the one has gone."""
    one, _ = scene.watch()
    other, registry = scene.watch()
    now = NOON
    for _ in range(10):
        scene.requests(one, now, 30, failed=0)
        scene.requests(other, now, 30, failed=20)  # all the errors are elsewhere
        now += MINUTE
        other.tick(now)
        one.tick(now)
    leader, follower = (one, other) if one.leads else (other, one)
    assert not follower.leads
    assert [alarm.name for alarm in leader.alarms if alarm.firing] == ["errors-page"]
    follower.tick(now)
    assert [alarm.name for alarm in follower.alarms if alarm.firing] == ["errors-page"]
    assert active(registry, "errors-page") == 1.0
    leader.close()
    follower.tick(now + MINUTE)
    assert follower.leads
    follower.close()
    assert len(scene.store.journal(alarm="errors-page", kinds=[Kind.FIRED])) == 1


def test_a_silence_is_for_ears_only(scene: Scene) -> None:
    """A silenced alarm fires, is journalled and shown, and nobody is told until the silence ends."""
    told = Told()
    watch, registry = scene.watch(told)
    until = NOON + 20 * MINUTE
    body = {"until_us": microseconds(until), "by": "me"}
    scene.store.note([Entry(NOON, "errors-page", Kind.SILENCED, "we deploy", body)])
    now, heard = NOON, []
    for _ in range(30):
        scene.requests(watch, now, 20, failed=10)
        now += MINUTE
        watch.tick(now)
        if now == until - MINUTE:
            assert active(registry, "errors-page") == 1.0
            heard = [*told.notices]
    watch.close()
    assert [notice.name for notice in heard] == []
    assert [notice.name for notice in told.notices if notice.ended is None] == ["errors-page"]


def test_an_action_that_fails_and_a_rule_that_cannot_be_judged_stop_nothing(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception in judging one rule is counted, and the others are judged, now and at the next tick."""
    watch, _ = scene.watch()

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("monitoring.alarms.judging.ratio.judge", broken)
    now = NOON
    for _ in range(10):
        scene.requests(watch, now, 20, failed=10)
        now += MINUTE
        watch.tick(now)
    watch.close()
    assert watch.failures == {f"judge {rule.about.name}": 10 for rule in RULES.ratios}
    assert [entry.alarm for entry in scene.store.journal(kinds=[Kind.FIRED])] == ["errors-page"]


def test_a_store_that_is_away_stops_nothing_and_loses_no_count(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the store what this process saw is judged; later the store has every count, and the journal the alarm."""
    watch, registry = scene.watch()
    watch.tick(NOON)
    whole = scene.store._engine
    away = EventStore.open(
        "sqlite:////proc/nowhere/events.db", Limits(patience_s=0.05, pause_s=0.01, close_s=0.1)
    )
    monkeypatch.setattr(scene.store, "_engine", away._engine)
    now = NOON
    for _ in range(6):
        for number in range(30):
            watch.observe(_request(f"away-{now.minute}-{number}", now, failed=number < 20))
        now += MINUTE
        watch.tick(now)
    assert active(registry, "errors-page") == 1.0
    assert watch.failures["flush"] == 6
    monkeypatch.setattr(scene.store, "_engine", whole)
    away.close()
    watch.tick(now + MINUTE)
    watch.close()
    counted = scene.store.rollups(NOON, now, timedelta(hours=1))
    assert sum(rollup.counts["requests"] for _, _, rollup in counted) == 180
    assert [entry.alarm for entry in scene.store.journal(kinds=[Kind.FIRED])] == ["errors-page"]


def test_a_leader_whose_connection_broke_asks_who_leads(cluster: Cluster) -> None:
    """PostgreSQL ends the session that holds the lock, and another takes it: one of them fires, tells, clears."""
    scene = Scene(cluster.create("broken"))
    told = [Told(), Told()]
    one, _ = scene.watch(told[0])
    other, registry = scene.watch(told[1])
    now = NOON
    one.tick(now)
    other.tick(now)
    assert (one.leads, other.leads) == (True, False)
    with psycopg.connect(cluster.url("postgres"), autocommit=True) as connection:
        held = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted"
        connection.execute(f"SELECT pg_terminate_backend(pid, 10000) FROM ({held}) AS holding")
    for minute in range(60):
        if minute < 10:
            scene.requests(one, now, 20, failed=10)
        now += MINUTE
        other.tick(now)
        one.tick(now)
        assert (one.leads, other.leads) == (False, True)
    one.close()
    other.close()
    kinds = [entry.kind for entry in scene.store.journal(alarm="errors-page")]
    scene.store.close()
    assert kinds == [Kind.FIRED, Kind.CLEARED]
    assert [len(action.notices) for action in told] == [0, 2]
    assert active(registry, "errors-page") == 0.0


class Doubtful:
    """A candidate that says what it is told to: None is a connection that broke."""

    def __init__(self) -> None:
        self.says: bool | None = True

    def leads(self) -> bool:
        """As it was told."""
        if self.says is None:
            raise StoreUnavailableError("nobody knows")
        return self.says

    def resign(self) -> None:
        """Nothing is held."""


def test_who_is_not_sure_to_lead_writes_no_states(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found while nobody knew who led: written if it leads again, not if another did; told once in either case."""
    for again, kinds in ((True, [Kind.FIRED]), (False, [])):
        told, candidate = Told(), Doubtful()
        watch, registry = scene.watch(told)
        monkeypatch.setattr(watch, "_candidate", candidate)
        now = NOON if again else NOON + timedelta(days=5)
        since = now
        watch.tick(now)
        candidate.says = None
        for _ in range(8):
            scene.requests(watch, now, 20, failed=10)
            now += MINUTE
            watch.tick(now)
        assert active(registry, "errors-page") == 1.0, "it is judged nevertheless"
        assert not watch.leads
        assert scene.store.journal(since, kinds=[Kind.FIRED]) == []
        candidate.says = again
        watch.tick(now)
        watch.close()
        assert [entry.kind for entry in scene.store.journal(since, alarm="errors-page")] == kinds
        assert [notice.ended for notice in told.notices] == [None], "told once"
        scene.store.note([Entry(now, "errors-page", Kind.CLEARED, "the next case begins anew")])


def test_who_led_until_a_moment_ago_writes_no_states(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another took over within a tick: what was found in it is the other's to write, and to tell."""
    watch, _ = scene.watch()
    candidate = Doubtful()
    monkeypatch.setattr(watch, "_candidate", candidate)
    watch.tick(NOON)
    assert watch.leads
    watch._entries.append(Entry(NOON, "errors-page", Kind.FIRED, "found too late"))
    candidate.says = False
    watch._write(NOON)
    assert not watch.leads
    assert scene.store.journal(kinds=[Kind.FIRED]) == []
    watch.close()


def test_another_leader_has_the_last_word(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found alone is dropped where who led in between has said something since."""
    watch, _ = scene.watch()
    candidate = Doubtful()
    monkeypatch.setattr(watch, "_candidate", candidate)
    watch.tick(NOON)
    candidate.says = None
    now = NOON
    for _ in range(8):
        scene.requests(watch, now, 20, failed=10)
        now += MINUTE
        watch.tick(now)
    states = [
        Entry(now - MINUTE, "errors-page", Kind.FIRED, "theirs"),
        Entry(now, "errors-page", Kind.CLEARED, "theirs"),
    ]
    scene.store.note(states)
    candidate.says = True
    watch._lead(now)
    assert not any(alarm.firing for alarm in watch._judge.alarms.values())
    watch.close()
    assert scene.store.journal(alarm="errors-page") == states


def test_started_without_a_store_it_judges_what_it_sees(away: Scene, tmp_path: Path) -> None:
    """The alarm fires, is told once, and is in the journal with its time when the store has come."""
    told = Told()
    watch, registry = away.watch(told)
    now = NOON
    for _ in range(8):
        away.requests(watch, now, 30, failed=20)
        now += MINUTE
        watch.tick(now)
    assert active(registry, "errors-page") == 1.0
    since = next(alarm.since for alarm in watch.alarms if alarm.firing)
    (tmp_path / "away").unlink()
    for _ in range(60):
        now += MINUTE
        watch.tick(now)
    assert watch.leads
    watch.close()
    states = away.store.journal(alarm="errors-page")
    assert [entry.kind for entry in states] == [Kind.FIRED, Kind.CLEARED]
    assert states[0].at == since
    assert [notice.ended is not None for notice in told.notices] == [False, True]


def test_a_silence_outlives_a_restart(scene: Scene) -> None:
    """Fired under a silence, started again, the silence over: told then, and not before."""
    until = NOON + 20 * MINUTE
    scene.store.note(
        [Entry(NOON, "errors-page", Kind.SILENCED, "we deploy", {"until_us": microseconds(until)})]
    )
    told, now = Told(), NOON
    watch, _ = scene.watch(told)
    for minute in range(30):
        if minute == 15:
            assert any(alarm.firing for alarm in watch.alarms)
            watch.close()
            watch, _ = scene.watch(told)
        scene.requests(watch, now, 20, failed=10)
        now += MINUTE
        watch.tick(now)
        assert bool(told.heard.is_set()) is False or now >= until
    watch.close()
    assert [notice.ended for notice in told.notices] == [None]


def test_what_was_told_before_a_silence_is_told_to_be_over(scene: Scene) -> None:
    """Told, then silenced, started again under the silence: it is not told anew, and its end is told."""
    now, watch = NOON, scene.watch()[0]
    for _ in range(10):
        scene.requests(watch, now, 20, failed=10)
        now += MINUTE
        watch.tick(now)
    until = microseconds(now + 10 * MINUTE)
    scene.store.note([Entry(now, "errors-page", Kind.SILENCED, "we know", {"until_us": until})])
    watch.close()
    told = Told()
    watch, _ = scene.watch(told)
    for minute in range(60):
        if minute < 15:
            scene.requests(watch, now, 20, failed=10)
        now += MINUTE
        watch.tick(now)
    watch.close()
    assert [notice.ended is not None for notice in told.notices] == [True]


def test_a_person_is_heard_whatever_their_clock_says(scene: Scene) -> None:
    """Two alarms accepted from a machine that is a minute behind: both are learnt anew, each once."""
    watch, _ = scene.watch()
    names = [rule.about.name for rule in RULES.ratios[:2]]
    watch.tick(NOON)
    scene.store.note([Entry(NOON - MINUTE, names[0], Kind.ACCEPTED, "as it is")])
    scene.store.note([Entry(NOON - 2 * MINUTE, names[1], Kind.ACCEPTED, "as it is")])
    watch.tick(NOON + MINUTE)
    assert watch._judge._learn_from == {names[0]: NOON - MINUTE, names[1]: NOON - 2 * MINUTE}
    watch._judge._learn_from.clear()
    watch.tick(NOON + 2 * MINUTE)
    assert watch._judge._learn_from == {}, "each once"
    watch.close()


def test_what_people_did_is_charged_to_what_served_them_after_a_restart_too(scene: Scene) -> None:
    """Said again and switches to typing, with the labels of the query; what is long past is in the rollups alone."""
    served = {"model": "en-small", "version": "0", "arm": "stable", "transport": "search"}
    for hour, number in ((0, 0), (9, 3)):
        said = _said(f"q{number}", NOON + timedelta(hours=hour), "jam")
        again = replace(
            said, request_id=f"q{number + 1}", query_id=f"q{number + 1}", at=said.at + timedelta(seconds=5)
        )
        typed = replace(
            again,
            request_id=f"q{number + 2}",
            query_id=f"q{number + 2}",
            at=again.at + timedelta(seconds=5),
            transport=Transport.TEXT,
        )
        for record in (said, again, typed):
            scene.store.observe(record)
    scene.store.keep([])  # behind what was observed: it is there now
    watch, registry = scene.watch()  # started after all of it was said
    now = NOON + timedelta(hours=9, minutes=6)
    watch.tick(now)
    assert watch.failures == {}
    value = registry.get_sample_value
    assert value("voicesearch_redo_total", {**served, "kind": "repeat"}) == 1
    assert value("voicesearch_typing_switch_total", served) == 1
    watch.close()
    counts = total(rollup for _, _, rollup in scene.store.rollups(NOON, now, MINUTE)).counts
    assert (counts["redo"], counts["typed"]) == (2, 2)


def test_a_process_that_starts_takes_no_query_from_one_that_follows_it(scene: Scene) -> None:
    """It starts two seconds after a query, of which the other hears a repeat: that counts, whoever settles first."""
    first, _ = scene.watch()
    said = _said("q1", NOON, "jam")
    again = replace(said, request_id="q2", query_id="q2", at=NOON + timedelta(seconds=5))
    for record in (said, again):
        first.observe(record)
    scene.store.observe(said)
    scene.store.keep([])
    second, _ = scene.watch()
    second.tick(NOON + timedelta(seconds=2))
    scene.store.observe(again)
    for second_of in range(10, 500, 30):
        second.tick(NOON + timedelta(seconds=second_of))
        first.tick(NOON + timedelta(seconds=second_of + 5))
    assert [(row.query_id, row.again) for row in scene.store.followed()] == [
        ("q1", Again.REPEAT),
        ("q2", None),
    ]
    first.close()
    second.close()
    counts = total(rollup for _, _, rollup in scene.store.rollups(NOON, NOON + 9 * MINUTE, MINUTE)).counts
    assert (counts["followed"], counts["redo"]) == (2, 1)


def test_an_erasure_reaches_what_waits_for_the_store(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the store takes nothing, what became of a session's queries is forgotten with the session."""
    watch, _ = scene.watch()

    def away(_rows: object) -> list[bool]:
        raise StoreUnavailableError("away")

    monkeypatch.setattr(scene.store, "keep", away)
    watch.observe(_said("q1", NOON, "jam"))
    watch.tick(NOON + 5 * MINUTE)
    assert len(watch._settled) == 1
    scene.store.erase("s")
    assert len(watch._settled) == 0
    watch.close()


def test_the_watch_tells_that_it_looks_and_where_it_fails(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The time of its last tick, and each step that raised: in the metrics, and in the log by its name."""
    watch, registry = scene.watch()

    def away(_rows: object) -> list[bool]:
        raise StoreUnavailableError("away")

    monkeypatch.setattr(scene.store, "keep", away)
    watch.observe(_said("q1", NOON, "jam"))
    watch.tick(NOON + 5 * MINUTE)
    value = registry.get_sample_value
    at = (NOON + 5 * MINUTE).timestamp()
    assert value("voicesearch_watch_last_tick_timestamp_seconds") == at
    assert value("voicesearch_watch_failures_total", {"step": "settle"}) == 1
    assert [record.__dict__["step"] for record in caplog.records] == ["settle"]
    assert watch.looked == NOON + 5 * MINUTE
    watch.close()


def test_entries_that_find_no_room_are_counted() -> None:
    """The newest are kept."""
    entries = _Entries(maxlen=2)
    entries.extend(Entry(NOON, name, Kind.FIRED, "") for name in "abc")
    entries.append(Entry(NOON, "d", Kind.FIRED, ""))
    assert ([entry.alarm for entry in entries], entries.lost) == (["c", "d"], 2)


def test_other_rules_are_noted_with_what_changed(scene: Scene) -> None:
    """Nobody changes a threshold without a line in the journal."""
    watch, _ = scene.watch()
    watch.tick(NOON)
    watch.close()
    ratio = replace(RULES.ratios[0], limit=0.25)
    other, _ = scene.watch(of=replace(RULES, ratios=(ratio, *RULES.ratios[1:])))
    other.tick(NOON + MINUTE)
    other.close()
    again, _ = scene.watch(of=other.rules)
    again.tick(NOON + 2 * MINUTE)
    again.close()
    reasons = [entry.reason for entry in scene.store.journal(kinds=[Kind.RULES])]
    assert reasons == ["the first rules", "null-rate-high.limit: 0.3 -> 0.25"]


def _said(name: str, at: datetime, text: str) -> Record:
    return Record(
        name, at, Transport.SEARCH, Outcome.OK, 200, "en-small@0", 0.1, query_id=name, session="s", text=text
    )


def _request(name: str, at: datetime, *, failed: bool) -> Record:
    outcome, status = (Outcome.ERROR, 500) if failed else (Outcome.OK, 200)
    return Record(name, at, Transport.SEARCH, outcome, status, "en-small@0", 0.1)
