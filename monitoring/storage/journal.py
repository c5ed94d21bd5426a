"""What alarms did, and every change of what they are judged by, with its reason: a log that is only ever added to.

Entries are kept for people ("what happened that night, and who changed the threshold") and for the watch itself,
which takes up after a restart what the journal says: which alarms fire, what is usual, what a person has silenced.
No entry holds what anybody said.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import Engine, insert, select

from monitoring.moments import microseconds, moment
from monitoring.storage.database import reading, unavailable, writing
from monitoring.storage.schema import JOURNAL

WATCH = "watch"  # the ``alarm`` of entries that are about no alarm in particular


class Kind(StrEnum):
    """What an entry is about."""

    FIRED = "fired"
    CLEARED = "cleared"
    BASELINE = "baseline"  # what is usual was learnt, or moved
    ACCEPTED = "accepted"  # a person: this is how it is from now on, learn it anew
    SILENCED = "silenced"  # a person: tell nobody until then
    RULES = "rules"  # the file of rules is another than before
    DRIFT = "drift"  # a window was compared with the reference
    PROFILE = "profile"  # a reference was frozen


@dataclass(frozen=True, slots=True)
class Entry:
    """One line. ``reason`` is in a person's words, ``body`` the numbers behind it, for JSON.

    ``number``: of the journal's own, in the order of writing, whatever the clocks of the writers say; 0: not written.
    """

    at: datetime
    alarm: str
    kind: Kind
    reason: str
    body: Mapping[str, Any] = field(default_factory=dict)
    number: int = field(default=0, compare=False)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "at": self.at.isoformat(),
            "alarm": self.alarm,
            "kind": self.kind.value,
            "reason": self.reason,
            **({"body": dict(self.body)} if self.body else {}),
        }


def append(engine: Engine, entries: Iterable[Entry]) -> None:
    """Add entries, all or none. Raises StoreUnavailableError."""
    rows = [
        {
            "at_us": microseconds(entry.at),
            "alarm": entry.alarm,
            "kind": entry.kind.value,
            "reason": entry.reason,
            "body": dict(entry.body),
        }
        for entry in entries
    ]
    if not rows:
        return
    try:
        with writing(engine) as connection:
            connection.execute(insert(JOURNAL), rows)
    except Exception as error:
        raise unavailable(error) from error


def read(
    engine: Engine,
    since: datetime | None = None,
    until: datetime | None = None,
    *,
    alarm: str | None = None,
    kinds: Collection[Kind] = tuple(Kind),
    newest: int = 1_000,
) -> list[Entry]:
    """Entries of ``[since, until)``, oldest first; of more than ``newest`` the newest. Raises StoreUnavailableError."""
    asked = select(JOURNAL).where(JOURNAL.c.kind.in_([kind.value for kind in kinds]))
    if since is not None:
        asked = asked.where(JOURNAL.c.at_us >= microseconds(since))
    if until is not None:
        asked = asked.where(JOURNAL.c.at_us < microseconds(until))
    if alarm is not None:
        asked = asked.where(JOURNAL.c.alarm == alarm)
    # By time, then as they were written: simulated time may be far from when.
    asked = asked.order_by(JOURNAL.c.at_us.desc(), JOURNAL.c.id.desc()).limit(newest)
    with reading(engine) as connection:
        rows = connection.execute(asked).mappings().all()
    return [
        Entry(moment(row["at_us"]), row["alarm"], Kind(row["kind"]), row["reason"], row["body"], row["id"])
        for row in reversed(rows)
    ]
