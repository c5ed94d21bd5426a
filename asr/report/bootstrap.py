"""How sure an error rate is: bootstrap confidence intervals (Bisani & Ney, ICASSP 2004).

In: errors and reference words of each utterance, and who spoke it. Out: an interval of the rate over the whole.
What is drawn anew, with replacement, is speakers where they are known (utterances of a speaker are alike, so
they are no independent evidence), else utterances. Seeded: the same numbers give the same interval.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.float64]

SAMPLES = 2_000
LEVEL = 0.95
SEED = 0


@dataclass(frozen=True, slots=True)
class Interval:
    """Bounds between which the rate lies with probability ``level``; over ``units`` speakers or utterances."""

    low: float
    high: float
    level: float
    units: int

    def as_dict(self) -> dict[str, Any]:
        """For ``report.json``."""
        return {
            "low": round(self.low, 6),
            "high": round(self.high, 6),
            "level": self.level,
            "units": self.units,
        }


def interval(errors: Sequence[float], words: Sequence[float], groups: Sequence[str]) -> Interval | None:
    """The percentile interval of sum(errors) / sum(words); None with fewer than two groups, or no words.

    ``groups`` names what is drawn as one, of each utterance: its speaker, or the utterance itself.
    """
    by_group = _summed(np.array([errors, words], dtype=np.float64), groups)
    if by_group.shape[1] < 2 or not by_group[1].any():
        return None
    drawn_errors, drawn_words = _draw(by_group)
    rates = drawn_errors[drawn_words > 0] / drawn_words[drawn_words > 0]
    low, high = np.quantile(rates, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high), LEVEL, by_group.shape[1])


def difference(
    first: Sequence[float], second: Sequence[float], words: Sequence[float], groups: Sequence[str]
) -> tuple[Interval, float] | None:
    """Interval of ``second``'s rate less ``first``'s, and the share of draws in which ``second`` errs less.

    Both systems are judged on the same draws (Bisani & Ney's probability of improvement). None as `interval`.
    """
    by_group = _summed(np.array([first, second, words], dtype=np.float64), groups)
    if by_group.shape[1] < 2 or not by_group[2].any():
        return None
    drawn_first, drawn_second, drawn_words = _draw(by_group)
    there = drawn_words > 0
    change = (drawn_second[there] - drawn_first[there]) / drawn_words[there]
    low, high = np.quantile(change, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high), LEVEL, by_group.shape[1]), float(np.mean(change < 0))


def _summed(counts: Counts, groups: Sequence[str]) -> Counts:
    """Counts ``(k, utterances)`` as ``(k, groups)``."""
    names, index = np.unique(np.array(groups, dtype=str), return_inverse=True)
    return np.stack([np.bincount(index, row, len(names)) for row in counts])


def _draw(by_group: Counts) -> Counts:
    """``SAMPLES`` times as many groups as there are, with replacement; sums ``(k, SAMPLES)``."""
    n = by_group.shape[1]
    times = np.random.default_rng(SEED).multinomial(n, np.full(n, 1.0 / n), size=SAMPLES)
    return by_group @ times.T.astype(np.float64)
