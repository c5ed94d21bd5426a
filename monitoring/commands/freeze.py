"""``voicesearch monitor freeze``: how requests are when all is well, the reference that drift is measured by."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from datetime import UTC, datetime

from asr.commands.command import DONE, Command
from monitoring.commands.times import moment_of
from monitoring.commands.where import add_store, open_store
from monitoring.drift.profile import DEFAULT, Profile
from monitoring.features import FEATURES


def add_arguments(parser: ArgumentParser) -> None:
    """Its options."""
    add_store(parser)
    parser.add_argument(
        "--since",
        default="7d",
        metavar="TIME",
        help="first moment: a date, a date and time, or how long ago (default %(default)s: every hour and kind of day)",
    )
    parser.add_argument("--until", metavar="TIME", help="first moment not in it (default: now)")
    parser.add_argument("--name", default=DEFAULT, help="(default %(default)s)")


def run(args: Namespace) -> int:
    """Freeze, and say what is in it."""
    now = datetime.now(UTC)
    since = moment_of(args.since, now)
    until = now if args.until is None else moment_of(args.until, now)
    with open_store(args) as store:
        profile = Profile.freeze(store.records(since, until), args.name, now)
        store.freeze(profile)
    print(
        f"{profile.name}: {profile.records:,} records in {profile.sittings:,} sittings, "
        f"{profile.since:%Y-%m-%d %H:%M} to {profile.until:%Y-%m-%d %H:%M} UTC, {profile.digest[:12]}"
    )
    missing = [feature.name for feature in FEATURES if feature.name not in profile.features]
    if missing:
        print(f"too little of: {', '.join(missing)}; their drift cannot be judged")
    if (profile.until - profile.since).days < 6:
        print("it covers less than a week: days or hours that it lacks are compared with those that it has")
    return DONE


VERB = Command("freeze", "keep how requests are now as the reference for drift", add_arguments, run)
