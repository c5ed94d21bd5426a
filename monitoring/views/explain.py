"""Why an alarm fired: since when, what moved before it and in which order, data or concept drift, and what to do.

From what is kept: the journal, rollups of the hours before, and, where there is a reference, records of the alarm's
own time. Nothing is asked of the running service, so it works on another machine and weeks later, as far as rollups
reach.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from monitoring.alarms.rules import Rule, kind_of
from monitoring.alarms.spell import span, when
from monitoring.counts.rollup import Rollup, total
from monitoring.drift.change import Change
from monitoring.drift.judge import judge
from monitoring.drift.profile import DEFAULT
from monitoring.drift.report import DriftReport
from monitoring.drift.verdict import INPUTS, Verdict, verdict
from monitoring.drift.verdict import Kind as Drift
from monitoring.errors import ProfileError
from monitoring.features import Stage
from monitoring.outcomes import SHADOW
from monitoring.storage.journal import Entry, Kind
from monitoring.store import EventStore
from monitoring.views.moved import Moved, Slots, moved

BEFORE = timedelta(hours=6)  # what is looked at before an alarm, or three of its windows
AFTER = timedelta(hours=1)
RECORDS = 20_000  # of the alarm's own time, for the verdict
# Rollups become coarser with age (`counts.tiers`): slots that they still tell apart.
STEPS = ((timedelta(hours=1), 5), (timedelta(hours=20), 10))
HOUR = timedelta(hours=1)
_STREAMS = {
    "null_rate": "null", "no_results_rate": "no_results", "redo_rate": "redo", "typing_rate": "typed",
    "click_rate": "clicked",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Explanation:
    """Of the last time that an alarm fired. ``fired`` None: it never did, as far as the journal reaches."""

    rule: Rule
    fired: Entry | None
    cleared: Entry | None
    now: datetime
    moved: tuple[Moved, ...] = ()
    models: tuple[tuple[datetime, str], ...] = ()
    noted: tuple[Entry, ...] = ()
    verdict: Verdict | None = None

    @property
    def first(self) -> Moved | None:
        """What moved first."""
        return self.moved[0] if self.moved else None

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        about = self.rule.about
        return {
            "alarm": about.name,
            "kind": kind_of(self.rule),
            "severity": about.severity.value,
            "help": about.help,
            "lookfor": about.lookfor,
            "fired": None if self.fired is None else self.fired.as_dict(),
            "cleared": None if self.cleared is None else self.cleared.as_dict(),
            "first": None if self.first is None else self.first.as_dict(),
            "moved": [one.as_dict() for one in self.moved],
            "models": [{"at": at.isoformat(), "model": model} for at, model in self.models],
            "noted": [{**entry.as_dict(), "body": None} for entry in self.noted],
            "verdict": None if self.verdict is None else self.verdict.as_dict(),
        }

    def lines(self) -> Iterator[str]:
        """For people."""
        about = self.rule.about
        if self.fired is None:
            yield f"{about.name} has not fired, as far as the journal reaches. It says: {about.help}"
            return
        if self.cleared is None:
            lasted = f"fires since {when(self.fired.at)}, for {_long(self.now - self.fired.at)}"
        else:
            lasted = f"fired {when(self.fired.at)} and cleared after {_long(self.cleared.at - self.fired.at)}"
        yield f"{about.name} ({about.severity.value}) {lasted}"
        yield f"  {about.help}"
        yield f"  {self.fired.reason}"
        yield from self._what_moved()
        if self.verdict is not None:
            yield f"Verdict: {self.verdict.words}"
        yield f"Look at: {about.lookfor}"

    def _what_moved(self) -> Iterator[str]:
        if self.first is None:
            yield "Nothing else moved in these hours beyond chance and the usual rhythm."
        else:
            yield "What moved, by time and in the order of the pipeline:"
            for one in self.moved:
                yield f"  {when(one.at)}  {one.stage:8}{one.words()}"
            yield f"First: {self.first.stage} ({self.first.name}), {when(self.first.at)}."
        for at, model in self.models:
            yield f"A model began to serve: {model}, {when(at)}."
        for entry in self.noted:
            yield f"Noted {when(entry.at)}: {entry.alarm} {entry.kind.value}: {entry.reason}"


def explain(store: EventStore, rule: Rule, now: datetime) -> Explanation:
    """The last time that the alarm of a rule fired. Raises StoreUnavailableError."""
    states = store.journal(until=now, alarm=rule.about.name, kinds=(Kind.FIRED, Kind.CLEARED))
    fired = next((entry for entry in reversed(states) if entry.kind is Kind.FIRED), None)
    if fired is None:
        return Explanation(rule, None, None, now)
    cleared = next((entry for entry in states if entry.kind is Kind.CLEARED and entry.at >= fired.at), None)
    until = min(now, fired.at + AFTER)
    before = max(BEFORE, 3 * timedelta(seconds=float(fired.body.get("window_s") or 0)))
    step = _step(now - (fired.at - before))
    since = _whole(fired.at - before, step)
    rows = store.rollups(since, until, step)
    found = tuple(moved(_slots(rows), _usual(store, since, until, step)))
    kinds = (Kind.RULES, Kind.PROFILE, Kind.ACCEPTED, Kind.FIRED)
    noted = [one for one in store.journal(since, until, kinds=kinds) if one != fired]
    return Explanation(
        rule,
        fired,
        cleared,
        now,
        found,
        _new_models(rows),
        tuple(noted),
        _verdict(store, fired.at, until, found),
    )


def _verdict(store: EventStore, fired: datetime, until: datetime, found: Sequence[Moved]) -> Verdict:
    """By the reference, where there is one that can be compared with; else by what moved."""
    began = min((one.at for one in found), default=fired - HOUR)
    report = _report(store, min(began, fired - HOUR), until)
    if report is not None:
        return verdict(report, [_change(one) for one in found if one.name in _STREAMS])
    return _by_what_moved(found)


def _by_what_moved(found: Sequence[Moved]) -> Verdict:
    staged = [one for one in found if one.stage in tuple(Stage)]
    inputs = [one.words() for one in staged if Stage(one.stage) in INPUTS]
    outcomes = [one.words() for one in staged if Stage(one.stage) not in INPUTS]
    if inputs and outcomes:
        kind, words = Drift.BOTH, f"inputs moved ({', '.join(inputs)}), and so did what becomes of them"
    elif inputs:
        kind, words = (
            Drift.DATA,
            f"data drift: inputs moved ({', '.join(inputs)}); what becomes of them did not",
        )
    elif outcomes:
        kind, words = Drift.CONCEPT, f"concept drift: inputs are as they were, but {', '.join(outcomes)}"
    else:
        kind, words = Drift.NONE, "neither inputs nor what becomes of them moved"
    names = tuple(one.name for one in staged)
    stages = tuple(dict.fromkeys(Stage(one.stage) for one in staged))
    return Verdict(kind, f"{words} (without a reference: by what moved in these hours).", names, stages)


def _change(one: Moved) -> Change:
    stream = _STREAMS[one.name]
    return Change(stream, Stage(one.stage), "scan", one.at, one.before, one.after, 0)


def _report(store: EventStore, since: datetime, until: datetime) -> DriftReport | None:
    try:
        profile = store.profile(DEFAULT)
    except ProfileError:  # frozen by another version: what moved still says something
        return None
    if profile is None:
        return None
    report = judge(profile, store.records(since, until, RECORDS))
    return report if report.features else None


def _step(reach: timedelta) -> timedelta:
    minutes = next((minutes for age, minutes in STEPS if reach <= age + BEFORE), 60)
    return timedelta(minutes=minutes)


def _whole(at: datetime, step: timedelta) -> datetime:
    day = at.replace(hour=0, minute=0, second=0, microsecond=0)
    return day + (at - day) // step * step


def _slots(rows: Sequence[tuple[datetime, Any, Rollup]]) -> Slots:
    """All models and transports together; shadows, which nobody sees, left out."""
    times = sorted({at for at, _, _ in rows})
    return [
        (at, total(rollup for then, key, rollup in rows if then == at and key.arm != SHADOW)) for at in times
    ]


def _usual(store: EventStore, since: datetime, until: datetime, step: timedelta) -> Slots:
    """The same hours a week ago, or, where there are none, a day ago."""
    for days in (7, 1):
        ago = timedelta(days=days)
        if until - since < ago and (rows := store.rollups(since - ago, until - ago, max(step, HOUR))):
            return _slots(rows)
    return ()


def _new_models(rows: Sequence[tuple[datetime, Any, Rollup]]) -> tuple[tuple[datetime, str], ...]:
    """Models that were not there in the first slot, and when they came."""
    began: dict[str, datetime] = {}
    for at, key, _ in rows:
        began.setdefault(key.model, at)
    first = min(began.values(), default=None)
    return tuple((at, model) for model, at in began.items() if at != first)


def _long(time: timedelta) -> str:
    return span(max(1, round(time.total_seconds() / 60)) * 60)
