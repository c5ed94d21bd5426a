"""``monitoring.report.numbers``: what the week's sums are of."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from drift_records import MONDAY, records

from monitoring.counts.rollup import Rollup, key_of
from monitoring.record import Outcome
from monitoring.report.numbers import gather


def test_a_shadow_is_in_no_sum() -> None:
    """Nobody saw its answers: neither its failures nor its model are the week's."""
    people = records(50, 1, span=timedelta(days=1))
    shadows = [
        replace(one, arm="shadow", model="b", outcome=Outcome.ERROR, status=500, error="Broken")
        for one in people
    ]
    rollups = [(one.at, key_of(one), Rollup()) for one in (*people, *shadows)]
    week = gather([*people, *shadows], rollups, MONDAY, MONDAY + timedelta(days=7)).now
    assert set(week.models) == {"a"}
    assert sum(rollup.counts["requests"] for rollup in week.hours.values()) == len(people)
    assert not week.errors
