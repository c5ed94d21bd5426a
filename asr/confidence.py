"""Confidence: from the posteriors of a path to the probability that a word is right.

A network's posteriors are too sure of themselves. `Calibration` corrects them with a logistic curve (Platt
1999) fitted on dev speech and stored in the bundle; below ``minimum`` a clip is a null result.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from asr.errors import OptionError

_EDGE = 1e-4  # keeps the logit of 0 and 1 finite
_LARGEST_EXPONENT = 700.0  # exp(709.8) is the largest double


@dataclass(frozen=True, slots=True)
class Calibration:
    """P(right) = sigmoid(``slope`` * logit(raw) + ``intercept``); the default changes nothing."""

    slope: float = 1.0
    intercept: float = 0.0
    minimum: float = 0.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.minimum < 1.0:
            raise OptionError(f"minimum confidence is {self.minimum}; it must be in [0, 1)")
        if not (0.0 <= self.slope < math.inf and math.isfinite(self.intercept)):
            raise OptionError(
                f"calibration slope is {self.slope}, intercept {self.intercept}; both must be finite, and a "
                "negative slope would turn the order around"
            )

    def __call__(self, raw: float) -> float:
        """The calibrated probability of a raw confidence in [0, 1]."""
        scaled = self.slope * logit(raw) + self.intercept
        return 1.0 / (1.0 + math.exp(min(-scaled, _LARGEST_EXPONENT)))

    def as_dict(self) -> dict[str, Any]:
        """For ``bundle.json``."""
        return asdict(self)


def logit(raw: float) -> float:
    """Log odds of a raw confidence in [0, 1]; what `Calibration` is fitted on and applied to."""
    raw = min(max(raw, _EDGE), 1.0 - _EDGE)
    return math.log(raw / (1.0 - raw))
