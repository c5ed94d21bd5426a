"""Calibration: a logistic curve that keeps the order, and whose default changes nothing."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.confidence import (
    CLIP_FEATURES,
    WORD_FEATURES,
    Calibration,
    Logistic,
    clip_features,
    logit,
    share,
    word_features,
)
from asr.decode import Hypothesis, HypothesisWord
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
    assert Calibration.from_dict(curve.as_dict()) == curve


def reading(posterior: float, *words: tuple[str, int, int]) -> Hypothesis:
    """A reading whose words all have posterior 0.8."""
    return Hypothesis(tuple(HypothesisWord(*word, 0.8) for word in words), -1.0, posterior)


READINGS = (
    reading(0.6, ("call", 0, 8), ("mum", 10, 16)),
    reading(0.3, ("call", 1, 9), ("mom", 10, 16)),
    reading(0.1, ("tall", 0, 8), ("mum", 40, 46)),
)


def test_curves_survive_the_bundle() -> None:
    """The curves of words and clips come back from JSON; a bundle of the old form has none, and still reads."""
    curve = Calibration(
        0.5, -1.0, 0.2, word=Logistic(1.0, {"posterior": 0.25}), clip=Logistic(-1.0, {"least": 2.0})
    )
    assert Calibration.from_dict(json.loads(json.dumps(curve.as_dict()))) == curve
    old = Calibration.from_dict({"slope": 0.43, "intercept": 0.19, "minimum": 0.477})
    assert (old.slope, old.minimum, old.word, old.clip) == (0.43, 0.477, None, None)


def test_a_feature_of_a_newer_version_is_refused() -> None:
    """A weight for what this version does not measure cannot be left out silently."""
    with pytest.raises(OptionError, match="calibration weighs pitch; known are posterior"):
        Calibration.from_dict({"word": {"intercept": 0.0, "weights": {"pitch": 1.0}}})
    with pytest.raises(OptionError, match="nan"):
        Calibration.from_dict({"clip": {"intercept": math.nan, "weights": {}}})


def test_readings_that_have_the_same_word_at_the_same_time_agree() -> None:
    """ "call" is in readings worth 0.9, "mum" at that time in 0.6: elsewhere in the clip it is another word."""
    call, mum = READINGS[0].words
    assert share(call, READINGS) == pytest.approx(0.9)
    assert share(mum, READINGS) == pytest.approx(0.6)


def test_features_of_words_by_hand() -> None:
    """Log odds of posterior and agreement, those of the neighbour, letters, frames a letter, count of words."""
    features = word_features(READINGS)
    assert features.shape == (2, len(WORD_FEATURES))
    assert features[0] == pytest.approx(
        [math.log(4), math.log(9), math.log(4), math.log(1.5), math.log(4), math.log(2), math.log(2)]
    )
    assert features[1, 3] == pytest.approx(math.log(9))


def test_a_word_alone_stands_for_its_neighbours() -> None:
    """Where there is no word beside, its own values are used: no value is invented."""
    (features,) = word_features((reading(1.0, ("stop", 0, 8)),))
    assert features[2] == features[0] == pytest.approx(math.log(4))


def test_features_of_clips_by_hand() -> None:
    """Of words sure by 0.5 and 0.8: mean and least log odds, odds of both right (0.4), and their count."""
    assert clip_features([0.5, 0.8]) == pytest.approx(
        [math.log(4) / 2, 0.0, math.log(0.4 / 0.6), math.log(2)]
    )
    assert len(CLIP_FEATURES) == 4


def test_words_by_several_features() -> None:
    """Each word gets the curve's probability of its own features."""
    calibration = Calibration(word=Logistic(-1.0, {"agreement": 1.0}))
    assert calibration.words(READINGS) == pytest.approx([9 / (9 + math.e), 1.5 / (1.5 + math.e)])
    assert calibration.words(()) == ()


def test_a_search_without_a_second_reading_is_judged_by_posteriors() -> None:
    """`alone` leaves the curves out that count agreement, and keeps the rest."""
    calibration = Calibration(2.0, 0.0, 0.3, word=Logistic(50.0, {"agreement": 1.0}), clip=Logistic(1.0, {}))
    assert calibration.alone() == Calibration(2.0, 0.0, 0.3)
    assert calibration.alone().words(READINGS[:1]) == pytest.approx([16 / 17, 16 / 17])


def test_a_text_is_as_sure_as_the_curve_of_clips_says() -> None:
    """With a curve the probability that all is right, without one the mean of the words; 0 without words."""
    assert Calibration().text([0.5, 0.8]) == pytest.approx(0.65)
    assert Calibration(clip=Logistic(0.0, {"all": 1.0})).text([0.5, 0.8]) == pytest.approx(0.4)
    assert Calibration(clip=Logistic(0.0, {"all": 1.0})).text([]) == 0.0


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_log_odds_are_finite_and_keep_the_order(first: float, second: float) -> None:
    """Also at 0 and 1, where the true ones are infinite."""
    assert math.isfinite(logit(first))
    assert (logit(first) <= logit(second)) or first > second
