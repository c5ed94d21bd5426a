"""What the page at ``/monitor`` says of alarms and drift: entries of the journal, and the rules, as JSON.

Alarms: which fire now, what fired before and for how long, and every change of what they are judged by with its
reason. Drift: the last window of each rule against the reference, feature by feature and in words, and which features
drifted in the windows before. Times are seconds since 1970.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from monitoring.alarms.rules import Rule, Rules, kind_of
from monitoring.alarms.states import Alarm
from monitoring.drift.report import amount
from monitoring.features import BY_NAME, FEATURES
from monitoring.storage.journal import Entry, Kind

ALARM_KINDS = (Kind.FIRED, Kind.CLEARED)
CHANGE_KINDS = (Kind.BASELINE, Kind.ACCEPTED, Kind.SILENCED, Kind.RULES, Kind.PROFILE)
MOST_SPELLS = 100  # in the history
MOST_CHANGES = 100
WINDOWS = 48  # of drift, of each rule


def alarms_view(
    entries: Iterable[Entry], rules: Rules, states: Iterable[Alarm] | None = None
) -> dict[str, Any]:
    """Of entries of any kind, oldest first; ``states`` as the watch has them, None where nobody watches.

    ``active`` has pages before tickets, and the longest first.
    """
    entries = list(entries)
    now = None if states is None else {alarm.name: alarm for alarm in states}
    spells = _spells(entry for entry in entries if entry.kind in ALARM_KINDS)
    active = [
        {**spell, **_rule(rules.by_name.get(spell["alarm"]))} for spell in spells if spell["cleared"] is None
    ]
    changes = [entry for entry in entries if entry.kind in CHANGE_KINDS]
    return {
        "active": sorted(active, key=lambda each: (each["severity"] != "page", each["fired"])),
        "history": sorted(spells, key=lambda spell: -spell["fired"])[:MOST_SPELLS],
        "changes": [_change(entry) for entry in reversed(changes[-MOST_CHANGES:])],
        "watched": now is not None,
        "rules": [
            {"alarm": rule.about.name, "kind": kind_of(rule), **_rule(rule), **_state(rule, now or {})}
            for rule in rules
        ],
    }


def drift_view(entries: Iterable[Entry]) -> dict[str, Any]:
    """Of entries of kind ``drift``, oldest first. ``reports`` is empty before the first window was judged."""
    by_alarm: dict[str, list[Entry]] = {}
    for entry in entries:
        by_alarm.setdefault(entry.alarm, []).append(entry)
    reports = [_report(its[-1]) for its in by_alarm.values()]
    features = {
        name: each
        for report in sorted(reports, key=lambda each: each["at"])
        for name, each in report["features"].items()
    }
    windows = {
        alarm: [
            {
                "at": _seconds(entry.at),
                "drifted": entry.body.get("drifted", []),
                "n": entry.body.get("sittings", 0),
            }
            for entry in its[-WINDOWS:]
        ]
        for alarm, its in by_alarm.items()
    }
    return {
        "reports": [{key: value for key, value in each.items() if key != "features"} for each in reports],
        "features": [features[feature.name] for feature in FEATURES if feature.name in features],
        "windows": windows,
    }


def says(told: Mapping[str, Any]) -> str:
    """The verdict on one feature of a ``DriftReport.as_dict()``, in words."""
    feature = BY_NAME[told["feature"]]
    before, now = amount(feature, told["before"]), amount(feature, told["now"])
    moved = (
        f"{before} in the reference, {now} now"
        if before != now
        else f"about {now} as before, spread otherwise"
    )
    if told["persistent"]:
        return f"Changed, and not for the first window: {moved}."
    if told["drifted"]:
        return f"Changed in this window: {moved}. Another such window makes it an alarm."
    if told["significant"]:
        return f"Differs measurably, by too little to matter: {moved}."
    return f"As in the reference: {now}." if before == now else f"Within chance: {moved}."


def _spells(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """Each time that an alarm fired, with when it cleared: None while it fires."""
    spells: list[dict[str, Any]] = []
    firing: dict[str, dict[str, Any]] = {}
    for entry in entries:
        if entry.kind is Kind.FIRED and entry.alarm not in firing:
            spell = {
                "alarm": entry.alarm,
                "fired": _seconds(entry.at),
                "cleared": None,
                "reason": entry.reason,
                "over": None,
            }
            spells.append(spell)
            firing[entry.alarm] = spell
        elif entry.kind is Kind.CLEARED and entry.alarm in firing:
            firing.pop(entry.alarm).update(cleared=_seconds(entry.at), over=entry.reason)
    return spells


def _rule(rule: Rule | None) -> dict[str, Any]:
    """What a person needs to know of it; a rule that is in no file any more is nobody's page."""
    if rule is None:
        return {"severity": "ticket", "help": "", "lookfor": ""}
    about = rule.about
    return {"severity": about.severity.value, "help": about.help, "lookfor": about.lookfor}


def _state(rule: Rule, states: Mapping[str, Alarm]) -> dict[str, Any]:
    """What the watch says of it now, which may be why it says nothing."""
    alarm = states.get(rule.about.name)
    return (
        {"phase": None, "reason": None}
        if alarm is None
        else {"phase": alarm.phase.value, "reason": alarm.reason}
    )


def _change(entry: Entry) -> dict[str, Any]:
    return {"at": _seconds(entry.at), "alarm": entry.alarm, "kind": entry.kind.value, "reason": entry.reason}


def _report(entry: Entry) -> dict[str, Any]:
    body = entry.body
    known: Sequence[Mapping[str, Any]] = [
        told for name, told in body.get("features", {}).items() if name in BY_NAME
    ]
    return {
        "alarm": entry.alarm,
        "at": _seconds(entry.at),
        "words": entry.reason,
        "profile": body.get("profile"),
        "since": body.get("since"),
        "until": body.get("until"),
        "records": body.get("records", 0),
        "sittings": body.get("sittings", 0),
        "drifted": body.get("drifted", []),
        "persistent": body.get("persistent", []),
        "not_judged": body.get("not_judged", {}),
        "features": {
            told["feature"]: {
                **told,
                "alarm": entry.alarm,
                "help": BY_NAME[told["feature"]].help,
                "says": says(told),
            }
            for told in known
        },
    }


def _seconds(at: datetime) -> int:
    return round(at.timestamp())
