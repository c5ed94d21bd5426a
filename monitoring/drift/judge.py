"""Judge a window of records against a frozen reference: which features moved, how far, and whether it could be chance.

Each feature gets one p value, from the Kolmogorov-Smirnov distance in frozen bins. It leads because it has no tuning,
sees shifts of location best, which is what microphones, rooms and models do, and has an exact distribution at every
size, with ties and for yes-or-no features too (`null_distribution`). PSI and Jensen-Shannon divergence are reported
beside it with thresholds of their own, for eyes that know them.

A feature **is significant** where its p value survives Benjamini-Hochberg over all features at ``rate``: a window
without drift has any such feature with that probability. It **drifted** where, besides, the effect reaches a floor:
with 100,000 clips everything is significant, and a shift of 1 % is nobody's trouble. It **persists**, and is worth an
alarm, where it drifted in 2 of the last 3 windows.

A sitting counts once (`sample`), and the reference is weighted to the hours of the window (`frozen_bins`). What this
does not see: that days differ beyond hour and kind of day, and people who come back under other session names.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from monitoring.drift.distances import cohens_h, jensen_shannon, kolmogorov_smirnov, psi
from monitoring.drift.frozen_bins import Expected, FrozenBins, count, expected
from monitoring.drift.null_distribution import (
    adjusted,
    binned_thresholds,
    ks_p_value,
    ks_threshold,
)
from monitoring.drift.profile import Profile
from monitoring.drift.sample import Sample, gather
from monitoring.features import FEATURES, Feature, Stage
from monitoring.record import Record

LEAST = 20  # sittings of a window with a value: fewer are not judged


@dataclass(frozen=True, slots=True)
class DriftLimits:
    """``rate``: of windows without drift in which any feature is significant. ``distance`` and ``h``: the least
    effect of a measured and of a yes-or-no feature (0.07 is a null rate of 3 % that becomes 4.3 %). ``needed`` of the
    last ``of`` windows make a drift persistent. ``stages`` are judged together, others not at all."""

    rate: float = 0.05
    distance: float = 0.04
    h: float = 0.07
    needed: int = 2
    of: int = 3
    stages: tuple[Stage, ...] = tuple(Stage)


@dataclass(frozen=True, slots=True)
class Histogram:
    """Shares per bin; ``edges`` are the bounds between bins, the outermost bins are open."""

    edges: tuple[float, ...]
    reference: tuple[float, ...]
    current: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class FeatureDrift:
    """One feature in one window.

    ``score`` is the Kolmogorov-Smirnov distance (of a yes-or-no feature: the difference of the rates), ``threshold``
    what it must reach to have drifted. ``effect`` is the same distance, or Cohen's h, and its ``floor``. ``p_adjusted``
    is Benjamini-Hochberg's. ``n`` and ``m`` are sittings of the window and, effectively, of the reference. ``before``
    and ``now`` are medians, or rates.
    """

    feature: Feature
    n: int
    m: int
    score: float
    threshold: float
    p: float
    p_adjusted: float
    effect: float
    floor: float
    psi: float
    psi_threshold: float
    js: float
    js_threshold: float
    before: float
    now: float
    histogram: Histogram
    significant: bool = False
    drifted: bool = False
    persistent: bool = False

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        numbers = (
            "score", "threshold", "p", "p_adjusted", "effect", "floor", "psi", "psi_threshold", "js", "js_threshold",
            "before", "now",
        )  # fmt: skip
        return {
            "feature": self.feature.name,
            "stage": self.feature.stage.value,
            "unit": self.feature.unit,
            "binary": self.feature.binary,
            "n": self.n,
            "m": self.m,
            **{name: float(f"{getattr(self, name):.6g}") for name in numbers},
            "significant": self.significant,
            "drifted": self.drifted,
            "persistent": self.persistent,
            "histogram": {
                "edges": list(self.histogram.edges),
                "reference": [round(share, 6) for share in self.histogram.reference],
                "current": [round(share, 6) for share in self.histogram.current],
            },
        }


@dataclass(frozen=True, slots=True)
class DriftReport:
    """One window against one reference. ``features`` are those that could be judged, in the order of the pipeline;
    ``not_judged`` the others, with the reason."""

    profile: str
    digest: str
    since: datetime | None
    until: datetime | None
    records: int
    sittings: int
    models_before: tuple[str, ...]
    models: tuple[str, ...]
    rate: float
    features: tuple[FeatureDrift, ...]
    not_judged: tuple[tuple[str, str], ...]

    @property
    def drifted(self) -> tuple[str, ...]:
        """Names of the features that drifted in this window: what ``judge`` takes as ``before`` for the next."""
        return tuple(one.feature.name for one in self.features if one.drifted)

    @property
    def persistent(self) -> tuple[str, ...]:
        """Names of those that did so in several of the last windows: worth an alarm."""
        return tuple(one.feature.name for one in self.features if one.persistent)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Stages with a feature that drifted, in the order of the pipeline."""
        return tuple(dict.fromkeys(one.feature.stage for one in self.features if one.drifted))

    def as_dict(self) -> dict[str, Any]:
        """For JSON, the journal and the dashboard."""
        return {
            "profile": self.profile,
            "digest": self.digest,
            "since": None if self.since is None else self.since.isoformat(),
            "until": None if self.until is None else self.until.isoformat(),
            "records": self.records,
            "sittings": self.sittings,
            "models_before": list(self.models_before),
            "models": list(self.models),
            "rate": self.rate,
            "drifted": list(self.drifted),
            "persistent": list(self.persistent),
            "features": {one.feature.name: one.as_dict() for one in self.features},
            "not_judged": dict(self.not_judged),
        }


def judge(
    profile: Profile,
    records: Iterable[Record],
    before: Sequence[Collection[str]] = (),
    limits: DriftLimits | None = None,
) -> DriftReport:
    """Compare a window, oldest record first. ``before``: what drifted in the windows before it, oldest first.

    Windows must not overlap, or what persists in them says nothing.
    """
    return judge_sample(profile, gather(records), before, limits)


def judge_sample(
    profile: Profile,
    sample: Sample,
    before: Sequence[Collection[str]] = (),
    limits: DriftLimits | None = None,
) -> DriftReport:
    """The same, of records that were gathered before."""
    limits = limits or DriftLimits()
    judged: list[FeatureDrift] = []
    not_judged: list[tuple[str, str]] = []
    for place, feature in enumerate(FEATURES):
        if feature.stage not in limits.stages:
            continue
        values, slots = sample.column(place)
        bins = profile.features.get(feature.name)
        if bins is None:
            not_judged.append((feature.name, "the reference has too little of it"))
        elif len(values) < LEAST:
            not_judged.append((feature.name, f"{len(values)} sittings have it; {LEAST} are needed"))
        else:
            judged.append(_measure(feature, bins, values, slots, limits))
    last = before[max(0, len(before) - limits.of + 1) :]
    return _report(profile, sample, limits, _decide(judged, profile, last, limits), tuple(not_judged))


def _measure(
    feature: Feature,
    bins: FrozenBins,
    values: NDArray[np.float64],
    slots: NDArray[np.int64],
    limits: DriftLimits,
) -> FeatureDrift:
    there = expected(bins, slots)
    current, n = count(values, bins.edges), len(values)
    score = float(kolmogorov_smirnov(there.shares, current))
    cuts = bins.coarse()
    coarse_before = np.add.reduceat(there.shares, cuts) * there.size
    coarse_now = np.add.reduceat(current, cuts)
    filled = np.add.reduceat(bins.total, cuts)
    psi_threshold, js_threshold = binned_thresholds(filled, there.size, n, limits.rate)
    before, now = (
        (float(there.shares[1]), float(values.mean()))
        if feature.binary
        else (_median(there, bins.edges), float(np.median(values)))
    )
    return FeatureDrift(
        feature=feature,
        n=n,
        m=there.size,
        score=score,
        threshold=0.0,
        p=ks_p_value(there.counts, current, score),
        p_adjusted=1.0,
        effect=cohens_h(before, now) if feature.binary else score,
        floor=limits.h if feature.binary else limits.distance,
        psi=float(psi(coarse_before, coarse_now)),
        psi_threshold=psi_threshold,
        js=float(jensen_shannon(coarse_before, coarse_now)),
        js_threshold=js_threshold,
        before=before,
        now=now,
        histogram=Histogram(
            bins.shown_edges,
            tuple(there.shown.tolist()),
            tuple((count(values, bins.shown_edges) / n).tolist()),
        ),
    )


def _decide(
    judged: Sequence[FeatureDrift], profile: Profile, last: Sequence[Collection[str]], limits: DriftLimits
) -> tuple[FeatureDrift, ...]:
    """Benjamini-Hochberg over all features, the floor of the effect, and how often before."""
    if not judged:
        return ()
    survive = adjusted([one.p for one in judged])
    rejected = sum(p <= limits.rate for p in survive)
    level = limits.rate * max(1, rejected) / len(judged)  # what the next p value has to be under
    decided = []
    for one, p_adjusted in zip(judged, survive, strict=True):
        significant = p_adjusted <= limits.rate
        drifted = significant and abs(one.effect) >= one.floor
        times = drifted + sum(one.feature.name in names for names in last)
        decided.append(
            replace(
                one,
                threshold=_threshold(one, profile.features[one.feature.name], level),
                p_adjusted=p_adjusted,
                significant=significant,
                drifted=drifted,
                persistent=times >= limits.needed,
            )
        )
    return tuple(decided)


def _threshold(one: FeatureDrift, bins: FrozenBins, level: float) -> float:
    by_chance = ks_threshold(bins.total, one.m, one.n, level)
    if not one.feature.binary:
        return max(by_chance, one.floor)
    towards = one.floor if one.now >= one.before else -one.floor
    angle = np.clip(np.arcsin(np.sqrt(one.before)) + towards / 2, 0.0, np.pi / 2)
    return max(by_chance, float(abs(np.sin(angle) ** 2 - one.before)))


def _median(there: Expected, edges: tuple[float, ...]) -> float:
    """Of the reference, by the lower edge of the fine bin it is in: right within a hundredth of all values."""
    at = int(np.searchsorted(np.cumsum(there.shares), 0.5 - 1e-12))
    return edges[min(max(0, at - 1), len(edges) - 1)]


def _report(
    profile: Profile,
    sample: Sample,
    limits: DriftLimits,
    features: tuple[FeatureDrift, ...],
    not_judged: tuple[tuple[str, str], ...],
) -> DriftReport:
    return DriftReport(
        profile.name,
        profile.digest,
        sample.since,
        sample.until,
        sample.records,
        sample.sittings,
        profile.models,
        sample.models,
        limits.rate,
        features,
        not_judged,
    )
