"""``voicesearch keys``: who may call the server.

``create`` prints a secret once, alone on stdout; ``list`` and ``revoke`` do what they say.
"""

from __future__ import annotations

import json
import os
import re
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from asr.commands.command import DONE, SOME_FAILED, Command
from asr.commands.progress import say
from serving.keys import FRESH_S, ApiKey, KeyStore, Scope

SECONDS = {"m": 60, "h": 3_600, "d": 86_400, "w": 7 * 86_400}
LONGEST_S = 3_650 * SECONDS["d"]  # ten years; beyond, say never and mean it
LIFETIME = "90d"
NEVER = "never"


def default_path() -> Path:
    """``$VOICESEARCH_KEYS``, which the server reads too, else ``voicesearch/keys.db`` in the user's data folder."""
    if chosen := os.environ.get("VOICESEARCH_KEYS"):
        return Path(chosen)
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "voicesearch" / "keys.db"


def lifetime(text: str) -> int | None:
    """Seconds of ``45m``, ``12h``, ``30d`` or ``2w``; None of ``never``."""
    if text == NEVER:
        return None
    found = re.fullmatch(r"([0-9]{1,6})([mhdw])", text)
    seconds = int(found[1]) * SECONDS[found[2]] if found else 0
    if not 0 < seconds <= LONGEST_S:
        raise ArgumentTypeError(f"{text!r} is no lifetime: 45m, 12h, 30d or 2w (at most 3650d), or {NEVER}")
    return seconds


def add_arguments(parser: ArgumentParser) -> None:
    """The three verbs about keys."""
    verbs = parser.add_subparsers(metavar="VERB", required=True)
    create = verbs.add_parser("create", help="make a key and print its secret, once")
    create.add_argument("name", metavar="NAME", help="for whom or what, such as 'shop-app'")
    create.add_argument(
        "--scope",
        dest="scopes",
        action="append",
        required=True,
        choices=[scope.value for scope in Scope],
        metavar="SCOPE",
        help=f"what it may do: {', '.join(Scope)}; repeat for several; admin includes all",
    )
    create.add_argument(
        "--expires",
        type=lifetime,
        default=LIFETIME,
        metavar="TIME",
        help=f"30d, 12h, 45m, 2w or {NEVER} (default: %(default)s)",
    )
    create.set_defaults(run_keys=run_create)
    listing = verbs.add_parser("list", help="all keys, without their secrets")
    listing.set_defaults(run_keys=run_list)
    end = verbs.add_parser("revoke", help="end keys, for good")
    end.add_argument("ids", metavar="ID", nargs="+", help="as list shows them")
    end.set_defaults(run_keys=run_revoke)
    for verb in (create, listing, end):
        verb.add_argument(
            "--keys", type=Path, metavar="FILE", help="file of the keys (default: $VOICESEARCH_KEYS)"
        )
        verb.add_argument("--json", action="store_true", help="JSON instead of text")


def run(args: Namespace) -> int:
    """The verb asked for."""
    code: int = args.run_keys(args, KeyStore(args.keys or default_path()))
    return code


def run_create(args: Namespace, store: KeyStore) -> int:
    """The secret alone on stdout, so that it can be piped to where it is needed; the rest on stderr."""
    first = not store.has_keys()
    issued = store.create(args.name, frozenset(map(Scope, args.scopes)), args.expires)
    print(json.dumps(describe(issued.key) | {"key": issued.secret}) if args.json else issued.secret)
    until = f"until {issued.key.expires:%Y-%m-%d %H:%M} UTC" if issued.key.expires else "for ever"
    say(f"{issued.key.id} ({issued.key.name}) may {', '.join(sorted(issued.key.scopes))} {until}")
    say(f"This is the only time the key is shown; {store.path} keeps its digest.")
    if first:
        say(f"Start the server with --keys {store.path}: it then answers nobody without a key.")
    return DONE


def run_list(args: Namespace, store: KeyStore) -> int:
    """A line a key."""
    keys = store.keys() if store.path.exists() else ()
    if args.json:
        print(json.dumps([describe(key) for key in keys], indent=2))
    elif not keys:
        say(f"no keys in {store.path}: voicesearch keys create NAME --scope SCOPE")
    else:
        for key in keys:
            print(_line(key))
    return DONE


def run_revoke(args: Namespace, store: KeyStore) -> int:
    """Revoke every key named; those that are not there are named on stderr."""
    rows = []
    for key_id in args.ids:
        key = store.revoke(key_id)
        if key is None:
            say(f"{key_id}: no such key in {store.path}: voicesearch keys list shows them")
            continue
        rows.append(describe(key))
        if not args.json:
            print(_line(key))
    if args.json:
        print(json.dumps(rows, indent=2))
    if rows:
        say(f"A running server refuses them within {FRESH_S:g} seconds.")
    return DONE if len(rows) == len(args.ids) else SOME_FAILED


def describe(key: ApiKey) -> dict[str, Any]:
    """A key as JSON has it. Times are ISO 8601, UTC."""

    def moment(at: datetime | None) -> str | None:
        return None if at is None else at.isoformat()

    return {
        "id": key.id,
        "name": key.name,
        "scopes": sorted(key.scopes),
        "state": key.state(datetime.now(UTC)),
        "created": moment(key.created),
        "expires": moment(key.expires),
        "revoked": moment(key.revoked),
        "last_used": moment(key.last_used),
    }


def _line(key: ApiKey) -> str:
    state = key.state(datetime.now(UTC))
    until = f"until {key.expires:%Y-%m-%d %H:%M}" if key.expires else "for ever"
    used = f"used {key.last_used:%Y-%m-%d %H}h" if key.last_used else "never used"
    return f"{key.id}  {state:7}  {until:22}  {used:19}  {','.join(sorted(key.scopes)):24}  {key.name}"


COMMAND = Command("keys", "create, list or revoke the API keys of the server", add_arguments, run)
