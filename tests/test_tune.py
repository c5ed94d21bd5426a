"""Tuning: the grid search, the calibration and its error, on posteriors made by hand."""

from __future__ import annotations

import pytest

pytest.importorskip("scipy", reason="needs voicesearch[train]")

import numpy as np  # after the skip

from asr.confidence import Calibration
from asr.decode import DecoderOptions, Hypothesis, HypothesisWord
from asr.train.tune import (
    Heard,
    Outcome,
    calibrate,
    choose_minimum,
    clip_confidences,
    errors,
    expected_calibration_error,
)
from asr.wer import ErrorCounts


class Scripted:
    """A decoder that answers with the words and confidences written for each clip's first value."""

    def __init__(self, answers: dict[int, list[tuple[str, float]]]) -> None:
        self.answers = answers

    def decode(self, log_probs: np.ndarray) -> list[Hypothesis]:
        words = self.answers[int(log_probs[0, 0])]
        return [Hypothesis(tuple(HypothesisWord(text, 0, 1, p) for text, p in words), 0.0)] if words else []


def heard(key: int, text: str, set_: str = "a") -> Heard:
    return Heard(set_, tuple(text.split()), (np.full((1, 1), key, dtype=np.float32),))


def test_errors_are_counted_by_set() -> None:
    """Each set gets its own counts; a clip without hypothesis is all deletions."""
    beam = Scripted({1: [("play", 0.9), ("jazz", 0.9)], 2: []})
    counts = errors(beam, [heard(1, "play jass", "x"), heard(2, "stop", "y")])
    assert counts["x"] == ErrorCounts(substitutions=1, reference_length=2)
    assert counts["y"] == ErrorCounts(deletions=1, reference_length=1)


def test_small_sets_do_not_choose_the_weights() -> None:
    """The mean is over sets of at least 100 words, each counting alike."""
    counts = {
        "large": ErrorCounts(10, 0, 0, 100),
        "larger": ErrorCounts(90, 0, 0, 300),
        "tiny": ErrorCounts(5, 0, 0, 5),
    }
    assert Outcome(DecoderOptions(), counts).mean == pytest.approx(0.2)


def test_calibration_finds_the_true_probability() -> None:
    """Words of raw confidence 0.9 that are right half the time get 0.5; those of 0.99 always right get more."""
    answers, clips = {}, []
    for index in range(100):
        raw = 0.9 if index < 50 else 0.99
        answers[index] = [("yes", raw)]
        clips.append(heard(index, "yes" if index % 2 or index >= 50 else "no"))
    calibration, error = calibrate(Scripted(answers), clips)
    assert calibration(0.9) == pytest.approx(0.5, abs=0.05)
    assert calibration(0.99) > 0.95
    assert error < 0.05


def test_expected_calibration_error_by_hand() -> None:
    """Two bins: .95 sure and right (gap .05), .55 sure and wrong (gap .55), equally many."""
    assert expected_calibration_error([0.95, 0.55], [True, False]) == pytest.approx(0.3)
    assert Calibration()(0.7) == pytest.approx(0.7)


def test_the_minimum_spares_useful_clips() -> None:
    """Of clips heard well, one in two hundred may fall under the minimum; clips heard badly have no say."""
    useful = [(confidence / 200, 0.2) for confidence in range(201)]
    assert choose_minimum([*useful, (0.001, 0.9)]) == 0.005
    assert choose_minimum([(0.4, 1.0)]) == 0.0


def test_clip_confidence_is_the_mean_of_its_words() -> None:
    """The mean of calibrated word confidences, with the clip's word error rate; clips without words are left out."""
    beam = Scripted({1: [("play", 0.9), ("jazz", 0.5)], 2: []})
    clips = clip_confidences(beam, [heard(1, "play jass"), heard(2, "stop")], Calibration())
    assert clips == [(pytest.approx(0.7), 0.5)]
