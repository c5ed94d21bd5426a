"""How likely so many of n are, where the share itself varies a little from one time to the next.

A beta-binomial: of n events each is bad with a probability drawn from a beta distribution of mean ``share``, anew for
each window. ``spread`` is its intra-class correlation, 1 / (a + b + 1): 0 is the binomial, and the variance of the
share in a window of n is share * (1 - share) * (1 / n + spread * (1 - 1 / n)). The sums are done here, term by term,
so that no alarm needs SciPy.
"""

from __future__ import annotations

from math import exp, lgamma
from statistics import NormalDist

import numpy as np

LEAST_SPREAD = 1e-8  # below it lgamma has no digits left, and there is no difference to the binomial
_CHUNK = 2_048
_NEGLIGIBLE = 1e-9


def at_least(k: int, n: int, share: float, spread: float) -> float:
    """P(X >= k) of n. ``share`` in (0, 1)."""
    if k <= 0:
        return 1.0
    if k > n:
        return 0.0
    if k <= n * share:  # the other side of the mean is the shorter sum
        return 1.0 - at_least(n - k + 1, n, 1.0 - share, spread)
    spread = min(max(spread, LEAST_SPREAD), 0.5)
    a, b = share * (1 / spread - 1), (1 - share) * (1 / spread - 1)
    term = exp(_log_choose(n, k) + _log_beta(k + a, n - k + b) - _log_beta(a, b))
    total = 0.0
    while term > 0.0 and k <= n:
        i = np.arange(k, min(n, k + _CHUNK), dtype=float)
        terms = term * np.concatenate([[1.0], np.cumprod((n - i) * (i + a) / ((i + 1) * (n - i - 1 + b)))])
        total += float(terms[:-1].sum())
        term, k = float(terms[-1]), k + len(i)
        if k == n:
            return min(1.0, total + term)
        if term < _NEGLIGIBLE * total:
            break
    return min(1.0, total)


def bound(n: int, share: float, spread: float, alpha: float) -> int:
    """The smallest k with P(X >= k) <= alpha; n + 1 where even all of n is likelier than that."""
    low, high = int(n * share), n + 1  # P(X >= low) > alpha, or low is the answer; P(X >= high) <= alpha
    deviation = (n * share * (1 - share) * (1 + (n - 1) * spread)) ** 0.5
    at, step = int(n * share + NormalDist().inv_cdf(1 - alpha) * deviation), max(1, int(deviation / 4))
    while low < at < high:  # from where it would be if all were normal, outwards
        if at_least(at, n, share, spread) <= alpha:
            high, at = at, at - step
        else:
            low, at = at + 1, at + step
        step *= 2
    while low < high:
        middle = (low + high) // 2
        if at_least(middle, n, share, spread) <= alpha:
            high = middle
        else:
            low = middle + 1
    return low


def _log_choose(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)


def _log_beta(a: float, b: float) -> float:
    return lgamma(a) + lgamma(b) - lgamma(a + b)
