"""``monitoring.alarms.drift`` in a watch: the first reference freezes itself, and a new microphone is alarmed (D1)."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from prometheus_client import CollectorRegistry

from asr.transcript import ClipStats
from monitoring.alarms import rules
from monitoring.alarms.rules import Reference, Rules
from monitoring.drift.profile import DEFAULT, Profile
from monitoring.follower import Follower
from monitoring.metrics import Metrics
from monitoring.record import Outcome, Record, Transport
from monitoring.storage.journal import Kind
from monitoring.store import EventStore
from monitoring.watch import Watch

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
WINDOW = timedelta(minutes=30)
SHIPPED = rules.load()
RULES = Rules(
    Reference(600, 3_600),
    (),
    (),
    tuple(
        replace(rule, records=100, span_s=1_800, about=replace(rule.about, clear_s=60))
        for rule in SHIPPED.drifts
    ),
)


def half_an_hour(source: np.random.Generator, at: datetime, level: float) -> list[Record]:
    """Two hundred clips of a microphone."""
    made = []
    for number in range(200):
        clip = ClipStats(
            float(source.gamma(8, 0.25)), level + float(source.normal(0, 4)), 0.0, float(source.normal(25, 5)),
            0.0, float(source.beta(8, 3)), 0.2, 0.3,
        )  # fmt: skip
        then = at + timedelta(seconds=9 * number)
        made.append(Record(f"{then}", then, Transport.REST, Outcome.OK, 200, "m@1", 0.1, clip=clip))
    return made


def test_a_microphone_is_alarmed_within_two_windows_and_over_when_it_is_gone(tmp_path: Path) -> None:
    """Frozen by itself and journalled so; D1; a restart in between changes nothing; gauges have score and threshold."""
    source = np.random.default_rng(0)
    registry = CollectorRegistry()
    with EventStore.open(f"sqlite:///{tmp_path}/events.db") as store:

        def watch() -> Watch:
            return Watch(store, Metrics(CollectorRegistry()), RULES, Follower(lambda _a, _b: 1.0))

        watching = Watch(store, Metrics(registry), RULES, Follower(lambda _a, _b: 1.0))
        phases = []
        for window in range(16):
            if window == 11:
                watching.close()
                watching = watch()
            begins = NOON + window * WINDOW
            for record in half_an_hour(source, begins, -32.0 if 8 <= window < 12 else -20.0):
                store.observe(record)
                watching.observe(record)
            store.flush()
            watching.tick(begins + WINDOW)
            watching.tick(begins + WINDOW + timedelta(minutes=2))
            assert watching.failures == {}
            phases.append(next(alarm.firing for alarm in watching.alarms if alarm.name == "input-drift"))
        watching.close()
        journal = store.journal()
    (frozen,) = [entry for entry in journal if entry.kind is Kind.PROFILE]
    assert "the first reference was frozen by itself" in frozen.reason
    assert frozen.body["records"] >= 590, "600 but for those of the last minute"
    states = [(entry.alarm, entry.kind) for entry in journal if entry.kind in (Kind.FIRED, Kind.CLEARED)]
    assert states == [("input-drift", Kind.FIRED), ("input-drift", Kind.CLEARED)]
    assert phases.index(True) <= 9, "within two windows of the change"
    assert phases[11], "the restart did not end it"
    assert not phases[15]
    fired = next(entry for entry in journal if entry.kind is Kind.FIRED)
    assert fired.reason.startswith("level_dbfs: in 2 of the last 3 windows of 30 min.")
    score, threshold = (
        registry.get_sample_value(f"voicesearch_drift_{name}", {"feature": "level_dbfs"})
        for name in ("score", "threshold")
    )
    assert score is not None
    assert threshold is not None
    assert score > threshold, "as the first watch last saw it, with the new microphone"


def test_a_watch_that_judges_no_more_shows_no_scores(tmp_path: Path) -> None:
    """Another process judges from now on: an old score here would keep an alert for ever."""
    registry = CollectorRegistry()
    source = np.random.default_rng(0)
    with EventStore.open(f"sqlite:///{tmp_path}/events.db") as store:
        store.freeze(Profile.freeze(half_an_hour(source, NOON - WINDOW, -20.0), DEFAULT, NOON))
        one = Watch(store, Metrics(registry), RULES, Follower(lambda _a, _b: 1.0))
        for record in half_an_hour(source, NOON, -20.0):
            store.observe(record)
            one.observe(record)
        store.flush()
        now = NOON + WINDOW + timedelta(minutes=2)
        one.tick(now)
        assert one.leads
        assert registry.get_sample_value("voicesearch_drift_score", {"feature": "level_dbfs"}) is not None
        one._candidate.resign()  # as if the store had been away for a while
        other = Watch(store, Metrics(CollectorRegistry()), RULES, Follower(lambda _a, _b: 1.0))
        other.tick(now)
        one.tick(now)
        assert other.leads
        assert not one.leads
        assert registry.get_sample_value("voicesearch_drift_score", {"feature": "level_dbfs"}) is None
        other.close()
        one.close()
