"""Confidence: from what the search found to the probability that a word, or a whole clip, is right.

In: the readings of a segment (`asr.decode.Hypothesis`, best first), as any search makes them. Out: a probability
for each word of the best one, and one that the text of the clip is right to the last word. Both are logistic
curves (Platt 1999; several features as Jiang 2005 reviews them) fitted on dev speech by
``asr.train.calibrate`` and stored in the bundle. Bundles without them have the curve of one feature, and a clip
is then as sure as its words on average.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.decode import Hypothesis, HypothesisWord
from asr.errors import OptionError

Features = NDArray[np.float64]

WORD_FEATURES = ("posterior", "agreement", "beside", "agreement_beside", "letters", "pace", "words")
CLIP_FEATURES = ("mean", "least", "all", "words")

_EDGE = 1e-4  # keeps the logit of 0 and 1 finite
_FEATURE_EDGE = 1e-3  # beyond it a feature says no more: readings that nobody listed still had some share
_LARGEST_EXPONENT = 700.0  # exp(709.8) is the largest double


@dataclass(frozen=True, slots=True)
class Logistic:
    """P = sigmoid(``intercept`` + sum of ``weights`` times features, by name); unnamed features weigh nothing."""

    intercept: float
    weights: Mapping[str, float]

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.intercept, *self.weights.values()))):
            raise OptionError(
                f"calibration has {self.intercept} and {dict(self.weights)}; all must be finite"
            )

    def __call__(self, names: Sequence[str], features: Features) -> NDArray[np.float64]:
        """Probabilities ``(n,)`` of ``features`` ``(n, len(names))``."""
        weights = np.array([self.weights.get(name, 0.0) for name in names])
        scores: Features = self.intercept + features @ weights
        return np.asarray(1.0 / (1.0 + np.exp(np.minimum(-scores, _LARGEST_EXPONENT))))


@dataclass(frozen=True, slots=True)
class Calibration:
    """Curves for words and clips. A segment whose words are surer than ``minimum`` on average is kept.

    Without ``word``, P(right) = sigmoid(``slope`` * logit(posterior) + ``intercept``), whose default changes
    nothing; without ``clip``, the mean of the words.
    """

    slope: float = 1.0
    intercept: float = 0.0
    minimum: float = 0.0
    word: Logistic | None = field(default=None, kw_only=True)
    clip: Logistic | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if not 0.0 <= self.minimum < 1.0:
            raise OptionError(f"minimum confidence is {self.minimum}; it must be in [0, 1)")
        if not (0.0 <= self.slope < math.inf and math.isfinite(self.intercept)):
            raise OptionError(
                f"calibration slope is {self.slope}, intercept {self.intercept}; both must be finite, and a "
                "negative slope would turn the order around"
            )
        for curve, known in ((self.word, WORD_FEATURES), (self.clip, CLIP_FEATURES)):
            if curve is not None and (unknown := set(curve.weights) - set(known)):
                raise OptionError(
                    f"calibration weighs {', '.join(sorted(unknown))}; known are {', '.join(known)}: "
                    "a newer version made this bundle"
                )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Calibration:
        """From ``bundle.json``, of any version. Raises OptionError, and TypeError for unknown settings."""
        curves = {name: Logistic(**values[name]) for name in ("word", "clip") if values.get(name) is not None}
        return cls(**{**values, **curves})

    def as_dict(self) -> dict[str, Any]:
        """For ``bundle.json``."""
        return asdict(self)

    def alone(self) -> Calibration:
        """By posteriors alone, for a search that lists no second reading (`asr.lexicon_path`)."""
        return Calibration(self.slope, self.intercept, self.minimum)

    def __call__(self, raw: float) -> float:
        """The probability of a word of which only the posterior in [0, 1] is known."""
        scaled = self.slope * logit(raw) + self.intercept
        return 1.0 / (1.0 + math.exp(min(-scaled, _LARGEST_EXPONENT)))

    def words(self, readings: Sequence[Hypothesis]) -> tuple[float, ...]:
        """The probability that each word of the first reading is right; empty without readings.

        A single reading counts as agreed on: a search that cannot list others is calibrated by `alone`.
        """
        if not readings:
            return ()
        if self.word is None:
            return tuple(self(word.confidence) for word in readings[0].words)
        return tuple(self.word(WORD_FEATURES, word_features(readings)).tolist())

    def text(self, words: Sequence[float]) -> float:
        """The probability that a clip of words of these probabilities is right as a whole; 0 without words."""
        if not words:
            return 0.0
        if self.clip is None:
            return sum(words) / len(words)
        return float(self.clip(CLIP_FEATURES, clip_features(words)[None])[0])


def word_features(readings: Sequence[Hypothesis]) -> Features:
    """What is known of each word of the first reading, at run time: ``(words, len(WORD_FEATURES))``.

    Log odds of its posterior and of the share of the readings that have the same word at the same time; the
    means of both over the words beside it; log letters; log frames a letter; log words of the segment.
    """
    words = readings[0].words
    posterior = np.array([_odds(word.confidence) for word in words])
    agreement = np.array([_odds(share(word, readings)) for word in words])
    letters = np.array([len(word.text) for word in words], dtype=np.float64)
    frames = np.array([max(word.end_frame - word.start_frame, 1) for word in words], dtype=np.float64)
    return np.column_stack(
        [
            posterior,
            agreement,
            _beside(posterior),
            _beside(agreement),
            np.log(letters),
            np.log(frames / letters),
            np.full(len(words), math.log(len(words))),
        ]
    )


def clip_features(words: Sequence[float]) -> Features:
    """Of the words' probabilities: mean and least log odds, log odds of all at once, log count; ``(4,)``."""
    odds = [_odds(word) for word in words]
    product = math.prod(max(word, _FEATURE_EDGE) for word in words)
    return np.array([sum(odds) / len(odds), min(odds), logit(product), math.log(len(words))])


def share(word: HypothesisWord, readings: Sequence[Hypothesis]) -> float:
    """Share of the readings' posterior that has the same word at an overlapping time (Wessel 2001)."""
    agreeing = sum(
        reading.posterior
        for reading in readings
        if any(
            other.text == word.text
            and other.start_frame < word.end_frame
            and word.start_frame < other.end_frame
            for other in reading.words
        )
    )
    return agreeing / sum(reading.posterior for reading in readings)


def logit(raw: float, edge: float = _EDGE) -> float:
    """Log odds of a probability in [0, 1], which is kept ``edge`` away from either end."""
    raw = min(max(raw, edge), 1.0 - edge)
    return math.log(raw / (1.0 - raw))


def _odds(value: float) -> float:
    return logit(value, _FEATURE_EDGE)


def _beside(values: Features) -> Features:
    """Mean over the word before and the one after; a word alone stands for its neighbours."""
    if len(values) == 1:
        return values
    before, after = np.r_[values[1], values[:-1]], np.r_[values[1:], values[-2]]
    return np.asarray((before + after) / 2.0)
