"""``monitoring.drift.frozen_bins``: quantiles, mass points, and the reference as a window should see it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from monitoring.drift.frozen_bins import FINE, FrozenBins, count, expected, fine_edges
from monitoring.drift.sample import BLOCKS, SLOTS
from monitoring.features import BY_NAME

RNG = np.random.default_rng(4)


def test_a_value_that_comes_often_has_a_bin_of_its_own() -> None:
    """Nine of ten clips clip nothing: 0 is alone in its bin, and the rest is still told apart."""
    values = np.concatenate([np.zeros(900), RNG.exponential(0.01, 100)])
    edges = fine_edges(values)
    counts = count(values, edges)
    at = int(np.searchsorted(edges, 0.0, side="right"))
    assert counts[at] == 900
    assert (counts[at + 1 :] > 0).sum() >= 8
    assert counts.sum() == 1_000


def test_bins_are_filled_alike() -> None:
    """Of a continuous feature: about ``FINE`` bins with 1 % each."""
    values = RNG.normal(size=5_000)
    counts = count(values, fine_edges(values))
    assert len(counts) == FINE
    assert counts.max() <= 51


def test_few_values_have_a_bin_each_and_a_new_one_falls_between() -> None:
    """1, 2 and 3 are apart; 2.5 is none of them."""
    edges = fine_edges(np.array([1.0, 2.0, 3.0] * 50))
    bins = [int(np.searchsorted(edges, value, side="right")) for value in (0.5, 1, 2, 2.5, 3, 9)]
    assert len(set(bins)) == 6


def test_a_constant_feature_can_be_frozen() -> None:
    """One value: below, it, above."""
    bins = FrozenBins.freeze(BY_NAME["clipped_ratio"], np.zeros(200), np.zeros(200, dtype=np.int64))
    assert bins.total.tolist() == [0, 200, 0]
    assert bins.coarse() == (0, 1, 2)


def test_coarse_bins() -> None:
    """Ten groups filled alike; of yes or no, both."""
    values = RNG.normal(size=5_000)
    bins = FrozenBins.freeze(BY_NAME["level_dbfs"], values, np.zeros(5_000, dtype=np.int64))
    filled = np.add.reduceat(bins.total, bins.coarse())
    assert len(filled) == 10
    assert filled.min() > 0.09 * 5_000
    yes_or_no = FrozenBins.freeze(
        BY_NAME["null_rate"], np.arange(200) % 20 == 0, np.zeros(200, dtype=np.int64)
    )
    assert yes_or_no.coarse() == (0, 1)
    assert yes_or_no.total.tolist() == [190, 10]


def test_a_window_sees_the_reference_of_its_hours() -> None:
    """Slot 0 is all low, slot 1 all high: a window of slot 1 expects high, one of both the mix it has."""
    slots = np.repeat([0, 1], [300, 100])
    bins = FrozenBins.freeze(BY_NAME["no_results_rate"], np.repeat([0.0, 1.0], [300, 100]), slots)
    assert expected(bins, np.array([1, 1, 1])).shares.tolist() == [0, 1]
    assert expected(bins, np.array([1, 1, 1])).size == 100
    mixed = expected(bins, np.array([0, 0, 0, 1]))
    assert mixed.shares.tolist() == [0.75, 0.25]
    assert mixed.size == 400  # its own mix: nothing is lost by weighting
    assert expected(bins, np.array([0, 1])).size == 300  # 1 / (0.5^2 / 300 + 0.5^2 / 100)
    assert mixed.counts.tolist() == [300, 100]


def test_hours_that_the_reference_lacks() -> None:
    """A weekend is compared with the same hours of working days; an hour that no day has, with all."""
    slots = np.repeat([0, 1], [300, 100])
    bins = FrozenBins.freeze(BY_NAME["no_results_rate"], np.repeat([0.0, 1.0], [300, 100]), slots)
    assert expected(bins, np.array([BLOCKS + 1])).shares.tolist() == [0, 1]
    assert expected(bins, np.array([3])).shares.tolist() == [0.75, 0.25]


def test_json_both_ways() -> None:
    """Edges exactly; and nonsense is refused."""
    values = np.concatenate([np.zeros(50), RNG.normal(size=500)])
    bins = FrozenBins.freeze(BY_NAME["level_dbfs"], values, RNG.integers(0, SLOTS, 550))
    body = json.loads(json.dumps(bins.as_dict()))
    assert FrozenBins.from_dict(body) == bins
    with pytest.raises(ValueError, match="rows of counts"):
        FrozenBins.from_dict({**body, "counts": body["counts"][1:]})
    with pytest.raises(ValueError, match="do not rise"):
        FrozenBins.from_dict({**body, "edges": body["edges"][::-1]})
