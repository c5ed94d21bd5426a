"""``voicesearch monitor alarms``: which fire, what is judged, and what happened."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from asr.commands.command import DONE, Command
from monitoring.alarms import rules
from monitoring.alarms.announcing import Silence, silences
from monitoring.alarms.baseline import Baseline
from monitoring.alarms.ratio import shown
from monitoring.alarms.rules import Contract, Ratio, Rule, Rules
from monitoring.alarms.spell import percent, when
from monitoring.alarms.states import Alarm, Phase
from monitoring.commands.times import moment_of
from monitoring.commands.where import add_store, open_store
from monitoring.storage.journal import Entry, Kind

HISTORY = (Kind.FIRED, Kind.CLEARED, Kind.BASELINE, Kind.ACCEPTED, Kind.SILENCED, Kind.RULES, Kind.PROFILE)


def add_arguments(parser: ArgumentParser) -> None:
    """Its options."""
    add_store(parser)
    add_rules(parser)
    parser.add_argument("--since", default="7d", metavar="TIME", help="of the history (default %(default)s)")
    parser.add_argument("--json", action="store_true", help="states and history as JSON")


def add_rules(parser: ArgumentParser) -> None:
    """The option ``--rules``."""
    parser.add_argument(
        "--rules", type=Path, metavar="FILE", help="that the server has, too (default: the shipped ones)"
    )


def run(args: Namespace) -> int:
    """Print them."""
    now = datetime.now(UTC)
    chosen = rules.load(args.rules)
    with open_store(args) as store:
        states = {
            name: store.journal(alarm=name, kinds=(Kind.FIRED, Kind.CLEARED), newest=1)
            for name in chosen.by_name
        }
        usual = {rule.about.name: store.journal(alarm=rule.about.name, kinds=(Kind.BASELINE, Kind.ACCEPTED), newest=1)
                 for rule in chosen.ratios}  # fmt: skip
        hushed = silences(store.journal(kinds=(Kind.SILENCED,)), now)
        history = store.journal(moment_of(args.since, now), kinds=HISTORY)
    alarms = [_alarm(rule, states[rule.about.name]) for rule in chosen]
    baselines = {
        name: Baseline.from_dict(found[0].body)
        for name, found in usual.items()
        if found and found[0].kind is Kind.BASELINE
    }
    if args.json:
        print(json.dumps(_json(chosen, alarms, baselines, hushed, history)))
    else:
        print("\n".join([*_states(chosen, alarms, baselines, hushed), *_history(history)]))
    return DONE


def _alarm(rule: Rule, last: Sequence[Entry]) -> Alarm:
    name = rule.about.name
    if not last:
        return Alarm(name, reason="")
    entry = last[0]
    phase = Phase.FIRING if entry.kind is Kind.FIRED else Phase.QUIET
    return Alarm(name, phase, entry.at, reason=entry.reason, numbers=entry.body)


def _threshold(rule: Rule, baseline: Baseline | None) -> str:
    if isinstance(rule, Contract):
        rates = ", ".join(f"{burn.rate:g}" for burn in rule.burns)
        return f"budget {percent(rule.budget)}, burning {rates} times too fast"
    if not isinstance(rule, Ratio):
        return f"{rule.needed} of {rule.of_windows} windows differ from the reference"
    if baseline is None:
        return f"beyond {percent(rule.limit)}; what is usual is being learnt"
    return f"usual {percent(shown(rule, baseline.level))}, never beyond {percent(rule.limit)}"


def _states(
    chosen: Rules, alarms: Sequence[Alarm], baselines: dict[str, Baseline], hushed: dict[str, Silence]
) -> Iterator[str]:
    row = "{:22}{:9}{:9}{:22}{}".format
    yield row("alarm", "severity", "phase", "since", "threshold")
    for alarm in sorted(alarms, key=lambda alarm: not alarm.firing):
        rule = chosen.by_name[alarm.name]
        since = "" if alarm.since is None else when(alarm.since)
        threshold = _threshold(rule, baselines.get(alarm.name))
        yield row(alarm.name, rule.about.severity.value, alarm.phase.value, since, threshold)
        if alarm.firing:
            yield f"  {alarm.reason}"
        if (silence := hushed.get(alarm.name)) is not None:
            by = f" by {silence.by}" if silence.by else ""
            yield f"  silenced until {when(silence.until)}{by}: {silence.reason}"


def _history(history: Sequence[Entry]) -> Iterator[str]:
    if history:
        yield ""
    for entry in history:
        yield f"{when(entry.at)}  {entry.alarm} {entry.kind.value}: {entry.reason}"


def _json(
    chosen: Rules,
    alarms: Sequence[Alarm],
    baselines: dict[str, Baseline],
    hushed: dict[str, Silence],
    history: Sequence[Entry],
) -> dict[str, object]:
    return {
        "alarms": [
            {
                **alarm.as_dict(),
                "severity": chosen.by_name[alarm.name].about.severity.value,
                "kind": rules.kind_of(chosen.by_name[alarm.name]),
                "threshold": _threshold(chosen.by_name[alarm.name], baselines.get(alarm.name)),
                "silenced_until": hushed[alarm.name].until.isoformat() if alarm.name in hushed else None,
            }
            for alarm in alarms
        ],
        "history": [
            {name: value for name, value in entry.as_dict().items() if name != "body"} for entry in history
        ],
    }


VERB = Command("alarms", "which alarms fire, what they are judged by, and what happened", add_arguments, run)
