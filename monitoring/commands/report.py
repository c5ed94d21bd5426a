"""``voicesearch monitor report``: what happened, against the stretch before it, as a page for a meeting and as JSON."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from datetime import UTC, datetime
from pathlib import Path

from asr.commands.command import DONE, Command
from monitoring.alarms import rules
from monitoring.commands.times import moment_of
from monitoring.commands.where import add_store, open_store
from monitoring.report import numbers, page


def add_arguments(parser: ArgumentParser) -> None:
    """Which stretch, and where to."""
    add_store(parser)
    parser.add_argument(
        "--since", default="7d", metavar="TIME", help="how far back, or from when (default: 7d)"
    )
    parser.add_argument("--until", metavar="TIME", help="up to when (default: now)")
    parser.add_argument(
        "--rules", metavar="FILE", type=Path, help="alarm rules with the contracts (default: shipped)"
    )
    parser.add_argument(
        "-o", "--output", metavar="DIR", type=Path, required=True, help="folder to write into"
    )


def run(args: Namespace, now: datetime | None = None) -> int:
    """Write it, and say where. ``now``: for tests."""
    now = now or datetime.now(UTC)
    until = now if args.until is None else moment_of(args.until, now)
    since = moment_of(args.since, until)
    with open_store(args) as store:
        first = since - (until - since)
        pair = numbers.gather(
            store.records(first, until), store.rollups(first, until, numbers.HOUR), since, until
        )
        entries = store.journal(since, until)
    print(page.write(pair, entries, rules.load(args.rules), args.output))
    return DONE


VERB = Command("report", "what happened, as a page for a meeting", add_arguments, run)
