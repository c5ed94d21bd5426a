"""How sure a share is that was counted: Wilson's interval, so that few data look as uncertain as they are."""

from __future__ import annotations

from math import sqrt

Z = 1.959964  # of 95 %


def wilson(part: int, whole: int, z: float = Z) -> tuple[float, float]:
    """The 95 % interval of a share, within [0, 1] also for 0 of 3. (0, 1) where nothing was counted.

    E. B. Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927).
    """
    if not whole:
        return 0.0, 1.0
    share, z2 = part / whole, z * z
    centre = (share + z2 / (2 * whole)) / (1 + z2 / whole)
    half = z / (1 + z2 / whole) * sqrt(share * (1 - share) / whole + z2 / (4 * whole * whole))
    return max(0.0, centre - half), min(1.0, centre + half)
