"""``asr.report``: intervals, the matched-pairs test, alignment and calibration, against values by hand."""

# ruff: noqa: SIM905 - what people say reads best as one string

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.alignment import Edit, Kind, edits, right
from asr.report.bootstrap import difference, interval
from asr.report.calibration import expected_calibration_error, quality, reliability
from asr.report.matched_pairs import compare, segment_differences
from asr.wer import align

WORDS = st.lists(st.sampled_from("abc"), max_size=7)


@given(WORDS, WORDS)
def test_the_alignment_counts_what_the_error_rate_counts(said: list[str], heard: list[str]) -> None:
    """Both choose among the best alignments by the same rule, and every word is used once, in order."""
    found = edits(said, heard)
    kinds = [edit.kind for edit in found]
    counts = align(said, heard)
    assert kinds.count(Kind.SUBSTITUTION) == counts.substitutions
    assert kinds.count(Kind.DELETION) == counts.deletions
    assert kinds.count(Kind.INSERTION) == counts.insertions
    assert [e.reference for e in found if e.reference is not None] == list(range(len(said)))
    assert [e.hypothesis for e in found if e.hypothesis is not None] == list(range(len(heard)))


def test_an_alignment_by_hand() -> None:
    """One word changed, one lost, one invented."""
    assert edits("call my mum".split(), "call mum now please".split())[0] == Edit(Kind.CORRECT, 0, 0)
    assert edits("turn it off".split(), "turn off".split()) == [
        Edit(Kind.CORRECT, 0, 0),
        Edit(Kind.DELETION, 1, None),
        Edit(Kind.CORRECT, 2, 1),
    ]
    assert right("turn it off".split(), "turn of off".split()) == [True, False, True]


def test_the_interval_of_independent_words_is_the_binomial_one() -> None:
    """400 utterances of a word with 100 errors: the normal approximation gives 0.25 +- 1.96 x 0.02165."""
    errors = [1, 0, 0, 0] * 100
    found = interval(errors, [1] * 400, [str(at) for at in range(400)])
    assert found is not None
    assert found.low == pytest.approx(0.2076, abs=0.008)
    assert found.high == pytest.approx(0.2924, abs=0.008)
    assert found.units == 400


def test_speakers_are_drawn_as_one() -> None:
    """The same errors, all from a quarter of the speakers: the evidence is 8 speakers, not 400 words."""
    errors, speakers = [1] * 100 + [0] * 300, [str(at // 50) for at in range(400)]
    by_speaker = interval(errors, [1] * 400, speakers)
    by_word = interval(errors, [1] * 400, [str(at) for at in range(400)])
    assert by_speaker is not None
    assert by_word is not None
    assert by_speaker.high - by_speaker.low > 3 * (by_word.high - by_word.low)


def test_an_interval_is_the_same_each_time_and_needs_two_groups() -> None:
    """The draws are seeded; of one speaker nothing can be said about others."""
    assert interval([1, 0, 2], [3, 3, 3], list("abc")) == interval([1, 0, 2], [3, 3, 3], list("abc"))
    assert interval([1, 0], [3, 3], ["a", "a"]) is None
    assert interval([1, 0], [0, 0], ["a", "b"]) is None


def test_a_model_that_is_always_better_is_so_in_every_draw() -> None:
    """One error less in each utterance of two words: the change is -0.5 in every draw."""
    found = difference([1] * 10, [0] * 10, [2] * 10, [str(at) for at in range(10)])
    assert found is not None
    change, improvement = found
    assert (change.low, change.high, improvement) == (-0.5, -0.5, 1.0)


def test_segments_part_where_both_were_right_twice() -> None:
    """Errors with one right word between are one segment, with two they are two; insertions count."""
    said = "a b c d e f".split()
    assert list(segment_differences(said, said, "x b y d e f".split())) == [2]
    assert list(segment_differences(said, said, "x b c y e f".split())) == [1, 1]
    assert list(segment_differences(said, "a b c d e".split(), "a b c d e f g".split())) == [0]
    assert list(segment_differences(said, said, said)) == []


def test_errors_of_both_in_one_segment_cancel() -> None:
    """Both wrong in the same word: a segment without a difference, which still counts as an observation."""
    assert list(segment_differences("a b c".split(), "x b c".split(), "y b c".split())) == [0]


def test_matched_pairs_by_hand() -> None:
    """Differences 1, 1, 1, -1: mean 0.5, deviation 1, so z = 1 and p = 0.3173."""
    found = compare([1, 1, 1, -1])
    assert (found.mean, found.deviation, found.z) == (0.5, 1.0, 1.0)
    assert found.p_value == pytest.approx(0.3173, abs=1e-4)


def test_models_that_never_differ_have_no_p_value() -> None:
    """There is no deviation to divide by; nor with a single segment."""
    assert compare([0, 0, 0]).p_value is None
    assert compare([2]).p_value is None
    assert compare([]).as_dict()["p_value"] is None


def test_matched_pairs_are_right_by_chance_alone() -> None:
    """Of 400 comparisons of equal models about 20 fall below 0.05: the test keeps its promise."""
    draws = np.random.default_rng(1).integers(-1, 2, size=(400, 80))
    below = sum((compare(row.tolist()).p_value or 0.0) < 0.05 for row in draws)
    assert 8 <= below <= 36


def test_expected_calibration_error_by_hand() -> None:
    """Two bins: .95 sure and right (gap .05), .55 sure and wrong (gap .55), equally many."""
    assert expected_calibration_error([0.95, 0.55], [True, False]) == pytest.approx(0.3)
    assert math.isnan(expected_calibration_error([], []))


def test_reliability_bins() -> None:
    """Empty bins are left out, the last one includes 1."""
    low, high = reliability([0.05, 1.0, 0.95], [False, True, False])
    assert (low.low, low.high, low.count, low.accuracy) == (0.0, 0.1, 1, 0.0)
    assert (high.low, high.count, high.confidence, high.accuracy) == (0.9, 2, pytest.approx(0.975), 0.5)


def test_quality_of_probabilities() -> None:
    """Order: 3 of 4 pairs of right and wrong are the right way round. The base rate itself knows nothing."""
    found = quality([0.9, 0.4, 0.6, 0.2], [True, True, False, False])
    assert found.order == pytest.approx(0.75)
    flat = quality([0.5] * 10, [True, False] * 5)
    assert (flat.error, flat.order) == (0.0, 0.5)
    assert flat.entropy == pytest.approx(0.0, abs=1e-12)
    assert quality([0.9], [True]).order is None
    assert quality([], []).error is None


def test_chance_alone_shows_an_error() -> None:
    """Perfect probabilities on 100 draws show some 0.08 by chance; an error of that size is no fault."""
    values = np.random.default_rng(0).random(100)
    found = quality(values.tolist(), (values > 0.5).tolist())
    assert found.chance is not None
    assert 0.04 < found.chance < 0.14
