"""``voicesearch monitor grafana``: a dashboard to import into Grafana."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path

from asr.commands.command import DONE, Command
from monitoring.prometheus.grafana import dashboard


def add_arguments(parser: ArgumentParser) -> None:
    """Where to."""
    parser.add_argument("-o", "--output", metavar="FILE", type=Path, help="file to write (default: stdout)")


def run(args: Namespace) -> int:
    """Write it."""
    text = json.dumps(dashboard(), indent=1, ensure_ascii=False) + "\n"
    if args.output is None:
        sys.stdout.write(text)
    else:
        args.output.write_text(text, encoding="utf-8")
    return DONE


VERB = Command("grafana", "a dashboard to import into Grafana", add_arguments, run)
