"""Ratio alarms: a rate of the last hour or day, against what is usual at those hours of the week.

The band is that of a beta-binomial around what is expected of the very minutes in which the events happened; its
level is such that a rule has ``false_alarms_per_week`` on healthy traffic. A rate that gets worse downwards (clicks)
is judged as the share of those who did not.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from monitoring.alarms.baseline import Baseline, Floats
from monitoring.alarms.beta_binomial import bound
from monitoring.alarms.rules import Direction, Ratio
from monitoring.alarms.spell import percent, span
from monitoring.alarms.states import Judgement
from monitoring.counts.rollup import RATES
from monitoring.counts.series import Counts, Series
from monitoring.moments import microseconds

DAY_S = 86_400
WEEK_S = 7 * DAY_S
# A window that slides is tested ever again, on mostly the same events: so many independent tests it is worth, for
# each of its lengths that pass. `scripts/check_alarms` measures what comes of it.
TESTS_PER_WINDOW = 4.0
COOL = 0.5  # of the way from what is usual to the band's edge: below it, all is well


@dataclass(frozen=True, slots=True)
class Seen:
    """One window: shares of bad events. ``edge``: from here on the alarm fires."""

    window_s: int
    events: int
    bad: int
    usual: float | None
    edge: float

    @property
    def share(self) -> float:
        """What was seen."""
        return self.bad / max(1, self.events)

    @property
    def by(self) -> float:
        """How far it is from what is usual, in units of the way to the edge."""
        usual = self.usual or 0.0
        return (self.share - usual) / max(1e-9, self.edge - usual)


def alpha(rule: Ratio, window_s: int) -> float:
    """The chance of one window of healthy traffic to lie beyond the band."""
    tests = TESTS_PER_WINDOW * WEEK_S / window_s
    return rule.false_alarms_per_week / len(rule.windows_s) / tests


def bad_of(rule: Ratio, counts: Counts) -> tuple[Floats, Floats]:
    """Bad events and all events, of counts of the two that the rate divides."""
    part, whole = counts[:, 0].astype(float), counts[:, 1].astype(float)
    return (part if rule.direction is Direction.UP else whole - part), whole


def judge(rule: Ratio, baseline: Baseline | None, minutes: Series, hours: Series, now: datetime) -> Judgement:
    """The judgement of a ratio on what is over; windows beyond a day are made of hours.

    ``baseline`` is of bad events; None: not learnt yet.
    """
    seen = [
        _seen(rule, baseline, minutes if window_s <= DAY_S else hours, now, window_s)
        for window_s in rule.windows_s
    ]
    able = [one for one in seen if one.events >= rule.least_events]
    if not able:
        most = seen[-1]
        return Judgement.silent(
            f"{most.events} events in {span(most.window_s)}, and it takes {rule.least_events} to judge",
            events=most.events,
        )
    going_on = [_going_on(one, able[place - 1] if place else None) for place, one in enumerate(able)]
    worst = max(range(len(able)), key=going_on.__getitem__)
    return Judgement(
        hot=going_on[worst] >= 1.0,
        cool=going_on[worst] < COOL,
        reason=_words(rule, able[worst]),
        numbers=_numbers(rule, able[worst]),
    )


def _going_on(one: Seen, shorter: Seen | None) -> float:
    """How far a window is out, unless the next shorter one is back within half of that: then it is over.

    So an alarm of a week's window ends a day after its cause, as with the two windows of a burn rate.
    """
    if shorter is None:
        return one.by
    still = (shorter.share - (shorter.usual or 0.0)) / max(1e-9, one.edge - (one.usual or 0.0))
    return min(one.by, still / COOL)


def edge(rule: Ratio, window_s: int, usual: float, spread: float, events: int) -> float:
    """The share of bad events from which a window of ``events`` alarms. It never lies beyond the rule's limit."""
    band = bound(events, usual, spread, alpha(rule, window_s)) / events
    return min(max(band, usual + rule.least_change), bad_limit(rule))


def bad_limit(rule: Ratio) -> float:
    """The rule's limit, as a share of bad events."""
    return rule.limit if rule.direction is Direction.UP else 1.0 - rule.limit


def _seen(rule: Ratio, baseline: Baseline | None, series: Series, now: datetime, window_s: int) -> Seen:
    since = now - timedelta(seconds=window_s)
    bad, whole = bad_of(rule, series.counts(since, now, *RATES[rule.of]))
    events, happened = int(whole.sum()), int(bad.sum())
    if baseline is None or events < rule.least_events:
        return Seen(window_s, events, happened, None, bad_limit(rule))
    step_us = series.step_s * 1_000_000
    at_us = (-(-microseconds(since) // step_us) + np.arange(len(whole))) * step_us
    usual = float((baseline.expected(at_us) * whole).sum() / events)
    spread = baseline.spread_of(window_s, at_us, whole)
    return Seen(window_s, events, happened, usual, edge(rule, window_s, usual, spread, events))


def shown(rule: Ratio, share: float) -> float:
    """A share of bad events, as the rate that the rule is about."""
    return share if rule.direction is Direction.UP else 1.0 - share


def _words(rule: Ratio, seen: Seen) -> str:
    part, whole = (name.replace("_", " ") for name in RATES[rule.of])
    count = seen.bad if rule.direction is Direction.UP else seen.events - seen.bad
    what = f"{count} {part} of {seen.events} {whole} in {span(seen.window_s)}: {percent(shown(rule, seen.share))}"
    alarm = f"the alarm is at {percent(shown(rule, seen.edge))}"
    if seen.usual is None:
        return f"{what}; what is usual is not learnt yet, {alarm}"
    return f"{what}; usual at these hours is {percent(shown(rule, seen.usual))}, {alarm}"


def _numbers(rule: Ratio, seen: Seen) -> dict[str, float | int | None]:
    return {
        "events": seen.events,
        "window_s": seen.window_s,
        "share": round(shown(rule, seen.share), 6),
        "usual": None if seen.usual is None else round(shown(rule, seen.usual), 6),
        "threshold": round(shown(rule, seen.edge), 6),
    }
