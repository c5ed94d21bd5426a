"""Whether confidence means what it says: of what is 80 % sure, 80 % should be right.

In: probabilities and whether each thing was right. Out: reliability by bins and the usual summary numbers. What
was recognised how is not its business: words and clips are judged alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

BINS = 10
CHANCE_DRAWS = 50


@dataclass(frozen=True, slots=True)
class Bin:
    """Things with a confidence in ``[low, high)``: how many, how sure on average, what share was right."""

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Quality:
    """How good probabilities are; None where it is undefined (nothing there, or all right, or all wrong).

    ``error`` is the expected calibration error, ``chance`` what perfect probabilities would show on as many by
    chance; ``entropy`` the normalised cross entropy (NIST: 1 knows all, 0 no more than the base rate);
    ``order`` the area under the ROC curve.
    """

    count: int
    error: float | None
    chance: float | None
    entropy: float | None
    order: float | None

    def __str__(self) -> str:
        numbers = (self.error, self.chance, self.entropy, self.order)
        error, chance, entropy, order = ("-" if value is None else f"{value:.3f}" for value in numbers)
        return (
            f"n {self.count}, expected calibration error {error} ({chance} by chance alone), "
            f"normalised cross entropy {entropy}, area under ROC {order}"
        )


def quality(probabilities: Sequence[float], right: Sequence[bool]) -> Quality:
    """Of the probabilities, given what was right."""
    values, truth = np.array(probabilities, dtype=np.float64), np.array(right, dtype=np.float64)
    if len(values) == 0:
        return Quality(0, None, None, None, None)
    draws = np.random.default_rng(0).random((CHANCE_DRAWS, len(values))) < values
    chance = np.mean([_error(values, draw.astype(np.float64)) for draw in draws])
    mixed = 0.0 < truth.mean() < 1.0
    return Quality(
        len(values),
        _error(values, truth),
        float(chance),
        _entropy(values, truth) if mixed else None,
        _order(values, truth) if mixed else None,
    )


def reliability(probabilities: Sequence[float], right: Sequence[bool], bins: int = BINS) -> tuple[Bin, ...]:
    """Equally wide bins that hold anything, lowest first; the last one includes 1."""
    values, truth = np.array(probabilities, dtype=np.float64), np.array(right, dtype=np.float64)
    index = np.minimum((values * bins).astype(int), bins - 1)
    found = []
    for at in range(bins):
        inside = index == at
        if inside.any():
            count = int(np.count_nonzero(inside))
            sure, accurate = float(values[inside].mean()), float(truth[inside].mean())
            found.append(Bin(at / bins, (at + 1) / bins, count, sure, accurate))
    return tuple(found)


def expected_calibration_error(
    probabilities: Sequence[float], right: Sequence[bool], bins: int = BINS
) -> float:
    """Mean gap between confidence and accuracy over equally wide bins, weighted by their size (Naeini 2015).

    NaN of nothing.
    """
    if len(probabilities) == 0:
        return math.nan
    return _error(np.array(probabilities, dtype=np.float64), np.array(right, dtype=np.float64), bins)


def _error(values: Values, truth: Values, bins: int = BINS) -> float:
    index = np.minimum((values * bins).astype(int), bins - 1)
    # |sum of confidences - sum of rights| of a bin is its gap times its size
    return float(np.abs(np.bincount(index, values - truth, bins)).sum() / len(values))


def _entropy(values: Values, truth: Values) -> float:
    inside, base = np.clip(values, 1e-6, 1.0 - 1e-6), truth.mean()
    of_base = -(base * math.log(base) + (1.0 - base) * math.log(1.0 - base))
    spent = -np.mean(truth * np.log(inside) + (1.0 - truth) * np.log(1.0 - inside))
    return float(1.0 - spent / of_base)


def _order(values: Values, truth: Values) -> float:
    """Probability that something right is surer than something wrong; ties count half (Mann-Whitney)."""
    wrong, good = np.sort(values[truth == 0.0]), values[truth == 1.0]
    below = np.searchsorted(wrong, good, "left") + np.searchsorted(wrong, good, "right")
    return float(below.mean() / 2.0 / len(wrong))
