"""``monitoring.drift.distances``: what the four numbers are."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon

from monitoring.drift.distances import HALF, cohens_h, jensen_shannon, kolmogorov_smirnov, psi

COUNTS = st.lists(st.integers(0, 1_000), min_size=4, max_size=4).filter(any)


def test_by_hand() -> None:
    """40:60 against 60:40, with the half that is added to each count."""
    p, q = 40.5 / 101, 60.5 / 101
    assert psi(np.array([40, 60]), np.array([60, 40])) == pytest.approx(2 * (q - p) * math.log(q / p))
    assert kolmogorov_smirnov(np.array([40, 60]), np.array([60, 40])) == pytest.approx(0.2)
    assert cohens_h(0.03, 0.043) == pytest.approx(0.07, abs=0.001)


@given(COUNTS, COUNTS)
def test_jensen_shannon_is_scipys(a: list[int], b: list[int]) -> None:
    """In bits, the square of SciPy's distance, of the smoothed shares."""
    expected = jensenshannon(np.array(a) + HALF, np.array(b) + HALF, base=2) ** 2
    assert jensen_shannon(np.array(a), np.array(b)) == pytest.approx(expected, abs=1e-9)


@given(COUNTS, COUNTS)
def test_bounds_and_symmetry(a: list[int], b: list[int]) -> None:
    """None is negative, none prefers a side, an empty bin is no infinity, and the same is 0."""
    one, other = np.array(a), np.array(b)
    for distance in (psi, jensen_shannon, kolmogorov_smirnov):
        assert 0 <= distance(one, other) + 1e-12 < math.inf
        assert distance(one, other) == pytest.approx(distance(other, one), abs=1e-12)
        assert distance(one, one) == pytest.approx(0, abs=1e-12)
    assert kolmogorov_smirnov(one, other) <= 1 + 1e-12
    assert jensen_shannon(one, other) <= 1


def test_many_samples_at_once() -> None:
    """Further axes are samples of their own."""
    many = np.array([[1, 9], [5, 5]])
    assert psi(np.array([5, 5]), many).shape == (2,)
    assert psi(np.array([5, 5]), many)[1] == pytest.approx(0)
