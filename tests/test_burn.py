"""Burn rates by the SRE Workbook (``monitoring.alarms.burn``), and when an alarm fires and clears (``.states``)."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from monitoring.alarms import rules
from monitoring.alarms.burn import judge, slower
from monitoring.alarms.states import Alarm, Judgement, Phase, step
from monitoring.counts.rollup import EDGES, LATENCY, Rollup
from monitoring.counts.series import Series
from monitoring.moments import microseconds

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
RULES = rules.load().by_name
ERRORS, LATENCY_PAGE, TICKET = RULES["errors-page"], RULES["latency-page"], RULES["errors-ticket"]
assert isinstance(ERRORS, rules.Contract)
assert isinstance(LATENCY_PAGE, rules.Contract)
assert isinstance(TICKET, rules.Contract)


def minutes(*stretches: tuple[int, int, int]) -> Series:
    """Stretches that end at noon, one after the other: so many minutes of so many requests, so many of them bad."""
    series = Series(60, 3 * 1440)
    at = NOON - sum(length for length, _, _ in stretches) * MINUTE
    for length, requests, bad in stretches:
        for _ in range(length):
            bins = [0] * (len(EDGES[LATENCY]) + 1)
            bins[20], bins[40] = requests - bad, bad  # 0.1 s and 10 s
            series.add(microseconds(at), Rollup(Counter(requests=requests, errors=bad), {LATENCY: bins}))
            at += MINUTE
    return series


def test_a_fast_burn_needs_both_windows() -> None:
    """7.2 % of an hour fail (14.4 times 0.5 %): hot. The same hour, but none in the last half of it: not any more."""
    assert judge(ERRORS, minutes((60, 100, 8)), NOON).hot
    over = judge(ERRORS, minutes((30, 100, 15), (30, 100, 0)), NOON)
    assert not over.hot
    assert over.cool
    low = judge(ERRORS, minutes((60, 100, 2)), NOON)
    assert not low.hot, "4 times the budget, for less than six hours, is a ticket's business"


def test_a_slow_burn_is_a_ticket() -> None:
    """Three times the budget over a day: the ticket, not the page."""
    series = minutes((1440, 100, 2))
    assert judge(TICKET, series, NOON).hot
    assert not judge(ERRORS, series, NOON).hot
    assert "the budget burns 4.0 times too fast over 1 d" in judge(TICKET, series, NOON).reason


def test_little_traffic_is_silent_and_says_so() -> None:
    """One of two requests failed: that is no alarm. Four of 60 failed: neither."""
    few = judge(ERRORS, minutes((1, 2, 1)), NOON)
    assert (few.hot, few.cool) == (False, True)
    assert few.reason == "silent: 2 requests in 6 h, and it takes 50 to judge"
    rare = judge(ERRORS, minutes((14, 4, 0), (1, 4, 4)), NOON)
    assert not rare.hot
    assert rare.reason == "4 of 60 requests in 6 h failed; fewer than 5 are never alarming"


def test_slow_answers_burn_the_budget_of_latency() -> None:
    """A fifth takes ten seconds: the page for 500 ms fires, and says so."""
    found = judge(LATENCY_PAGE, minutes((60, 100, 20)), NOON)
    assert found.hot
    assert "1200 of 6000 requests in 1 h took longer than 500 ms (20.0 %; 1.0 % may)" in found.reason


def test_slower_is_linear_within_a_bin() -> None:
    """A bound in the middle of a bin takes half of it; one at an edge takes the bins above whole."""
    edges = EDGES[LATENCY]
    bins = np.ones(len(edges) + 1, np.int64)
    assert slower(bins, edges[10]) == len(edges) - 10
    assert slower(bins, (edges[10] + edges[11]) / 2) == pytest.approx(len(edges) - 10 - 0.5)
    assert slower(bins, edges[-1]) == 1
    assert slower(bins, 60.0) == 1
    assert slower(bins, edges[0] / 2) == pytest.approx(len(edges) + 0.5)


def test_an_alarm_pends_fires_and_clears_with_hysteresis() -> None:
    """It fires after five minutes hot, stays while neither hot nor cool, clears after thirty minutes cool."""
    about = RULES["null-rate-high"].about
    assert (about.pending_s, about.clear_s) == (300, 1800)
    hot, between, cool = (
        Judgement(True, False, "hot"),
        Judgement(False, False, "so so"),
        Judgement(False, True, "ok"),
    )
    alarm = Alarm("null-rate-high")
    seen = []
    plan = [hot] * 3 + [between] + [hot] * 6 + [between] * 60 + [cool] * 29 + [between] + [cool] * 31
    for place, judged in enumerate(plan):
        alarm = step(alarm, judged, about, NOON + place * MINUTE)
        if not seen or seen[-1][1] is not alarm.phase:
            seen.append((place, alarm.phase))
    assert seen == [
        (0, Phase.PENDING), (3, Phase.QUIET), (4, Phase.PENDING), (9, Phase.FIRING), (130, Phase.QUIET),
    ]  # fmt: skip


def test_late_counts_and_forgotten_ones() -> None:
    """Counts of a minute add up, whenever they come; what the ring has let go of is nought, and stays out."""
    series = Series(60, 10)
    one = Rollup(Counter(requests=1))
    for minute in (0, 5, 9, 5):
        series.add(microseconds(NOON + minute * MINUTE), one)
    assert series.counts(NOON, NOON + 10 * MINUTE, "requests")[:, 0].tolist() == [
        1,
        0,
        0,
        0,
        0,
        2,
        0,
        0,
        0,
        1,
    ]
    series.add(microseconds(NOON + 14 * MINUTE), one)
    series.add(microseconds(NOON), one)
    assert series.counts(NOON, NOON + 15 * MINUTE, "requests")[:, 0].tolist() == [0] * 5 + [
        2,
        0,
        0,
        0,
        1,
        0,
        0,
        0,
        0,
        1,
    ]
    series.replace(NOON + 9 * MINUTE, [(NOON + 10 * MINUTE, one)])
    assert series.counts(NOON, NOON + 15 * MINUTE, "requests")[:, 0].sum() == 3
