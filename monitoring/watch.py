"""The watch: everything of the monitoring that runs beside the service, composed. One ``tick`` after the other.

    observe(item)   from any thread, some microseconds: counted, and remembered until it is known what became of it
    tick(now)       in one thread: settle sessions, write counts, judge, journal, set gauges, tell

Each step of a tick is on its own: one that fails is logged and counted, and the others go on, now and at the next
tick. While the store is away, counts, what became of queries and entries of the journal wait (bounded), and what this
process saw is judged without it. Of several processes on one store each writes what it saw, and one judges what all
saw; the others show what it found. Who cannot know whether it is that one (the store is away, a connection broke)
judges what it saw and tells of it, since nobody may: but it writes no states, and when it leads again, only those that
nobody who led in between contradicts.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from monitoring.aftermath import Aftermath
from monitoring.alarms.actions import Action
from monitoring.alarms.announcing import Announcer, Silence, silences, untold
from monitoring.alarms.drift import DriftWatch
from monitoring.alarms.judging import HOURS, MINUTES, Judge
from monitoring.alarms.rule_changes import as_dict, differences
from monitoring.alarms.rules import Rules
from monitoring.alarms.states import Alarm
from monitoring.counts.flushing import Flusher
from monitoring.counts.rollup import Delta, Rollup
from monitoring.counts.tally import Tally
from monitoring.errors import StoreUnavailableError
from monitoring.follower import Follower
from monitoring.keeping import FOR_EVER, Keeping, Tidier
from monitoring.metrics import Metrics
from monitoring.outcomes import SHADOW
from monitoring.record import Event, Record
from monitoring.settled import Settled
from monitoring.storage.journal import WATCH, Entry, Kind
from monitoring.store import EventStore

LOG = logging.getLogger(__name__)

LATE = timedelta(minutes=30)  # what is read anew at each tick: counts of what people did come late
KEEP_ENTRIES = 1_000  # that wait for the store
# A counter of Prometheus says when something was counted, not when it was: what is older, after a stop or an outage,
# goes into the rollups alone, where it has its minute.
FRESH = timedelta(minutes=15)
HELD = timedelta(days=31)  # how far back a silence may have begun
AHEAD = timedelta(minutes=5)  # the clocks of processes differ
STATES = (Kind.FIRED, Kind.CLEARED)


class _Entries(deque[Entry]):
    """Those that wait for the store; the oldest make room, and are counted."""

    lost = 0

    def append(self, entry: Entry) -> None:
        """One more."""
        self.lost += len(self) == self.maxlen
        super().append(entry)

    def extend(self, entries: Iterable[Entry]) -> None:
        """Some more."""
        for entry in entries:
            self.append(entry)


class Watch:
    """Made once a process; ``close`` it. ``alarms`` may be asked from any thread, the rest from the one that ticks."""

    def __init__(
        self,
        store: EventStore,
        metrics: Metrics,
        rules: Rules,
        follower: Follower,
        actions: Sequence[Action] = (),
        keeping: Keeping = FOR_EVER,
    ) -> None:
        self.rules = rules
        self.failures: Counter[str] = Counter()  # steps of ticks, and rules, that raised
        self.ticks = 0
        self.looked: datetime | None = None  # the time of the last tick
        self._store, self._metrics, self._follower = store, metrics, follower
        self._tally = Tally()
        self._flusher = Flusher(self._tally, store.add_rollups)
        self._candidate = store.candidate()
        self._announcer = Announcer(rules, actions)
        self._judge = Judge(rules)
        self._drift = DriftWatch(rules, store)
        self._leads = self._alone = False  # alone: nobody knows who leads
        self._settled = Settled()
        self._entries = _Entries(maxlen=KEEP_ENTRIES)
        self._unsure = _Entries(maxlen=KEEP_ENTRIES)  # states that were found alone
        self._fresh: list[Delta] = []  # counted, and not in any series yet
        self._apart: datetime | None = None  # since when the series has not been read from the store
        self._silences: dict[str, Silence] = {}
        self._accepted: set[int] = set()  # numbers of the entries that have been heard
        self._tidier = Tidier(store, keeping)
        self._alarms = tuple(self._judge.alarms.values())
        self._stopping = threading.Event()
        self._abandoned = False
        store.on_erasure(follower.forget)
        store.on_erasure(self._settled.forget)

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
        """Whether this process is the one that judges; else another on the same store does, or nobody knows."""
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
            if self._stopping.is_set():
                break
        self.ticks += 1
        self.looked = now
        self._metrics.watched(now, self._lost())

    def stop(self) -> None:
        """Let the tick that runs end with its step, so that ``close`` may come soon. From any thread."""
        self._stopping.set()

    def abandon(self) -> int:
        """Wait no longer for a tick that hangs: how many requests' counts are lost by that. From any thread.

        When it ends after all, ``close`` writes no more, for the store has been closed.
        """
        self._abandoned = True
        return self._flusher.waiting + sum(rollup.counts["requests"] for _, rollup in self._tally.drain())

    def close(self) -> None:
        """Write what waits, if the store takes it; let another judge. In the thread that ticks."""
        for step in () if self._abandoned else (self._flush, self._write):
            try:
                step(datetime.min)
            except Exception as error:  # what is lost is counts of the last seconds
                self._failed(step.__name__.strip("_"), error)
        self._candidate.resign()
        self._announcer.close()

    def _resume(self, now: datetime) -> None:
        """What others, or this process before it was started again, have left."""
        if not self._settled:  # else the store does not know of the last ones yet
            self._settled.add(self._follower.leftover(self._store, now))

    def _settle(self, now: datetime) -> None:
        self._settled.add(self._follower.settled(now))
        some = self._settled.waiting()
        if not some:
            return
        new = self._store.keep([Aftermath.of(record, followed) for record, followed in some])
        self._settled.done(some)
        for (record, followed), is_new in zip(some, new, strict=True):
            if is_new:  # or another process, or this one before it was started again, has counted it
                self._tally.followed(record, followed)
                if now - record.at <= FRESH:
                    self._metrics.followed(record, followed)

    def _flush(self, _now: datetime) -> None:
        self._fresh += self._flusher.drain()
        self._flusher.flush()

    def _lead(self, now: datetime) -> None:
        try:
            try:
                leads = self._candidate.leads()
            except StoreUnavailableError:  # the lock went with its connection: ask anew who has it, at once
                self._stand_alone()
                leads = self._candidate.leads()
            if leads and not self._leads:
                self._take_over(now)
        except Exception:
            self._stand_alone()
            raise
        if not leads and (self._leads or self._alone):
            self._step_back()
        self._leads, self._alone = leads, False

    def _stand_alone(self) -> None:
        """Nobody knows who leads: go on with what there is, and write no states, which may be another's to write."""
        if self._leads:
            self._unsure.extend(entry for entry in self._entries if entry.kind in STATES)
            self._keep_profiles()
        elif not self._alone:
            self._judge = Judge(self.rules)
            self._judge.alarms.update({alarm.name: alarm for alarm in self._alarms})
            self._announcer.assume(self._alarms)  # by who led until now
        self._leads, self._alone = False, True

    def _step_back(self) -> None:
        """Another leads: states are its to write, and to tell."""
        self._unsure.clear()
        self._keep_profiles()
        self._announcer.forget()

    def _keep_profiles(self) -> None:
        # A reference that was frozen is in the store; all else is judged anew by who leads.
        frozen = [entry for entry in self._entries if entry.kind is Kind.PROFILE]
        self._entries.clear()
        self._entries.extend(frozen)

    def _take_over(self, now: datetime) -> None:
        """Where the process that judged before left off, or this one before it was started again."""
        judge = Judge(self.rules)
        hour = now.replace(minute=0, second=0, microsecond=0)
        ends = now + AHEAD
        since = hour - timedelta(hours=HOURS)
        judge.hours.replace(since, self._rows(since, ends, timedelta(hours=1)))
        since = hour - timedelta(minutes=MINUTES)
        judge.minutes.replace(since, self._rows(since, ends, timedelta(minutes=1)))
        said = self._store.journal(now - HELD, kinds=(Kind.SILENCED, Kind.ACCEPTED))
        kinds = (*STATES, Kind.BASELINE, Kind.ACCEPTED)
        written: list[Entry] = []
        for name in self.rules.by_name:
            written += self._store.journal(alarm=name, kinds=kinds, newest=200)
        judge.restore(sorted(written, key=lambda entry: entry.number))
        drift = DriftWatch(self.rules, self._store)
        drift.restore(self._store.journal(kinds=(Kind.DRIFT,), newest=10 * len(self.rules.drifts)))
        changed = self._changed_rules(now)
        # All that may fail is done.
        newest = {entry.alarm: entry.at for entry in written if entry.kind in STATES}
        self._entries.extend((*changed, *self._confirmed(judge, newest)))
        self._unsure.clear()
        alarms = judge.alarms.values()
        self._announcer.assume(alarms, untold(said, alarms, now))
        self._judge, self._drift, self._fresh = judge, drift, []
        self._accepted = {entry.number for entry in said if entry.kind is Kind.ACCEPTED}

    def _confirmed(self, judge: Judge, newest: Mapping[str, datetime]) -> list[Entry]:
        """What was found alone and holds: nobody who led has written a state of the alarm since (``newest``)."""
        found = []
        for entry in self._unsure:
            said = newest.get(entry.alarm)
            known = judge.alarms[entry.alarm].firing == (entry.kind is Kind.FIRED)
            if not known and (said is None or said < entry.at):
                judge.restore([entry])
                found.append(entry)
        return found

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
        if not (self._leads or self._alone):
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
        if not (self._leads or self._alone):
            return
        told = self._store.journal(now - HELD, kinds=(Kind.SILENCED, Kind.ACCEPTED))
        self._silences = silences(told, now)
        accepted = [entry for entry in told if entry.kind is Kind.ACCEPTED]
        for entry in accepted:
            if entry.number not in self._accepted and entry.alarm in self.rules.by_name:
                self._judge.accept(entry.alarm, entry.at)
        self._accepted = {entry.number for entry in accepted}

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
        if self._leads or self._alone:
            whole = now.replace(second=0, microsecond=0)  # the minutes that are over
            found = self._judge.judge(whole, self._drift.judgements)
            if self._leads:
                self._entries.extend(found)
            else:
                self._unsure.extend(entry for entry in found if entry.kind in STATES)
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
        if self._leads and self._entries:
            try:
                self._leads = self._candidate.leads()  # still: what is not known for sure is not written
            except StoreUnavailableError:
                self._stand_alone()
                raise
            if not self._leads:
                self._step_back()
        if self._entries:
            self._store.note(tuple(self._entries))
            self._entries.clear()

    def _show(self, _now: datetime) -> None:
        for alarm in self._alarms:
            self._metrics.alarm(alarm.name, active=alarm.firing)

    def _tidy(self, now: datetime) -> None:
        if self._leads:
            self._tidier.tidy(now)

    def _lost(self) -> dict[str, int]:
        return {
            "requests uncounted": self._tally.lost + self._flusher.lost,
            "outcomes": self._settled.lost,
            "queries unfollowed": self._follower.unfollowed,
            "queries uncompared": self._follower.uncompared,
            "late events": self._follower.late,
            "journal entries": self._entries.lost,
            "notices": self._announcer.lost,
        }

    def _failed(self, what: str, error: Exception) -> None:
        self.failures[what] += 1
        # A store that is away is nothing new every half minute; its own trouble is shown elsewhere.
        level = logging.WARNING if isinstance(error, StoreUnavailableError) else logging.ERROR
        step, _, rule = what.partition(" ")
        self._metrics.watch_failed(step)
        LOG.log(level, "watch_failed", exc_info=error, extra={"step": step, "alarm": rule or None})
