"""Tuning: the grid search and the minimum, on posteriors made by hand; confidence fitted and held out."""

from __future__ import annotations

import pytest

pytest.importorskip("scipy", reason="needs voicesearch[train]")

import numpy as np  # after the skip

from asr.confidence import Calibration
from asr.decode import DecoderOptions, Hypothesis, HypothesisWord
from asr.train.calibrate import Attempt, calibrate, logistic
from asr.train.tune import Heard, Outcome, attempts, choose_minimum, clip_confidences, errors, search
from asr.wer import ErrorCounts


class Scripted:
    """A decoder that answers with the words and confidences written for each clip's first value."""

    def __init__(self, answers: dict[int, list[tuple[str, float]]]) -> None:
        self.answers = answers

    def decode(self, log_probs: np.ndarray) -> list[Hypothesis]:
        words = self.answers[int(log_probs[0, 0])]
        return [Hypothesis(tuple(HypothesisWord(text, 0, 1, p) for text, p in words), 0.0)] if words else []


def heard(key: int, text: str, set_: str = "a") -> Heard:
    return Heard(set_, f"speaker {key % 7}", tuple(text.split()), (np.full((1, 1), key, dtype=np.float32),))


def test_errors_are_counted_by_set() -> None:
    """Each set gets its own counts; a clip without hypothesis is all deletions."""
    beam = Scripted({1: [("play", 0.9), ("jazz", 0.9)], 2: []})
    counts = errors(beam, [heard(1, "play jass", "x"), heard(2, "stop", "y")])
    assert counts["x"] == ErrorCounts(substitutions=1, reference_length=2)
    assert counts["y"] == ErrorCounts(deletions=1, reference_length=1)


def test_small_sets_do_not_choose_the_weights() -> None:
    """The mean is over sets of at least 100 words, each counting alike; without any, over all words."""
    counts = {
        "large": ErrorCounts(10, 0, 0, 100),
        "larger": ErrorCounts(90, 0, 0, 300),
        "tiny": ErrorCounts(5, 0, 0, 5),
    }
    assert Outcome(DecoderOptions(), counts).mean == pytest.approx(0.2)
    small = {"tiny": ErrorCounts(5, 0, 0, 5), "small": ErrorCounts(0, 0, 0, 15)}
    assert Outcome(DecoderOptions(), small).mean == pytest.approx(0.25)


def test_the_search_ranks_all_settings() -> None:
    """Every combination is tried with its own decoder; the one with the fewest errors comes first."""

    def decoder(options: DecoderOptions) -> Scripted:
        right = (options.lm_weight, options.word_score) == (0.6, 1.0)
        return Scripted({1: [("play", 0.9)] * 100 if right else []})

    grid = {"lm_weight": [0.3, 0.6], "word_score": [0.0, 1.0]}
    ranked = search(decoder, [heard(1, " ".join(["play"] * 100))], DecoderOptions(), grid)
    assert (ranked[0].options.lm_weight, ranked[0].options.word_score) == (0.6, 1.0)
    assert [outcome.mean for outcome in ranked] == [0.0, 1.0, 1.0, 1.0]


def test_calibration_finds_the_true_probability() -> None:
    """Words of raw confidence 0.9 that are right half the time get 0.5; those of 0.99 always right get more."""
    answers, clips = {}, []
    for index in range(210):
        raw = 0.9 if index < 140 else 0.99
        answers[index] = [("yes", raw)]
        clips.append(heard(index, "yes" if index // 7 % 2 or index >= 140 else "no"))
    calibration, held_out = calibrate(attempts(Scripted(answers), clips))
    assert calibration(0.9) == pytest.approx(0.5, abs=0.05)
    assert calibration(0.99) > 0.95
    assert held_out.words.count == held_out.clips.count == 210
    assert held_out.words.error is not None
    assert held_out.words.error < 0.06


def made_up(speaker: int, count: int = 30) -> list[Attempt]:
    """Clips of one word, right where the readings agree on it; the posterior says nothing.

    Of speaker 0 they are right where the readings do not agree.
    """
    clips = []
    for index in range(count):
        agreed, noise = index % 2 == 0, index % 10 == 9
        right = agreed is (speaker != 0) and not noise
        first = Hypothesis((HypothesisWord("yes", 0, 5, 0.9),), -1.0, 0.6)
        second = Hypothesis((HypothesisWord("yes" if agreed else "yet", 0, 5, 0.9),), -2.0, 0.4)
        clips.append(Attempt(f"s{speaker}", ("yes",) if right else ("no",), ((first, second),)))
    return clips


def test_agreement_of_the_readings_is_used() -> None:
    """Where only agreement tells right from wrong, words that are agreed on become sure and others do not."""
    made = [attempt for speaker in range(1, 6) for attempt in made_up(speaker)]
    calibration, held_out = calibrate(made)
    agreed, disputed = (calibration.words(attempt.segments[0])[0] for attempt in made[:2])
    assert agreed > 0.9
    assert disputed < 0.1
    assert held_out.words.error is not None
    assert held_out.words.error < 0.05


def test_speakers_are_held_out() -> None:
    """A speaker for whom it is the other way round is judged by what was fitted on the others: badly."""
    others = [attempt for speaker in range(1, 6) for attempt in made_up(speaker)]
    _, without = calibrate(others)
    _, with_odd = calibrate([*others, *made_up(0)])
    assert without.words.error is not None
    assert with_odd.words.error is not None
    assert with_odd.words.error > without.words.error + 0.1


def test_more_posterior_never_makes_a_word_less_sure() -> None:
    """On data that says the contrary, such a weight is 0, not negative; other features are free."""
    features = np.array([[0.0, 0.0], [1.0, 1.0]] * 50)
    truth = np.array([1.0, 0.0] * 50)
    curve = logistic(("posterior", "pace"), features, truth)
    assert curve.weights["posterior"] == 0.0
    assert curve.weights["pace"] < -1.0


def test_the_minimum_spares_useful_clips() -> None:
    """Of clips heard well, one in two hundred may fall under the minimum; clips heard badly have no say."""
    useful = [(confidence / 200, 0.2) for confidence in range(201)]
    assert choose_minimum([*useful, (0.001, 0.9)]) == 0.005
    assert choose_minimum([(0.4, 1.0)]) == 0.0


def test_clip_confidence_is_the_mean_of_its_words() -> None:
    """The mean of calibrated word confidences, with the clip's word error rate; clips without words are left out."""
    beam = Scripted({1: [("play", 0.9), ("jazz", 0.5)], 2: []})
    clips = clip_confidences(attempts(beam, [heard(1, "play jass"), heard(2, "stop")]), Calibration())
    assert clips == [(pytest.approx(0.7), 0.5)]
