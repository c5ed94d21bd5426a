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
from monitoring.drift.report import DriftLimits, DriftReport, FeatureDrift, Histogram
from monitoring.drift.sample import Sample, gather
from monitoring.features import FEATURES, Feature, Stage
from monitoring.record import Record

LEAST = 20  # sittings of a window with a value: fewer are not judged


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
    return decide(measure(profile, sample, limits), before, limits.stages)


@dataclass(frozen=True, slots=True)
class Measured:
    """A window against its reference, feature by feature, before it is decided what of it counts."""

    profile: Profile
    sample: Sample
    limits: DriftLimits
    features: tuple[FeatureDrift, ...]
    not_judged: tuple[tuple[Feature, str], ...]


def measure(profile: Profile, sample: Sample, limits: DriftLimits) -> Measured:
    """Distances and p values of all stages: most of the work, once a window however many rules it is judged by."""
    measured: list[FeatureDrift] = []
    not_judged: list[tuple[Feature, str]] = []
    for place, feature in enumerate(FEATURES):
        values, slots = sample.column(place)
        bins = profile.features.get(feature.name)
        if bins is None:
            not_judged.append((feature, "the reference has too little of it"))
        elif len(values) < LEAST:
            not_judged.append((feature, f"{len(values)} sittings have it; {LEAST} are needed"))
        else:
            measured.append(_measure(feature, bins, values, slots, limits))
    return Measured(profile, sample, limits, tuple(measured), tuple(not_judged))


def decide(
    measured: Measured, before: Sequence[Collection[str]] = (), stages: Collection[Stage] = tuple(Stage)
) -> DriftReport:
    """What drifted of some stages, which are judged together. ``before``: as in `judge`."""
    limits, profile, sample = measured.limits, measured.profile, measured.sample
    judged = [one for one in measured.features if one.feature.stage in stages]
    last = before[max(0, len(before) - limits.of + 1) :]
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
        _decide(judged, profile, last, limits),
        tuple((feature.name, why) for feature, why in measured.not_judged if feature.stage in stages),
    )


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
