"""All alarms, judged minute by minute: rules and counts in, states and journal entries out. No clock, no database.

`Judge` holds what the watch must remember between two ticks: the state of every alarm, what is usual for every
ratio, and the times of incidents, which are left out of what is usual. All of it comes back from the journal and the
counts (``restore``), so a restart, or another replica, takes up where this one stood.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from monitoring.alarms import baseline, burn, ratio
from monitoring.alarms.baseline import Baseline
from monitoring.alarms.rules import Contract, Drift, Ratio, Rule, Rules
from monitoring.alarms.spell import percent, when
from monitoring.alarms.states import Alarm, Judgement, Phase, step
from monitoring.counts.rollup import RATES
from monitoring.counts.series import Series
from monitoring.moments import microseconds, moment
from monitoring.storage.journal import Entry, Kind

MINUTES = 3 * 24 * 60 + 60  # of contracts' longest window, and some
HOURS = 5 * 7 * 24  # what is usual is learnt from the last weeks
LEARN_AT_LEAST = 10  # times the events that one judgement takes
WEEK = timedelta(days=7)

NOT_YET = Judgement.silent("not judged yet")


class Judge:
    """The alarms of one set of rules. Not thread-safe: one thread judges."""

    def __init__(self, rules: Rules, minutes: Series | None = None, hours: Series | None = None) -> None:
        self.rules = rules
        self.minutes = minutes or Series(60, MINUTES)
        self.hours = hours or Series(3_600, HOURS)
        self.alarms = {name: Alarm(name) for name in rules.by_name}
        self.baselines: dict[str, Baseline] = {}
        self._incidents: dict[str, list[tuple[datetime, datetime | None]]] = {
            name: [] for name in rules.by_name
        }
        self._learn_from: dict[str, datetime] = {}
        self._tried: datetime | None = None
        self.failed: list[
            tuple[str, Exception]
        ] = []  # rules that the last ``judge`` could not judge, and why

    def restore(self, entries: Iterable[Entry]) -> None:
        """Take up what a journal says, oldest first. What it says of rules that there are no more is left."""
        for entry in entries:
            if entry.alarm not in self.alarms:
                continue
            if entry.kind is Kind.FIRED:
                self.alarms[entry.alarm] = Alarm(
                    entry.alarm, Phase.FIRING, entry.at, reason=entry.reason, numbers=entry.body
                )
                self._began(entry.alarm, entry.at, entry.body)
            elif entry.kind is Kind.CLEARED:
                self.alarms[entry.alarm] = Alarm(entry.alarm, Phase.QUIET, entry.at, reason=entry.reason)
                self._ended(entry.alarm, entry.at)
            elif entry.kind is Kind.BASELINE:
                if _quantity(self.rules.by_name[entry.alarm]).items() <= entry.body.items():
                    self.baselines[entry.alarm] = Baseline.from_dict(entry.body)
            elif entry.kind is Kind.ACCEPTED:
                self.accept(entry.alarm, entry.at)

    def accept(self, alarm: str, at: datetime) -> None:
        """A person says that what is seen from now on is usual: learn it anew. Until then the limit alone holds."""
        self.baselines.pop(alarm, None)
        self._learn_from[alarm] = at
        self._incidents[alarm] = []
        self._tried = None

    def judge(self, now: datetime, drifts: Mapping[str, Judgement] | None = None) -> list[Entry]:
        """One judgement of every rule on what is over by ``now``; what is to be written into the journal.

        ``drifts`` are the judgements of the drift rules, made where the records are.
        """
        self.failed = []
        entries: list[Entry] = []
        learns = self._tried is None or now - self._tried >= timedelta(hours=1)
        if learns:
            self._tried = now
        for rule in self.rules:
            try:
                entries += self._step(rule, drifts or {}, now)
                if learns and isinstance(rule, Ratio):
                    entries += self._learn(rule, now)
            except Exception as error:  # a rule that cannot be judged must not silence the others
                self.failed.append((rule.about.name, error))
        return entries

    def _step(self, rule: Rule, drifts: Mapping[str, Judgement], now: datetime) -> list[Entry]:
        name = rule.about.name
        before = self.alarms[name]
        after = self.alarms[name] = step(before, self._judgement(rule, drifts, now), rule.about, now)
        if after.firing and not before.firing:
            self._began(name, now, after.numbers)
            return [Entry(now, name, Kind.FIRED, after.reason, after.numbers)]
        if before.firing and not after.firing:
            self._ended(name, now)
            return [Entry(now, name, Kind.CLEARED, after.reason, after.numbers)]
        return []

    def _judgement(self, rule: Rule, drifts: Mapping[str, Judgement], now: datetime) -> Judgement:
        if isinstance(rule, Contract):
            return burn.judge(rule, self.minutes, now)
        if isinstance(rule, Drift):
            return drifts.get(rule.about.name, NOT_YET)
        return ratio.judge(rule, self.baselines.get(rule.about.name), self.minutes, self.hours, now)

    def _began(self, alarm: str, at: datetime, numbers: Mapping[str, Any]) -> None:
        incidents = self._incidents[alarm]
        if any(ended is None for _, ended in incidents):
            return  # its end was never written; the end of this firing is that of both
        rule = self.rules.by_name[alarm]
        # What made it fire happened before: in the window that fired, and in the time that it was pending.
        shortest = min(rule.windows_s) if isinstance(rule, Ratio) else 0
        before_s = int(numbers.get("window_s", shortest)) + rule.about.pending_s
        incidents.append((at - timedelta(seconds=before_s), None))

    def _ended(self, alarm: str, at: datetime) -> None:
        self._incidents[alarm] = [(began, ended or at) for began, ended in self._incidents[alarm]]

    def _learn(self, rule: Ratio, now: datetime) -> list[Entry]:
        name = rule.about.name
        old = self.baselines.get(name)
        if self.alarms[name].phase is not Phase.QUIET or (old is not None and now - old.at < WEEK):
            return []  # frozen while it fires; and moved once a week
        at_us, bad, events = self._healthy_hours(rule, now)
        seen = events > 0
        if not seen.any() or events.sum() < LEARN_AT_LEAST * rule.least_events:
            return []
        if old is None and now - moment(int(at_us[seen][0])) < timedelta(seconds=rule.learn_s):
            return []
        new = baseline.learn(at_us, bad, events, rule.windows_s, now)
        if old is None:
            usual = percent(ratio.shown(rule, new.level))
            words = (
                f"learnt from {new.events} events since {when(moment(int(at_us[seen][0])))}: usual is {usual}"
            )
        else:
            new, words = baseline.follow(
                old, new, rule.weekly_movement, lambda share: ratio.shown(rule, share)
            )
        self.baselines[name] = new
        return [Entry(now, name, Kind.BASELINE, words, {**new.as_dict(), **_quantity(rule)})]

    def _healthy_hours(
        self, rule: Ratio, now: datetime
    ) -> tuple[baseline.Times, baseline.Floats, baseline.Floats]:
        """When the hours of the last weeks began, bad and all events of each; none in incidents."""
        hour = now.replace(minute=0, second=0, microsecond=0)
        since = max(hour - timedelta(hours=HOURS), datetime(1970, 1, 5, tzinfo=UTC))
        bad, events = ratio.bad_of(rule, self.hours.counts(since, hour, *RATES[rule.of]))
        at_us = microseconds(since) + np.arange(len(events), dtype=np.int64) * baseline.HOUR_US
        left_out = np.zeros(len(events), bool)
        if (first := self._learn_from.get(rule.about.name)) is not None:
            left_out |= at_us < microseconds(first)
        for began, ended in self._incidents[rule.about.name]:
            until_us = microseconds(ended or now)
            left_out |= (at_us + baseline.HOUR_US > microseconds(began)) & (at_us < until_us)
        return at_us, np.where(left_out, 0.0, bad), np.where(left_out, 0.0, events)


def _quantity(rule: Rule) -> dict[str, str]:
    """What is usual of what: of the same quantity only it may be judged by it, whatever the rule is called."""
    return {"of": rule.of, "direction": rule.direction.value} if isinstance(rule, Ratio) else {}
