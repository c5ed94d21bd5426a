"""``monitoring.simulation.stock``: weeks drawn anew from sittings."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from monitoring.features import FEATURES
from monitoring.simulation.pool import MICROPHONE, SHIPPED, read
from monitoring.simulation.stock import Stock

LEVEL = next(place for place, feature in enumerate(FEATURES) if feature.name == "level_dbfs")

if not SHIPPED.exists():
    pytest.skip("needs the repository's hearings, data/traffic", allow_module_level=True)


@lru_cache
def stock(*changes: tuple[str, float]) -> Stock:
    """Two quiet weeks."""
    return Stock.make(read(), 2, 2.0, 1, *changes)


def test_rows() -> None:
    """A row a sitting; a row a clip, those of a sitting together, the first one first."""
    made = stock()
    assert made.sittings.sittings == len(made.sizes) > 300
    assert made.clips.sittings == made.sizes.sum() == made.sittings.records
    for row in (0, 50, 200):
        first = made.clips.values[made.firsts[row], LEVEL]
        assert made.sittings.values[row, LEVEL] == first or np.isnan(first)


def test_weeks_share_no_sitting_and_windows_have_their_records() -> None:
    """Two draws are disjoint and in order of the week; a window is a stretch of one."""
    made, rng = stock(), np.random.default_rng(2)
    one, other = made.draw(100, rng)
    assert set(one.tolist()).isdisjoint(other.tolist())
    assert (np.diff(one) > 0).all()
    window = made.window(one, 60, rng)
    assert set(window.tolist()) <= set(one.tolist())
    assert made.of(window).records - made.sizes[window[-1]] < 60 <= made.of(window).records
    assert made.clips_of(window).sittings == made.of(window).records


def test_a_change_lasts() -> None:
    """A new microphone for everybody: the level is lower by about 12 dB, all the time."""
    usual, changed = (
        np.nanmedian(one.sittings.values[:, LEVEL]) for one in (stock(), stock((MICROPHONE, 1.0)))
    )
    assert changed - usual == pytest.approx(-12, abs=2)
