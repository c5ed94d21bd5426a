"""The watch: everything of the monitoring that runs beside the service, composed. One ``tick`` after the other.

    observe(item)   from any thread, some microseconds: counted, and remembered until it is known what became of it
    tick(now)       in one thread: settle sessions, write counts, judge, journal, set gauges, tell

Each step of a tick is on its own: one that fails is logged and counted, and the others go on, now and at the next
tick. While the store is away, counts, what became of queries and entries of the journal wait (bounded), and what this
process saw is judged without it. Of several processes on one store each writes what it saw, and one judges what all
saw; the others show what it found.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from monitoring.aftermath import Aftermath
from monitoring.alarms.actions import Action
from monitoring.alarms.announcing import Announcer, Silence, silences
from monitoring.alarms.drift import DriftWatch
from monitoring.alarms.judging import HOURS, MINUTES, Judge
from monitoring.alarms.rule_changes import as_dict, differences
from monitoring.alarms.rules import Rules
from monitoring.alarms.states import Alarm
from monitoring.counts.flushing import Delta, Flusher
from monitoring.counts.rollup import Rollup
from monitoring.counts.tally import Tally
from monitoring.errors import StoreUnavailableError
from monitoring.follower import Follower
from monitoring.metrics import Metrics
from monitoring.outcomes import Again, Followed
from monitoring.record import Event, Record
from monitoring.storage.journal import WATCH, Entry, Kind
from monitoring.store import EventStore

LOG = logging.getLogger(__name__)

LATE = timedelta(minutes=30)  # what is read anew at each tick: counts of what people did come late
KEEP_ENTRIES, KEEP_SETTLED = 1_000, 50_000  # that wait for the store
HELD = timedelta(days=31)  # how far back a silence may have begun
TIDY = timedelta(minutes=10)
AHEAD = timedelta(minutes=5)  # the clocks of processes differ
SHADOW = "shadow"
STATES = (Kind.FIRED, Kind.CLEARED)


class Watch:
    """Made once a process; ``close`` it. ``alarms`` may be asked from any thread, the rest from the one that ticks."""

    def __init__(
        self,
        store: EventStore,
        metrics: Metrics,
        rules: Rules,
        follower: Follower,
        actions: Sequence[Action] = (),
    ) -> None:
        self.rules = rules
        self.failures: Counter[str] = Counter()  # steps of ticks, and rules, that raised
        self.ticks = 0
        self._store, self._metrics, self._follower = store, metrics, follower
        self._tally = Tally()
        self._flusher = Flusher(self._tally, store.add_rollups)
        self._candidate = store.candidate()
        self._announcer = Announcer(rules, actions)
        self._judge = Judge(rules)
        self._drift = DriftWatch(rules, store)
        self._leads = self._resumed = False
        self._settled: deque[tuple[Record, Followed]] = deque(maxlen=KEEP_SETTLED)
        self._entries: deque[Entry] = deque(maxlen=KEEP_ENTRIES)
        self._fresh: list[Delta] = []  # counted, and not in any series yet
        self._apart: datetime | None = None  # since when the series has not been read from the store
        self._silences: dict[str, Silence] = {}
        self._accepted: datetime | None = None
        self._tidied: datetime | None = None
        self._alarms = tuple(self._judge.alarms.values())
        store.on_erasure(follower.forget)

    @property
    def alarms(self) -> tuple[Alarm, ...]:
        """Every alarm as it was at the last tick."""
        return self._alarms

    @property
    def silenced(self) -> dict[str, Silence]:
        """Silences that hold, by alarm."""
        return self._silences

    @property
    def leads(self) -> bool:
        """Whether this process judges; else another on the same store does."""
        return self._leads

    def observe(self, item: Record | Event) -> None:
        """Count it, and wait for what becomes of it: an ``Observer``."""
        self._tally.observe(item)
        self._follower.observe(item)

    def tick(self, now: datetime) -> None:
        """Everything there is to do by now."""
        steps: tuple[Callable[[datetime], None], ...] = (
            self._resume,
            self._settle,
            self._flush,
            self._lead,
            self._read,
            self._hear,
            self._look_for_drift,
            self._decide,
            self._write,
            self._show,
            self._tidy,
        )
        for step in steps:
            try:
                step(now)
            except Exception as error:  # whatever it is: the service goes on, and so does the watch
                self._failed(step.__name__.strip("_"), error)
        self.ticks += 1

    def close(self) -> None:
        """Write what waits, if the store takes it; let another judge."""
        for step in (self._flush, self._write):
            try:
                step(datetime.min)
            except Exception as error:  # what is lost is counts of the last seconds
                self._failed(step.__name__.strip("_"), error)
        self._announcer.close()
        self._candidate.resign()

    def _resume(self, now: datetime) -> None:
        if not self._resumed:
            self._follower.resume(self._store, now)
            self._resumed = True

    def _settle(self, now: datetime) -> None:
        self._settled.extend(self._follower.settled(now))
        if not self._settled:
            return
        some = list(self._settled)
        new = self._store.keep([Aftermath.of(record, followed) for record, followed in some])
        self._settled.clear()
        for (record, followed), is_new in zip(some, new, strict=True):
            if is_new:  # or another process, or this one before it was started again, has counted it
                self._tally.followed(record, followed)
                if followed.again in (Again.REPEAT, Again.REPHRASE):
                    self._metrics.redo(followed.again.value, followed.query_id)

    def _flush(self, _now: datetime) -> None:
        self._fresh += self._flusher.drain()
        self._flusher.flush()

    def _lead(self, now: datetime) -> None:
        if not self._candidate.leads():
            self._leads = False
        elif not self._leads:
            self._take_over(now)
            self._leads = True

    def _take_over(self, now: datetime) -> None:
        """Where the process that judged before left off, or this one before it was started again."""
        judge = Judge(self.rules)
        hour = now.replace(minute=0, second=0, microsecond=0)
        ends = now + AHEAD
        since = hour - timedelta(hours=HOURS)
        judge.hours.replace(since, self._rows(since, ends, timedelta(hours=1)))
        since = hour - timedelta(minutes=MINUTES)
        judge.minutes.replace(since, self._rows(since, ends, timedelta(minutes=1)))
        kinds = (*STATES, Kind.BASELINE, Kind.ACCEPTED)
        for name in self.rules.by_name:
            judge.restore(self._store.journal(alarm=name, kinds=kinds, newest=200))
        drift = DriftWatch(self.rules, self._store)
        drift.restore(self._store.journal(kinds=(Kind.DRIFT,), newest=10 * len(self.rules.drifts)))
        self._announcer.assume(judge.alarms.values())
        self._judge, self._drift, self._fresh = judge, drift, []
        self._accepted = now
        self._entries.extend(self._changed_rules(now))

    def _changed_rules(self, now: datetime) -> list[Entry]:
        body = as_dict(self.rules)
        before = self._store.journal(kinds=(Kind.RULES,), newest=1)
        if before and before[0].body == body:
            return []
        words = differences(before[0].body, body) if before else "the first rules"
        return [Entry(now, WATCH, Kind.RULES, words, body)]

    def _read(self, now: datetime) -> None:
        """What all processes saw lately; while the store is away, what this one saw."""
        fresh, self._fresh = self._fresh, []
        if not self._leads:
            return
        since = min(now - LATE, self._apart or now).replace(minute=0, second=0, microsecond=0)
        try:
            if self._flusher.oldest_us is not None:
                raise StoreUnavailableError(
                    "counts wait to be written, so what the store has is not all of it"
                )
            rows = self._rows(since, now + AHEAD, timedelta(minutes=1))
        except StoreUnavailableError:
            self._apart = since
            for key, rollup in fresh:
                if key.arm != SHADOW:
                    self._judge.minutes.add(key.minute_us, rollup)
                    self._judge.hours.add(key.minute_us, rollup)
            raise
        self._apart = None
        self._judge.minutes.replace(since, rows)
        self._judge.hours.replace(since, rows)

    def _rows(self, since: datetime, until: datetime, step: timedelta) -> list[tuple[datetime, Rollup]]:
        rows = self._store.rollups(since, until, step)
        return [(at, rollup) for at, key, rollup in rows if key.arm != SHADOW]

    def _hear(self, now: datetime) -> None:
        """What people have said since: silences, and what is usual from now on."""
        if not self._leads:
            return
        told = self._store.journal(now - HELD, kinds=(Kind.SILENCED, Kind.ACCEPTED))
        self._silences = silences(told, now)
        for entry in told:
            if entry.kind is Kind.ACCEPTED and (self._accepted is None or entry.at > self._accepted):
                self._judge.accept(entry.alarm, entry.at)
                self._accepted = entry.at

    def _look_for_drift(self, now: datetime) -> None:
        if self._leads:
            calm = not any(alarm.firing for alarm in self._judge.alarms.values())
            self._entries.extend(self._drift.freeze_first(self._judge.hours, now, calm=calm))
            self._entries.extend(self._drift.judge(self._judge.minutes, now))
        scores = self._drift.scores if self._leads else {}
        for name, (score, threshold) in scores.items():
            self._metrics.drift(name, score, threshold)
        self._metrics.drift_only(scores)

    def _decide(self, now: datetime) -> None:
        if self._leads:
            whole = now.replace(second=0, microsecond=0)  # the minutes that are over
            self._entries.extend(self._judge.judge(whole, self._drift.judgements))
            for name, error in self._judge.failed:
                self._failed(f"judge {name}", error)
            self._alarms = tuple(self._judge.alarms.values())
            hushed = {name for name, silence in self._silences.items() if now < silence.until}
            self._announcer.tell(self._alarms, hushed, now)
        else:
            self._alarms = self._as_told()

    def _as_told(self) -> tuple[Alarm, ...]:
        """Of a process that does not judge: what the journal says."""
        shown = Judge(self.rules)
        shown.restore(self._store.journal(kinds=STATES))
        return tuple(shown.alarms.values())

    def _write(self, _now: datetime) -> None:
        if self._entries:
            self._store.note(tuple(self._entries))
            self._entries.clear()

    def _show(self, _now: datetime) -> None:
        for alarm in self._alarms:
            self._metrics.alarm(alarm.name, active=alarm.firing)

    def _tidy(self, now: datetime) -> None:
        if self._leads and (self._tidied is None or now - self._tidied >= TIDY):
            self._tidied = now
            self._store.tidy_rollups(now)

    def _failed(self, what: str, error: Exception) -> None:
        self.failures[what] += 1
        # A store that is away is nothing new every half minute; its own trouble is shown elsewhere.
        level = logging.WARNING if isinstance(error, StoreUnavailableError) else logging.ERROR
        LOG.log(level, "watch_failed", exc_info=error)
