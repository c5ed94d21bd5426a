"""Calibration: a logistic curve that keeps the order, and whose default changes nothing."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.confidence import Calibration
from asr.errors import OptionError

RAW = st.floats(0.0, 1.0)


@given(RAW)
def test_the_default_is_the_identity(raw: float) -> None:
    """Slope 1 and intercept 0 give the raw value back, but for 1e-4 at either end."""
    assert Calibration()(raw) == pytest.approx(min(max(raw, 1e-4), 1 - 1e-4), abs=1e-12)


@given(RAW, RAW, st.floats(0.0, 10.0), st.floats(-20.0, 20.0))
def test_order_is_kept(first: float, second: float, slope: float, intercept: float) -> None:
    """Whatever the curve, a greater raw confidence never becomes the lesser one; all lie in [0, 1]."""
    curve = Calibration(slope, intercept)
    low, high = curve(min(first, second)), curve(max(first, second))
    assert 0.0 <= low <= high <= 1.0


def test_a_known_point() -> None:
    """Raw 0.8 has odds 4 : 1; doubled in the logit they are 16 : 1, and e : 1 more with intercept 1."""
    assert Calibration(slope=2.0)(0.8) == pytest.approx(16 / 17)
    assert Calibration(slope=2.0, intercept=1.0)(0.8) == pytest.approx(16 * math.e / (16 * math.e + 1))


def test_slope_zero_says_the_same_of_everything() -> None:
    """Where raw confidence tells nothing, all that is left is the base rate."""
    flat = Calibration(slope=0.0, intercept=math.log(3))
    assert flat(0.0) == flat(1.0) == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"minimum": -0.1}, "minimum confidence is -0.1"),
        ({"minimum": 1.0}, "minimum confidence is 1.0"),
        ({"slope": -1.0}, "calibration slope is -1.0"),
        ({"slope": math.nan}, "calibration slope is nan"),
        ({"intercept": math.inf}, "intercept inf"),
    ],
)
def test_senseless_settings_are_refused(wrong: dict[str, float], named: str) -> None:
    """A senseless setting raises OptionError naming the value seen."""
    with pytest.raises(OptionError, match=named):
        Calibration(**wrong)


def test_a_steep_slope_does_not_overflow() -> None:
    """A curve fitted on words that a threshold tells apart is steep: its ends are 0 and 1."""
    steep = Calibration(slope=1000.0)
    assert (steep(0.0), steep(1.0)) == (pytest.approx(0.0), 1.0)


def test_settings_survive_the_bundle() -> None:
    """What as_dict writes to bundle.json makes an equal curve."""
    curve = Calibration(0.5, -1.0, 0.2)
    assert Calibration(**curve.as_dict()) == curve
