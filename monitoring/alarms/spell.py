"""Numbers in words, the same in every reason, report and page."""

from __future__ import annotations

from datetime import datetime

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def percent(share: float) -> str:
    """``0.0512`` as ``5.1 %``; small ones with more digits."""
    return f"{100 * share:.2g} %" if 0 < abs(share) < 0.01 else f"{100 * share:.1f} %"


def points(change: float) -> str:
    """A change of a share, with its sign: ``+1.40 points``."""
    return f"{100 * change:+.2f} points"


def span(seconds: float) -> str:
    """A length of time in its largest whole unit: ``90 min``, ``6 h``, ``3 d``."""
    for unit, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= unit and seconds % unit == 0:
            return f"{round(seconds / unit)} {name}"
    return f"{round(seconds / 60)} min" if seconds >= 60 else f"{seconds:g} s"


def when(at: datetime) -> str:
    """A time for people: ``2026-03-01 14:05 UTC``."""
    return f"{at:%Y-%m-%d %H:%M} UTC"
