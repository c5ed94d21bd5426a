"""Frames to rows: what the search is spared, and what it must still see."""

from __future__ import annotations

import math

import numpy as np
import pytest

from asr.rows import LogProbs, condense, mean_entropy


def frames(*rows: tuple[int, float]) -> LogProbs:
    """A likeliest of four tokens and its posterior for each frame; the others share the rest."""
    probs = np.array([[p if at == token else (1 - p) / 3 for at in range(4)] for token, p in rows])
    return np.log(probs).astype(np.float32)


def test_runs_become_their_mean() -> None:
    """Frames of one likeliest token are one row, the mean of their log-probabilities."""
    log_probs = frames((1, 0.5), (1, 0.8), (2, 0.9))
    rows = condense(log_probs)
    assert rows.bounds.tolist() == [0, 2, 3]
    assert rows.log_probs == pytest.approx(np.stack([log_probs[:2].mean(axis=0), log_probs[2]]))
    assert rows.log_probs.dtype == np.float32


def test_sure_blanks_are_left_out() -> None:
    """A blank of 0.99 between unlike tokens is no row; one of 0.9 is, and each frame of it by itself."""
    rows = condense(frames((0, 0.99), (1, 0.9), (0, 0.99), (0, 0.99), (2, 0.9), (0, 0.9), (0, 0.9)))
    assert rows.bounds.tolist() == [0, 1, 2, 4, 5, 6, 7]
    assert rows.searched.tolist() == [1, 3, 4, 5]
    assert len(rows.log_probs) == 4


def test_every_blank_is_searched_where_none_may_be_skipped() -> None:
    """Without skipping, each frame of blank is a row of its own, however sure."""
    rows = condense(frames((0, 0.99), (1, 0.9), (0, 0.999), (0, 0.999), (2, 0.9)), skip_blanks=False)
    assert rows.bounds.tolist() == [0, 1, 2, 3, 4, 5]
    assert rows.searched.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("doubt", "kept"), [(0.9, [0, 1, 2]), (0.5, [0, 1, 2]), (0.999, [0, 2])])
def test_a_blank_between_equal_tokens_stays(doubt: float, kept: list[int]) -> None:
    """Also where the second is only the second likeliest: without it the token could not come twice."""
    second = (1, 0.9) if doubt == 0.9 else (2, doubt)
    assert condense(frames((1, 0.9), (0, 0.99), second)).searched.tolist() == kept


def test_one_row_is_left_of_silence() -> None:
    """However sure the blanks are, the search sees one row."""
    rows = condense(frames(*[(0, 0.999)] * 5))
    assert (rows.searched.tolist(), rows.bounds.tolist()) == ([0], [0, 5])


def test_values_go_back_to_their_runs() -> None:
    """One for each row becomes one for each run, in order."""
    rows = condense(frames((0, 0.99), (1, 0.9), (0, 0.99), (2, 0.9)))
    assert rows.spread([7, 9], -1).tolist() == [-1, 7, -1, 9]


def test_entropy_is_that_of_the_average_frame() -> None:
    """Sure of everything: 0; undecided between all of n tokens: log n; half of each: half of it."""
    sure, undecided = np.log([[1.0 - 3e-9, 1e-9, 1e-9, 1e-9]]), np.log([[0.25] * 4])
    assert mean_entropy(sure.astype(np.float32)) == pytest.approx(0.0, abs=1e-6)
    assert mean_entropy(undecided.astype(np.float32)) == pytest.approx(math.log(4))
    both = np.concatenate([sure, undecided]).astype(np.float32)
    assert mean_entropy(both) == pytest.approx(math.log(4) / 2)
