"""``monitoring.views.explain`` and ``.moved``: what moved first, what is mere rhythm, and the verbs that say so."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from asr.transcript import ClipStats
from monitoring.alarms import rules
from monitoring.commands.monitor import COMMAND
from monitoring.counts.rollup import Rollup, RollupKey
from monitoring.drift.verdict import Kind as Drift
from monitoring.moments import microseconds
from monitoring.outcomes import Again, Followed
from monitoring.record import Outcome, Record, Transport
from monitoring.storage.journal import Entry, Kind
from monitoring.store import EventStore
from monitoring.views.explain import explain
from monitoring.views.moved import moved

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
SLOT = timedelta(minutes=5)
SLOTS = 72
Level = Callable[[int], float]


def hours(
    level: Level = lambda _: -20.0,
    null: Level = lambda _: 0.05,
    redo: Level = lambda _: 0.1,
    took: Level = lambda _: 0.1,
    seed: int = 0,
) -> list[tuple[datetime, Rollup]]:
    """Six hours of 40 requests in five minutes, of a level, a null rate, a redo rate and a time, each by its slot."""
    source = np.random.default_rng(seed)
    slots = []
    for slot in range(SLOTS):
        at, rollup = NOON + slot * SLOT, Rollup()
        for _ in range(40):
            is_null = bool(source.random() < null(slot))
            clip = ClipStats(
                float(source.gamma(8, 0.25)), level(slot) + float(source.normal(0, 4)), 0.0,
                float(source.normal(25, 5)), 0.0, float(source.beta(8, 3)), 0.2, 0.3,
            )  # fmt: skip
            record = Record(
                "r", at, Transport.SEARCH, Outcome.NULL if is_null else Outcome.OK, 200, "m@1",
                took(slot) * float(source.lognormal(0, 0.3)), clip=clip, results=("a",), query_id="q",
                stages_s={"model": took(slot) * 0.5}, top_score=0.9,
            )  # fmt: skip
            rollup.record(record)
            again = Again.REPEAT if source.random() < redo(slot) else None
            rollup.followed(Followed("q", "m@1", "stable", is_null, again=again), shown=True)
        slots.append((at, rollup))
    return slots


def test_what_moved_is_told_in_order() -> None:
    """A microphone, then, half an hour later, what it does to the text, and what people do about that."""
    slots = hours(
        level=lambda slot: -20.0 if slot < 40 else -32.0,
        null=lambda slot: 0.05 if slot < 46 else 0.25,
        redo=lambda slot: 0.1 if slot < 46 else 0.35,
    )
    found = moved(slots)
    assert [(one.name, one.stage) for one in found] == [
        ("level_dbfs", "input"),
        ("null_rate", "text"),
        ("redo_rate", "people"),
    ]
    first, null, redo = found
    assert abs(first.at - (NOON + 40 * SLOT)) <= SLOT
    assert abs(null.at - (NOON + 46 * SLOT)) <= SLOT
    assert (round(first.before), round(first.after)) == (-20, -32)
    assert redo.before == pytest.approx(0.1, abs=0.02)
    assert redo.after == pytest.approx(0.35, abs=0.05)
    assert first.words().endswith("dBFS")


def test_nothing_moved_in_calm_hours() -> None:
    """Twenty calm stretches of thirty series: chance moves none."""
    assert [one.name for seed in range(20) for one in moved(hours(seed=seed))] == []


def test_what_the_week_before_did_too_is_rhythm() -> None:
    """A level that falls every day at this hour has not moved; the null rate beside it has."""

    def evening(slot: int) -> float:
        return -20.0 if slot < 40 else -25.0

    today = hours(level=evening, null=lambda slot: 0.05 if slot < 50 else 0.25)
    before = [(at - timedelta(days=7), rollup) for at, rollup in hours(level=evening, seed=1)]
    assert [one.name for one in moved(today)] == ["level_dbfs", "null_rate"]
    assert [one.name for one in moved(today, before)] == ["null_rate"]


@pytest.fixture
def store(tmp_path: Path) -> EventStore:
    """A store with a microphone change and the alarm that came of it."""
    opened = EventStore.open(f"sqlite:///{tmp_path}/events.sqlite3")
    slots = hours(
        level=lambda slot: -20.0 if slot < 50 else -32.0, null=lambda slot: 0.05 if slot < 52 else 0.25
    )
    deltas = [(RollupKey(microseconds(at), "m@1", "stable", "search"), rollup) for at, rollup in slots]
    opened.add_rollups(deltas, "one")
    numbers = {"window_s": 3600, "share": 0.12, "usual": 0.05, "threshold": 0.1, "events": 480}
    opened.note(
        [
            Entry(
                NOON + 56 * SLOT,
                "null-rate-high",
                Kind.FIRED,
                "60 null of 480 spoken in 1 h: 12.5 %",
                numbers,
            ),
            Entry(NOON + 70 * SLOT, "null-rate-high", Kind.CLEARED, "all is well"),
        ]
    )
    return opened


def test_an_alarm_is_explained(store: EventStore) -> None:
    """Since when, what moved first, the verdict, and what to do; in words and in numbers."""
    with store:
        found = explain(store, rules.load().by_name["null-rate-high"], NOON + 72 * SLOT)
        never = explain(store, rules.load().by_name["click-rate-low"], NOON + 72 * SLOT)
    assert found.first is not None
    assert (found.first.name, found.first.stage) == ("level_dbfs", "input")
    assert found.verdict is not None
    assert found.verdict.kind is Drift.BOTH
    text = "\n".join(found.lines())
    assert "fired 2026-03-02 16:40 UTC and cleared after 70 min" in text
    assert "60 null of 480 spoken in 1 h: 12.5 %" in text
    assert "First: input (level_dbfs), 2026-03-02 16:1" in text
    assert "Look at: Level and signal-to-noise ratio first" in text
    assert next(iter(never.lines())).startswith("click-rate-low has not fired")
    assert json.loads(json.dumps(found.as_dict()))["first"]["name"] == "level_dbfs"


def test_the_verbs_tell_and_take_word(
    store: EventStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """alarms, explain, silence and accept, on the command line; a name that is none is refused with those there are."""
    store.close()

    def monitor(*args: str) -> tuple[int, str, str]:
        from argparse import ArgumentParser

        parser = ArgumentParser()
        COMMAND.add_arguments(parser)
        code = COMMAND.run(parser.parse_args([*args, "--state", str(tmp_path)]))
        return (code, *capsys.readouterr())

    code, out, _ = monitor("explain", "null-rate-high", "--json")
    assert code == 0
    assert json.loads(out)["fired"]["reason"] == "60 null of 480 spoken in 1 h: 12.5 %"
    code, _, error = monitor("explain", "null-rate")
    assert code == 2
    assert "there is no alarm 'null-rate'; there are errors-page," in error
    assert monitor("silence", "errors-page", "--for", "1h", "--reason", "we deploy", "--by", "me")[0] == 0
    assert monitor("accept", "redo-rate-high", "--reason", "a new page", "--by", "me")[0] == 0
    code, _, error = monitor("accept", "input-drift", "--reason", "new phones")
    assert code == 2
    assert "voicesearch monitor freeze" in error
    code, out, _ = monitor("alarms", "--since", "2026-03-01", "--json")
    body = json.loads(out)
    assert {one["alarm"] for one in body["alarms"]} == rules.load().by_name.keys()
    assert [one["alarm"] for one in body["alarms"] if one["silenced_until"]] == ["errors-page"]
    assert [(one["alarm"], one["kind"]) for one in body["history"]] == [
        ("null-rate-high", "fired"),
        ("null-rate-high", "cleared"),
        ("errors-page", "silenced"),
        ("redo-rate-high", "accepted"),
    ]
    code, out, _ = monitor("alarms")
    assert "silenced until" in out
    assert "we deploy" in out
