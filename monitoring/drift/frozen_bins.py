"""Bins of one feature, frozen on a reference: how its values spread, by the hours they came in.

Bins are quantiles of the reference, so that each holds about as much; a value that comes often (no clipped sample at
all, no silence) gets a bin of its own. What is larger or smaller than all of the reference falls into the outermost.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitoring.drift.null_distribution import whole_counts
from monitoring.drift.sample import BLOCKS, SLOTS
from monitoring.features import Feature

FINE = 100  # bins for the Kolmogorov-Smirnov distance, and as many cells of its test
COARSE = 10  # bins for PSI and Jensen-Shannon: the custom
ENOUGH = 50  # values of a slot; a thinner one is compared with more hours than its own

Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FrozenBins:
    """``edges``: rising; bin i holds ``edges[i - 1] <= value < edges[i]``. ``counts``: of the reference, a row a slot
    of the week, a column a bin. ``shown``: the same in the bins ``shown_edges``, which are for people to look at.
    """

    edges: tuple[float, ...]
    counts: tuple[tuple[int, ...], ...]
    shown_edges: tuple[float, ...]
    shown: tuple[tuple[int, ...], ...]

    @classmethod
    def freeze(cls, feature: Feature, values: Values, slots: NDArray[np.int64]) -> FrozenBins:
        """Of the values of a reference, and the slot of each."""
        edges = (0.5,) if feature.binary else fine_edges(values)
        shown = (0.5,) if feature.binary else tuple(map(float, feature.edges))
        return cls(edges, _table(values, slots, edges), shown, _table(values, slots, shown))

    @property
    def total(self) -> NDArray[np.int64]:
        """How many values of the reference each bin holds."""
        counts: NDArray[np.int64] = np.asarray(self.counts, dtype=np.int64).sum(axis=0)
        return counts

    def coarse(self) -> tuple[int, ...]:
        """Where to cut the fine bins (the first of each group) into ``COARSE`` groups, or fewer, filled alike."""
        if len(self.edges) == 1:
            return (0, 1)
        reached = np.cumsum(self.total)
        wanted = np.arange(1, COARSE) * (reached[-1] / COARSE)
        cuts = np.abs(reached[None, :] - wanted[:, None]).argmin(axis=1) + 1
        return tuple(sorted({0, *(int(cut) for cut in cuts if cut < len(reached))}))

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "edges": self.edges,
            "counts": self.counts,
            "shown_edges": self.shown_edges,
            "shown": self.shown,
        }

    @classmethod
    def from_dict(cls, body: dict[str, Any]) -> FrozenBins:
        """The inverse. Raises ``KeyError``, ``TypeError`` or ``ValueError`` for what was not written by it."""
        made = cls(
            tuple(map(float, body["edges"])),
            tuple(tuple(map(int, row)) for row in body["counts"]),
            tuple(map(float, body["shown_edges"])),
            tuple(tuple(map(int, row)) for row in body["shown"]),
        )
        for edges, table in ((made.edges, made.counts), (made.shown_edges, made.shown)):
            if len(table) != SLOTS or any(len(row) != len(edges) + 1 for row in table):
                raise ValueError(f"{len(table)} rows of counts for {len(edges)} edges; expected {SLOTS}")
            if any(a >= b for a, b in pairwise(edges)):
                raise ValueError("edges do not rise")
        return made


@dataclass(frozen=True, slots=True)
class Expected:
    """The reference as a window should see it: shares per fine bin and per shown bin, and how much they rest on."""

    shares: Values
    shown: Values
    size: int

    @property
    def counts(self) -> NDArray[np.int64]:
        """Whole counts in these shares that add up to ``size``."""
        return whole_counts(self.shares, self.size)


def expected(bins: FrozenBins, slots: NDArray[np.int64]) -> Expected:
    """The reference, weighted to the hours of a window: ``slots`` are those of its values (one at least).

    A slot that the reference knows too little of is replaced by the same hours of all days, then by all hours. The
    size is Kish's effective one, 1 / sum(w^2 / m): equal to the reference's where a window has its mix of hours.
    """
    counts, shown = np.asarray(bins.counts, dtype=np.float64), np.asarray(bins.shown, dtype=np.float64)
    shares, shown_shares, variance = np.zeros(counts.shape[1]), np.zeros(shown.shape[1]), 0.0
    present, amounts = np.unique(slots, return_counts=True)
    groups: dict[tuple[int, ...], float] = {}
    for slot, amount in zip(present.tolist(), amounts.tolist(), strict=True):
        hours = (slot % BLOCKS, slot % BLOCKS + BLOCKS)
        group = next(
            (group for group in ((slot,), hours) if counts[list(group)].sum() >= ENOUGH), tuple(range(SLOTS))
        )
        groups[group] = groups.get(group, 0.0) + amount / len(slots)
    for group, weight in groups.items():
        rows = list(group)
        size = counts[rows].sum()
        shares += weight * counts[rows].sum(axis=0) / size
        shown_shares += weight * shown[rows].sum(axis=0) / size
        variance += weight**2 / size
    return Expected(shares, shown_shares, max(1, round(1 / variance)))


def fine_edges(values: Values) -> tuple[float, ...]:
    """Up to about ``FINE`` quantiles; a value with the share of a bin or more is fenced in by two edges."""
    distinct, times = np.unique(values, return_counts=True)
    often = distinct if len(distinct) <= FINE else distinct[times >= len(values) / FINE]
    quantiles = np.quantile(values, np.arange(1, FINE) / FINE, method="higher")
    edges = np.unique(np.concatenate([quantiles, often, np.nextafter(often, np.inf)]))
    return tuple(edges.tolist())


def count(values: Values, edges: tuple[float, ...]) -> NDArray[np.int64]:
    """How many fall into each bin: ``(len(edges) + 1,)``."""
    return np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)


def _table(values: Values, slots: NDArray[np.int64], edges: tuple[float, ...]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(count(values[slots == slot], edges).tolist()) for slot in range(SLOTS))
