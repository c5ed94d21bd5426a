"""Times on the command line: a moment (``2026-03-01``, ``2026-03-01T12:00+01:00``), or how long ago (``7d``)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from monitoring.drift.windows import Size
from monitoring.errors import WindowError


def moment_of(text: str, now: datetime) -> datetime:
    """The moment, in UTC unless it says otherwise. Raises ``WindowError``."""
    if text[-1:] in "mhdw":
        span = Size.parse(text).span
        if span is not None:
            return now - span
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise WindowError(
            f"{text!r} is no time: write a date (2026-03-01), a date and time (2026-03-01T12:00), or how long ago "
            "with its unit m, h, d or w (7d)"
        ) from error
    return at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)


def span_of(text: str) -> timedelta:
    """A length of time: 30m, 24h, 7d. Raises ``WindowError``."""
    span = Size.parse(text).span
    if span is None or span < timedelta(minutes=1):
        raise WindowError(
            f"{text!r} is no length of time of a minute or more: write a number and m, h, d or w (24h)"
        )
    return span
