"""Frames to the fewer rows that a search has to see: its time grows with their number.

In: log-probabilities ``(T, V)``, column 0 the blank. Out: `Rows`, and the way back from rows to frames.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLANK = 0
LogProbs = NDArray[np.float32]

SURE_BLANK = math.log(0.98)
_LIKELY = math.log(0.05)


@dataclass(frozen=True, slots=True)
class Rows:
    """``log_probs`` (rows, V) of the runs ``searched``; run i covers frames ``bounds[i]`` to ``bounds[i + 1]``."""

    log_probs: LogProbs
    searched: NDArray[np.intp]
    bounds: NDArray[np.intp]

    def spread(self, values: Sequence[int], elsewhere: int) -> NDArray[np.int64]:
        """One value for each run from one for each row; runs that were not searched get ``elsewhere``."""
        runs = np.full(len(self.bounds) - 1, elsewhere)
        runs[self.searched] = values
        return runs


def mean_entropy(log_probs: LogProbs) -> float:
    """Entropy of the network's answer, mean over the frames of ``(T, V)``, in nats: 0 where it is sure of all of it."""
    return float(-(np.exp(log_probs) * log_probs).sum(axis=1).mean())


def condense(log_probs: LogProbs, *, skip_blanks: bool = True) -> Rows:
    """Merge runs of one likeliest token into their mean, and leave out sure blanks (Chen et al. 2016).

    The search leaves a word at the first frame of its last token and could not wait there while that token goes
    on: so runs become one row. A row of sure blank between two that share a likely token stays, since a token
    can only come twice with a blank between. At least one row is left. ``log_probs`` has at least one frame.
    Without ``skip_blanks`` every frame of blank is a row.
    """
    best = log_probs.argmax(axis=1)
    sure = math.inf if not skip_blanks else SURE_BLANK
    mergeable = (best != BLANK) | (log_probs[:, BLANK] > sure)
    joined = (best[1:] == best[:-1]) & mergeable[1:] & mergeable[:-1]
    bounds = np.concatenate([[0], np.flatnonzero(~joined) + 1, [len(log_probs)]])
    sums = np.add.reduceat(log_probs, bounds[:-1], axis=0)
    means = (sums / np.diff(bounds)[:, None]).astype(np.float32)
    needed = means[:, BLANK] <= sure
    spoken = means[:, BLANK + 1 :]
    needed[1:-1] |= np.minimum(spoken[:-2], spoken[2:]).max(axis=1, initial=-np.inf) > _LIKELY
    needed[0] |= not needed.any()
    searched = np.flatnonzero(needed)
    return Rows(means[searched], searched, bounds)
