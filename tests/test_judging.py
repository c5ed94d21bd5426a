"""``monitoring.alarms.judging``: what is usual is learnt, moves slowly, and stands still in an incident. D4 and D5.

Traffic is drawn hour by hour, and judged hour by hour; `scripts/check_alarms` does it minute by minute, for years.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest

from monitoring.alarms import rules
from monitoring.alarms.baseline import WIDENS, Baseline, follow, learn
from monitoring.alarms.judging import Judge
from monitoring.alarms.rules import Direction, Ratio, Rules
from monitoring.counts.rollup import RATES, Rollup
from monitoring.moments import microseconds
from monitoring.storage.journal import Entry, Kind

START = datetime(2026, 1, 5, tzinfo=UTC)  # a Monday
HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(days=7)
SHIPPED = rules.load()
BY_RATE = {rule.of: rule for rule in SHIPPED.ratios}
USUAL = {"null_rate": 0.05, "no_results_rate": 0.06, "out_of_catalog_rate": 0.15, "redo_rate": 0.12,
         "typing_rate": 0.04, "click_rate": 0.45}  # fmt: skip

Rate = Callable[[datetime], float]


def alone(rule: Ratio) -> Rules:
    """A set of one rule."""
    return Rules(SHIPPED.reference, (), (rule,), ())


def rhythm(at: datetime) -> float:
    """By how much rates differ at a time: the weekend is a quarter worse, nights are worse than days."""
    weekend = 1.25 if at.weekday() >= 5 else 1.0
    return weekend * (1 - 0.2 * np.cos(2 * np.pi * (at.hour - 15) / 24))


def always(rate: float) -> Rate:
    """The same at every hour."""
    return lambda _: rate


def run(
    judge: Judge,
    rule: Ratio,
    rate: Rate,
    weeks: float,
    begins: datetime = START,
    a_day: float = 5_000,
    seed: int = 0,
) -> Iterator[Entry]:
    """Weeks of hours, each judged when it is over: what the journal would hold."""
    source = np.random.default_rng(seed)
    part, whole = RATES[rule.of]
    at = begins
    while at < begins + weeks * WEEK:
        busy = 1 + 0.9 * np.cos(2 * np.pi * (at.hour - 15) / 24)
        events = int(source.poisson(a_day / 24 * busy * (0.6 if at.weekday() >= 5 else 1.16)))
        counted = Rollup(Counter({whole: events, part: int(source.binomial(events, min(1.0, rate(at))))}))
        judge.minutes.add(microseconds(at), counted)
        judge.hours.add(microseconds(at), counted)
        at += HOUR
        yield from judge.judge(at)


def first(entries: Iterator[Entry], kind: Kind, since: datetime = START) -> Entry | None:
    """The first of a kind from a time on."""
    return next((entry for entry in entries if entry.kind is kind and entry.at >= since), None)


@pytest.mark.parametrize("rate", USUAL)
def test_a_slow_ramp_is_not_absorbed(rate: str) -> None:
    """D4: 0.2 points a day are alarmed before 3 points, in every ratio, at 5,000 queries a day."""
    rule = BY_RATE[rate]
    ramps = START + 2 * WEEK
    towards = 1 if rule.direction is Direction.UP else -1
    clicks = 1.0 if towards > 0 else -0.5  # fewer clicks where all else is worse

    def ramp(at: datetime) -> float:
        return USUAL[rate] * rhythm(at) ** clicks + towards * 0.002 * max(0.0, (at - ramps) / DAY)

    found = first(run(Judge(alone(rule)), rule, ramp, 6), Kind.FIRED, ramps)
    assert found is not None
    assert 0.002 * ((found.at - ramps) / DAY) < 0.03


@pytest.mark.parametrize("rate", ["null_rate", "redo_rate", "click_rate"])
def test_a_cycle_of_the_week_raises_no_alarm(rate: str) -> None:
    """D5: weekends that are a quarter worse, weeks on end: after the first week, and within it, nothing fires."""
    rule = BY_RATE[rate]
    up = 1.0 if rule.direction is Direction.UP else -0.5
    entries = list(run(Judge(alone(rule)), rule, lambda at: USUAL[rate] * rhythm(at) ** up, 6))
    assert {entry.kind for entry in entries} == {Kind.BASELINE}
    assert len(entries) == 5 or len(entries) == 6, "learnt after a week, then moved once a week"


def test_without_hours_of_the_week_the_cycle_would_alarm() -> None:
    """The control of D5: judged by one share for the whole week, the same traffic fires."""
    rule = BY_RATE["redo_rate"]
    judge = Judge(alone(rule))
    entries = []
    for entry in run(judge, rule, lambda at: 0.12 * rhythm(at), 5):
        if entry.kind is Kind.BASELINE:
            level = judge.baselines[rule.about.name]
            flat = replace(level, shares=(level.level,) * 168, spread=dict.fromkeys(level.spread, 0.0))
            judge.baselines[rule.about.name] = flat
        entries.append(entry)
    assert Kind.FIRED in {entry.kind for entry in entries}


def test_an_incident_never_becomes_usual() -> None:
    """Three weeks at three times the rate: it fires all the time; what is usual is the same after as before."""
    rule = BY_RATE["null_rate"]
    judge = Judge(alone(rule))
    begins, ends = START + 2 * WEEK + 12 * HOUR, START + 5 * WEEK

    def incident(at: datetime) -> float:
        return (0.15 if begins <= at < ends else 0.05) * rhythm(at)

    entries = []
    levels = {}
    for entry in run(judge, rule, incident, 7):
        entries.append(entry)
        levels[entry.at] = judge.baselines[rule.about.name].level
    states = [entry for entry in entries if entry.kind in (Kind.FIRED, Kind.CLEARED)]
    assert [entry.kind for entry in states] == [Kind.FIRED, Kind.CLEARED]
    assert begins < states[0].at <= begins + 3 * HOUR
    assert ends < states[1].at <= ends + 2 * DAY, "the windows have to pass"
    moved = [at for at in levels if states[0].at < at < states[1].at]
    assert moved == [], "frozen while it fires"
    before, after = (levels[at] for at in (max(at for at in levels if at < begins), max(levels)))
    assert after == pytest.approx(before, abs=0.003)


def test_what_moves_faster_than_it_may_is_named() -> None:
    """A change below the alarm is followed by at most the weekly movement, and the journal says what it missed."""
    rule = replace(BY_RATE["out_of_catalog_rate"], weekly_movement=0.002, least_change=0.15)
    judge = Judge(alone(rule))
    entries = list(run(judge, rule, lambda at: 0.15 if at < START + 2 * WEEK else 0.19, 5, a_day=3_000))
    assert {entry.kind for entry in entries} == {Kind.BASELINE}
    levels = [entry.body["level"] for entry in entries]
    assert all(abs(b - a) <= 0.002 + 1e-6 for a, b in pairwise(levels))
    assert "at most 0.20 points a week are followed" in entries[-1].reason
    assert "the data moved by +" in entries[-1].reason


def test_a_person_may_say_that_it_is_usual_now() -> None:
    """Accepted: the limit alone is judged, and what is usual is learnt anew from then on."""
    rule = BY_RATE["null_rate"]
    judge = Judge(alone(rule))
    list(run(judge, rule, always(0.05), 2))
    later = START + 2 * WEEK
    entries = list(run(judge, rule, always(0.12), 0.5, later))
    assert [entry.kind for entry in entries] == [Kind.FIRED]
    judge.accept(rule.about.name, later + WEEK / 2)
    entries = list(run(judge, rule, always(0.12), 2, later + WEEK / 2))
    assert [entry.kind for entry in entries][:2] == [Kind.CLEARED, Kind.BASELINE]
    assert judge.baselines[rule.about.name].level == pytest.approx(0.12, abs=0.005)
    assert Kind.FIRED not in {entry.kind for entry in entries}


def test_all_comes_back_from_the_journal() -> None:
    """State and what is usual are the same after a restart as before it, so the same is judged."""
    rule = BY_RATE["redo_rate"]
    one = Judge(alone(rule))
    entries = list(run(one, rule, lambda at: 0.12 if at < START + 2 * WEEK else 0.3, 2.2))
    other = Judge(alone(rule), one.minutes, one.hours)
    other.restore(entries)
    name = rule.about.name
    assert other.alarms[name].firing
    assert other.alarms[name].since == one.alarms[name].since
    assert other.baselines[name].as_dict() == one.baselines[name].as_dict()
    now = START + 2.2 * WEEK
    assert [entry.reason for entry in other.judge(now)] == [entry.reason for entry in one.judge(now)]


def test_a_firing_without_its_end_does_not_stop_the_learning() -> None:
    """Of two firings in the journal only the second has its end: what is usual is learnt again after that."""
    rule = BY_RATE["null_rate"]
    name = rule.about.name
    judge = Judge(alone(rule))
    kinds = (Kind.FIRED, Kind.FIRED, Kind.CLEARED)
    judge.restore([Entry(START + hour * HOUR, name, kind, "why") for hour, kind in enumerate(kinds)])
    entries = list(run(judge, rule, always(0.05), 2))
    assert [entry.kind for entry in entries] == [Kind.BASELINE]
    *_, events = judge._healthy_hours(rule, START + 2 * WEEK)
    assert not events[-336:-334].any(), "the incident itself is left out"
    assert events[-334:].all()


def test_an_alarm_of_a_long_window_leaves_that_window_out() -> None:
    """What a window of seven days fired on is no part of what is usual, from its beginning on."""
    rule = BY_RATE["null_rate"]
    name = rule.about.name
    judge = Judge(alone(rule))
    list(run(judge, rule, always(0.05), 2))
    fired = START + 2 * WEEK
    states = [Entry(fired, name, Kind.FIRED, "why", {"window_s": 7 * 86_400})]
    judge.restore([*states, Entry(fired + HOUR, name, Kind.CLEARED, "why")])
    *_, events = judge._healthy_hours(rule, fired + HOUR)
    assert not events[-169:].any()
    assert events[-330:-170].all()


def test_a_rule_of_another_quantity_learns_anew() -> None:
    """The name has stayed, what it is about has not: what was usual of the one says nothing of the other."""
    rule = BY_RATE["redo_rate"]
    entries = list(run(Judge(alone(rule)), rule, always(0.12), 1.2))
    for other in (replace(rule, of="typing_rate"), replace(rule, direction=Direction.DOWN)):
        judge = Judge(alone(other))
        judge.restore(entries)
        assert judge.baselines == {}
    judge = Judge(alone(replace(rule, limit=0.45)))
    judge.restore(entries)
    assert list(judge.baselines) == [rule.about.name]


def test_the_limit_holds_before_anything_is_learnt() -> None:
    """On the first day only a share beyond the file's limit fires; and too few events are told, not judged."""
    rule = BY_RATE["null_rate"]
    judge = Judge(alone(rule))
    assert list(run(judge, rule, always(0.25), 1 / 7)) == []
    found = first(run(judge, rule, always(0.35), 1 / 7, START + DAY), Kind.FIRED)
    assert found is not None
    assert "what is usual is not learnt yet, the alarm is at 30.0 %" in found.reason
    empty = Judge(alone(rule))
    empty.judge(START)
    assert empty.alarms[rule.about.name].reason == "silent: 0 events in 7 d, and it takes 50 to judge"


def test_hours_and_days_are_told_apart_with_little_data() -> None:
    """One week of 30 events an hour: each hour's share is known better than its own events could tell."""
    source = np.random.default_rng(0)
    at_us = np.array([microseconds(START + hour * HOUR) for hour in range(168)])
    truth = np.array([0.1 * rhythm(START + hour * HOUR) for hour in range(168)])
    events = np.full(168, 30.0)
    bad = source.binomial(30, truth).astype(float)
    found = learn(at_us, bad, events, (3_600, 86_400), START + WEEK)
    error = np.abs(np.array(found.shares) - truth).mean()
    assert error < 0.4 * np.abs(bad / events - truth).mean()
    assert error < np.abs(bad.sum() / events.sum() - truth).mean()
    assert Baseline.from_dict(found.as_dict()).as_dict() == found.as_dict()


def test_hours_that_vary_beyond_chance_widen_the_band() -> None:
    """The spread is estimated: nought for binomial hours, near the truth for hours of a share that itself varies."""
    source = np.random.default_rng(1)
    hours = 4 * 168
    at_us = np.array([microseconds(START + hour * HOUR) for hour in range(hours)])
    events = np.full(hours, 500.0)
    calm = learn(at_us, source.binomial(500, 0.1, hours).astype(float), events, (3_600,), START)
    shares = source.beta(0.1 * 199, 0.9 * 199, hours)  # a spread of 1 / 200
    wild = learn(at_us, source.binomial(500, shares).astype(float), events, (3_600,), START)
    assert calm.spread[3_600] < 0.0004
    assert wild.spread[3_600] == pytest.approx(1 / 200, rel=0.25)


def test_following_is_bounded_at_every_hour() -> None:
    """No hour moves by more, whatever the data of one week say; what is nearer is followed all the way."""
    at_us = np.array([microseconds(START + hour * HOUR) for hour in range(168)])
    events = np.full(168, 1_000.0)
    old = learn(at_us, np.full(168, 50.0), events, (3_600,), START)
    bad = np.full(168, 50.0)
    bad[30] = 300.0  # Tuesday, six in the morning
    new = learn(at_us, bad, events, (3_600,), START + WEEK)
    made, words = follow(old, new, 0.01)
    assert np.abs(np.array(made.shares) - old.shares).max() == pytest.approx(0.01)
    assert "most of all Tuesday 06:00, by +" in words
    _, words = follow(old, learn(at_us, np.full(168, 51.0), events, (3_600,), START), 0.01)
    assert "at most" not in words


def days(shares: np.ndarray, seed: int = 0) -> Baseline:
    """What is learnt of days of 24 equal hours with these shares."""
    hours = 24 * len(shares)
    at_us = np.array([microseconds(START + hour * HOUR) for hour in range(hours)])
    bad = np.random.default_rng(seed).binomial(500, np.repeat(shares, 24)).astype(float)
    return learn(at_us, bad, np.full(hours, 500.0), (3_600, 86_400, 604_800), START)


def test_a_ramp_is_no_spread() -> None:
    """Days that get worse one after the other, from 5 % to 8.4 %, vary little about their trend."""
    ramp = days(0.05 + 0.001 * np.arange(35))
    sd = np.sqrt(ramp.spread[86_400] * ramp.level * (1 - ramp.level))
    assert np.std(0.001 * np.arange(35)) == pytest.approx(0.0101, abs=1e-4)
    assert sd < 0.003


def test_the_band_widens_slowly_and_says_so() -> None:
    """Days that vary wildly from one week to the next widen the band by a tenth a week, and the journal names it."""
    source = np.random.default_rng(0)
    calm, wild = days(np.full(35, 0.05)), days(source.uniform(0.02, 0.08, 35))
    assert wild.spread[86_400] > 2 * calm.spread[86_400]
    short = replace(wild, weeks=1.0, unsure=(1.0,) * 168, unsure_days=(1.0,) * 7)
    made, words = follow(calm, short, 0.003)
    assert made.spread[86_400] == pytest.approx(WIDENS * calm.spread[86_400])
    assert made.weeks == pytest.approx(calm.weeks / WIDENS)
    assert made.unsure == pytest.approx([WIDENS * share for share in calm.unsure])
    assert made.unsure_days == pytest.approx([WIDENS * share for share in calm.unsure_days])
    assert "times as much as they did (variance), and at most 1.1 times a week are followed" in words
    narrowed, words = follow(wild, calm, 0.003)
    assert narrowed.spread == calm.spread, "narrower at once"
    assert "vary" not in words
