"""Which stretch of time a page shows, and in which steps: from what a person asks for to what the rollups can tell.

In: ``since`` and ``until`` as text (``6h``: so long ago; or a time), what time it is, maybe a step. Out: a `Stretch`,
aligned, of at most ``MOST_POINTS`` steps, none finer than the rollups of that age are kept.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from monitoring.counts.tiers import TIERS
from monitoring.errors import WindowError
from monitoring.moments import microseconds, moment

MINUTE = timedelta(minutes=1)
STEPS = tuple(MINUTE * n for n in (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440))
MOST_POINTS = 500  # of a series: more than a chart has pixels for on most screens
LONGEST = MOST_POINTS * STEPS[-1]
FLUSH = timedelta(
    seconds=45
)  # counts reach the store so late (the watch ticks); a minute is shown when it is whole

_AGO = re.compile(r"(\d{1,5})([mhd])")
_UNITS = {"m": MINUTE, "h": 60 * MINUTE, "d": 1440 * MINUTE}
_US = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Stretch:
    """Times ``[since, until)`` in steps counted from ``since``; the last may be shorter."""

    since: datetime
    until: datetime
    step: timedelta

    @property
    def starts(self) -> tuple[datetime, ...]:
        """When each step begins."""
        whole = -((self.since - self.until) // self.step)  # rounded up
        return tuple(self.since + i * self.step for i in range(whole))

    def length(self, start: datetime) -> timedelta:
        """Of the step that begins then."""
        return min(self.step, self.until - start)


def plan(now: datetime, since: str, until: str | None = None, step: timedelta | None = None) -> Stretch:
    """The stretch for what was asked. Raises WindowError, in words for whoever asked.

    ``step`` is a wish: it is made longer where the rollups are coarser, or the points would be too many.
    """
    last = _floor(now - FLUSH, MINUTE)
    end = last if until is None else min(_floor(_time(until, now), MINUTE), last)
    start = _time(since, end)
    if start >= end:
        raise WindowError(
            f"the stretch from {since!r} to {until or 'now'!r} is empty: since must be before until"
        )
    if end - start > LONGEST:
        raise WindowError(f"a stretch of {(end - start).days} days is too long: at most {LONGEST.days} days")
    wanted = max(step or MINUTE, _kept(start, now), (end - start) / MOST_POINTS)
    chosen = next((each for each in STEPS if each >= wanted), STEPS[-1])
    aligned = _floor(start, chosen)
    if -((aligned - end) // chosen) > MOST_POINTS:  # aligning may add one
        aligned += chosen
    return Stretch(aligned, end, chosen)


def _time(text: str, ago_from: datetime) -> datetime:
    if ago := _AGO.fullmatch(text):
        return ago_from - int(ago[1]) * _UNITS[ago[2]]
    try:
        at = datetime.fromisoformat(text)
        # Before the year 2 and after 9998, arithmetic on times fails.
        if not 1 < at.year < 9_999:
            raise ValueError(text)
    except ValueError as error:
        raise WindowError(f"{text[:40]!r} is no time: write 90m, 6h, 7d, or 2026-03-01T14:00:00Z") from error
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _kept(since: datetime, now: datetime) -> timedelta:
    """How fine the rollups of that time are at least."""
    spans = [
        MINUTE * (span_us // 60_000_000)
        for age, span_us in TIERS
        if since < _floor(now - age, MINUTE * (span_us // 60_000_000))
    ]
    return max(spans, default=MINUTE)


def _floor(at: datetime, step: timedelta) -> datetime:
    at_us = microseconds(at)
    return moment(at_us - at_us % (step // _US))
