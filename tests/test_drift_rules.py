"""``monitoring.alarms.drift`` on a store: what it says of a window, when, against which reference, and of whom."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from drift_records import MONDAY, heard, narrow_microphone, records

from monitoring.aftermath import Aftermath
from monitoring.alarms import first_reference, rules
from monitoring.alarms.drift import DriftWatch
from monitoring.alarms.rules import Reference
from monitoring.counts.rollup import Rollup
from monitoring.counts.series import Series
from monitoring.drift.profile import DEFAULT, Profile
from monitoring.moments import microseconds
from monitoring.outcomes import Again
from monitoring.record import Outcome, Record
from monitoring.storage.journal import Entry, Kind
from monitoring.store import EventStore

NEXT_WEEK = MONDAY + timedelta(days=7)
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)
SHIPPED = rules.load()
RULES = replace(SHIPPED, contracts=(), ratios=(), reference=Reference(600, 24 * 3_600))


@dataclass
class Scene:
    """A store, what is counted of it by the minute and by the hour, and who watches."""

    store: EventStore
    minutes: Series
    hours: Series
    watch: DriftWatch

    def put(self, items: Sequence[Record]) -> None:
        """Into the store and the counts."""
        for item in items:
            self.store.observe(item)
            rollup = Rollup()
            rollup.record(item)
            for series in (self.minutes, self.hours):
                series.add(microseconds(item.at), rollup)
        self.store.flush()

    def judge(self, now: datetime) -> dict[str, Entry]:
        """By alarm."""
        return {entry.alarm: entry for entry in self.watch.judge(self.minutes, now)}


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    """With a reference of a week."""
    with EventStore.open(f"sqlite:///{tmp_path}/events.db") as store:
        store.freeze(Profile.freeze(records(2_000, 1, span=timedelta(days=7)), DEFAULT, NEXT_WEEK))
        yield Scene(store, Series(60, 5_000), Series(3_600, 1_000), DriftWatch(RULES, store))


def an_hour(seed: int, hour: int, *, narrow: bool = False, number: int = 700) -> list[Record]:
    """Of the next week."""
    clips = heard(narrow_microphone) if narrow else None
    return records(number, seed, clips=clips, since=NEXT_WEEK + hour * HOUR, span=HOUR)


def with_nulls(items: Sequence[Record]) -> list[Record]:
    """Every third clip comes out empty."""
    empty = {"outcome": Outcome.NULL, "n_words": 0, "confidence": None, "results": (), "top_score": None}
    return [replace(item, **empty) if at % 3 == 0 else item for at, item in enumerate(items)]  # type: ignore[arg-type]


def after(hour: int) -> datetime:
    """When a window that ends with that hour is over, and nothing of it in flight."""
    return NEXT_WEEK + (hour + 1) * HOUR + 2 * MINUTE


def test_each_rule_speaks_of_all_stages(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another microphone and null results: both alarms say both. And the window was read once."""
    read = []
    reading = scene.store.records

    def counted(*window: datetime) -> Iterator[Record]:
        read.append(window)
        return reading(*window)

    monkeypatch.setattr(scene.store, "records", counted)
    scene.put(with_nulls(an_hour(3, 0, narrow=True)))
    told = scene.judge(after(0))
    assert len(read) == 1
    assert {"level_dbfs"} <= set(told["input-drift"].body["drifted"])
    assert {"null_rate"} <= set(told["text-drift"].body["drifted"])
    for entry in told.values():
        assert entry.body["verdict"]["kind"] == "both"
        assert "level_dbfs" in entry.reason
        assert "null_rate" in entry.reason
        assert "did not" not in entry.reason
        assert "as they were" not in entry.reason


def test_another_reference_has_no_history(scene: Scene) -> None:
    """Neither for the watch that goes on nor for one that reads the journal: one window more does not persist."""
    scene.put(an_hour(3, 0, narrow=True))
    entries = list(scene.judge(after(0)).values())
    assert scene.watch.judgements["input-drift"].numbers["drifted"]
    again = DriftWatch(RULES, scene.store)
    again.restore(entries)
    scene.store.freeze(Profile.freeze(records(2_000, 9), DEFAULT, NEXT_WEEK))  # another one
    scene.put(an_hour(4, 1, narrow=True))
    for watch in (scene.watch, again):
        told = {entry.alarm: entry for entry in watch.judge(scene.minutes, after(1))}
        assert "level_dbfs" in told["input-drift"].body["drifted"]
        assert told["input-drift"].body["persistent"] == []
        assert not watch.judgements["input-drift"].hot


def test_the_same_reference_keeps_it(scene: Scene) -> None:
    """A restart in between changes nothing: the second window in a row is an alarm."""
    scene.put(an_hour(3, 0, narrow=True))
    entries = list(scene.judge(after(0)).values())
    scene.put(an_hour(4, 1, narrow=True))
    again = DriftWatch(RULES, scene.store)
    again.restore(entries)
    told = {entry.alarm: entry for entry in again.judge(scene.minutes, after(1))}
    assert "level_dbfs" in told["input-drift"].body["persistent"]
    assert again.judgements["input-drift"].hot


def test_what_a_shadow_makes_of_clips_is_nobodys(scene: Scene) -> None:
    """It finds nothing, ever: no drift, and its model is not named."""
    people = an_hour(3, 0)
    shadows = [
        replace(
            item, request_id=f"s{item.request_id}", session=f"s{item.session}", arm="shadow", model="shadow@1"
        )
        for item in with_nulls(people)
    ]
    scene.put(sorted([*people, *shadows], key=lambda item: item.at))
    told = scene.judge(after(0))["text-drift"]
    assert told.body["records"] == len(people)
    assert told.body["models"] == ["a"]
    assert told.body["drifted"] == []


def test_a_window_ends_before_what_is_in_flight(scene: Scene) -> None:
    """A record of the last minute that is written after the window was read is in the next one."""
    first = an_hour(3, 0)
    scene.put(first)
    now = NEXT_WEEK + HOUR + MINUTE
    told = scene.judge(now)["input-drift"]
    late = replace(first[-1], request_id="late", session="late", at=now - timedelta(seconds=50))
    scene.put([late, *an_hour(4, 1)])
    later = scene.judge(after(1))["input-drift"]
    assert told.body["records"] == 700
    assert later.body["records"] == 701
    assert datetime.fromisoformat(later.body["since"]) <= late.at


def test_what_was_found_cools_when_nobody_speaks(scene: Scene) -> None:
    """Hot while another window could have come by now; then silent, and its scores are gone."""
    for hour, seed in ((0, 3), (1, 4)):
        scene.put(an_hour(seed, hour, narrow=True))
        scene.judge(after(hour))
    assert scene.watch.judgements["input-drift"].hot
    assert "level_dbfs" in scene.watch.scores
    scene.put(an_hour(5, 2, number=20))
    assert scene.judge(after(2)) == {}
    assert scene.watch.judgements["input-drift"].hot
    assert scene.judge(after(6)) == {}
    judged = scene.watch.judgements["input-drift"]
    assert judged.cool
    assert judged.reason.startswith("silent: 19 requests since"), "one was in the window before"
    assert scene.watch.scores == {}


@pytest.fixture
def unfrozen(tmp_path: Path) -> Iterator[Scene]:
    """Two days of traffic, and no reference."""
    with EventStore.open(f"sqlite:///{tmp_path}/events.db") as store:
        made = Scene(store, Series(60, 5_000), Series(3_600, 1_000), DriftWatch(RULES, store))
        made.put(records(3_000, 1, span=timedelta(days=2)))
        yield made


def test_the_first_reference_is_some_of_each_hour(unfrozen: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much traffic there is: not the whole day is read, and every hour of it is there."""
    monkeypatch.setattr(first_reference, "MOST", 600)
    (entry,) = unfrozen.watch.freeze_first(unfrozen.hours, MONDAY + timedelta(days=2), calm=True)
    profile = unfrozen.store.profile(DEFAULT)
    assert profile is not None
    assert 550 <= profile.records <= 650
    assert profile.until - profile.since > timedelta(hours=23)
    assert "some of each hour of 15" in entry.reason
    assert all(sum(row) for row in profile.features["level_dbfs"].counts[:6]), (
        "every four hours of a working day"
    )


def test_no_first_reference_of_a_day_with_an_alarm(unfrozen: Scene) -> None:
    """Though it is over: its end is in the journal. A day later there is one."""
    over = MONDAY + timedelta(days=1, hours=6)
    unfrozen.store.note([Entry(over, "errors-page", Kind.CLEARED, "over")])
    now = MONDAY + timedelta(days=2)
    assert unfrozen.watch.freeze_first(unfrozen.hours, now, calm=True) == []
    assert unfrozen.store.profile(DEFAULT) is None
    unfrozen.put(records(1_000, 2, since=now, span=timedelta(hours=12)))
    assert unfrozen.watch.freeze_first(unfrozen.hours, now + timedelta(hours=12), calm=False) == []
    assert unfrozen.watch.freeze_first(unfrozen.hours, now + timedelta(hours=12), calm=True) != []


def test_what_people_do_is_a_part_of_it(scene: Scene) -> None:
    """Everybody asks again, and inputs are as before: concept drift, in the words of both alarms and in the journal."""
    pytest.importorskip("river", reason="needs river")
    asked_again: Sequence[Callable[[int], bool]] = (lambda at: at % 20 == 0, lambda at: at % 2 == 0)
    for hour, again in enumerate(asked_again):
        items = [
            replace(item, query_id=f"q{item.request_id}", session=None)
            for item in an_hour(3 + hour, hour, number=1_500)
        ]
        scene.put(items)
        scene.store.keep(
            [
                Aftermath(
                    item.query_id or "", item.at, "a", "stable", item.transport, None,
                    Again.REPEAT if again(at) else None, None, False, 1, None, True,
                )
                for at, item in enumerate(items)
            ]
        )  # fmt: skip
        told = scene.judge(after(hour))
    assert set(told) == {"input-drift", "text-drift"}
    for entry in told.values():
        assert [change["stream"] for change in entry.body["changes"]] == ["redo"]
        assert "redo" in entry.body["verdict"]["moved"]
        assert "people: redo (5" in entry.reason
