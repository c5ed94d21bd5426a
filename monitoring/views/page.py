"""What the page at ``/monitor`` draws: rollups of a stretch of time as JSON, columns beside one column of times.

In: what `rollup_store.read` gives for a `Stretch`. Out: numbers only, bounded: at most ``MOST_POINTS`` a series and
``MOST_VERSIONS`` models. Times are seconds since 1970, durations of answers milliseconds, shares in [0, 1]; None where
nothing was measured, which is not the same as zero. Whoever draws it needs no arithmetic.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from monitoring.counts.intervals import wilson
from monitoring.counts.rollup import EDGES, LATENCY, RATES, Rollup, RollupKey, total
from monitoring.counts.stretch import Stretch
from monitoring.features import FEATURES
from monitoring.outcomes import SHADOW
from monitoring.record import STAGES

Row = tuple[datetime, RollupKey, Rollup]
Served = dict[tuple[str, bool], dict[datetime, Rollup]]  # by model, and whether as a shadow

MOST_VERSIONS = 12  # in the list
COMPARED = 4  # drawn side by side
SETTLES_S = 180  # what people did next is known about so much later
TARGET_S = 0.5  # how long an answer may take: acceptance and the contract alarm
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
PERCENTILES = (0.5, 0.95, 0.99)
OUTCOMES = ("ok", "null", "no_speech", "typed", "rejected", "failed")
COMPARED_RATES = ("null_rate", "redo_rate", "click_rate")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a page wants to see: all of a stretch, or one model of it. ``budget_s`` is the server's latency budget."""

    stretch: Stretch
    model: str | None = None
    budget_s: float | None = None


def view(rows: Iterable[Row], asked: Asked) -> dict[str, Any]:
    """Everything that the page draws of these rollups."""
    stretch, served = asked.stretch, _served(rows)
    shown = [
        steps for (model, shadow), steps in served.items() if not shadow and asked.model in (None, model)
    ]
    at = [total(steps[start] for steps in shown if start in steps) for start in stretch.starts]
    whole = total(at)
    return {
        "since": _seconds(stretch.since),
        "until": _seconds(stretch.until),
        "step_s": round(stretch.step.total_seconds()),
        "model": asked.model,
        "requests": whole.counts["requests"],
        "settles_s": SETTLES_S,
        "times": [_seconds(start) for start in stretch.starts],
        "traffic": _traffic(at, stretch),
        "latency": _latency(at, whole, asked.budget_s),
        "stages": _stages(at, whole),
        "rates": {name: _rate([rollup.rate(name) for rollup in at], whole.rate(name)) for name in RATES},
        "clipped": _rate([_clipped(rollup) for rollup in at], _clipped(whole)),
        "features": {
            feature.name: {
                "stage": feature.stage.value,
                "unit": feature.unit,
                "help": feature.help,
                **_spread(feature.name, at, whole),
            }
            for feature in FEATURES
            if not feature.binary
        },
        "versions": _versions(served, stretch),
    }


def mean(bins: Sequence[int], edges: Sequence[float]) -> float | None:
    """Of binned values, each taken for the middle of its bin; the open bins at both ends count as their one edge."""
    count = sum(bins)
    if not count:
        return None
    middles = (edges[0], *((low + high) / 2 for low, high in pairwise(edges)), edges[-1])
    return sum(n * middle for n, middle in zip(bins, middles, strict=True)) / count


def below(bins: Sequence[int], edges: Sequence[float], bound: float) -> float | None:
    """The share of binned values under a bound, linear within a bin."""
    count = sum(bins)
    if not count:
        return None
    reached = float(bins[0]) if bound >= edges[0] else 0.0
    for n, (low, high) in zip(bins[1:-1], pairwise(edges), strict=True):
        reached += n * min(1.0, max(0.0, (bound - low) / (high - low)))
    return (reached + (bins[-1] if bound >= edges[-1] else 0)) / count


def _served(rows: Iterable[Row]) -> Served:
    """Sums over transports and over the arms that people were answered by; a shadow, which answers nobody, apart."""
    found: Served = defaultdict(dict)
    for start, key, rollup in rows:
        found[key.model, key.arm == SHADOW].setdefault(start, Rollup()).add(rollup)
    return found


def _traffic(at: Sequence[Rollup], stretch: Stretch) -> dict[str, list[float]]:
    """Requests a minute by how they ended, also in a last step that is shorter."""
    minutes = [stretch.length(start).total_seconds() / 60 for start in stretch.starts]
    ended = [_outcomes(rollup) for rollup in at]
    return {
        name: [_short(counts[name] / length) for counts, length in zip(ended, minutes, strict=True)]
        for name in OUTCOMES
    }


def _outcomes(rollup: Rollup) -> dict[str, int]:
    counts = rollup.counts
    told = {"rejected": counts["rejected"], "failed": counts["errors"]}
    told |= {name: counts[name] for name in ("ok", "null", "no_speech")}
    return told | {"typed": max(0, counts["requests"] - sum(told.values()))}


def _latency(at: Sequence[Rollup], whole: Rollup, budget_s: float | None) -> dict[str, Any]:
    bins = whole.bins.get(LATENCY, ())
    return {
        "target_ms": TARGET_S * 1000,
        "budget_ms": None if budget_s is None else budget_s * 1000,
        "n": sum(bins),
        "within": _short_or_none(below(bins, EDGES[LATENCY], TARGET_S)),
        **{
            f"p{q * 100:g}": {
                "all": _ms(whole.quantile(LATENCY, q)),
                "at": [_ms(rollup.quantile(LATENCY, q)) for rollup in at],
            }
            for q in PERCENTILES
        },
    }


def _stages(at: Sequence[Rollup], whole: Rollup) -> dict[str, Any]:
    """Mean milliseconds a request of each stage that took any: means add up to the whole, as percentiles do not."""
    return {
        stage: {
            "mean": _ms(mean(whole.bins[f"{stage}_s"], EDGES[f"{stage}_s"])),
            "p95": _ms(whole.quantile(f"{stage}_s", 0.95)),
            "at": [_ms(mean(rollup.bins.get(f"{stage}_s", ()), EDGES[f"{stage}_s"])) for rollup in at],
        }
        for stage in STAGES
        if f"{stage}_s" in whole.bins
    }


def _rate(counted: Sequence[tuple[int, int]], whole: tuple[int, int]) -> dict[str, Any]:
    """A share with its interval, in each step and over all."""
    bands = [wilson(*each) if each[1] else (None, None) for each in counted]
    return {
        "all": _share(*whole),
        "n": [n for _, n in counted],
        "at": [_short(part / n) if n else None for part, n in counted],
        "low": [_short_or_none(low) for low, _ in bands],
        "high": [_short_or_none(high) for _, high in bands],
    }


def _clipped(rollup: Rollup) -> tuple[int, int]:
    """Clips with any clipped sample, of all."""
    bins = rollup.bins.get("clipped_ratio", [0])
    return sum(bins[1:]), sum(bins)


def _share(part: int, n: int) -> dict[str, Any]:
    low, high = wilson(part, n)
    return {
        "part": part,
        "n": n,
        "rate": _short(part / n) if n else None,
        "low": _short(low),
        "high": _short(high),
    }


def _spread(name: str, at: Sequence[Rollup], whole: Rollup) -> dict[str, Any]:
    """Quantiles in each step, and the histogram of all."""
    bins = whole.bins.get(name, [0] * (len(EDGES[name]) + 1))
    return {
        "n": sum(bins),
        "edges": list(EDGES[name]),
        "bins": list(bins),
        "quantiles": {
            f"p{q * 100:g}": {
                "all": _short_or_none(whole.quantile(name, q)),
                "at": [_short_or_none(rollup.quantile(name, q)) for rollup in at],
            }
            for q in QUANTILES
        },
    }


def _versions(served: Served, stretch: Stretch) -> list[dict[str, Any]]:
    """Each model that served, the one that served last first; the busiest few also step by step."""
    sums = {which: total(steps.values()) for which, steps in served.items()}
    busiest = sorted(sums, key=lambda which: -sums[which].counts["requests"])[:MOST_VERSIONS]
    latest = sorted(
        busiest, key=lambda which: (max(served[which]), sums[which].counts["requests"]), reverse=True
    )
    return [
        {
            "model": which[0],
            "shadow": which[1],
            "requests": sums[which].counts["requests"],
            "first": _seconds(min(served[which])),
            "last": _seconds(max(served[which])),
            "p95": _ms(sums[which].quantile(LATENCY, 0.95)),
            "confidence": _short_or_none(sums[which].quantile("confidence", 0.5)),
            "rates": {name: _share(*sums[which].rate(name)) for name in RATES},
            **({"at": _compared(served[which], stretch)} if which in busiest[:COMPARED] else {}),
        }
        for which in latest
    ]


def _compared(steps: dict[datetime, Rollup], stretch: Stretch) -> dict[str, list[float | None]]:
    at = [steps.get(start, Rollup()) for start in stretch.starts]
    rates = {name: [rollup.rate(name) for rollup in at] for name in COMPARED_RATES}
    return {
        "p95": [_ms(rollup.quantile(LATENCY, 0.95)) for rollup in at],
        **{name: [_short(part / n) if n else None for part, n in each] for name, each in rates.items()},
    }


def _seconds(at: datetime) -> int:
    return round(at.timestamp())


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else _short(seconds * 1000)


def _short(number: float) -> float:
    """Four digits: more are not seen, and make the answer longer."""
    return float(f"{number:.4g}")


def _short_or_none(number: float | None) -> float | None:
    return None if number is None else _short(number)
