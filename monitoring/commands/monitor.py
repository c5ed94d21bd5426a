"""``voicesearch monitor VERB``: what the event store knows, for people and for programs."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace

from asr.commands.command import BAD_USAGE, DISTRIBUTION, Command
from monitoring.commands import alarms, drift, explain, freeze, grafana, pipeline, report, rules, silence
from monitoring.errors import MonitoringError

VERBS: tuple[Command, ...] = (
    pipeline.VERB,
    report.VERB,
    alarms.VERB,
    explain.VERB,
    silence.VERB,
    silence.ACCEPT,
    freeze.VERB,
    drift.VERB,
    rules.VERB,
    grafana.VERB,
)


def add_arguments(parser: ArgumentParser) -> None:
    """A sub-command a verb."""
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    for verb in VERBS:
        one = verbs.add_parser(verb.name, help=verb.summary, description=verb.summary)
        verb.add_arguments(one)
        one.set_defaults(run_verb=verb.run)


def run(args: Namespace) -> int:
    """The verb asked for; an error made on purpose is one line on stderr."""
    try:
        code: int = args.run_verb(args)
    except MonitoringError as error:
        print(f"{DISTRIBUTION}: {error}", file=sys.stderr)
        return BAD_USAGE
    return code


COMMAND = Command(
    "monitor", "what comes in, what goes out, what people do next, and alarms", add_arguments, run
)
