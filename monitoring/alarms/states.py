"""What an alarm is: quiet, pending, firing, and quiet again. In: one judgement after the other. Out: its state.

A judgement says whether the alarm's condition holds (*hot*) and whether all is well again (*cool*); in between it
stays what it is (hysteresis), so a value that trembles at the threshold neither fires nor clears every minute. An
alarm fires when it has been hot for as long as its rule says, and clears when it has been cool for as long.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from monitoring.alarms.rules import About


class Phase(StrEnum):
    """Where an alarm is."""

    QUIET = "quiet"
    PENDING = "pending"  # it would fire if this lasts
    FIRING = "firing"


@dataclass(frozen=True, slots=True)
class Judgement:
    """Of one rule at one time. ``reason`` says in words what was seen, also why nothing could be said.

    ``numbers`` are those of the reason, for programs: JSON.
    """

    hot: bool
    cool: bool
    reason: str
    numbers: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def silent(cls, why: str, **numbers: Any) -> Judgement:
        """There is too little to judge: nothing fires, and what fires may clear."""
        return cls(hot=False, cool=True, reason=f"silent: {why}", numbers=numbers)


@dataclass(frozen=True, slots=True)
class Alarm:
    """The state of one. ``since``: of this phase. ``reason`` is that of the last judgement; while it fires, of the
    last hot one."""

    name: str
    phase: Phase = Phase.QUIET
    since: datetime | None = None
    cool_since: datetime | None = None
    reason: str = "not judged yet"
    numbers: Mapping[str, Any] = field(default_factory=dict)

    @property
    def firing(self) -> bool:
        """Whether it fires."""
        return self.phase is Phase.FIRING

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "alarm": self.name,
            "phase": self.phase.value,
            "since": None if self.since is None else self.since.isoformat(),
            "reason": self.reason,
            "numbers": dict(self.numbers),
        }


def step(alarm: Alarm, judged: Judgement, about: About, now: datetime) -> Alarm:
    """The alarm after one more judgement."""
    if alarm.firing:
        return _while_firing(alarm, judged, about, now)
    seen = replace(alarm, reason=judged.reason, numbers=judged.numbers)
    if not judged.hot:
        return replace(seen, phase=Phase.QUIET, since=alarm.since if alarm.phase is Phase.QUIET else now)
    if alarm.phase is Phase.QUIET:
        seen = replace(seen, phase=Phase.PENDING, since=now)
    assert seen.since is not None, "a pending alarm knows since when"
    if now - seen.since < timedelta(seconds=about.pending_s):
        return seen
    return replace(seen, phase=Phase.FIRING, since=now, cool_since=None)


def _while_firing(alarm: Alarm, judged: Judgement, about: About, now: datetime) -> Alarm:
    if not judged.cool:
        kept = replace(alarm, cool_since=None)
        return replace(kept, reason=judged.reason, numbers=judged.numbers) if judged.hot else kept
    cool_since = alarm.cool_since or now
    if now - cool_since < timedelta(seconds=about.clear_s):
        return replace(alarm, cool_since=cool_since)
    return Alarm(alarm.name, Phase.QUIET, now, reason=judged.reason, numbers=judged.numbers)
