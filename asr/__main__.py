"""``python -m asr AUDIO...``: the edge form of ``voicesearch transcribe``, with the same options."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections.abc import Sequence

from asr.cli import guarded
from asr.commands.transcribe import COMMAND


def main(argv: Sequence[str] | None = None) -> int:
    """Transcribe the files named by ``argv``; the exit code."""
    parser = ArgumentParser(prog="python -m asr", description=COMMAND.summary)
    COMMAND.add_arguments(parser)
    args = parser.parse_args(argv)
    return guarded(lambda: COMMAND.run(args))


if __name__ == "__main__":
    sys.exit(main())
