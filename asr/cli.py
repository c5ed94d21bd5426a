"""The command ``voicesearch``: finds the verb, runs it, and turns errors into one line and an exit code.

Verbs of the runtime are in ``asr.commands``; others come from the entry-point group ``voicesearch.commands``
and are imported only when called, because what they need may be large or absent.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import os
import sys
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path

from asr.commands import batch, bench, catalog, doctor, evaluate, models, transcribe
from asr.commands.command import BAD_USAGE, DISTRIBUTION, Command, version
from asr.errors import AsrError

GROUP = "voicesearch.commands"
EXTRAS = {"serving": "serve", "monitoring": "monitor"}
INTERRUPTED = 130  # 128 + SIGINT and 128 + SIGPIPE: what a shell reports of a program that they end
BROKEN_PIPE = 141

COMMANDS = (
    transcribe.COMMAND,
    batch.COMMAND,
    evaluate.COMMAND,
    bench.COMMAND,
    models.COMMAND,
    catalog.COMMAND,
    doctor.COMMAND,
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the verb that ``argv`` names; the exit code. Bad arguments end in SystemExit(2), from argparse."""
    arguments = sys.argv[1:] if argv is None else list(argv)
    return guarded(lambda: _dispatch(arguments))


def guarded(run: Callable[[], int]) -> int:
    """Run a verb: errors made on purpose, and those of the system, become one line on stderr."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A file name that is no text: "\\udcff" in its place is what JSON calls it, where an error would end a batch.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = run()
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader has gone. What is left in the buffer must not fail again when Python exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except (AsrError, OSError) as error:
        print(f"{DISTRIBUTION}: {error}", file=sys.stderr)
        return BAD_USAGE


def _dispatch(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog=DISTRIBUTION, description="Speech recognition for voice search.")
    parser.add_argument("--version", action="version", version=f"{DISTRIBUTION} {version()}")
    # argparse leaves room for this word, but none for the indent of the verbs below it: it has to be long.
    verbs = parser.add_subparsers(metavar="VERB [OPTION]", required=True)
    for command in COMMANDS:
        _add(verbs, command)
    called = next((argument for argument in arguments if not argument.startswith("-")), None)
    known = {command.name for command in COMMANDS}
    for entry in sorted(metadata.entry_points(group=GROUP), key=lambda entry: entry.name):
        if entry.name in known:
            continue
        known.add(entry.name)
        if entry.name != called:
            verbs.add_parser(entry.name, help=_summary(entry), add_help=False)
            continue
        try:
            command = entry.load()
        except ImportError as error:
            print(
                f"{DISTRIBUTION} {entry.name} needs packages that are not installed ({error}): "
                f"pip install '{_extra(entry)}'",
                file=sys.stderr,
            )
            return BAD_USAGE
        _add(verbs, command)
    args = parser.parse_args(arguments)
    code: int = args.run(args)
    return code


def _add(verbs: argparse._SubParsersAction[argparse.ArgumentParser], command: Command) -> None:
    parser = verbs.add_parser(command.name, help=command.summary, description=command.summary)
    command.add_arguments(parser)
    parser.set_defaults(run=command.run)


def _summary(entry: metadata.EntryPoint) -> str:
    """What a verb does: the first line of its file, which is read and not run, and what it needs."""
    try:
        found = importlib.util.find_spec(entry.module)
        first = (
            Path(found.origin).read_text(encoding="utf-8").partition("\n")[0]
            if found and found.origin
            else ""
        )
    except (ImportError, OSError):
        first = ""
    summary = first.strip('"').partition(": ")[2].rstrip(".")
    return f"{summary} (needs {_extra(entry)})".lstrip()


def _extra(entry: metadata.EntryPoint) -> str:
    """What to install for a verb: the extra of the package above ``commands``, named after it unless listed."""
    package = entry.module.split(".commands")[0].rsplit(".", 1)[-1]
    return f"{entry.dist.name if entry.dist else DISTRIBUTION}[{EXTRAS.get(package, package)}]"


if __name__ == "__main__":
    sys.exit(main())
