"""``voicesearch erase``: all that is kept of sessions goes, for good; for who is at the machine."""

from __future__ import annotations

import json
import sys
from argparse import SUPPRESS, ArgumentParser, Namespace, RawDescriptionHelpFormatter
from pathlib import Path

from asr.commands.command import BAD_USAGE, DISTRIBUTION, DONE, Command
from monitoring.commands.where import open_store
from monitoring.errors import MonitoringError
from serving import retention
from serving.commands.serve import settings_of
from serving.erasure import erase

ABOUT = """\
Erase all that is kept of sessions: texts, events, outcomes, retained audio.

A server that runs meanwhile is not told. It lets go of a session's last clip (a sketch, in memory) and of
queries that it follows within a few minutes; but for an hour it takes events on queries it has answered,
and keeps what they say. Ask such a server instead: DELETE /v1/sessions/SESSION, with a key of scope admin.
Or end the session first, and erase again when it is over.
"""


def add_arguments(parser: ArgumentParser) -> None:
    """Which sessions, and where."""
    parser.description = ABOUT
    parser.formatter_class = RawDescriptionHelpFormatter
    parser.add_argument("sessions", metavar="SESSION", nargs="+", help="as the client named it")
    parser.add_argument(
        "--key-id",
        metavar="ID",
        help="only sessions of this API key: two may choose the same name (default: of all)",
    )
    parser.add_argument(
        "--state",
        dest="state_folder",
        type=Path,
        default=SUPPRESS,
        metavar="FOLDER",
        help="of audio and, without --store, of the event store (default: that of serve)",
    )
    parser.add_argument(
        "--store", default=SUPPRESS, metavar="URL", help="event store elsewhere, as it was named to serve"
    )
    parser.add_argument("--json", action="store_true", help="JSON instead of text")


def run(args: Namespace) -> int:
    """Erase them; nothing to erase is no failure."""
    where = {name: value for name, value in vars(args).items() if name in ("state_folder", "store")}
    settings = settings_of(Namespace(**where, no_catalog=False, no_state=False))  # as serve finds them
    audio = retention.store(settings.state_folder, settings.audio_days)
    try:
        with open_store(Namespace(store=settings.store, state=settings.state_folder)) as store:
            erased = erase(store, audio, args.sessions, args.key_id)
    except MonitoringError as error:
        print(f"{DISTRIBUTION}: {error}", file=sys.stderr)
        return BAD_USAGE
    counts = erased.model_dump()
    print(json.dumps(counts) if args.json else f"erased: {_named(counts)}")
    return DONE


def _named(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


COMMAND = Command("erase", "delete all that is kept of sessions", add_arguments, run)
