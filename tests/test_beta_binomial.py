"""``monitoring.alarms.beta_binomial``: the tails are those that SciPy has, and a bound is where they say it is."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitoring.alarms.beta_binomial import at_least, bound

betabinom = pytest.importorskip("scipy.stats", reason="needs SciPy").betabinom

SIZES, SHARES, SPREADS = st.integers(1, 20_000), st.floats(0.001, 0.95), st.floats(1e-5, 0.2)


@settings(max_examples=60)
@given(SIZES, SHARES, SPREADS, st.floats(0, 1))
def test_tails_are_the_exact_ones(n: int, share: float, spread: float, where: float) -> None:
    """To a thousandth at every size, share and spread, where SciPy itself has three digits left."""
    k = round(where * n)
    a, b = share * (1 / spread - 1), (1 - share) * (1 / spread - 1)
    assert at_least(k, n, share, spread) == pytest.approx(betabinom.sf(k - 1, n, a, b), rel=1e-3, abs=1e-9)


@settings(max_examples=60)
@given(SIZES, SHARES, SPREADS, st.sampled_from([1e-2, 1e-4, 1e-6]))
def test_a_bound_is_the_first_that_is_rare_enough(n: int, share: float, spread: float, alpha: float) -> None:
    """It is reached with at most that chance, and one less with more."""
    k = bound(n, share, spread, alpha)
    assert at_least(k, n, share, spread) <= alpha
    assert k <= int(n * share) or at_least(k - 1, n, share, spread) > alpha


def test_without_spread_it_is_the_binomial() -> None:
    """Ten of ten at one half: one in 1024; none of ten: all but one in 1024."""
    assert at_least(10, 10, 0.5, 0.0) == pytest.approx(1 / 1024, rel=1e-5)
    assert at_least(1, 10, 0.5, 0.0) == pytest.approx(1023 / 1024, rel=1e-5)
    assert (at_least(0, 10, 0.5, 0.0), at_least(11, 10, 0.5, 0.0)) == (1.0, 0.0)
