"""A database URL to a SQLAlchemy engine that keeps the store's promises. SQLite and PostgreSQL.

SQLite runs in WAL mode: readers never wait for the writer, a commit is one sequential write and one ``fsync``.
``synchronous`` is FULL because the store acknowledges: with NORMAL, WAL's usual companion, a commit survives the
death of the process but not that of the machine, and an acknowledged event could be gone. Group commit pays for it.
``secure_delete`` overwrites what is deleted. The file is readable for its owner alone: it holds what people said.

PostgreSQL gets the same promise by ``synchronous_commit = on``, whatever the server's default, and time limits on
connecting and on unanswered packets, so that a dead server is noticed.
"""

from __future__ import annotations

import importlib.util
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import URL, Connection, Engine, event
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, SQLAlchemyError

from monitoring.errors import MissingPackageError, StoreUnavailableError, StoreUrlError

FILE_NAME = "events.sqlite3"  # in a state folder
BUSY_TIMEOUT_MS = 5_000  # for another process that writes, or that checkpoints
CONNECT_TIMEOUT_S = 3
UNANSWERED_MS = 10_000  # then the kernel gives a connection up

_WRITES = "voicesearch_writes"
_FORMS = "sqlite:///relative/path.db, sqlite:////absolute/path.db or postgresql://user@host/name"


def parse_url(url: str) -> URL:
    """The URL with its driver; ``StoreUrlError`` for anything but an SQLite file or a PostgreSQL database."""
    try:
        parsed = sqlalchemy.make_url(url)
    except ArgumentError as error:
        raise StoreUrlError(f"the event store's URL cannot be read; expected {_FORMS}") from error
    if parsed.get_backend_name() == "postgresql":
        if importlib.util.find_spec("psycopg") is None:
            raise MissingPackageError(
                "PostgreSQL needs the package psycopg: pip install 'voicesearch[postgres]'"
            )
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() != "sqlite":
        raise StoreUrlError(f"the event store cannot be {parsed.drivername!r}; expected {_FORMS}")
    if parsed.database in (None, "", ":memory:") or parsed.query:
        raise StoreUrlError(f"the event store must be an SQLite file, without options; expected {_FORMS}")
    return parsed.set(drivername="sqlite+pysqlite")


def create_engine(url: URL) -> Engine:
    """An engine for a parsed URL; connects to nothing yet. Errors never quote parameters, which hold texts."""
    if url.get_backend_name() == "sqlite":
        engine = sqlalchemy.create_engine(
            url, hide_parameters=True, connect_args={"timeout": BUSY_TIMEOUT_MS / 1000}
        )
        event.listen(engine, "do_connect", _own_the_file)
        event.listen(engine, "connect", _set_up_sqlite)
        event.listen(engine, "begin", _begin)
        return engine
    options = f"{url.query.get('options', '')} -c synchronous_commit=on".strip()
    return sqlalchemy.create_engine(
        url,
        hide_parameters=True,
        pool_pre_ping=True,
        connect_args={
            "options": options,
            "connect_timeout": CONNECT_TIMEOUT_S,
            "tcp_user_timeout": UNANSWERED_MS,
            "application_name": "voicesearch",
        },
    )


def _own_the_file(_dialect: object, _record: object, args: list[Any], _options: dict[str, Any]) -> None:
    # SQLite gives its -wal and -shm files the permissions of the database.
    path = Path(args[0])
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))


def _set_up_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # or the driver begins transactions where it sees fit; see _begin
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA secure_delete = ON")


def _begin(connection: Connection) -> None:
    # IMMEDIATE: a transaction that means to write waits for its turn here, and not, in vain, half-way through.
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """One transaction that writes: durable when the block has ended, not there at all when it raised."""
    with engine.execution_options(**{_WRITES: True}).begin() as connection:
        yield connection


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """One short transaction that reads. ``StoreUnavailableError`` where the database cannot."""
    try:
        with engine.begin() as connection:
            yield connection
    except (SQLAlchemyError, OSError) as error:
        raise unavailable(error) from error


def is_outage(error: Exception) -> bool:
    """Whether the database is in trouble (try again), or was given what it will never take (do not)."""
    if isinstance(error, DBAPIError):
        return not isinstance(error, (DataError, IntegrityError))
    return isinstance(error, (OSError, sqlalchemy.exc.TimeoutError))  # the pool's, of connections


def unavailable(error: Exception) -> StoreUnavailableError:
    """The typed error for an outage, with the database's own words on it."""
    if isinstance(error, StoreUnavailableError):
        return error
    cause = error.orig if isinstance(error, DBAPIError) else error
    words = str(cause).strip().splitlines() or [""]
    return StoreUnavailableError(
        f"the event store cannot be used now ({type(cause).__name__}: {words[0]}); check its disk or server"
    )
