"""How far two samples are apart, counted in the same bins: PSI, Kolmogorov-Smirnov, Jensen-Shannon, Cohen's h.

In: counts of a reference and of what is current, in the last axis (further axes are samples of their own). Out: a
float64 each, of the shape of the further axes, 0 for equal shares. None of them says whether it is large: that depends
on how much was counted, and is what `null_distribution` is for.
"""

from __future__ import annotations

from math import asin, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
Counts = NDArray[Any]  # whole, or weighted

HALF = 0.5  # added to each count (Jeffreys' prior): an empty bin makes a logarithm large, never infinite


def psi(reference: Counts, current: Counts) -> Numbers:
    """Population stability index, the symmetric form of Kullback-Leibler's divergence, in nats."""
    p, q = _smoothed(reference), _smoothed(current)
    return np.asarray(((q - p) * np.log(q / p)).sum(axis=-1))


def jensen_shannon(reference: Counts, current: Counts) -> Numbers:
    """Jensen-Shannon divergence in bits: 0 is the same, 1 nothing in common. (Its root is a distance.)"""
    p, q = _smoothed(reference), _smoothed(current)
    middle = (p + q) / 2
    return np.asarray(((p * np.log2(p / middle)) + (q * np.log2(q / middle))).sum(axis=-1) / 2)


def kolmogorov_smirnov(reference: Counts, current: Counts) -> Numbers:
    """The largest difference of the two cumulative shares: that share of one lies on another side of some value."""
    p = np.cumsum(reference, axis=-1) / np.sum(reference, axis=-1, keepdims=True)
    q = np.cumsum(current, axis=-1) / np.sum(current, axis=-1, keepdims=True)
    return np.asarray(np.abs(p - q).max(axis=-1))


def cohens_h(before: float, after: float) -> float:
    """Difference of two shares on the scale of arcsines, where all have the same spread: 1 % to 2 % weighs as much
    as 30 % to 34 %. Source: Cohen, Statistical Power Analysis (1988), chapter 6."""
    return 2 * asin(sqrt(after)) - 2 * asin(sqrt(before))


def _smoothed(counts: Counts) -> Numbers:
    more: Numbers = np.asarray(counts, dtype=np.float64) + HALF
    shares: Numbers = more / more.sum(axis=-1, keepdims=True)
    return shares
