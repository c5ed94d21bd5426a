"""What is usual: the share of a rate at each hour of the week, and how much it varies from one window to the next.

In: bad events and all events, hour by hour. Out: a `Baseline`. The week is in UTC and begins on Monday.

An hour of the week has few events, so its share is drawn towards what its day of the week and its hour of the day
make likely, and these towards the whole: each factor has a gamma prior of mean 1, whose shape is 1 / cv^2 bad events
(``CV``: by what factor we expect days, hours and single hours of the week to differ). The variation of the shares
beyond chance (``spread``, see `beta_binomial`) is estimated by moments, for each length of window of its own, since
hours that are bad together make bad days, and is drawn towards a prior where few windows were seen.

What was learnt once moves by at most a rule's ``weekly_movement`` a week, and the band around it widens by at most
``WIDENS``: what gets worse slowly does not become usual, nor hides in a band that has grown around it. So the spread
is also one about a trend. What would have moved further is said in words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from monitoring.alarms.spell import DAYS, percent, points, span
from monitoring.moments import microseconds, moment

HOURS = 168
HOUR_US = 3_600_000_000
MONDAY_US = 4 * 24 * HOUR_US  # 1970-01-01 was a Thursday: the first Monday was four days later

CV = {"day": 0.15, "hour": 0.25, "cell": 0.10}
PRIOR_SD = 0.05  # of the log-odds of a share from hour to hour, before it is known
PRIOR_FALLS = 1 / 6  # longer windows vary less: a day 0.6 times as much, a week 0.4 times
PRIOR_WINDOWS = 14  # how many windows that belief weighs
MOST_SD = 0.30  # a band for what varies more would hide everything
WIDENS = (
    1.1  # the most that variances of the band grow in a week: twice as wide after half a year at the earliest
)
ROUNDS = 8  # days and hours are fitted in turns; it converges in three or four

Floats = npt.NDArray[np.float64]
Times = npt.NDArray[np.int64]  # microseconds since 1970


@dataclass(frozen=True, slots=True)
class Baseline:
    """``shares``: bad events by all, of each hour of the week.

    ``unsure`` is the relative variance of each share as an hour of its day; ``unsure_days`` that of the 7 days.
    ``spread`` by length of window in seconds. ``level`` is the share of all events, ``weeks`` how many were seen.
    """

    at: datetime
    shares: tuple[float, ...]
    unsure: tuple[float, ...]
    unsure_days: tuple[float, ...]
    spread: Mapping[int, float]
    level: float
    weeks: float
    events: int

    def expected(self, at_us: Times) -> Floats:
        """The shares of the hours of the week in which times lie."""
        return np.asarray(self.shares)[hour_of_week(at_us)]

    def spread_of(self, window_s: int, at_us: Times, events: Floats) -> float:
        """Of a window of so many events at these times: what varies by itself, and what is not known of the share.

        The errors of single hours partly cancel in a longer window; that of a day is in all of its hours.
        """
        weights = _by(hour_of_week(at_us), events / events.sum(), HOURS)
        share = float((weights * self.shares).sum())
        days = weights.reshape(7, 24).sum(axis=1)
        unsure = (weights**2 * self.unsure).sum() + (days**2 * self.unsure_days).sum()
        own = self.spread.get(window_s, _prior(share, window_s))
        return own * (1 + 1 / max(1.0, self.weeks)) + float(unsure) * share

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "at_us": microseconds(self.at),
            "shares": [round(share, 6) for share in self.shares],
            "unsure": [round(share, 6) for share in self.unsure],
            "unsure_days": [round(share, 6) for share in self.unsure_days],
            "spread": {str(window_s): round(spread, 9) for window_s, spread in self.spread.items()},
            "level": round(self.level, 6),
            "weeks": round(self.weeks, 3),
            "events": self.events,
        }

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> Baseline:
        """The inverse."""
        return cls(
            moment(body["at_us"]),
            tuple(body["shares"]),
            tuple(body["unsure"]),
            tuple(body["unsure_days"]),
            {int(window_s): spread for window_s, spread in body["spread"].items()},
            body["level"],
            body["weeks"],
            body["events"],
        )


def hour_of_week(at_us: Times) -> npt.NDArray[np.int64]:
    """0 for what happened from Monday 00:00 to 01:00 UTC, 167 for the last hour of Sunday."""
    return ((at_us - MONDAY_US) // HOUR_US) % HOURS


def learn(at_us: Times, bad: Floats, events: Floats, windows_s: Sequence[int], now: datetime) -> Baseline:
    """What is usual, from hours: when each began, its bad events and all its events (0: leave it out)."""
    cell = hour_of_week(at_us)
    trend = _trend(cell, at_us, bad, events)
    seen, happened = _by(cell, events * trend, HOURS), _by(cell, bad, HOURS)
    level = (happened.sum() + 0.5) / (seen.sum() + 1.0)
    day, hour = np.arange(HOURS) // 24, np.arange(HOURS) % 24
    of_day, of_hour = np.ones(7), np.ones(24)
    for _ in range(ROUNDS):
        of_day = _factor(day, happened, seen * level * of_hour[hour], 7, CV["day"])
        of_hour = _factor(hour, happened, seen * level * of_day[day], 24, CV["hour"])
    rhythm = np.clip(level * of_day[day] * of_hour[hour], 1e-5, 0.98)
    shares = np.clip(
        rhythm * _factor(np.arange(HOURS), happened, seen * rhythm, HOURS, CV["cell"]), 1e-5, 0.98
    )
    weeks = float(np.count_nonzero(events)) / HOURS
    unsure_days = 1 / (_by(day, happened, 7) + CV["day"] ** -2)
    unsure = 1 / (_by(hour, happened, 24)[hour] + CV["hour"] ** -2) + 1 / (happened + CV["cell"] ** -2)
    expected = np.clip(rhythm[cell] * trend, 1e-5, 0.98)
    spread = {
        window_s: _spread(at_us // (window_s * 1_000_000), bad, events, expected, window_s)
        for window_s in windows_s
    }
    return Baseline(
        now,
        tuple(shares.tolist()),
        tuple(unsure.tolist()),
        tuple(unsure_days.tolist()),
        spread,
        float(level),
        weeks,
        int(events.sum()),
    )


def follow(
    old: Baseline, new: Baseline, most: float, shown: Callable[[float], float] = lambda share: share
) -> tuple[Baseline, str]:
    """``old`` moved towards ``new`` by at most ``most`` at any hour, its band wider by ``WIDENS``; and that in words.

    ``shown``: the share of bad events as people know it.
    """
    wanted, held = np.asarray(new.shares), np.asarray(old.shares)
    change = new.level - old.level
    level = old.level + float(np.clip(change, -most, most))
    moved = np.clip(wanted, held - most, held + most)
    spread, wider = _widened(old, new)
    made = replace(
        new,
        shares=tuple(moved.tolist()),
        level=level,
        spread=spread,
        unsure=tuple(np.minimum(new.unsure, WIDENS * np.asarray(old.unsure)).tolist()),
        unsure_days=tuple(np.minimum(new.unsure_days, WIDENS * np.asarray(old.unsure_days)).tolist()),
        weeks=max(new.weeks, old.weeks / WIDENS),  # of fewer weeks less is known
    )
    words = (
        f"usual is now {percent(shown(level))} (it was {percent(shown(old.level))}), from {new.events} events"
        f"{wider}"
    )
    at_most = f"at most {points(most).removeprefix('+')} a week are followed"
    if abs(change) > most:
        whole = points(shown(new.level) - shown(old.level))
        return made, f"{words}; the data moved by {whole}, and {at_most}"
    beyond = np.abs(wanted - held) > most
    if not beyond.any():
        return made, words
    farthest = int(np.argmax(np.abs(wanted - held)))
    by = points(shown(float(wanted[farthest])) - shown(float(held[farthest])))
    place = f"{DAYS[farthest // 24]} {farthest % 24:02}:00"
    hours = int(np.count_nonzero(beyond))
    return made, f"{words}; {hours} hours of the week moved by more, most of all {place}, by {by}: {at_most}"


def _widened(old: Baseline, new: Baseline) -> tuple[dict[int, float], str]:
    """The spread of ``new``, as far as it is followed; and in words how much further it would have gone."""
    spread, beyond = {}, {}
    for window_s, wanted in new.spread.items():
        held = old.spread.get(window_s)
        spread[window_s] = wanted if held is None else min(wanted, WIDENS * held)
        if held and wanted > WIDENS * held:
            beyond[window_s] = wanted / held
    if not beyond:
        return spread, ""
    most = max(beyond, key=beyond.__getitem__)
    return spread, (
        f"; shares of {span(most)} vary by {beyond[most]:.1f} times as much as they did (variance), "
        f"and at most {WIDENS:g} times a week are followed"
    )


def _by(group: npt.NDArray[np.int64], values: Floats, groups: int) -> Floats:
    return np.bincount(group, values, groups).astype(np.float64)


def _factor(
    group: npt.NDArray[np.int64], happened: Floats, expected: Floats, groups: int, cv: float
) -> Floats:
    """By what each group differs from what is expected: the posterior mean under a gamma prior."""
    shape = cv**-2
    return (_by(group, happened, groups) + shape) / (_by(group, expected, groups) + shape)


def _trend(cell: npt.NDArray[np.int64], at_us: Times, bad: Floats, events: Floats) -> Floats:
    """By what factor shares differ from the mean at each time: a line, least squares.

    Only the same hour of different weeks is compared, so a rhythm is no trend; one week has none.
    """
    if not events.any():
        return np.ones(len(events))
    time = (at_us - at_us[0]) / HOUR_US
    usual = events * (bad.sum() + 0.5) / (events.sum() + 1.0)
    means = _by(cell, usual * time, HOURS) / np.maximum(_by(cell, usual, HOURS), 1e-12)
    since = time - means[cell]
    varied = float((usual * since**2).sum())
    slope = float((bad * since).sum() - (usual * since).sum()) / varied if varied > 1e-6 else 0.0
    line: Floats = np.maximum(1 + slope * (time - (events * time).sum() / events.sum()), 0.01)
    return line


def _prior(share: float, window_s: int) -> float:
    sd = PRIOR_SD * (3_600 / window_s) ** PRIOR_FALLS
    # The variance of the share is (sd * share * (1 - share))^2.
    return float(sd**2 * share * (1 - share))


def _spread(
    window: npt.NDArray[np.int64], bad: Floats, events: Floats, share: Floats, window_s: int
) -> float:
    """Of windows that do not overlap, by moments: E (bad - n p)^2 = n p (1 - p) (1 + (n - 1) spread)."""
    _, group = np.unique(window, return_inverse=True)
    n, seen, expected = (np.bincount(group, values) for values in (events, bad, events * share))
    used = n >= 2
    n, seen, p = n[used], seen[used], (expected[used] / n[used])
    if not len(n):
        return _prior(0.5, window_s)
    level = float(expected.sum() / max(1.0, events.sum()))
    chance = n * p * (1 - p)
    # The level, days, or days and hours were fitted to the same windows, and the slope of the trend.
    fitted = 1 if window_s >= 7 * 86_400 else 7 if window_s >= 86_400 else 31
    free = max(0, len(n) - fitted - 1)
    found = 0.0
    if free:
        beyond = (seen - n * p) ** 2 * (len(n) / free) - chance
        found = max(0.0, float(beyond.sum() / (chance * (n - 1)).sum()))
    mixed = (PRIOR_WINDOWS * _prior(level, window_s) + free * found) / (PRIOR_WINDOWS + free)
    return float(min(mixed, MOST_SD**2 * level * (1 - level)))
