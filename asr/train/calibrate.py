"""Fit confidence on dev speech, and measure it on speakers that it was not fitted on.

Readings of each clip and what was said in it come in; a `Calibration` and its quality go out. Features and
curves are the runtime's own (`asr.confidence`), so what is fitted is what will run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from asr.alignment import right
from asr.confidence import (
    CLIP_FEATURES,
    WORD_FEATURES,
    Calibration,
    Logistic,
    clip_features,
    logit,
    word_features,
)
from asr.decode import Hypothesis
from asr.report.calibration import Quality, quality

Values = NDArray[np.float64]

FOLDS = 10
PENALTY = 1e-3  # on the squared weights of standardised features: keeps alike features from fighting
# More of these never makes a word less sure.
SURER = frozenset({"posterior", "agreement", "mean", "least", "all"})


@dataclass(frozen=True, slots=True)
class Attempt:
    """A clip: what was said, by whom, and the readings of each of its segments (best first)."""

    speaker: str
    said: tuple[str, ...]
    segments: tuple[tuple[Hypothesis, ...], ...]

    @property
    def heard(self) -> tuple[str, ...]:
        """The words of the best readings."""
        return tuple(word.text for readings in self.segments if readings for word in readings[0].words)


@dataclass(frozen=True, slots=True)
class Held:
    """Quality on speakers that were held out, in turn."""

    words: Quality
    clips: Quality


def calibrate(attempts: Sequence[Attempt]) -> tuple[Calibration, Held]:
    """The calibration fitted on all of dev (``minimum`` is left at 0), and its quality on held-out speakers."""
    return fit(attempts), cross_validate(attempts)


def fit(attempts: Sequence[Attempt]) -> Calibration:
    """Curves of words (all features; posterior alone) and of clips."""
    return _fit([_measure(attempt) for attempt in attempts if attempt.heard])


def cross_validate(attempts: Sequence[Attempt], folds: int = FOLDS) -> Held:
    """Every speaker in turn is judged by curves fitted on others (``folds`` groups of speakers, seeded)."""
    measured = [_measure(attempt) for attempt in attempts if attempt.heard]
    speakers = sorted({one.attempt.speaker for one in measured})
    assert len(speakers) > 1, "speakers are held out in turn: there must be two"
    order = np.random.default_rng(0).permutation(len(speakers))
    groups = {speakers[at]: place % folds for place, at in enumerate(order)}
    words: tuple[list[float], list[bool]] = ([], [])
    clips: tuple[list[float], list[bool]] = ([], [])
    for group in sorted(set(groups.values())):
        calibration = _fit([one for one in measured if groups[one.attempt.speaker] != group])
        for one in measured:
            if groups[one.attempt.speaker] == group:
                sure = _probabilities(calibration, one)
                words[0].extend(sure)
                words[1].extend(one.right)
                clips[0].append(calibration.text(sure))
                clips[1].append(one.whole)
    return Held(quality(*words), quality(*clips))


@dataclass(frozen=True, slots=True)
class _Measured:
    """An attempt with what is known of its words ``(words, features)``, and which of them are right."""

    attempt: Attempt
    features: tuple[Values, ...]
    right: tuple[bool, ...]

    @property
    def whole(self) -> bool:
        """Whether all that was said was heard, and nothing else."""
        return self.attempt.said == self.attempt.heard


def _measure(attempt: Attempt) -> _Measured:
    features = tuple(word_features(readings) for readings in attempt.segments if readings)
    return _Measured(attempt, features, tuple(right(attempt.said, attempt.heard)))


def _fit(measured: Sequence[_Measured]) -> Calibration:
    features = np.concatenate([part for one in measured for part in one.features])
    truth = np.array([value for one in measured for value in one.right], dtype=np.float64)
    posterior = [
        [logit(word.confidence)]
        for one in measured
        for readings in one.attempt.segments
        if readings
        for word in readings[0].words
    ]
    alone = logistic(("posterior",), np.array(posterior), truth)
    calibration = Calibration(
        alone.weights["posterior"], alone.intercept, word=logistic(WORD_FEATURES, features, truth)
    )
    clips = np.array([clip_features(_probabilities(calibration, one)) for one in measured])
    whole = np.array([one.whole for one in measured], dtype=np.float64)
    return replace(calibration, clip=logistic(CLIP_FEATURES, clips, whole))


def _probabilities(calibration: Calibration, one: _Measured) -> list[float]:
    """As `Calibration.words`, of features measured before."""
    assert calibration.word is not None
    curve = calibration.word
    return [value for part in one.features for value in curve(WORD_FEATURES, part).tolist()]


def logistic(names: Sequence[str], features: Values, truth: Values) -> Logistic:
    """Likeliest curve for ``features`` ``(n, len(names))`` and ``truth`` ``(n,)`` of 0 and 1, lightly penalised."""
    centre, scale = features.mean(axis=0), features.std(axis=0)
    # A feature that never varies gets no weight, not an infinite one.
    scale = np.where(scale > 1e-9, scale, 1.0)
    standard = (features - centre) / scale

    def loss(parameters: Values) -> tuple[float, Values]:
        scores = parameters[0] + standard @ parameters[1:]
        excess = 1.0 / (1.0 + np.exp(-np.clip(scores, -500.0, 500.0))) - truth
        value = (
            np.mean(np.logaddexp(0.0, scores) - truth * scores) + PENALTY * np.sum(parameters[1:] ** 2) / 2
        )
        slope = standard.T @ excess / len(truth) + PENALTY * parameters[1:]
        return float(value), np.concatenate([[excess.mean()], slope])

    bounds = [(None, None), *((0.0, None) if name in SURER else (None, None) for name in names)]
    found = minimize(loss, np.zeros(len(names) + 1), jac=True, method="L-BFGS-B", bounds=bounds).x
    weights = found[1:] / scale
    return Logistic(float(found[0] - weights @ centre), dict(zip(names, map(float, weights), strict=True)))
