"""``voicesearch monitor explain ALARM``: what happened, since when, what moved first, and where to look."""

from __future__ import annotations

import json
from argparse import ArgumentParser, Namespace
from datetime import UTC, datetime

from asr.commands.command import DONE, Command
from monitoring.alarms import rules
from monitoring.alarms.rules import Rule, Rules
from monitoring.commands.alarms import add_rules
from monitoring.commands.where import add_store, open_store
from monitoring.errors import NoAlarmError
from monitoring.views import explain


def add_arguments(parser: ArgumentParser) -> None:
    """Its options."""
    add_alarm(parser)
    add_store(parser)
    add_rules(parser)
    parser.add_argument("--json", action="store_true", help="the same as JSON")


def add_alarm(parser: ArgumentParser) -> None:
    """The argument ``ALARM``."""
    parser.add_argument(
        "alarm", metavar="ALARM", help="its name, such as null-rate-high (voicesearch monitor alarms)"
    )


def find(chosen: Rules, name: str) -> Rule:
    """The rule of an alarm. Raises NoAlarmError."""
    rule = chosen.by_name.get(name)
    if rule is None:
        raise NoAlarmError(f"there is no alarm {name!r}; there are {', '.join(chosen.by_name)}")
    return rule


def run(args: Namespace) -> int:
    """Print it."""
    rule = find(rules.load(args.rules), args.alarm)
    with open_store(args) as store:
        found = explain.explain(store, rule, datetime.now(UTC))
    print(json.dumps(found.as_dict()) if args.json else "\n".join(found.lines()))
    return DONE


VERB = Command("explain", "why an alarm fired: what moved first, and where to look", add_arguments, run)
