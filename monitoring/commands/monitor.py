"""``voicesearch monitor VERB``: what the event store knows, for people and for programs."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from asr.commands.command import Command

VERBS: tuple[Command, ...] = ()


def add_arguments(parser: ArgumentParser) -> None:
    """A sub-command a verb."""
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    for verb in VERBS:
        one = verbs.add_parser(verb.name, help=verb.summary, description=verb.summary)
        verb.add_arguments(one)
        one.set_defaults(run_verb=verb.run)


def run(args: Namespace) -> int:
    """The verb asked for."""
    code: int = args.run_verb(args)
    return code


COMMAND = Command(
    "monitor", "what comes in, what goes out, what people do next, and alarms", add_arguments, run
)
