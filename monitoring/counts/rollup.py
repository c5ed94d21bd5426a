"""Counts of a stretch of time: what alarms, pages and reports are made of. They add up, and are nobody's in particular.

A `Rollup` has counts and, for each measured feature, how many values fell into each of its fixed bins. Sums over
minutes, processes and versions are exact; quantiles are as exact as the bins are fine. What people did next is
counted in the minute of the query that they did it after, when its session is settled: so charged to the version that
served it, and some minutes late.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any

from monitoring.features import FEATURES
from monitoring.moments import microseconds
from monitoring.outcomes import Again, Followed, was_spoken
from monitoring.record import STAGES, Outcome, Record, Transport

MINUTE_US = 60_000_000

LATENCY = "latency_s"  # as a person feels it: of a stream, from the end of speech; of a request, all of it
_SECONDS = tuple(round(1e-3 * 10 ** (i / 10), 6) for i in range(42))  # 1 ms to 12.6 s, ten a decade
EDGES: Mapping[str, tuple[float, ...]] = {
    **{feature.name: feature.edges for feature in FEATURES if not feature.binary},
    LATENCY: _SECONDS,
    **{f"{stage}_s": _SECONDS for stage in STAGES},
}
# of a rate: counts that it divides
RATES: Mapping[str, tuple[str, str]] = {
    "error_rate": ("errors", "requests"),  # answered 5xx, or not at all
    "rejected_rate": ("rejected", "requests"),  # the client's fault: 4xx
    "null_rate": ("null", "spoken"),
    "no_results_rate": ("no_results", "searches"),
    "out_of_catalog_rate": ("out_of_catalog", "searches"),
    "redo_rate": ("redo", "followed"),  # of spoken queries that have settled: `outcomes.was_spoken`
    "typing_rate": ("typed", "followed"),
    "click_rate": ("clicked", "shown"),
}


@dataclass(frozen=True, slots=True, order=True)
class RollupKey:
    """Of which minute (its first microsecond), and of what served."""

    minute_us: int
    model: str
    arm: str
    transport: str

    @classmethod
    def of(cls, at_us: int, model: str, arm: str, transport: str) -> RollupKey:
        """The key of what happened at a time."""
        return cls(at_us - at_us % MINUTE_US, model, arm, transport)


@dataclass(slots=True)
class Rollup:
    """Counts by name, and by feature its bins: ``len(EDGES[name]) + 1`` counts each."""

    counts: Counter[str] = field(default_factory=Counter)
    bins: dict[str, list[int]] = field(default_factory=dict)

    def record(self, record: Record) -> None:
        """Count a request as it ended."""
        counts = self.counts
        counts["requests"] += 1
        if record.status >= 500:
            counts["errors"] += 1
        elif record.status >= 400:
            counts["rejected"] += 1
        if record.transport is not Transport.TEXT:
            counts[record.outcome.value] += 1
            counts["spoken"] += was_spoken(record)
        for feature in FEATURES:
            value = feature.of(record)
            if value is None:
                continue
            if not feature.binary:
                self._measure(feature.name, value)
            elif feature.name != "null_rate":  # it is counted by outcome
                counts["searches"] += feature.name == "no_results_rate"
                counts[feature.name.removesuffix("_rate")] += int(value)
        if record.outcome is not Outcome.ERROR:
            felt_s = record.final_after_speech_s
            self._measure(LATENCY, record.duration_s if felt_s is None else felt_s)
        for stage, took_s in record.stages_s.items():
            if stage in STAGES:
                self._measure(f"{stage}_s", took_s)

    def followed(self, followed: Followed, *, shown: bool) -> None:
        """Count what became of a query; ``shown``: results were."""
        counts = self.counts
        if followed.spoken:
            counts["followed"] += 1
            counts["typed"] += followed.again is Again.TYPED
            counts["redo"] += followed.again not in (None, Again.TYPED)
        counts["shown"] += shown
        counts["clicked"] += shown and bool(followed.clicks)
        counts["satisfied"] += followed.satisfied

    def add(self, other: Rollup) -> None:
        """Count all that ``other`` has counted."""
        self.counts.update(other.counts)
        for name, more in other.bins.items():
            self.bins[name] = (
                [a + b for a, b in zip(self.bins[name], more, strict=True)] if name in self.bins else [*more]
            )

    def rate(self, name: str) -> tuple[int, int]:
        """How many, and of how many: one of ``RATES``."""
        part, whole = RATES[name]
        return self.counts[part], self.counts[whole]

    def quantile(self, name: str, q: float) -> float | None:
        """Of a measured feature, linear within a bin; None where nothing was measured."""
        return quantile(self.bins.get(name, ()), EDGES[name], q)

    def as_dict(self) -> dict[str, Any]:
        """For JSON. Bins are sparse: ``{"name": {"3": 17}}``."""
        return {
            "counts": {name: count for name, count in self.counts.items() if count},
            "bins": {
                name: {str(at): count for at, count in enumerate(bins) if count}
                for name, bins in self.bins.items()
            },
        }

    def add_dict(self, body: Mapping[str, Any]) -> None:
        """Count all that the rollup of a ``as_dict`` had counted. What is not known any more is left out."""
        for name, count in body["counts"].items():
            self.counts[name] += count
        for name, sparse in body["bins"].items():
            if name in EDGES:
                bins = self.bins.get(name)
                if bins is None:
                    bins = self.bins[name] = [0] * (len(EDGES[name]) + 1)
                for at, count in sparse.items():
                    bins[int(at)] += count

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> Rollup:
        """The inverse of ``as_dict``."""
        made = cls()
        made.add_dict(body)
        return made

    def _measure(self, name: str, value: float) -> None:
        edges = EDGES[name]
        self.bins.setdefault(name, [0] * (len(edges) + 1))[bisect_right(edges, value)] += 1


Delta = tuple[RollupKey, Rollup]  # counts that are to be added


def total(rollups: Iterable[Rollup]) -> Rollup:
    """All of them together."""
    made = Rollup()
    for rollup in rollups:
        made.add(rollup)
    return made


def quantile(bins: Iterable[int], edges: tuple[float, ...], q: float) -> float | None:
    """The q-quantile of binned values, linear within a bin; the open bins at both ends count as their one edge."""
    sums = list(accumulate(bins))
    if not sums or not sums[-1]:
        return None
    wanted = q * sums[-1]
    at = next(at for at, reached in enumerate(sums) if reached >= wanted and reached)
    if at in (0, len(edges)):
        return edges[0] if at == 0 else edges[-1]
    before = sums[at - 1]
    share = (wanted - before) / (sums[at] - before)
    return edges[at - 1] + share * (edges[at] - edges[at - 1])


def key_of(record: Record) -> RollupKey:
    """Where a record is counted."""
    return RollupKey.of(microseconds(record.at), record.model, record.arm, record.transport.value)
