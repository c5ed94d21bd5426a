"""From states of alarms to notices: what each action is told, when again, and what a person does not want to hear."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from monitoring.alarms.actions import Action, Delivery, Notice
from monitoring.alarms.rules import Rules
from monitoring.alarms.states import Alarm
from monitoring.moments import moment
from monitoring.storage.journal import Entry, Kind


@dataclass(frozen=True, slots=True)
class Silence:
    """Tell nobody of an alarm until then."""

    alarm: str
    at: datetime
    until: datetime
    by: str
    reason: str

    @classmethod
    def of(cls, entry: Entry) -> Silence:
        """Of an entry of the journal."""
        until, by = moment(entry.body["until_us"]), str(entry.body.get("by", ""))
        return cls(entry.alarm, entry.at, until, by, entry.reason)


def silences(entries: Iterable[Entry], now: datetime) -> dict[str, Silence]:
    """Those that hold now, by alarm: the newest entry of an alarm decides."""
    newest = {entry.alarm: Silence.of(entry) for entry in entries if entry.kind is Kind.SILENCED}
    return {name: silence for name, silence in newest.items() if silence.at <= now < silence.until}


def untold(entries: Iterable[Entry], alarms: Iterable[Alarm], now: datetime) -> set[str]:
    """Names of alarms that fire, and have been under silences ever since: nobody has been told of them.

    ``entries``: oldest first.
    """
    spoken = [Silence.of(entry) for entry in entries if entry.kind is Kind.SILENCED]
    found = set()
    for alarm in alarms:
        if not alarm.firing or alarm.since is None:
            continue
        until = alarm.since
        for silence in spoken:
            # The newest decides, from when it was said; one that was said in between came too late.
            if silence.alarm == alarm.name and (silence.at <= alarm.since or silence.at < until):
                until = silence.until
        if now < until:
            found.add(alarm.name)
    return found


class Announcer:
    """Tells every action of what fires and what has cleared, each once, or as often as the action wants it.

    One thread calls it. An alarm that fires when its silence ends is told of then; one that clears under it never was.
    """

    def __init__(
        self, rules: Rules, actions: Sequence[Action], deliver: Callable[[Action], Delivery] = Delivery
    ) -> None:
        self._rules = rules
        self._deliveries = [deliver(action) for action in actions]
        self._told: list[dict[str, tuple[Notice, datetime]]] = [{} for _ in self._deliveries]

    @property
    def lost(self) -> int:
        """Notices that were never heard."""
        return sum(delivery.lost for delivery in self._deliveries)

    def tell(self, alarms: Iterable[Alarm], silent: Iterable[str], now: datetime) -> None:
        """Tell of the alarms as they are now."""
        silenced = set(silent)
        firing = {alarm.name: alarm for alarm in alarms if alarm.firing}
        for delivery, told in zip(self._deliveries, self._told, strict=True):
            notices = []
            for name, alarm in firing.items():
                if name in silenced or not _due(told.get(name), delivery.action.again_s, now):
                    continue
                assert alarm.since is not None, "what fires knows since when"
                rule = self._rules.by_name[name]
                notice = Notice(rule, alarm.since, alarm.reason, alarm.numbers, told=now)
                told[name] = (notice, now)
                notices.append(notice)
            for name in told.keys() - firing.keys():
                before, _ = told.pop(name)
                notices.append(Notice(before.rule, before.started, before.reason, before.numbers, ended=now))
            delivery.put(notices)

    def assume(self, alarms: Iterable[Alarm], untold: Collection[str] = ()) -> None:
        """What fires was told of by who judged before: do not say it twice, but say when it clears.

        ``untold``: names of those that nobody was told of.
        """
        for alarm in alarms:
            if alarm.firing and alarm.since is not None and alarm.name not in untold:
                notice = Notice(self._rules.by_name[alarm.name], alarm.since, alarm.reason, alarm.numbers)
                for told in self._told:
                    told.setdefault(alarm.name, (notice, alarm.since))

    def forget(self) -> None:
        """Another tells from now on."""
        for told in self._told:
            told.clear()

    def close(self) -> None:
        """Finish what waits, for some seconds."""
        for delivery in self._deliveries:
            delivery.close()


def _due(told: tuple[Notice, datetime] | None, again_s: float | None, now: datetime) -> bool:
    if told is None:
        return True
    return again_s is not None and now - told[1] >= timedelta(seconds=again_s)
