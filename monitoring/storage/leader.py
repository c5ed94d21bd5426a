"""One of several processes on one event store judges: whoever holds a lock that ends with its process.

PostgreSQL: an advisory lock of a session (of a connection kept for it alone). SQLite: ``flock`` on a file beside the
database. Nobody has to be told of a crash, a lost connection included: the next who asks leads.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress

from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.exc import SQLAlchemyError

from monitoring.storage.database import unavailable

_LOCK = 0x766F6963_77617463  # "voicwatc"
SUFFIX = ".watch"


class Leader:
    """A candidate. Not thread-safe: the thread that watches asks."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._connection: Connection | None = None
        self._file: int | None = None

    def leads(self) -> bool:
        """Whether this process leads now; it tries to, if nobody does.

        Raises StoreUnavailableError: it does not lead any more, and nobody knows who does. Ask again.
        """
        try:
            return self._holds_file() if self._engine.dialect.name == "sqlite" else self._holds_lock()
        except (SQLAlchemyError, OSError) as error:  # OSError: a folder that is gone, or may not be written
            self.resign()
            raise unavailable(error) from error

    def resign(self) -> None:
        """Let another lead."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
        if self._connection is not None:
            with suppress(SQLAlchemyError):  # a connection that is gone holds no lock
                self._connection.invalidate()  # closed for good: in the pool it would keep the lock
                self._connection.close()
            self._connection = None

    def _holds_file(self) -> bool:
        if self._file is not None:
            return True
        file = os.open(f"{self._engine.url.database}{SUFFIX}", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return False
        self._file = file
        return True

    def _holds_lock(self) -> bool:
        if self._connection is not None:
            self._connection.scalar(select(1))  # a connection that died has lost the lock
            return True
        connection = self._engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        if connection.scalar(select(func.pg_try_advisory_lock(_LOCK))):
            self._connection = connection
            return True
        connection.close()
        return False
