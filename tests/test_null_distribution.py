"""``monitoring.drift.null_distribution``: exact against SciPy, and calibrated where SciPy has nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2, false_discovery_control, fisher_exact, hypergeom, ks_2samp

from monitoring.drift.distances import kolmogorov_smirnov, psi
from monitoring.drift.null_distribution import (
    adjusted,
    binned_thresholds,
    ks_p_value,
    ks_threshold,
    whole_counts,
)


@pytest.mark.parametrize(("m", "n", "shift"), [(30, 20, 0.3), (100, 50, 0.0), (200, 57, 0.4)])
def test_without_ties_it_is_the_exact_test(m: int, n: int, shift: float) -> None:
    """With every value in a bin of its own, mid-p lies between SciPy's exact p and what is beyond the distance."""
    rng = np.random.default_rng(m)
    x, y = rng.normal(size=m), rng.normal(shift, size=n)
    edges = [*np.sort(np.concatenate([x, y])), np.inf]
    reference, current = np.histogram(x, edges)[0], np.histogram(y, edges)[0]
    exact = ks_2samp(x, y, method="exact")
    ours = ks_p_value(reference, current)
    assert exact.pvalue / 2 < ours <= exact.pvalue
    beyond = ks_p_value(
        reference, current, exact.statistic + 1e-6
    )  # no distance lies between: no mid-p there
    assert 2 * ours - beyond == pytest.approx(exact.pvalue, rel=1e-9)


@given(st.integers(0, 100), st.integers(0, 50))
def test_of_yes_or_no_it_is_fishers(yes: int, also: int) -> None:
    """In two bins: Fisher's two-sided test, sides by the size of the difference, at mid-p."""
    reference, current = np.array([100 - yes, yes]), np.array([50 - also, also])
    seen = float(kolmogorov_smirnov(reference, current))
    total = yes + also
    likelier = 0.0
    for k in range(max(0, total - 100), min(50, total) + 1):
        distance = abs(k / 50 - (total - k) / 100)
        weight = 1.0 if distance > seen + 1e-9 else 0.5 if distance > seen - 1e-9 else 0.0
        likelier += weight * hypergeom.pmf(k, 150, total, 50)
    assert ks_p_value(reference, current) == pytest.approx(likelier, abs=1e-9)


def test_fisher_by_name() -> None:
    """The p value of SciPy's Fisher test is mid-p and half of the probability of what was seen, where sides agree."""
    table = np.array([[90, 10], [20, 30]])
    assert ks_p_value(table[0], table[1]) <= fisher_exact(table).pvalue <= 2 * ks_p_value(table[0], table[1])


@pytest.mark.parametrize("n", [25, 200])
@pytest.mark.parametrize("shape", [(0.93, 0.03, 0.02, 0.02), (0.1,) * 10, (0.96, 0.04)])
def test_p_values_are_calibrated(n: int, shape: tuple[float, ...]) -> None:
    """Of samples that differ by chance alone, 5 % have p <= 0.05, with a mass point too; 1,000 samples tell +-40 %."""
    rng = np.random.default_rng(n)
    p = [
        ks_p_value(*(rng.multinomial(size, shape) for size in (800, n)))  # reference, current
        for _ in range(1_000)
    ]
    assert 0.03 <= np.mean(np.array(p) <= 0.05) <= 0.07
    assert 0.45 <= np.mean(p) <= 0.57


def test_a_large_sample_and_a_large_distance() -> None:
    """100,000 on both sides are no trouble, and what is beyond doubt is 0 without underflow."""
    even = np.full(100, 1_000)
    tilted = whole_counts(np.linspace(0.9, 1.1, 100), 100_000)
    assert ks_p_value(even, even) == pytest.approx(1.0)
    assert 0 <= ks_p_value(even, tilted) < 1e-20
    assert ks_p_value(np.array([500, 0]), np.array([0, 500])) < 1e-100


@pytest.mark.parametrize(("m", "n"), [(5_000, 50), (5_000, 1_000), (800, 800)])
def test_thresholds_invert_p_values(m: int, n: int) -> None:
    """The p value asked for lies between those of the distances around the threshold, 1/n apart at least."""
    at = ks_threshold(np.ones(50), m, n, 0.01)
    pooled_as_if = whole_counts(np.ones(50), m), whole_counts(np.ones(50), n)
    assert ks_p_value(*pooled_as_if, at + 1 / n) < 0.01 < ks_p_value(*pooled_as_if, at - 1 / n)


@pytest.mark.parametrize("n", [50, 200, 2_000])
def test_thresholds_of_psi_hold_their_rate(n: int) -> None:
    """Fresh samples without drift exceed it in 5 %, drawn or by chi-square; the fixed 0.1 at n = 50 mostly."""
    rng = np.random.default_rng(1)
    reference, current = rng.multinomial(3_000, [0.1] * 10, 4_000), rng.multinomial(n, [0.1] * 10, 4_000)
    threshold, _ = binned_thresholds(np.ones(10), 3_000, n, 0.05)
    values = psi(reference, current)
    assert 0.04 <= np.mean(values > threshold) <= 0.06
    if n == 50:
        assert np.mean(values > 0.1) > 0.7


def test_chi_square_where_bins_are_full() -> None:
    """(1/m + 1/n) times its quantile, a degree of freedom less than bins; Jensen-Shannon an eighth of it, in bits."""
    threshold, js = binned_thresholds(np.ones(10), 10_000, 10_000, 0.05)
    assert threshold == pytest.approx(chi2.isf(0.05, 9) * 2e-4)
    assert js == pytest.approx(threshold / 8 / np.log(2))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_adjusted_is_scipys(p_values: list[float]) -> None:
    """Benjamini-Hochberg as in SciPy, whose module takes seconds to import."""
    assert adjusted(p_values) == pytest.approx(false_discovery_control(p_values))


def test_whole_counts() -> None:
    """Their sum is kept, and each sum up to a bin is within a half of what it should be."""
    assert whole_counts(np.array([1.0, 1.0, 1.0]), 100).tolist() == [33, 34, 33]
