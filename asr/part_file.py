"""What has come of a download: its bytes in ``*.part``, and beside them a note of what they are the beginning of."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from asr.errors import OptionError

KEPT_S = 14 * 86_400.0  # what nobody went on with for so long, nobody will
OWN = 0o600  # addresses tell what somebody fetches


class PartFile:
    """The beginning of one version of a file. Only whoever holds its lock may make one: see `locked`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.total: int | None = None  # bytes of the whole, where the server said so
        self.version: str | None = None  # its ETag or date, where it has one
        self._note = path.with_suffix(".json")
        try:
            noted = json.loads(self._note.read_text(encoding="utf-8"))
            self.total, self.version = noted["total"], noted["version"]
        except (
            OSError,
            ValueError,
            KeyError,
            TypeError,
        ):  # killed before the note was whole, or nothing was kept
            self.clear()

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self.path.stat().st_size

    def clear(self) -> None:
        """Nothing has come."""
        self.path.write_bytes(b"")
        self.total = self.version = None

    def begin(self, url: str, version: str | None, total: int | None) -> None:
        """What comes next is the beginning of this version. ``url`` is for people who find the note."""
        self.clear()
        self.version, self.total = version, total
        note = {"url": url, "version": version, "total": total}
        self._note.unlink(missing_ok=True)  # it would keep the permissions that it has
        opened = os.open(self._note, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWN)
        with os.fdopen(opened, "w", encoding="utf-8") as file:
            json.dump(note, file)

    def remove(self) -> None:
        """Forget it."""
        self._note.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)
        with suppress(OSError):  # others may be waiting there
            self.path.parent.rmdir()


@contextmanager
def locked(path: Path, url: str) -> Iterator[None]:
    """One process at a time. A kill frees it. Raises OptionError where another one is at it.

    On Windows nothing is locked: two processes that fetch one file spoil it for each other, which its digests tell.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if sys.platform == "win32":
        path.touch()
        yield
        return
    import fcntl  # not on Windows

    with path.open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OptionError(f"{url} is being downloaded already; wait for it, or end it") from error
        if not _is_at(lock.fileno(), path):
            raise OptionError(f"{url} was downloaded by another process at this moment")
        yield


def forget_old(folder: Path, now: float | None = None) -> None:
    """Remove what was interrupted ``KEPT_S`` before ``now`` (seconds of the epoch) or earlier, and notes of nothing."""
    oldest = (time.time() if now is None else now) - KEPT_S
    for path in [*folder.glob("*.part"), *folder.glob("*.json")]:
        part = path.with_suffix(".part")
        with suppress(OSError, OptionError):  # somebody is at it, or it has gone meanwhile
            if path.stat().st_mtime <= oldest and (path == part or not part.exists()):
                with locked(part, part.name):
                    part.with_suffix(".json").unlink(missing_ok=True)
                    part.unlink()


def _is_at(opened: int, path: Path) -> bool:
    """Whether an opened file is still the one at a path: whoever held the lock before may have removed it."""
    try:
        return os.path.samestat(os.fstat(opened), path.stat())
    except FileNotFoundError:
        return False
