"""What goes wrong, when, and for whom: incidents that can be switched on together.

An incident strikes a share of the people, always the same ones: who has the new microphone keeps it. It may come all
at once, or grow for as long as it lasts. Of several that strike the same query, the last of the list decides how it is
heard; slow answers and outages add up. `parse` reads what `scripts/simulate_traffic` takes:

    microphone@2d..4d:0.3        a new microphone for 30 % of the people, from day 2 to day 4
    broken@12h..                 a broken model for all, from noon on
    quiet@0h..10d:0..0.5         a share that grows from 0 to a half
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from monitoring.errors import IncidentError
from monitoring.simulation.pool import CONDITIONS, NORMAL, Pool

SLOW, OUTAGE = "slow", "outage"
KINDS = (*(condition for condition in CONDITIONS if condition != NORMAL), SLOW, OUTAGE)
EVER = timedelta(days=36_500)

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_TIME = r"(?:\d+(?:\.\d+)?[smhd])"
_SHARE = r"(?:\d*\.?\d+)"
_SPELLED = re.compile(
    rf"(?P<kind>[a-z]+)(?:@(?P<since>{_TIME})\.\.(?P<until>{_TIME})?)?(?::(?P<first>{_SHARE})(?:\.\.(?P<last>{_SHARE}))?)?"
)


@dataclass(frozen=True, slots=True)
class Incident:
    """``kind`` of ``KINDS``, for a share of people in ``[since, until)``.

    The share goes in a straight line from ``share`` to ``grows_to`` where that is given. ``strength``: of ``SLOW``, how
    many times as long answers take; of ``OUTAGE``, the share of requests that fail. ``model`` and ``device`` are what
    records of those who are struck say, where it is something else than usual.
    """

    kind: str
    since: datetime
    until: datetime
    share: float = 1.0
    grows_to: float | None = None
    strength: float | None = None
    model: str | None = None
    device: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise IncidentError(f"incident {self.kind!r}: expected one of {', '.join(KINDS)}")
        if self.since >= self.until:
            raise IncidentError(f"{self.kind} would end at {self.until}, before it begins at {self.since}")
        for share in (self.share, self.grows_to):
            if share is not None and not 0.0 <= share <= 1.0:
                raise IncidentError(f"{self.kind}: a share of {share:g} of the people; expected 0 to 1")

    def share_at(self, at: datetime) -> float:
        """The share of people that it strikes at a time."""
        if not self.since <= at < self.until:
            return 0.0
        if self.grows_to is None:
            return self.share
        return self.share + (self.grows_to - self.share) * ((at - self.since) / (self.until - self.since))


def rising(
    pool: Pool, kind: str, since: datetime, until: datetime, points_a_day: float, baseline: str = NORMAL
) -> Incident:
    """An incident that grows so that the null rate of clips rises by ``points_a_day`` (0.2: from 5.0 % to 5.2 %).

    What people do then comes on top: they ask again, and those whom it strikes more often. Raises IncidentError
    where the pool has no condition that bad.
    """
    each = pool.null_rate(kind) - pool.null_rate(baseline)
    share = points_a_day / 100.0 * ((until - since) / timedelta(days=1)) / each if each > 0.0 else 2.0
    if share > 1.0:
        raise IncidentError(
            f"{kind} adds {100 * each:.1f} points to the null rate at most; {points_a_day:g} a day until {until} "
            "would be more: choose a shorter time or a worse incident"
        )
    return Incident(kind, since, until, 0.0, grows_to=share)


def parse(spelled: str, start: datetime) -> Incident:
    """``KIND[@SINCE..[UNTIL]][:SHARE[..SHARE]]``, times from ``start`` in s, m, h or d. Raises IncidentError."""
    read = _SPELLED.fullmatch(spelled)
    if read is None:
        raise IncidentError(
            f"incident {spelled!r}: expected KIND[@SINCE..[UNTIL]][:SHARE[..SHARE]], such as microphone@2d..4d:0.3"
        )
    if read["last"] is not None and read["until"] is None:
        raise IncidentError(f"incident {spelled!r}: a share that changes needs an end, such as @0h..10d")
    since = start + (_span(read["since"]) if read["since"] else timedelta())
    until = start + (_span(read["until"]) if read["until"] else EVER)
    return Incident(
        read["kind"],
        since,
        until,
        share=float(read["first"] or 1.0),
        grows_to=None if read["last"] is None else float(read["last"]),
    )


def _span(spelled: str) -> timedelta:
    return timedelta(**{_UNITS[spelled[-1]]: float(spelled[:-1])})


def active(incidents: Sequence[Incident], at: datetime) -> list[tuple[int, float]]:
    """Number and share of those that strike somebody at a time."""
    return [(number, share) for number, each in enumerate(incidents) if (share := each.share_at(at)) > 0.0]
