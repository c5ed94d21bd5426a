"""Changes in streams of yes and no, seen as they happen: null results, redo, typing, clicks, searches without results.

Two detectors of the package `river` watch each stream. ADWIN compares the newer with the older part of a window that
grows while nothing changes; it bounds its false alarms (none in 1.2 million outcomes without change,
`tests/test_change.py` repeats a part) and finds a doubled rate within some 300 outcomes. HDDM_W, a weighted moving
average with McDiarmid's bound, finds a large jump within some tens. Both hold for independent outcomes, and those of
one sitting are not: as in `sample`, a sitting says one thing a stream.

Needs river (extra ``monitor``).
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module
from typing import Any

from monitoring.aftermath import Aftermath
from monitoring.errors import MissingPackageError
from monitoring.features import BY_NAME, Stage
from monitoring.outcomes import Again, was_shown
from monitoring.record import Record

ADWIN_DELTA = 0.002  # river's own
HDDM_CONFIDENCE = 1e-6  # with river's 0.001: 85 false alarms in 100,000 outcomes at a rate of 0.4
HDDM_WEIGHT = 0.01  # of the newest outcome: its average looks back over some hundred
RECENT = 100  # outcomes that are "after"
REMEMBERED = 10_000  # sittings, so that each counts once

STREAMS = {
    "null": Stage.TEXT,
    "no_results": Stage.SEARCH,
    "redo": Stage.PEOPLE,
    "typed": Stage.PEOPLE,
    "clicked": Stage.PEOPLE,
}


@dataclass(frozen=True, slots=True)
class Change:
    """The rate of a stream changed: from about ``before`` to about ``after``, noticed ``at`` a time by a detector."""

    stream: str
    stage: Stage
    detector: str
    at: datetime
    before: float
    after: float
    outcomes: int  # of the stream since its last change

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "stream": self.stream,
            "stage": self.stage.value,
            "detector": self.detector,
            "at": self.at.isoformat(),
            "before": round(self.before, 4),
            "after": round(self.after, 4),
            "outcomes": self.outcomes,
        }


@dataclass(slots=True)
class Changes:
    """Watches all streams. Not for several threads at once. Raises ``MissingPackageError`` without river."""

    _streams: dict[str, _Stream] = field(init=False)

    def __post_init__(self) -> None:
        self._streams = {name: _Stream(name) for name in STREAMS}

    def record(self, record: Record) -> list[Change]:
        """What a request that ended changes: nothing, where nobody saw the answer."""
        if not was_shown(record):
            return []
        null, no_results = BY_NAME["null_rate"].of(record), BY_NAME["no_results_rate"].of(record)
        return [*self._see("null", null, record), *self._see("no_results", no_results, record)]

    def followed(self, row: Aftermath) -> list[Change]:
        """What a person did after a query changes: known when the session is settled, so some minutes later.

        ``clicked`` is of all queries; asking again, of spoken ones (`outcomes.was_spoken`).
        """
        sitting = (None, row.session or f"\0{row.query_id}")
        acts = [("clicked", row.clicks > 0)]
        if row.spoken:
            typed = row.again is Again.TYPED
            acts += [("redo", row.again is not None and not typed), ("typed", typed)]
        return [change for name, did in acts for change in self._streams[name].see(did, sitting, row.at)]

    def _see(self, stream: str, outcome: float | None, record: Record) -> list[Change]:
        if outcome is None:
            return []
        sitting = (record.key_id, record.session or f"\0{record.request_id}")
        return self._streams[stream].see(bool(outcome), sitting, record.at)


class _Stream:
    """One stream, its detectors, and what they had seen when one of them noticed."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._sittings: OrderedDict[tuple[str | None, str], None] = OrderedDict()
        self._begin()

    def _begin(self) -> None:
        self._detectors = _detectors()
        self._recent: deque[int] = deque(maxlen=RECENT)
        self._seen = self._yes = 0

    def see(self, outcome: bool, sitting: tuple[str | None, str], at: datetime) -> list[Change]:
        if sitting in self._sittings:
            self._sittings.move_to_end(sitting)
            return []
        self._sittings[sitting] = None
        if len(self._sittings) > REMEMBERED:
            self._sittings.popitem(last=False)
        self._recent.append(outcome)
        self._seen += 1
        self._yes += outcome
        noticed = []
        for name, detector in self._detectors.items():
            detector.update(outcome)
            if detector.drift_detected:
                noticed.append(name)
        if not noticed:
            return []
        recent, older = sum(self._recent), self._seen - len(self._recent)
        change = Change(
            stream=self._name,
            stage=STREAMS[self._name],
            detector="+".join(noticed),
            at=at,
            before=(self._yes - recent) / older if older else 0.0,
            after=recent / len(self._recent),
            outcomes=self._seen,
        )
        self._begin()  # what was before is over
        return [change]


def _detectors() -> dict[str, Any]:
    try:
        # An extra that takes a second to import, and is typed in part.
        drift, binary = import_module("river.drift"), import_module("river.drift.binary")
    except ImportError as error:
        raise MissingPackageError(
            f"changes in outcomes need the package river, 0.26 or newer ({error}): pip install 'voicesearch[monitor]'"
        ) from error
    return {
        "ADWIN": drift.ADWIN(delta=ADWIN_DELTA),
        "HDDM_W": binary.HDDMW(
            drift_confidence=HDDM_CONFIDENCE,
            warning_confidence=HDDM_CONFIDENCE,
            lambda_val=HDDM_WEIGHT,
            two_sided_test=True,
        ),
    }
