"""Times as the store has them: whole microseconds since 1970 in UTC, which sort and come back exactly."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def microseconds(at: datetime) -> int:
    """Since 1970 in UTC, exactly: no float is involved."""
    return ((at if at.tzinfo else at.replace(tzinfo=UTC)) - _EPOCH) // _MICROSECOND


def moment(at_us: int) -> datetime:
    """The inverse, in UTC."""
    return _EPOCH + timedelta(microseconds=at_us)
