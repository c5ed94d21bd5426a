"""API keys: who may call, what for, and until when. One SQLite file, which only its owner may read.

A secret is ``vs_`` and 32 random bytes. It is shown once, when it is made; the file keeps its SHA-256. A fast hash is
right here: slow ones exist because people choose passwords that can be guessed, and nobody guesses 256 random bits.

A key is looked up by its digest and remembered for `FRESH_S` seconds, so a revocation by another process
takes effect within that time at the latest; one by this process at once. Expiry is looked at every time.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import sqlite3
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from asr.errors import OptionError
from serving.errors import KeysFileError, UnauthorizedError

PREFIX = "vs_"
SECRET_BYTES = 32
SECRET = re.compile(rf"{PREFIX}[A-Za-z0-9_-]{{43}}")  # 43 = ceil(32 bytes * 8 / 6 bits), without padding
NAME = re.compile(r"[\w .@:/+-]{1,64}")
FRESH_S = 5.0
# How coarsely the last use is noted: a write an hour and key, and no diary of a person's day.
USE_STEP_S = 3_600
BUSY_S = 5.0  # how long a writer waits for another one
OTHERS = stat.S_IRWXG | stat.S_IRWXO

VERSION = 1
SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS keys (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    digest BLOB NOT NULL UNIQUE,
    scopes TEXT NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER,
    revoked INTEGER,
    last_used INTEGER
) STRICT;
PRAGMA user_version = {VERSION};
COMMIT;
"""  # times are seconds since 1970, UTC
COLUMNS = "id, name, scopes, created, expires, revoked, last_used"


class Scope(StrEnum):
    """What a key may be good for."""

    TRANSCRIBE = "transcribe"
    SEARCH = "search"
    EVENTS = "events"
    REVIEW = "review"
    ADMIN = "admin"


def allows(scopes: frozenset[Scope], wanted: Scope) -> bool:
    """Whether ``scopes`` cover ``wanted``. Admin covers all: who may swap the model could hear everything anyway."""
    return wanted in scopes or Scope.ADMIN in scopes


@dataclass(frozen=True, slots=True)
class ApiKey:
    """One key as the file has it: everything but the secret. Times are UTC; ``last_used`` is to the hour."""

    id: str
    name: str
    scopes: frozenset[Scope]
    created: datetime
    expires: datetime | None
    revoked: datetime | None
    last_used: datetime | None

    def state(self, now: datetime) -> str:
        """``active``, ``expired`` or ``revoked``."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and self.expires <= now else "active"


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A key just made, and the secret that nobody will be able to read again."""

    key: ApiKey
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Seen:
    key: ApiKey
    at: float


class KeyStore:
    """The keys in one file, which is made when the first key is. Safe to use from several threads and processes."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time, fresh_s: float = FRESH_S) -> None:
        self.path = path
        self._clock = clock
        self._fresh_s = fresh_s
        self._seen: dict[bytes, _Seen] = {}  # good keys alone, so it never outgrows the file

    def has_keys(self) -> bool:
        """Whether any key was ever made, usable or not: a file whose keys have all expired opens no door."""
        return self.path.exists() and bool(self.keys())

    def keys(self) -> tuple[ApiKey, ...]:
        """All keys, oldest first."""
        with self._open() as file:
            rows = file.execute(f"SELECT {COLUMNS} FROM keys ORDER BY created, rowid").fetchall()
        return tuple(map(_key, rows))

    def create(self, name: str, scopes: frozenset[Scope], lifetime_s: int | None) -> IssuedKey:
        """Make a key that expires after ``lifetime_s`` seconds (None: never), and the file if it is the first."""
        if not NAME.fullmatch(name):
            raise OptionError(f"{name!r} cannot name a key: up to 64 letters, digits, spaces and .@:/+- can")
        assert scopes, "a key without a scope is good for nothing"
        secret = PREFIX + secrets.token_urlsafe(SECRET_BYTES)
        now = int(self._clock())
        expires = None if lifetime_s is None else now + lifetime_s
        row = (f"key_{secrets.token_hex(6)}", name, ",".join(sorted(scopes)), now, expires, None, None)
        self._prepare()
        with self._open() as file:
            file.execute(
                f"INSERT INTO keys (digest, {COLUMNS}) VALUES (?{', ?' * 7})", (_digest(secret), *row)
            )
        return IssuedKey(_key(row), secret)

    def revoke(self, key_id: str) -> ApiKey | None:
        """End a key for good; as it is now, or None if there is none of this id. Again is the same as once."""
        with self._open() as file:
            file.execute(
                "UPDATE keys SET revoked = coalesce(revoked, ?) WHERE id = ?", (int(self._clock()), key_id)
            )
            row = file.execute(f"SELECT {COLUMNS} FROM keys WHERE id = ?", (key_id,)).fetchone()
        self._seen.clear()
        return None if row is None else _key(row)

    def remembered(self, secret: str) -> ApiKey | None:
        """The key of ``secret`` if the file was asked in the last seconds and it still holds; touches no disk."""
        seen = self._seen.get(_digest(secret))
        if seen is None or not 0.0 <= self._clock() - seen.at < self._fresh_s:
            return None
        return seen.key if seen.key.state(self._now()) == "active" else None

    def verify(self, secret: str) -> ApiKey:
        """The key of ``secret``, from the file. Raises UnauthorizedError if it is unknown, expired or revoked."""
        digest = _digest(secret)
        row = None
        if SECRET.fullmatch(secret):
            with self._open() as file:
                row = file.execute(
                    f"SELECT digest, {COLUMNS} FROM keys WHERE digest = ?", (digest,)
                ).fetchone()
        # The index finds digests, so its timing says nothing of a secret: to steer a digest is to break SHA-256.
        if row is None or not hmac.compare_digest(row[0], digest):
            raise UnauthorizedError("This API key is unknown. Ask whoever runs the server for one.")
        key = _key(row[1:])
        state = key.state(self._now())
        if state != "active":
            self._seen.pop(digest, None)
            raise UnauthorizedError(f"This API key is {state}. Ask for a new one.", code=f"{state}_api_key")
        self._note_use(key)
        self._seen[digest] = _Seen(key, self._clock())
        return key

    def _note_use(self, key: ApiKey) -> None:
        step = int(self._clock()) // USE_STEP_S * USE_STEP_S
        if key.last_used is not None and key.last_used.timestamp() >= step:
            return
        if not os.access(self.path, os.W_OK):  # mounted read-only: keys work, their last use is not known
            return
        with self._open() as file:
            file.execute("UPDATE keys SET last_used = ? WHERE id = ?", (step, key.id))

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), UTC)

    def _prepare(self) -> None:
        """Make the file, if there is none, so that it is never readable by others, not for a moment."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with suppress(FileExistsError):
            os.close(os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        with self._connect() as file:
            if file.execute("PRAGMA user_version").fetchone() == (0,):
                file.executescript(SCHEMA)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """The file, checked; what is done in it is committed at the end or not at all."""
        try:
            mode = self.path.stat().st_mode
        except FileNotFoundError:
            raise KeysFileError(
                f"no file of API keys at {self.path}: make one with voicesearch keys create"
            ) from None
        if mode & OTHERS:
            raise KeysFileError(f"{self.path} is open to other users (mode {mode & 0o777:o}): chmod 600 it")
        with self._connect() as file:
            (version,) = file.execute("PRAGMA user_version").fetchone()
            if version != VERSION:
                raise KeysFileError(
                    f"{self.path} is of version {version}, and this program reads version {VERSION}"
                )
            yield file

    @contextmanager
    def _connect(self) -> Iterator[sqlite3.Connection]:
        file = sqlite3.connect(f"{self.path.resolve().as_uri()}?mode=rw", timeout=BUSY_S, uri=True)
        try:
            with file:
                yield file
        except sqlite3.Error as error:
            raise KeysFileError(f"{self.path} cannot be used as a file of API keys: {error}") from error
        finally:
            file.close()


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _key(row: tuple[str, str, str, int, int | None, int | None, int | None]) -> ApiKey:
    key_id, name, scopes, created, expires, revoked, last_used = row

    def moment(seconds: int | None) -> datetime | None:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)

    return ApiKey(
        key_id,
        name,
        frozenset(map(Scope, scopes.split(","))),
        datetime.fromtimestamp(created, UTC),
        moment(expires),
        moment(revoked),
        moment(last_used),
    )
