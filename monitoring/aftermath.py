"""What became of one query, as a row: numbers and names, no text."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from monitoring.outcomes import Again, Followed
from monitoring.record import Record, Transport


@dataclass(frozen=True, slots=True)
class Aftermath:
    """One row. ``at``, ``model``, ``arm``, ``transport`` and ``session`` are those of the query itself, not of what
    followed. ``dwell_s`` is of the longest click that ended; None: there was none. ``spoken`` as `Followed` has it."""

    query_id: str
    at: datetime
    model: str
    arm: str
    transport: Transport
    session: str | None
    again: Again | None
    again_as: str | None
    told: bool
    clicks: int
    dwell_s: float | None
    satisfied: bool
    spoken: bool = True

    @classmethod
    def of(cls, record: Record, followed: Followed) -> Aftermath:
        """Of a query and what became of it."""
        return cls(
            followed.query_id,
            record.at,
            followed.model,
            followed.arm,
            record.transport,
            record.session,
            followed.again,
            followed.again_as,
            followed.told,
            len(followed.clicks),
            max((click.dwell_s for click in followed.clicks if click.dwell_s is not None), default=None),
            followed.satisfied,
            followed.spoken,
        )
