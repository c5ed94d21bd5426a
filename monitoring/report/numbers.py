"""One pass over records: sums of a stretch and of the one before it, as long.

In: the records of both stretches, as many as there are, and rollups, which know what people did: what is kept is
bounded by hours, versions and values of slices. No text is looked at.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import accumulate

from monitoring.counts.intervals import Z, wilson
from monitoring.counts.rollup import EDGES, Rollup, RollupKey, total
from monitoring.label_values import LabelValues
from monitoring.outcomes import SHADOW, was_shown
from monitoring.record import Outcome, Record, Transport

HOUR = timedelta(hours=1)
MOST_VALUES = 40  # of a slice: clients may send any name of a device
LENGTHS_S = (1.0, 2.0, 3.0, 5.0, 8.0)
ACTS = ("followed", "typed", "redo", "shown", "clicked")
LEVELS_DBFS = (-50.0, -40.0, -30.0, -20.0)


@dataclass(frozen=True, slots=True)
class Interval:
    """A share with its 95 % interval: Wilson's of one, Newcombe's (1998, method 10) of a difference."""

    value: float
    low: float
    high: float

    @property
    def sure(self) -> bool:
        """Of a difference: whether it is one."""
        return self.low > 0 or self.high < 0


def share(part: int, whole: int) -> Interval | None:
    """``part`` of ``whole``; None of nothing."""
    return Interval(part / whole, *wilson(part, whole)) if whole else None


def change(now: Interval | None, before: Interval | None) -> Interval | None:
    """``now`` less ``before``; None where one of them is not there."""
    if now is None or before is None:
        return None
    down = math.hypot(now.value - now.low, before.high - before.value)
    up = math.hypot(now.high - now.value, before.value - before.low)
    difference = now.value - before.value
    return Interval(difference, difference - down, difference + up)


def quantile(rollup: Rollup, name: str, q: float) -> Interval | None:
    """Of a measured feature, with the interval of its place among the values; None where nothing was measured."""
    count = sum(rollup.bins.get(name, ()))
    off = Z * math.sqrt(q * (1 - q) / count) if count else 0.0
    found = [rollup.quantile(name, min(max(q + side * off, 0.0), 1.0)) for side in (0, -1, 1)]
    value, low, high = found
    return None if value is None or low is None or high is None else Interval(value, low, high)


def within(rollup: Rollup, name: str, bound: float) -> tuple[int, int]:
    """How many of the values are not above ``bound``, linear within its bin, and how many there are."""
    bins, edges = rollup.bins.get(name, ()), EDGES[name]
    sums = list(accumulate(bins))
    if not sums:
        return 0, 0
    at = next((at for at, edge in enumerate(edges) if edge >= bound), len(edges))
    low = edges[at - 1] if at else 0.0
    part = 1.0 if at == len(edges) else min(max((bound - low) / (edges[at] - low), 0.0), 1.0)
    return round((sums[at - 1] if at else 0) + part * bins[at]), sums[-1]


@dataclass(slots=True)
class Stretch:
    """Sums of a stretch of time: by hour, by model, and by slice (key, then value) the clips spoken and the null ones.

    People's acts are in the sums of models, and not in those of hours.
    """

    since: datetime
    until: datetime
    hours: dict[int, Rollup] = field(default_factory=dict)
    models: dict[str, Rollup] = field(default_factory=dict)
    slices: dict[str, dict[str, Counter[str]]] = field(default_factory=dict)
    missing: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)

    @property
    def whole(self) -> Rollup:
        """All of it."""
        return total(self.models.values())


@dataclass(frozen=True, slots=True)
class Pair:
    """This stretch and the one before it."""

    now: Stretch
    before: Stretch


def gather(
    records: Iterable[Record],
    rollups: Iterable[tuple[datetime, RollupKey, Rollup]],
    since: datetime,
    until: datetime,
) -> Pair:
    """Sums of ``[since, until)`` and of what is before it, of answers that people got. Of rollups only their acts."""
    pair = Pair(Stretch(since, until), Stretch(since - (until - since), since))
    models, kinds = LabelValues(20), LabelValues(30)
    values: dict[str, LabelValues] = {}
    for record in filter(was_shown, records):
        stretch = pair.now if record.at >= since else pair.before
        known = models.known if record.outcome is Outcome.ERROR else models.seen
        hour = (record.at - stretch.since) // HOUR
        stretch.hours.setdefault(hour, Rollup()).record(record)
        stretch.models.setdefault(known(record.model), Rollup()).record(record)
        stretch.missing.update(kinds.seen(name) for name in record.fields_missing)
        if record.status >= 500:
            stretch.errors[kinds.seen(record.error or "unknown")] += 1
        if record.transport is not Transport.TEXT and record.outcome in (Outcome.OK, Outcome.NULL):
            for key, value in _slices(record):
                named = values.setdefault(key, LabelValues(MOST_VALUES)).seen(value)
                counts = stretch.slices.setdefault(key, {}).setdefault(named, Counter())
                counts["spoken"] += 1
                counts["null"] += record.outcome is Outcome.NULL
    for at, served, rollup in rollups:
        if served.arm == SHADOW:
            continue
        stretch = pair.now if at >= since else pair.before
        counts = stretch.models.setdefault(models.known(served.model), Rollup()).counts
        for name in ACTS:
            counts[name] += rollup.counts[name]
    return pair


def _slices(record: Record) -> Iterator[tuple[str, str]]:
    yield "transport", record.transport.value
    if record.device:
        yield "device", record.device
    if record.locale:
        yield "locale", record.locale
    if record.clip is not None:
        yield "length", _range(record.clip.duration_s, LENGTHS_S, "s")
        if record.clip.level_dbfs is not None:
            yield "level", _range(record.clip.level_dbfs, LEVELS_DBFS, "dBFS")


def _range(value: float, edges: tuple[float, ...], unit: str) -> str:
    at = sum(value >= edge for edge in edges)
    if at == 0:
        return f"below {edges[0]:g} {unit}"
    return f"from {edges[-1]:g} {unit}" if at == len(edges) else f"{edges[at - 1]:g} to {edges[at]:g} {unit}"


def by_hour(stretch: Stretch) -> Mapping[int, Rollup]:
    """Every hour of it, an empty one where nothing was asked."""
    hours = -(-(stretch.until - stretch.since) // HOUR)
    return {hour: stretch.hours.get(hour, Rollup()) for hour in range(hours)}
