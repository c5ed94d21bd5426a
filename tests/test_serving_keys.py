"""``serving.keys`` and ``voicesearch keys``: made once, checked always, gone when revoked."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from asr.cli import guarded, main
from asr.errors import OptionError
from serving.errors import KeysFileError, UnauthorizedError
from serving.keys import FRESH_S, SECRET, KeyStore, Scope, allows

START = datetime(2026, 1, 1, 12, 30, tzinfo=UTC)
DAY_S = 86_400
TRANSCRIBE = frozenset({Scope.TRANSCRIBE})


class Clock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = START.timestamp()

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """Half past noon on New Year's Day."""
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock) -> KeyStore:
    """A file in a folder that is not there yet."""
    return KeyStore(tmp_path / "state" / "keys.db", clock)


def test_a_key_is_good_until_it_expires(store: KeyStore, clock: Clock) -> None:
    """To the second, also while it is remembered."""
    issued = store.create("shop", TRANSCRIBE, DAY_S)
    assert store.verify(issued.secret).id == issued.key.id
    clock.now += DAY_S - 1
    assert store.verify(issued.secret).expires == START + timedelta(days=1)
    clock.now += 1
    assert store.remembered(issued.secret) is None
    with pytest.raises(UnauthorizedError) as caught:
        store.verify(issued.secret)
    assert caught.value.code == "expired_api_key"


def test_a_key_for_ever(store: KeyStore, clock: Clock) -> None:
    """Without a lifetime it has no end."""
    issued = store.create("shop", TRANSCRIBE, None)
    clock.now += 100 * 365 * DAY_S
    assert store.verify(issued.secret).expires is None


def test_revocation_by_the_same_process_takes_effect_at_once(store: KeyStore) -> None:
    """Nothing is remembered beyond it, and it stays the first time it was done."""
    issued = store.create("shop", TRANSCRIBE, DAY_S)
    store.verify(issued.secret)
    revoked = store.revoke(issued.key.id)
    assert revoked is not None
    assert revoked.revoked == START
    assert store.remembered(issued.secret) is None
    with pytest.raises(UnauthorizedError) as caught:
        store.verify(issued.secret)
    assert caught.value.code == "revoked_api_key"
    assert store.revoke(issued.key.id) == revoked


def test_revocation_by_another_process_takes_effect_within_the_stated_time(
    store: KeyStore, clock: Clock
) -> None:
    """A key is remembered for less than `FRESH_S` seconds, and not a moment longer."""
    issued = store.create("shop", TRANSCRIBE, DAY_S)
    store.verify(issued.secret)
    KeyStore(store.path, clock).revoke(issued.key.id)
    clock.now += FRESH_S - 0.01
    assert store.remembered(issued.secret) is not None
    clock.now += 0.01
    assert store.remembered(issued.secret) is None


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "vs_",
        "Bearer",
        "vs_" + "A" * 43,
        "vs_" + "A" * 42,
        "sk-" + "A" * 43,
        "x" * 100_000,
        "vs_" + "é" * 43,
        "' OR 1=1 --",
    ],
    ids=lambda secret: secret[:12],
)
def test_unknown_and_malformed_keys_look_the_same(store: KeyStore, secret: str) -> None:
    """From outside one cannot tell a wrong key from no key at all."""
    store.create("shop", TRANSCRIBE, DAY_S)
    with pytest.raises(UnauthorizedError) as caught:
        store.verify(secret)
    assert (caught.value.code, str(caught.value)) == (
        "invalid_api_key",
        "This API key is unknown. Ask whoever runs the server for one.",
    )


def test_the_file_holds_digests_alone(store: KeyStore) -> None:
    """Who reads the file, or a backup of it, has no key."""
    issued = store.create("shop", TRANSCRIBE, DAY_S)
    assert SECRET.fullmatch(issued.secret)
    content = store.path.read_bytes()
    assert issued.secret.encode() not in content
    assert issued.secret[3:].encode() not in content
    assert hashlib.sha256(issued.secret.encode()).digest() in content
    assert issued.secret not in repr(issued)


def test_the_file_is_its_owners_alone(store: KeyStore) -> None:
    """It is made so, and refused once it is not: whoever may write it may add a key."""
    store.create("shop", TRANSCRIBE, DAY_S)
    assert store.path.stat().st_mode & 0o777 == 0o600
    store.path.chmod(0o640)
    with pytest.raises(KeysFileError, match="chmod 600"):
        store.keys()


@pytest.mark.parametrize("content", [b"not a database, " * 100, b"SQLite format 3\x00" + b"\xff" * 200])
def test_a_file_that_is_something_else(store: KeyStore, content: bytes) -> None:
    """A typed error that names the file, for the operator."""
    store.path.parent.mkdir()
    store.path.write_bytes(content)
    store.path.chmod(0o600)
    with pytest.raises(KeysFileError, match=r"keys\.db"):
        store.keys()
    with pytest.raises(KeysFileError, match=r"keys\.db"):
        store.create("shop", TRANSCRIBE, DAY_S)
    assert store.path.read_bytes() == content


def test_a_file_of_a_later_version(store: KeyStore) -> None:
    """Refused rather than misread."""
    store.create("shop", TRANSCRIBE, DAY_S)
    with sqlite3.connect(store.path) as file:
        file.execute("PRAGMA user_version = 2")
    file.close()
    with pytest.raises(KeysFileError, match="version 2"):
        store.keys()


def test_a_file_that_has_gone_lets_nobody_in(store: KeyStore) -> None:
    """Deleting the file while the server runs does not open it."""
    issued = store.create("shop", TRANSCRIBE, DAY_S)
    store.path.unlink()
    with pytest.raises(KeysFileError):
        store.verify(issued.secret)
    assert not store.path.exists()


def test_a_file_whose_keys_are_all_over_still_has_keys(store: KeyStore, clock: Clock) -> None:
    """The server must not open itself when the last key expires."""
    assert not store.has_keys()
    issued = store.create("shop", TRANSCRIBE, 60)
    store.revoke(issued.key.id)
    clock.now += 3_600
    assert store.has_keys()


def test_last_use_is_noted_to_the_hour(store: KeyStore, clock: Clock) -> None:
    """Enough to find keys that nobody uses, too coarse for a diary."""
    issued = store.create("shop", TRANSCRIBE, DAY_S)
    assert store.keys()[0].last_used is None
    store.verify(issued.secret)
    clock.now += 29 * 60
    store.verify(issued.secret)
    assert store.keys()[0].last_used == START.replace(minute=0)
    clock.now += 60
    store.verify(issued.secret)
    assert store.keys()[0].last_used == START.replace(hour=13, minute=0)


def test_admin_implies_the_others() -> None:
    """And nothing else implies anything."""
    assert all(allows(frozenset({Scope.ADMIN}), scope) for scope in Scope)
    assert [scope for scope in Scope if allows(TRANSCRIBE, scope)] == [Scope.TRANSCRIBE]


def test_many_at_once(store: KeyStore) -> None:
    """Threads that all make the first key make one file with all keys in it."""
    made: list[str] = []

    def make(name: str) -> None:
        made.append(store.create(name, TRANSCRIBE, DAY_S).secret)

    threads = [threading.Thread(target=make, args=(f"client {i}",)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({store.verify(secret).id for secret in made}) == 8


@pytest.mark.parametrize("name", ["", "x" * 65, "tab\there", "line\nbreak", "\x1b[31mred"])
def test_names_that_would_spoil_a_table(store: KeyStore, name: str) -> None:
    """A name is shown in terminals and kept with records."""
    with pytest.raises(OptionError):
        store.create(name, TRANSCRIBE, DAY_S)


def keys(*arguments: str) -> int:
    """``voicesearch keys``, in this process; what argparse exits with, too."""
    try:
        return guarded(lambda: main(["keys", *arguments]))
    except SystemExit as end:
        return int(str(end.code))


def test_command_creates_lists_and_revokes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The secret is alone on stdout and never seen again; the rest of its life as an operator sees it."""
    path = tmp_path / "keys.db"
    monkeypatch.setenv("VOICESEARCH_KEYS", str(path))
    assert keys("create", "shop app", "--scope", "transcribe", "--scope", "search", "--expires", "30d") == 0
    out, err = capsys.readouterr()
    secret = out.strip()
    assert SECRET.fullmatch(secret)
    assert secret not in err
    key = KeyStore(path).verify(secret)
    assert key.scopes == {Scope.TRANSCRIBE, Scope.SEARCH}
    assert key.expires is not None
    assert key.expires - key.created == timedelta(days=30)

    assert keys("list", "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["id"], row["name"], row["scopes"], row["state"]) == (
        key.id,
        "shop app",
        ["search", "transcribe"],
        "active",
    )
    assert secret not in str(row)

    assert keys("revoke", key.id) == 0
    assert "revoked" in capsys.readouterr().out
    assert keys("list") == 0
    listed = capsys.readouterr().out
    assert key.id in listed
    assert "revoked" in listed
    with pytest.raises(UnauthorizedError):
        KeyStore(path).verify(secret)


def test_command_create_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """For scripts: the secret is the field ``key``."""
    path = tmp_path / "keys.db"
    assert keys("create", "ci", "--scope", "admin", "--expires", "never", "--json", "--keys", str(path)) == 0
    row = json.loads(capsys.readouterr().out)
    assert (row["expires"], row["scopes"]) == (None, ["admin"])
    assert KeyStore(path).verify(row["key"]).id == row["id"]


def test_command_revoke_names_what_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 1, and those that are there are revoked all the same."""
    path = tmp_path / "keys.db"
    issued = KeyStore(path).create("shop", TRANSCRIBE, DAY_S)
    assert keys("revoke", "key_unknown", issued.key.id, "--keys", str(path)) == 1
    out, err = capsys.readouterr()
    assert "key_unknown: no such key" in err
    assert issued.key.id in out
    assert KeyStore(path).keys()[0].revoked is not None


@pytest.mark.parametrize(
    "arguments",
    [
        ["create", "x"],
        ["create", "x", "--scope", "everything"],
        ["create", "x", "--scope", "search", "--expires", "tomorrow"],
        ["create", "x", "--scope", "search", "--expires", "0d"],
        ["create", "x", "--scope", "search", "--expires", "99999d"],
        ["create", "line\nbreak", "--scope", "search"],
        ["revoke", "key_1"],
        [],
    ],
    ids=" ".join,
)
def test_command_bad_usage(arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exit code 2, and no file is made."""
    monkeypatch.setenv("VOICESEARCH_KEYS", str(tmp_path / "keys.db"))
    assert keys(*arguments) == 2
    assert not (tmp_path / "keys.db").exists()


def test_command_lists_nothing_where_there_is_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No keys is no error; stderr says how to make one."""
    assert keys("list", "--json", "--keys", str(tmp_path / "keys.db")) == 0
    out, err = capsys.readouterr()
    assert (json.loads(out), err) == ([], "")
