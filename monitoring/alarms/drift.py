"""Drift, window after window: when a window is over its records are read and compared with the frozen reference.

The first reference is frozen here, once enough traffic has been seen and no alarm fires; every later one by a person.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from monitoring.alarms.rules import Drift, Reference, Rules
from monitoring.alarms.spell import span, when
from monitoring.alarms.states import Judgement
from monitoring.counts.series import Series
from monitoring.drift.judge import judge
from monitoring.drift.profile import DEFAULT, Profile
from monitoring.drift.report import DriftLimits, DriftReport
from monitoring.drift.verdict import verdict
from monitoring.storage.journal import WATCH, Entry, Kind
from monitoring.store import EventStore

MOST = 20_000  # records of a window, the newest: beyond, no feature is judged any better
MINUTE = timedelta(minutes=1)
AGAIN = timedelta(hours=1)  # a reference that cannot be frozen is tried again


class DriftWatch:
    """The drift rules of a watch. One thread calls it."""

    def __init__(self, rules: Rules, store: EventStore) -> None:
        self._rules, self._store = rules, store
        self._limits = DriftLimits()
        self._before: dict[str, list[tuple[str, ...]]] = {}
        self._began: dict[str, datetime] = {}
        self._profile: Profile | None = None
        self._tried: datetime | None = None
        self.judgements: dict[str, Judgement] = {}

    def restore(self, entries: Sequence[Entry]) -> None:
        """What drifted in the last windows, from the journal, oldest first."""
        for entry in entries:
            if entry.kind is Kind.DRIFT:
                self._before.setdefault(entry.alarm, []).append(tuple(entry.body.get("drifted", ())))
                self._began[entry.alarm] = entry.at
                # What was judged holds until the next window: an alarm does not end for a restart.
                self.judgements[entry.alarm] = _judgement(entry.reason, entry.body)

    def judge(self, minutes: Series, now: datetime) -> list[tuple[Entry, DriftReport]]:
        """The windows that are over, judged. Raises StoreUnavailableError."""
        if self._profile is None or any(self._due(rule, now) for rule in self._rules.drifts):
            self._profile = self._store.profile(DEFAULT)  # a person may have frozen another since
        found = []
        for rule in self._rules.drifts:
            name = rule.about.name
            if self._profile is None:
                self.judgements[name] = Judgement.silent(
                    "there is no reference yet; voicesearch monitor freeze makes one"
                )
            elif self._due(rule, now) and (since := self._window(rule, minutes, now)) is not None:
                found.append(self._judge(rule, self._profile, since, now))
        return found

    def freeze_first(self, reference: Reference, hours: Series, now: datetime, *, calm: bool) -> list[Entry]:
        """The first reference, where there is none and all of ``reference`` holds. ``calm``: no alarm fires."""
        if self._profile is not None or not calm:
            return []
        since = self._since(reference, hours, now)
        if since is None or (self._tried is not None and now - self._tried < AGAIN):
            return []
        self._tried = now
        if self._store.profile(DEFAULT) is not None:
            return []
        # Only as far back as it takes: the newest traffic is what is compared first.
        profile = Profile.freeze(self._store.records(since, now), DEFAULT, now)
        self._store.freeze(profile)
        self._profile = profile
        words = (
            f"the first reference was frozen by itself, from {profile.records} records since {when(since)}; "
            "from now on only a person freezes another (voicesearch monitor freeze)"
        )
        body = {"name": profile.name, "digest": profile.digest, "records": profile.records, "by": WATCH}
        return [Entry(now, WATCH, Kind.PROFILE, words, body)]

    def _since(self, reference: Reference, hours: Series, now: datetime) -> datetime | None:
        first = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=24 * 28)
        counts = hours.counts(first, now, "requests")[:, 0]
        back = np.cumsum(counts[::-1])
        enough = int(np.searchsorted(back, reference.records)) + 1
        seen = np.flatnonzero(counts)
        if enough > len(counts) or not len(seen):
            return None
        oldest = first + timedelta(hours=int(seen[0]))
        if now - oldest < timedelta(seconds=reference.span_s):
            return None
        span_hours = max(enough, -(-reference.span_s // 3_600))
        return max(oldest, first + timedelta(hours=len(counts) - span_hours))

    def _beginning(self, rule: Drift) -> datetime | None:
        """Where the window begins that is not judged yet."""
        if self._profile is None:
            return None
        return max(self._began.get(rule.about.name, self._profile.until), self._profile.until)

    def _due(self, rule: Drift, now: datetime) -> bool:
        began = self._beginning(rule)
        return began is not None and now - began >= timedelta(seconds=rule.span_s)

    def _window(self, rule: Drift, minutes: Series, now: datetime) -> datetime | None:
        """From when on records are judged; None: there are too few, and the window goes on."""
        name, began = rule.about.name, self._beginning(rule)
        assert began is not None, "a window begins where there is a reference"
        counts = minutes.counts(began, now, "requests")[:, 0]
        if counts.sum() < rule.records:
            self.judgements.setdefault(
                name,
                Judgement.silent(
                    f"{counts.sum()} requests since {when(began)}, and it takes {rule.records} to judge"
                ),
            )
            return None
        newest = int(np.searchsorted(np.cumsum(counts[::-1]), MOST)) + 1
        return max(began, now - newest * MINUTE)

    def _judge(
        self, rule: Drift, profile: Profile, since: datetime, now: datetime
    ) -> tuple[Entry, DriftReport]:
        name = rule.about.name
        limits = DriftLimits(
            rate=rule.false_alarm_rate,
            distance=self._limits.distance,
            h=self._limits.h,
            needed=rule.needed,
            of=rule.of_windows,
            stages=rule.stages,
        )
        before = self._before.setdefault(name, [])
        report = judge(profile, self._store.records(since, now), before, limits)
        self._began[name] = now
        before.append(report.drifted)
        del before[: -rule.of_windows]
        words = verdict(report).words
        if report.persistent:
            names = ", ".join(report.persistent)
            words = f"{names}: in {rule.needed} of the last {rule.of_windows} windows of {span(rule.span_s)}. {words}"
        body = report.as_dict()
        self.judgements[name] = _judgement(words, body)
        return Entry(now, name, Kind.DRIFT, words, body), report


def _judgement(words: str, body: Mapping[str, Any]) -> Judgement:
    """Of a report, as the journal keeps it."""
    numbers = {name: body.get(name) for name in ("drifted", "persistent", "records")}
    if body.get("since") and body.get(
        "until"
    ):  # so long a window: that is how far back to look for its cause
        window = datetime.fromisoformat(body["until"]) - datetime.fromisoformat(body["since"])
        numbers["window_s"] = round(window.total_seconds())
    return Judgement(bool(body.get("persistent")), not body.get("persistent"), words, numbers)
