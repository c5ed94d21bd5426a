"""When people search: a rate that follows the hour of the day and the day of the week, and moments drawn from it.

Times are UTC, and the people live there. Moments are a Poisson process whose rate is constant within a minute: a
number for each minute, then that many moments anywhere in it (exact; no thinning).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

MINUTE = timedelta(minutes=1)
AT_ONCE = 24 * 60  # minutes drawn together

# Assumptions: quiet nights, a rise in the morning, most in the evening, later at weekends and more of it. The shape is
# that of published logs of mobile search (Kamvar and Baluja, CHI 2006: most queries in the evening); numbers are ours.
_WEEKDAY = (2, 1, 1, 1, 1, 2, 5, 9, 11, 9, 8, 8, 10, 9, 8, 8, 9, 11, 13, 15, 16, 14, 9, 5)
_WEEKEND = (4, 2, 1, 1, 1, 1, 2, 4, 8, 12, 14, 15, 15, 14, 14, 14, 14, 15, 16, 18, 18, 15, 11, 7)


@dataclass(frozen=True, slots=True)
class Rhythm:
    """A week: the weight of each hour from Monday 0:00 (168 of them), and who is out.

    ``away_weekday`` and ``away_weekend`` are the shares of sessions held in a noisy place, incident or not.
    """

    hours: tuple[float, ...]
    away_weekday: float = 0.0
    away_weekend: float = 0.0

    def __post_init__(self) -> None:
        assert len(self.hours) == 168, f"{len(self.hours)} hours; a week has 168"
        assert min(self.hours) >= 0.0 < max(self.hours), "hours weigh 0 or more, and one of them more"

    def relative(self, at: datetime) -> float:
        """The rate at a time over the week's mean: 1 on average. Linear from the middle of an hour to the next."""
        place = at.weekday() * 24 + at.hour + at.minute / 60.0 - 0.5
        hour = int(place // 1)
        share = place - hour
        between = self.hours[hour % 168] * (1.0 - share) + self.hours[(hour + 1) % 168] * share
        return between * 168.0 / sum(self.hours)

    def away(self, at: datetime) -> float:
        """The share of sessions held in a noisy place at a time."""
        return self.away_weekday if at.weekday() < 5 else self.away_weekend


FLAT = Rhythm((1.0,) * 168)
WEEK = Rhythm(_WEEKDAY * 5 + _WEEKEND * 2, away_weekday=0.02, away_weekend=0.06)


def arrivals(
    rhythm: Rhythm, since: datetime, until: datetime, per_hour: float, rng: np.random.Generator
) -> Iterator[datetime]:
    """Moments of ``[since, until)`` in order, ``per_hour`` of them on average over a week."""
    begin = since
    while begin < until:
        minutes = min(AT_ONCE, -(-(until - begin) // MINUTE))
        rates = [rhythm.relative(begin + at * MINUTE) * per_hour / 60.0 for at in range(minutes)]
        counts = rng.poisson(rates)
        places = np.repeat(np.arange(minutes), counts) + rng.random(int(counts.sum()))
        for place in np.sort(places).tolist():
            at = begin + timedelta(minutes=place)
            if at < until:  # the last minute may be cut
                yield at
        begin += minutes * MINUTE
