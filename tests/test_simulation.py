"""Simulated traffic: people who behave as they were made to, at the times and with the incidents that were asked for."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from monitoring.errors import IncidentError, PoolError
from monitoring.outcomes import Again, follow
from monitoring.record import Event, EventType, Outcome, Record, Transport
from monitoring.rollup import Rollup
from monitoring.simulation.incidents import Incident, parse, rising
from monitoring.simulation.people import Open, Population, Say, Shown, Tell, Type, Why, born, sit
from monitoring.simulation.pool import CONDITIONS, SHIPPED, Pool, read
from monitoring.simulation.rhythm import FLAT, WEEK, arrivals
from monitoring.simulation.sitting import Did
from monitoring.simulation.traffic import Scenario, independent, traffic

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@pytest.fixture(scope="module")
def pool() -> Pool:
    """The shipped one."""
    return read()


def records(items: Sequence[Record | Event]) -> list[Record]:
    """Without the events."""
    return [item for item in items if isinstance(item, Record)]


def run(pool: Pool, *incidents: Incident, days: float = 1.0, per_hour: float = 60.0) -> list[Record | Event]:
    """Some days from a Monday on, every hour alike."""
    scenario = Scenario(MONDAY, MONDAY + days * DAY, per_hour, FLAT, incidents)
    return list(traffic(pool, scenario, seed=3))


def counted(items: Sequence[Record | Event]) -> Rollup:
    """All of them in one."""
    rollup = Rollup()
    for record in records(items):
        rollup.record(record)
    return rollup


def share(rollup: Rollup, name: str) -> float:
    """One of the rates."""
    part, whole = rollup.rate(name)
    return part / whole


def test_the_pool_has_every_condition_and_each_known_sentence_in_all_of_them(pool: Pool) -> None:
    """Any person can be struck by any incident, whatever they want to say."""
    assert set(pool.hearings) == set(CONDITIONS)
    for wish in pool.wishes:
        heard = [condition for condition in CONDITIONS if (condition, wish.number, 0) in pool.takes]
        assert heard == (list(CONDITIONS[:-1]) if wish.known else ["vocabulary"])
        ways = range(len(wish.ways))
        assert all((condition, wish.number, way) in pool.takes for condition in heard for way in ways)


def test_each_condition_makes_the_pool_worse_in_its_own_way(pool: Pool) -> None:
    """A microphone takes level, a cafe signal-to-noise ratio, a broken model neither; new names are not found."""
    median = {
        (condition, name): float(np.median([getattr(each.clip, name) for each in heard if each.clip.level_dbfs]))
        for condition, heard in pool.hearings.items()
        for name in ("level_dbfs", "snr_db")
    }
    assert median["microphone", "level_dbfs"] - median["normal", "level_dbfs"] == pytest.approx(-12.0, abs=1.5)
    assert median["quiet", "level_dbfs"] - median["normal", "level_dbfs"] == pytest.approx(-19.0, abs=2.5)
    assert median["cafe", "snr_db"] < median["normal", "snr_db"] - 10.0
    assert median["broken", "level_dbfs"] == pytest.approx(median["normal", "level_dbfs"], abs=0.5)
    assert median["vocabulary", "level_dbfs"] == pytest.approx(median["normal", "level_dbfs"], abs=0.7)
    assert pool.null_rate("broken") > pool.null_rate() + 0.1
    assert pool.found_rate("vocabulary") == 0.0


def test_the_same_seed_gives_the_same_traffic_and_another_other(pool: Pool) -> None:
    """Everything follows from pool, scenario and seed."""
    scenario = Scenario(MONDAY, MONDAY + 2 * HOUR)
    assert list(traffic(pool, scenario, 1)) == list(traffic(pool, scenario, 1))
    assert list(traffic(pool, scenario, 1)) != list(traffic(pool, scenario, 2))


def test_records_come_in_the_order_in_which_they_end_and_events_after_what_they_are_about(pool: Pool) -> None:
    """As at a server, whose observers see a request when it is over."""
    seen_at: list[datetime] = []
    known: set[str] = set()
    for item in run(pool, days=0.5):
        if isinstance(item, Record):
            seen_at.append(item.at + timedelta(seconds=item.duration_s))
            assert item.query_id is not None
            assert item.query_id not in known
            known.add(item.query_id)
        else:
            seen_at.append(item.at)
            assert item.query_id in known
    assert len(known) > 500
    assert seen_at == sorted(seen_at)


def test_an_incident_changes_nothing_before_it_begins(pool: Pool) -> None:
    """The same people want the same at the same time, so that what differs is the incident's."""
    calm = run(pool)
    struck = run(pool, Incident("microphone", MONDAY + DAY / 2, MONDAY + DAY, share=0.4))
    first = next(at for at, pair in enumerate(zip(calm, struck, strict=False)) if pair[0] != pair[1])
    assert records(struck[first : first + 50])[0].at >= MONDAY + DAY / 2 - HOUR / 60
    assert first > len(calm) // 3
