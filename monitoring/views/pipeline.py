"""The pipeline side by side: what each stage did over time, and where something moved against a reference stretch.

In: rollups by steps of time, of the stretch looked at and of the one before it. Out: a `Line` for each feature, rate
and time, in the order of the pipeline, so that a change in one stage (less speech in a clip) can be looked for in the
next (more empty answers).

A step has *moved* where it lies ``MOVED`` robust standard deviations from the median of the reference's steps at that
time of day (of all of them while there are too few): 1.4826 x MAD, and never less than what chance makes of so few
values, nor than a share of the usual value that nobody would act on. Source of the robust z: Iglewicz and Hoaglin,
How to Detect and Handle Outliers (1993).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from monitoring.counts.rollup import LATENCY, RATES, Rollup, RollupKey, total
from monitoring.features import FEATURES, Stage
from monitoring.record import STAGES

MOVED = 4.0
LEAST = 20  # values of a step, before it is judged
NEAR = 5  # reference steps at the same time of day, before they are preferred to all
CONCERN = 0.02  # of the usual value: less is nobody's concern
LEAST_RATE = 0.005  # half a point of a rate
P95 = 0.95

Row = tuple[datetime, RollupKey, Rollup]


@dataclass(frozen=True, slots=True)
class Quantity:
    """What a line shows: the median of a feature, a rate, or the 95th percentile of a time."""

    name: str
    stage: Stage | None  # None: of no stage, the time to answer
    unit: str
    help: str


@dataclass(frozen=True, slots=True)
class Point:
    """One step. ``value``: None where nothing was measured; ``z``: None where it cannot be judged."""

    value: float | None
    count: int
    z: float | None

    @property
    def moved(self) -> bool:
        """Whether it differs from what is usual, by more than chance."""
        return self.z is not None and abs(self.z) >= MOVED


@dataclass(frozen=True, slots=True)
class Line:
    """A quantity over time. ``usual``: the median of the reference; None: it has none."""

    quantity: Quantity
    usual: float | None
    points: tuple[Point, ...]

    @property
    def since(self) -> int | None:
        """The first of the steps that have moved; None: none has."""
        return next((at for at, point in enumerate(self.points) if point.moved), None)


@dataclass(frozen=True, slots=True)
class View:
    """Lines in the order of the pipeline, and when their steps begin."""

    times: tuple[datetime, ...]
    step: timedelta
    requests: tuple[int, ...]
    lines: tuple[Line, ...]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "step_s": self.step.total_seconds(),
            "times": [at.isoformat() for at in self.times],
            "requests": list(self.requests),
            "lines": [
                {
                    "name": line.quantity.name,
                    "stage": line.quantity.stage and line.quantity.stage.value,
                    "unit": line.quantity.unit,
                    "help": line.quantity.help,
                    "usual": line.usual,
                    "values": [point.value for point in line.points],
                    "counts": [point.count for point in line.points],
                    "z": [point.z for point in line.points],
                    "moved_at": None if line.since is None else self.times[line.since].isoformat(),
                }
                for line in self.lines
            ],
        }


_PEOPLE = {"redo_rate": "Asked again", "typing_rate": "Typed instead", "click_rate": "Results opened"}

QUANTITIES = (
    *(Quantity(one.name, one.stage, one.unit, one.help) for one in FEATURES),
    *(Quantity(name, Stage.PEOPLE, "", words) for name, words in _PEOPLE.items()),
    Quantity(LATENCY, None, "s", "Time to answer, 95th percentile"),
    *(Quantity(f"{name}_s", None, "s", f"Time of {name}, 95th percentile") for name in STAGES),
    Quantity("error_rate", None, "", "Requests that failed"),
)


def view(rows: Iterable[Row], since: datetime, until: datetime, step: timedelta) -> View:
    """The lines of ``[since, until)``; rows of before are the reference. Steps are counted from ``since``."""
    steps: dict[int, list[Rollup]] = {}
    for at, _, rollup in rows:
        steps.setdefault((at - since) // step, []).append(rollup)
    sums = {place: total(rollups) for place, rollups in steps.items()}
    places = range(-(-(until - since) // step))
    now = [sums.get(place, Rollup()) for place in places]
    before = {place: rollup for place, rollup in sums.items() if place < 0}
    a_day = round(timedelta(days=1) / step)
    return View(
        tuple(since + place * step for place in places),
        step,
        tuple(rollup.counts["requests"] for rollup in now),
        tuple(_line(quantity, now, before, a_day) for quantity in QUANTITIES),
    )


def measured(quantity: str, rollup: Rollup) -> tuple[float | None, int, float]:
    """The value of a stretch, of how many, and the standard error of a quantile."""
    if quantity in RATES:
        part, whole = rollup.rate(quantity)
        if not whole:
            return None, 0, 0.0
        return part / whole, whole, 0.0  # its error depends on what is usual: see _line
    count = sum(rollup.bins.get(quantity, ()))
    timed = quantity == LATENCY or quantity.removesuffix("_s") in STAGES
    q = P95 if timed else 0.5
    value = rollup.quantile(quantity, q)
    if value is None:
        return None, 0, 0.0
    # Of a quantile, by its place: where it would be with one standard deviation more or fewer values below it.
    off = math.sqrt(q * (1 - q) / count)
    low, high = (rollup.quantile(quantity, min(max(q + side * off, 0.0), 1.0)) for side in (-1, 1))
    assert low is not None, "there are values"
    assert high is not None, "there are values"
    return value, count, (high - low) / 2


def _line(quantity: Quantity, now: Sequence[Rollup], before: Mapping[int, Rollup], a_day: int) -> Line:
    reference: dict[int, float] = {}
    for place, rollup in before.items():
        value, count, _ = measured(quantity.name, rollup)
        if value is not None and count >= LEAST:
            reference[place] = value
    every = [*reference.values()]
    points = []
    for place, rollup in enumerate(now):
        value, count, error = measured(quantity.name, rollup)
        near = [
            usual
            for other, usual in reference.items()
            if a_day > 1 and min((place - other) % a_day, (other - place) % a_day) <= 1
        ]
        z = None
        if value is not None and count >= LEAST and len(every) >= NEAR:
            expected = near if len(near) >= NEAR else every
            if quantity.name in RATES:
                error = _error(value, median(expected), count)
            z = _z(value, error, expected, rate=quantity.name in RATES)
        points.append(Point(value, count, z))
    return Line(quantity, median(every) if every else None, tuple(points))


def _error(value: float, usual: float, count: int) -> float:
    """In which the change of a rate is as many deviations as it is of its arcsine, whose spread depends on nothing.

    A rate of 1 % is six of a hundred more often than a normal distribution has it.
    """
    deviations = 2 * math.sqrt(count) * abs(math.asin(math.sqrt(value)) - math.asin(math.sqrt(usual)))
    return abs(value - usual) / deviations if deviations else 0.0


def _z(value: float, error: float, reference: Sequence[float], *, rate: bool) -> float:
    middle = median(reference)
    spread = 1.4826 * median(abs(one - middle) for one in reference)
    concern = LEAST_RATE if rate else CONCERN * abs(middle)
    # The least that moves is ``concern``: at ``MOVED`` deviations, so its share of one.
    deviation = max(math.hypot(spread, error), concern / MOVED, 1e-9)
    return round((value - middle) / deviation, 2)
