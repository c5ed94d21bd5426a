"""``voicesearch monitor silence ALARM`` and ``accept ALARM``: what a person has to say to an alarm, with a reason."""

from __future__ import annotations

import getpass
from argparse import ArgumentParser, Namespace
from datetime import UTC, datetime, timedelta

from asr.commands.command import DONE, Command
from monitoring.alarms import rules
from monitoring.alarms.rules import Ratio
from monitoring.alarms.spell import when
from monitoring.commands.alarms import add_rules
from monitoring.commands.explain import add_alarm, find
from monitoring.commands.where import add_store, open_store
from monitoring.drift.windows import Size
from monitoring.errors import NoAlarmError, WindowError
from monitoring.moments import microseconds
from monitoring.storage.journal import Entry, Kind

LONGEST = timedelta(days=30)  # the watch looks back so far


def _add_silence(parser: ArgumentParser) -> None:
    _add(parser)
    parser.add_argument(
        "--for", dest="span", default="2h", metavar="TIME", help="30m, 2h, 1d (default %(default)s)"
    )


def _add(parser: ArgumentParser) -> None:
    add_alarm(parser)
    parser.add_argument("--reason", required=True, help="for those who read the journal later")
    parser.add_argument("--by", default=None, metavar="NAME", help="who says so (default: the user's name)")
    add_store(parser)
    add_rules(parser)


def _silence(args: Namespace) -> int:
    """Tell nobody for a while; it is judged and shown as ever."""
    span = Size.parse(args.span).span
    if span is None or span > LONGEST:
        raise WindowError(f"a silence of {args.span!r}: write a time up to 30d, such as 30m, 2h or 1d")
    now = datetime.now(UTC)
    _note(args, now, Kind.SILENCED, {"until_us": microseconds(now + span)})
    print(f"{args.alarm}: nobody is told until {when(now + span)}")
    return DONE


def _accept(args: Namespace) -> int:
    """What is seen from now on is usual."""
    rule = find(rules.load(args.rules), args.alarm)
    if not isinstance(rule, Ratio):
        raise NoAlarmError(
            f"{args.alarm} does not learn what is usual: change its threshold in the rules, or freeze another "
            "reference (voicesearch monitor freeze)"
        )
    _note(args, datetime.now(UTC), Kind.ACCEPTED, {})
    print(f"{args.alarm}: what is usual is learnt anew from now on; until then its limit alone is judged")
    return DONE


def _note(args: Namespace, now: datetime, kind: Kind, body: dict[str, object]) -> None:
    find(rules.load(args.rules), args.alarm)
    entry = Entry(now, args.alarm, kind, args.reason, {**body, "by": args.by or getpass.getuser()})
    with open_store(args) as store:
        store.note([entry])


VERB = Command("silence", "tell nobody of an alarm for a while", _add_silence, _silence)
ACCEPT = Command("accept", "say that what an alarm sees is usual from now on", _add, _accept)
