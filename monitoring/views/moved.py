"""What moved, and when: one change point for each feature, rate and stage of a stretch of time, from its counts.

In: rollups, slot by slot. Out: `Moved`, by time and, within a slot or two, in the order of the pipeline: what moved
first is where to look first. A series is split at the place that tells its two sides apart best: by the difference
of their mean ranks (of a measured feature: of the bins that its values fell into) over its standard error, as in the
rank-sum test, scanned over all places (Pettitt 1979). The error is widened by as much as neighbouring slots differ
beyond chance. What the same hours of an earlier day did as well is rhythm, and left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from monitoring.alarms.spell import percent
from monitoring.counts.rollup import EDGES, LATENCY, RATES, Rollup, quantile
from monitoring.features import BY_NAME, Stage
from monitoring.record import STAGES

LEAST_Z = (
    5.0  # of the best of some hundred places, in some thirty series: one in a thousand stretches has one
)
LEAST_SHIFT = 0.05  # of the chance that a value after is larger than one before, from a half
LEAST_RATE = 0.15  # of a rate, by itself
LEAST_SLOTS = 2  # on either side
LEAST_VALUES = 30
TIME, ANSWERS = "time", "answers"  # beside the stages: how long they took, and whether there was an answer

_OF_RATE = {
    "rejected_rate": (0, Stage.INPUT.value),
    "null_rate": (3, Stage.TEXT.value),
    "no_results_rate": (4, Stage.SEARCH.value),
    "out_of_catalog_rate": (4, Stage.SEARCH.value),
    "error_rate": (5, ANSWERS),
    "redo_rate": (6, Stage.PEOPLE.value),
    "typing_rate": (6, Stage.PEOPLE.value),
    "click_rate": (6, Stage.PEOPLE.value),
}
_ORDER = {Stage.INPUT: 0, Stage.SPEECH: 1, Stage.TEXT: 3, Stage.SEARCH: 4, Stage.PEOPLE: 6}
_TIME_ORDER = 2  # the stages run between what came in and what goes out

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Moved:
    """``name`` moved from ``before`` to ``after`` (medians, or rates) about ``at``. ``z``: how sure, with its sign."""

    name: str
    stage: str
    at: datetime
    before: float
    after: float
    unit: str
    z: float
    order: int

    def words(self) -> str:
        """``level_dbfs -20.1 -> -31.8 dBFS``."""
        if self.name in RATES:
            return f"{self.name} {percent(self.before)} -> {percent(self.after)}"
        return f"{self.name} {self.before:.3g} -> {self.after:.3g} {self.unit}".rstrip()

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "name": self.name,
            "stage": self.stage,
            "at": self.at.isoformat(),
            "before": round(self.before, 6),
            "after": round(self.after, 6),
            "unit": self.unit,
            "z": round(self.z, 1),
        }


Slots = Sequence[tuple[datetime, Rollup]]


def moved(slots: Slots, usual: Slots = ()) -> list[Moved]:
    """What moved in these slots; ``usual``: the same hours of an earlier day, in slots of the same length."""
    found = [one for name in (*RATES, *EDGES) if (one := _moved(name, slots, usual)) is not None]
    if not found:
        return []
    step = min((b[0] - a[0] for a, b in pairwise(slots)), default=timedelta(minutes=5))
    return _in_order(found, 2 * step)


def _in_order(found: Iterable[Moved], together: timedelta) -> list[Moved]:
    """By time; what moved within ``together`` of the first of a group, in the order of the pipeline."""
    ordered: list[Moved] = []
    group: list[Moved] = []
    for one in sorted(found, key=lambda one: one.at):
        if group and one.at - group[0].at > together:
            ordered += sorted(group, key=lambda one: one.order)
            group = []
        group.append(one)
    return ordered + sorted(group, key=lambda one: one.order)


def _moved(name: str, slots: Slots, usual: Slots) -> Moved | None:
    bins = _table(name, [rollup for _, rollup in slots])
    n = bins.sum(axis=1)
    ranks = _ranks(bins.sum(axis=0)) if name not in RATES else np.array([0.0, 1.0])
    place, z = _split(bins @ ranks, n, _variance(bins.sum(axis=0), ranks))
    if place is None or abs(z) < LEAST_Z:
        return None
    at = slots[place][0]
    before, after = bins[:place].sum(axis=0), bins[place:].sum(axis=0)
    shift = _shift(before, after, ranks) - _usual_shift(name, slots, usual, place, ranks)
    level = before[-1] / before.sum() if name in RATES else 1.0
    if abs(shift) < (LEAST_RATE * max(level, 0.01) if name in RATES else LEAST_SHIFT):
        return None
    order, stage, unit = _place(name)
    return Moved(name, stage, at, _value(name, before), _value(name, after), unit, z, order)


def _table(name: str, rollups: Sequence[Rollup]) -> Floats:
    """Values by slot and bin; of a rate, those without and those with: shape (slots, bins)."""
    if name in RATES:
        pairs = [rollup.rate(name) for rollup in rollups]
        return np.array([[whole - part, part] for part, whole in pairs], dtype=float).reshape(-1, 2)
    empty = [0] * (len(EDGES[name]) + 1)
    return np.array([rollup.bins.get(name, empty) for rollup in rollups], dtype=float).reshape(-1, len(empty))


def _ranks(pooled: Floats) -> Floats:
    """The mean rank of a value of each bin, from 0 to 1."""
    total = max(1.0, pooled.sum())
    ranks: Floats = (np.cumsum(pooled) - pooled / 2) / total
    return ranks


def _variance(pooled: Floats, ranks: Floats) -> float:
    total = max(1.0, pooled.sum())
    mean = (pooled * ranks).sum() / total
    return float((pooled * (ranks - mean) ** 2).sum() / total)


def _split(sums: Floats, n: Floats, variance: float) -> tuple[int | None, float]:
    """Where the mean changes most, in units of its standard error; None: there is too little of it."""
    before = np.cumsum(n)[:-1]
    after = n.sum() - before
    places = np.arange(1, len(n))
    able = (before >= LEAST_VALUES) & (after >= LEAST_VALUES)
    able &= (places >= LEAST_SLOTS) & (places <= len(n) - LEAST_SLOTS)
    if not able.any() or variance <= 0:
        return None, 0.0
    sums_before = np.cumsum(sums)[:-1]
    difference = (sums.sum() - sums_before)[able] / after[able] - sums_before[able] / before[able]
    error = np.sqrt(variance * _beyond_chance(sums, n, variance) * (1 / before[able] + 1 / after[able]))
    z = difference / error
    best = int(np.argmax(np.abs(z)))
    return int(places[able][best]), float(z[best])


def _beyond_chance(sums: Floats, n: Floats, variance: float) -> float:
    """By how much more than by chance neighbouring slots differ; the median, which a jump does not move."""
    used = n > 0
    means, n = sums[used] / n[used], n[used]
    if len(n) < 8:
        return 1.0
    squares = np.diff(means) ** 2 / (variance * (1 / n[1:] + 1 / n[:-1]))
    return max(1.0, float(np.median(squares)) / 0.455)  # the median of a chi-square of one degree of freedom


def _shift(before: Floats, after: Floats, ranks: Floats) -> float:
    return float(after @ ranks / max(1.0, after.sum()) - before @ ranks / max(1.0, before.sum()))


def _usual_shift(name: str, slots: Slots, usual: Slots, place: int, ranks: Floats) -> float:
    """What the same hours of the earlier day did at this place."""
    into_s = (slots[place][0] - slots[0][0]).total_seconds()
    if not usual:
        return 0.0
    bins = _table(name, [rollup for _, rollup in usual])
    early = np.array([(at - usual[0][0]).total_seconds() < into_s for at, _ in usual])
    before, after = bins[early].sum(axis=0), bins[~early].sum(axis=0)
    if min(before.sum(), after.sum()) < LEAST_VALUES:
        return 0.0
    return _shift(before, after, ranks)


def _value(name: str, bins: Floats) -> float:
    if name in RATES:
        return float(bins[1] / max(1.0, bins.sum()))
    return quantile([int(count) for count in bins], EDGES[name], 0.5) or 0.0


def _place(name: str) -> tuple[int, str, str]:
    """Order in the pipeline, stage, unit."""
    if name in _OF_RATE:
        order, stage = _OF_RATE[name]
        return order, stage, ""
    if name in BY_NAME:
        feature = BY_NAME[name]
        return _ORDER[feature.stage], feature.stage.value, feature.unit
    assert name == LATENCY or name.removesuffix("_s") in STAGES, f"a series {name!r} of no stage"
    return _TIME_ORDER, TIME, "s"
