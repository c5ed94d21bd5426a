"""``python -m asr.train VERB ...``: the training verbs of ``voicesearch`` where it is not installed.

A borrowed GPU machine, say, to which only the source was carried.
"""

from __future__ import annotations

import argparse

from asr.train.commands import export, train

COMMANDS = (train.COMMAND, export.COMMAND)


def main() -> int:
    """Parse and run."""
    parser = argparse.ArgumentParser(prog="python -m asr.train")
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    for command in COMMANDS:
        verb = verbs.add_parser(command.name, help=command.summary, description=command.summary)
        command.add_arguments(verb)
        verb.set_defaults(run=command.run)
    args = parser.parse_args()
    code: int = args.run(args)
    return code


if __name__ == "__main__":
    raise SystemExit(main())
