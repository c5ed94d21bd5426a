"""What chance alone does to the distances of two samples of the actual sizes, so that an alarm rate can be stated.

**Kolmogorov-Smirnov** (`ks_p_value`) is exact, for any sizes and any ties, so for yes-or-no features too. Were there
no drift, it would be chance which of the pooled values are the current ones. Given the pooled counts per bin, how many
of the values up to a bin are current is a Markov chain (hypergeometric steps), and the test asks whether it stays
within a band about its mean; so one pass over the bins, a convolution each, sums up all ways to relabel. In two bins
this is Fisher's exact test. Reported is the mid-p value (half the probability of the very distance seen), because
few values have few possible distances, and the plain p value would then alarm too seldom.

**PSI and Jensen-Shannon** (`binned_thresholds`) are (1/m + 1/n) times chi-square with a degree of freedom less than
bins where every bin is well filled, and are drawn at random (seeded) where not: at n = 50 in ten bins a PSI of 0.2 is
nothing, which is why the customary threshold 0.1 lies.

Sources: Hodges, Arkiv för matematik 3 (1958), for counting ways; Lancaster, JASA 56 (1961), for mid-p; Yurdakul &
Naranjo, Journal of Risk Model Validation (2020), for the distribution of PSI.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import ceil, exp, floor, lgamma, log, sqrt

import numpy as np
from numpy.typing import NDArray

from monitoring.drift.distances import Counts, Numbers, jensen_shannon, kolmogorov_smirnov, psi

CERTAIN = 5.0  # distance in units of sqrt(1/m + 1/n): 2 exp(-2 * 5^2) = 4e-22
TAIL = 9.0  # standard deviations of a binomial that are kept: 1e-19 is left out
WELL_FILLED = 10.0  # expected count of every bin from which on chi-square is good
DRAWS = 10_000  # the 95 % quantile within about 1 %
SEED = 6
GRID = 1.25  # sizes that thresholds are computed for are its powers


def ks_p_value(reference: Counts, current: Counts, distance: float | None = None) -> float:
    """Mid-p value of the two-sample test: small where the two differ by more than chance.

    ``reference`` and ``current`` are whole counts of the same bins, shape ``(bins,)``. ``distance`` is theirs unless
    given: of a reference that was weighted, it is not the distance of its counts.
    """
    pooled = np.asarray(reference, dtype=np.int64) + np.asarray(current, dtype=np.int64)
    m, n = int(np.sum(reference)), int(np.sum(current))
    seen = float(kolmogorov_smirnov(reference, current)) if distance is None else distance
    if seen * sqrt(m * n / (m + n)) > CERTAIN:
        return 2 * exp(-2 * seen**2 * m * n / (m + n))
    steps = _steps(pooled, m, n)
    return (_reached(pooled, steps, m, n, seen, True) + _reached(pooled, steps, m, n, seen, False)) / 2


def ks_threshold(bins: Counts, m: int, n: int, level: float) -> float:
    """The distance that chance reaches with probability ``level``, where values fall into bins as those counted did.

    ``m`` and ``n`` are sizes of the reference and of the current sample. Like the next, solved for sizes near these
    (``GRID``) and brought to them by sqrt(1/m + 1/n), so that it is seldom computed: within 1 %, but for a few values.
    """
    z = _ks_threshold(_shape(bins, 1_000), _on_grid(m), _on_grid(n), level)
    return min(1.0, z * sqrt(1 / m + 1 / n))


def binned_thresholds(bins: Counts, m: int, n: int, level: float) -> tuple[float, float]:
    """PSI and Jensen-Shannon divergence that chance exceeds with probability ``level``."""
    shape = _shape(bins, 100 if len(bins) > 2 else 1_000)
    psi_unit, js_unit = _binned_thresholds(shape, _on_grid(m), _on_grid(n), level)
    return psi_unit * (1 / m + 1 / n), js_unit * (1 / m + 1 / n)


@lru_cache(maxsize=4096)
def _ks_threshold(shape: tuple[int, ...], m: int, n: int, level: float) -> float:
    """In units of sqrt(1/m + 1/n): solved on p = A exp(-2 z^2)."""
    pooled = whole_counts(np.asarray(shape, dtype=np.float64), m + n)
    steps = _steps(pooled, m, n)
    unit = sqrt((m + n) / (m * n))
    z = sqrt(max(log(2 / level) / 2, 0.01))
    for _ in range(6):
        p = max(_reached(pooled, steps, m, n, z * unit, True), 1e-18)
        if abs(log(p / level)) < 0.02:
            break
        z = sqrt(max(z * z + log(p / level) / 2, 0.01))
    return z


@lru_cache(maxsize=4096)
def _binned_thresholds(shape: tuple[int, ...], m: int, n: int, level: float) -> tuple[float, float]:
    """In units of 1/m + 1/n."""
    if min(m, n) * min(shape) / sum(shape) >= WELL_FILLED and len(shape) > 1:
        from scipy.special import chdtri  # not above: whoever opens a store imports this module

        bound = float(chdtri(len(shape) - 1, level))
        return bound, bound / (8 * log(2))
    rng, unit = np.random.default_rng(SEED), 1 / m + 1 / n
    shares = (np.asarray(shape, dtype=np.float64) + 0.5) / (sum(shape) + 0.5 * len(shape))
    reference, current = rng.multinomial(m, shares, DRAWS), rng.multinomial(n, shares, DRAWS)
    return (
        float(np.quantile(psi(reference, current), 1 - level)) / unit,
        float(np.quantile(jensen_shannon(reference, current), 1 - level)) / unit,
    )


def _on_grid(size: int) -> int:
    return max(1, round(GRID ** round(log(size) / log(GRID))))


def _shape(counts: Counts, parts: int) -> tuple[int, ...]:
    """How bins are filled, in whole parts of so many: bins filled about alike have the same thresholds."""
    return tuple(np.rint(np.asarray(counts) * (parts / np.sum(counts))).astype(np.int64).tolist())


def adjusted(p_values: Sequence[float]) -> list[float]:
    """Benjamini-Hochberg: the rate at which each would be among the rejected. JRSS B 57 (1995)."""
    order = sorted(range(len(p_values)), key=p_values.__getitem__, reverse=True)
    least, made = 1.0, [1.0] * len(p_values)
    for rank, at in zip(range(len(order), 0, -1), order, strict=True):
        least = made[at] = min(least, p_values[at] * len(order) / rank)
    return made


def whole_counts(shape: Numbers, total: int) -> NDArray[np.int64]:
    """Counts that add up to ``total``, in these proportions, each sum up to a bin within a half."""
    sums = np.rint(np.cumsum(shape) * (total / shape.sum())).astype(np.int64)
    counts: NDArray[np.int64] = np.diff(sums, prepend=np.int64(0))
    return counts


def _steps(pooled: Counts, m: int, n: int) -> list[tuple[int, Numbers]]:
    """For each bin, how many of its values may be current: the first number, and probabilities from there on.

    Binomial, for the chain is n successes of m + n, given that there are n.
    """
    from scipy.special import gammaln  # as in `_binned_thresholds`

    share = n / (m + n)
    yes, no = log(share), log(1 - share)
    factorials = gammaln(np.arange(1.0, pooled.max() + 2))  # their logarithms, from 0! on
    steps = []
    for count in pooled.tolist():
        reach = TAIL * sqrt(count * share * (1 - share)) + TAIL
        low, high = max(0, floor(count * share - reach)), min(count, ceil(count * share + reach))
        k = np.arange(low, high + 1, dtype=np.float64)
        ways = (
            factorials[count] - factorials[low : high + 1] - factorials[count - high : count - low + 1][::-1]
        )
        steps.append((low, np.exp(ways + k * yes + (count - k) * no)))
    return steps


def _reached(
    pooled: Counts, steps: list[tuple[int, Numbers]], m: int, n: int, distance: float, equal: bool
) -> float:
    """Probability that chance makes at least this distance; without ``equal``, more than it."""
    radius = distance * m * n / (m + n) + (-1e-7 if equal else 1e-7)  # of the band that is *not* reaching it
    if radius < 0:
        return 1.0
    first, ways, so_far = 0, np.ones(1), 0
    for count, (low, probabilities) in zip(pooled.tolist(), steps, strict=True):
        if not count:
            continue
        ways, first, so_far = np.convolve(ways, probabilities), first + low, so_far + count
        centre = n * so_far / (m + n)
        start, stop = max(first, ceil(centre - radius)), min(first + len(ways) - 1, floor(centre + radius))
        if start > stop:
            return 1.0
        ways, first = ways[start - first : stop + 1 - first], start
    share = n / (m + n)
    whole = lgamma(m + n + 1) - lgamma(n + 1) - lgamma(m + 1) + n * log(share) + m * log(1 - share)
    inside = float(ways[n - first]) / exp(whole) if first <= n < first + len(ways) else 0.0
    return min(1.0, max(0.0, 1.0 - inside))
