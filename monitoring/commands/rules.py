"""``voicesearch monitor rules``: the alarm rules as a file for Prometheus."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from asr.commands.command import DONE, Command
from monitoring.alarms import rules
from monitoring.prometheus import file as prometheus_file
from monitoring.prometheus import rules as prometheus_rules


def add_arguments(parser: ArgumentParser) -> None:
    """Which rules, and where to."""
    parser.add_argument("--rules", metavar="FILE", type=Path, help="alarm rules (default: those that ship)")
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help="file to write (default: stdout)")


def run(args: Namespace) -> int:
    """Write them."""
    text = prometheus_file.text(prometheus_rules.groups(rules.load(args.rules)))
    if args.output is None:
        sys.stdout.write(text)
    else:
        args.output.write_text(text, encoding="utf-8")
    return DONE


VERB = Command("rules", "alarm rules as a file for Prometheus", add_arguments, run)
