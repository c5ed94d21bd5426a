"""Drift, window after window: when a window is over its records are read and compared with the frozen reference.

A window is read and measured once for all rules that have it, and each decides on its own stages; what it says in
words is of all stages. A person may freeze another reference at any time: then all begins anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from monitoring.alarms.first_reference import IN_FLIGHT, FirstReference, complete
from monitoring.alarms.outcome_changes import OutcomeChanges
from monitoring.alarms.rules import Drift, Rules
from monitoring.alarms.spell import span, when
from monitoring.alarms.states import Judgement
from monitoring.counts.series import Series
from monitoring.drift.judge import Measured, decide, measure
from monitoring.drift.profile import DEFAULT, Profile
from monitoring.drift.report import DriftLimits
from monitoring.drift.sample import gather
from monitoring.drift.verdict import verdict
from monitoring.features import Stage
from monitoring.storage.journal import Entry, Kind
from monitoring.store import EventStore

MOST = 20_000  # records of a window, the newest: beyond, no feature is judged any better
MINUTE = timedelta(minutes=1)
REACH = timedelta(days=3)  # of the counts by the minute: no window is longer
STALE = 2  # times as long as the window before: if there is no other by then, what it found is over


class DriftWatch:
    """The drift rules of a watch. One thread calls it."""

    def __init__(self, rules: Rules, store: EventStore) -> None:
        self._rules, self._store = rules, store
        self._first = FirstReference(rules.reference, store)
        self._changes = OutcomeChanges(store)
        self._told: tuple[Entry, ...] = ()
        self._before: dict[str, list[tuple[str, ...]]] = {}
        self._began: dict[str, datetime] = {}
        self._profile: Profile | None = None
        self._scores: dict[str, dict[str, tuple[float, float]]] = {}
        self.judgements: dict[str, Judgement] = {}

    @property
    def scores(self) -> dict[str, tuple[float, float]]:
        """Score and threshold of each feature that could be judged in the last window of a rule."""
        return {name: pair for scores in self._scores.values() for name, pair in scores.items()}

    def restore(self, entries: Sequence[Entry]) -> None:
        """What drifted in the last windows, from the journal, oldest first; taken up where its reference still is."""
        self._told = tuple(entry for entry in entries if entry.kind is Kind.DRIFT)
        self._began = {entry.alarm: entry.at - IN_FLIGHT for entry in self._told}

    def freeze_first(self, hours: Series, now: datetime, *, calm: bool) -> list[Entry]:
        """The first reference, where there is none: `FirstReference.freeze`."""
        return self._first.freeze(hours, now, calm=calm)

    def judge(self, minutes: Series, now: datetime) -> list[Entry]:
        """The windows that are over, judged. Raises StoreUnavailableError."""
        until = complete(self._store, now)
        if self._profile is None or any(self._due(rule, until) for rule in self._rules.drifts):
            self._use(self._store.profile(DEFAULT))  # a person may have frozen another since
        found = []
        windows: dict[tuple[datetime, DriftLimits], Measured] = {}
        for rule in self._rules.drifts:
            if self._profile is None:
                self.judgements[rule.about.name] = Judgement.silent(
                    "there is no reference yet; voicesearch monitor freeze makes one"
                )
            elif self._due(rule, until) and (since := self._window(rule, minutes, until)) is not None:
                limits = DriftLimits(rate=rule.false_alarm_rate, needed=rule.needed, of=rule.of_windows)
                window = windows.get((since, limits))
                if window is None:
                    sample = gather(self._changes.through(self._store.records(since, until)))
                    self._changes.follow(since, until)
                    window = windows[since, limits] = measure(self._profile, sample, limits)
                found.append(self._judge(rule, window, since, until, now))
        return found

    def _use(self, profile: Profile | None) -> None:
        """Another reference than before has no history but what the journal knows of it."""
        digest = profile and profile.digest
        if digest != (self._profile and self._profile.digest):
            self._before, self._scores, self.judgements = {}, {}, {}
            for entry in self._told:
                if entry.body.get("digest") == digest:
                    self._before.setdefault(entry.alarm, []).append(tuple(entry.body.get("drifted", ())))
                    # What was judged holds until the next window: an alarm does not end for a restart.
                    self._found(entry)
        self._profile, self._told = profile, ()

    def _beginning(self, rule: Drift) -> datetime | None:
        """Where the window begins that is not judged yet."""
        if self._profile is None:
            return None
        return max(self._began.get(rule.about.name, self._profile.until), self._profile.until)

    def _due(self, rule: Drift, until: datetime) -> bool:
        began = self._beginning(rule)
        return began is not None and until - began >= timedelta(seconds=rule.span_s)

    def _window(self, rule: Drift, minutes: Series, until: datetime) -> datetime | None:
        """From when on records are judged; None: there are too few, and the window goes on."""
        began = self._beginning(rule)
        assert began is not None, "a window begins where there is a reference"
        held = max(began, until - REACH)
        counts = minutes.counts(held, until, "requests")[:, 0]
        if counts.sum() < rule.records:
            self._wait(rule, int(counts.sum()), held, until - began)
            return None
        newest = int(np.searchsorted(np.cumsum(counts[::-1]), MOST)) + 1
        return max(held, until - newest * MINUTE)

    def _wait(self, rule: Drift, requests: int, held: datetime, waited: timedelta) -> None:
        """What the last window found holds for as long as another could have come by now, and then no longer."""
        name = rule.about.name
        last = self.judgements.get(name)
        window_s = last.numbers.get("window_s", 0) if last else 0
        if waited.total_seconds() >= max(STALE * window_s, rule.of_windows * rule.span_s if window_s else 0):
            self._scores.pop(name, None)
            self.judgements[name] = Judgement.silent(
                f"{requests} requests since {when(held)}, and it takes {rule.records} to judge"
            )

    def _judge(
        self, rule: Drift, measured: Measured, since: datetime, until: datetime, now: datetime
    ) -> Entry:
        name = rule.about.name
        # As long as the windows that a drift persists in: what changed in one of them is a part of it.
        recent = until - rule.of_windows * max(until - since, timedelta(seconds=rule.span_s))
        changes = self._changes.since(recent)
        before = self._before.setdefault(name, [])
        report = decide(measured, before, rule.stages)
        self._began[name] = until
        before.append(report.drifted)
        del before[: -rule.of_windows]
        # In words it is of all stages: whether inputs or what becomes of them moved takes both.
        others = [stage for stage in Stage if stage not in rule.stages]
        said = verdict(report.beside(decide(measured, stages=others)), changes)
        words = said.words
        if report.persistent:
            names = ", ".join(report.persistent)
            words = f"{names}: in {rule.needed} of the last {rule.of_windows} windows of {span(rule.span_s)}. {words}"
        told = {"verdict": said.as_dict(), "changes": [change.as_dict() for change in changes]}
        entry = Entry(now, name, Kind.DRIFT, words, {**report.as_dict(), **told})
        self._found(entry)
        return entry

    def _found(self, entry: Entry) -> None:
        """As the journal keeps it."""
        features = entry.body.get("features", {})
        self._scores[entry.alarm] = {
            name: (float(one["score"]), float(one["threshold"])) for name, one in features.items()
        }
        self.judgements[entry.alarm] = _judgement(entry.reason, entry.body)


def _judgement(words: str, body: Mapping[str, Any]) -> Judgement:
    """Of a report, as the journal keeps it."""
    numbers = {name: body.get(name) for name in ("drifted", "persistent", "records")}
    since, until = body.get("since"), body.get("until")
    if since and until:  # so long a window: that is how far back to look for its cause
        window = datetime.fromisoformat(until) - datetime.fromisoformat(since)
        numbers["window_s"] = round(window.total_seconds())
    return Judgement(bool(body.get("persistent")), not body.get("persistent"), words, numbers)
