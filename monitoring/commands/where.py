"""Which event store a verb of ``voicesearch monitor`` asks: named on the command line, or the one ``serve`` keeps.

The first of: ``--store URL``; ``events.sqlite3`` in ``--state FOLDER``; the URL in ``VOICESEARCH_STORE``; that file in
``VOICESEARCH_STATE_FOLDER``; in ``voicesearch`` of ``$XDG_STATE_HOME`` or of ``~/.local/state``. As ``serve`` does.
"""

from __future__ import annotations

import os
from argparse import ArgumentParser, Namespace
from pathlib import Path

from monitoring.errors import NoStoreError
from monitoring.storage.database import FILE_NAME, parse_url
from monitoring.store import EventStore


def add_store(parser: ArgumentParser) -> None:
    """The options ``--store`` and ``--state``."""
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--store", metavar="URL", help="event store: sqlite:////FILE or postgresql://HOST/NAME"
    )
    which.add_argument(
        "--state",
        metavar="FOLDER",
        type=Path,
        help=f"folder that has it as {FILE_NAME} (default: that of serve)",
    )


def open_store(args: Namespace, *, create: bool = False) -> EventStore:
    """The store that the options name; an SQLite file that is not there is only made if told to.

    Raises NoStoreError, StoreUrlError, SchemaVersionError, MissingPackageError, and StoreUnavailableError: who asks
    has no use for a store that cannot be asked.
    """
    url, source = _where(args)
    file = parse_url(url).database if url.startswith("sqlite") else None
    if file is not None and not create and not Path(file).exists():
        raise NoStoreError(
            f"there is no event store at {file} ({source}): start voicesearch serve, or name another with --store "
            f"URL or --state FOLDER"
        )
    store = EventStore.open(url)
    if trouble := store.trouble:
        store.close()
        raise trouble
    return store


def _where(args: Namespace) -> tuple[str, str]:
    """The URL, and where it comes from."""
    if args.store is not None:
        return args.store, "--store"
    if args.state is not None:
        return _in(args.state), "--state"
    if url := os.environ.get("VOICESEARCH_STORE"):
        return url, "VOICESEARCH_STORE"
    if folder := os.environ.get("VOICESEARCH_STATE_FOLDER"):
        return _in(Path(folder)), "VOICESEARCH_STATE_FOLDER"
    home = os.environ.get("XDG_STATE_HOME")
    return _in(
        (Path(home) if home else Path.home() / ".local" / "state") / "voicesearch"
    ), "where serve keeps it"


def _in(folder: Path) -> str:
    return f"sqlite:///{folder.resolve() / FILE_NAME}"
