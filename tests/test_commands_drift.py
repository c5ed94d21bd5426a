"""``voicesearch monitor freeze`` and ``drift``, on a store."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from drift_records import MONDAY, heard, narrow_microphone, records

from asr.cli import main
from monitoring.record import Record
from monitoring.store import EventStore

pytest.importorskip("river", reason="needs river")
NEXT_WEEK = MONDAY + timedelta(days=7)
LATER = "2026-03-20"


def fill(folder: Path, items: Sequence[Record]) -> None:
    """Put records into the store of a state folder."""
    with EventStore.open(f"sqlite:///{folder}/events.sqlite3") as store:
        for item in items:
            store.observe(item)
        store.flush()


def run(folder: Path, *words: str) -> int:
    """``voicesearch monitor`` with that store."""
    return main(["monitor", words[0], "--state", str(folder), *words[1:]])


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a week as usual and 900 records of the next through a narrow microphone; a reference of the week.

    Read only.
    """
    folder = tmp_path_factory.mktemp("state")
    fill(folder, records(1_500, 1))
    fill(folder, records(900, 3, clips=heard(narrow_microphone), since=NEXT_WEEK, span=timedelta(days=2)))
    assert run(folder, "freeze", "--since", "2026-03-02", "--until", "2026-03-09") == 0
    return folder


def test_a_table_and_words(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What drifted is marked, that it persists too, and a sentence says which stages."""
    capsys.readouterr()
    assert run(state, "drift", "--window", "300", "--until", LATER) == 0
    printed = capsys.readouterr().out.splitlines()
    level = next(line for line in printed if "level_dbfs" in line)
    assert level.endswith("drifted, persists")
    assert "against default (" in printed[0]
    assert printed[-1].startswith("Data drift: inputs moved: input: level_dbfs")
    assert len(printed) == 1 + 1 + 15 + 1 + 1
    assert all(len(line) < 130 for line in printed[:-1])


def test_json(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The newest window, changes and verdict; windows of a time too."""
    capsys.readouterr()
    assert run(state, "drift", "--window", "1d", "--until", "2026-03-11", "--json") == 0
    body = json.loads(capsys.readouterr().out)
    assert body["features"]["level_dbfs"]["persistent"]
    assert body["verdict"]["kind"] == "data"
    assert body["changes"] == []
    assert body["since"] >= "2026-03-10"


def test_freezing_says_what_it_took(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Records, sittings and times; and that it is less than a week."""
    fill(tmp_path, records(800, 1, span=timedelta(days=2)))
    assert run(tmp_path, "freeze", "--since", "2026-03-02", "--until", "2026-03-09", "--name", "short") == 0
    printed = capsys.readouterr().out
    assert printed.startswith("short: 800 records in ")
    assert "less than a week" in printed


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("drift", "--window", "7 days"), "write a number of records"),
        (("drift", "--name", "none"), "there is no reference 'none' (there are: default)"),
        (("drift", "--until", "2026-03-09"), "there are no records from 2026-03-08T"),
        (("freeze", "--since", "yesterday"), "'yesterday' is no time"),
        (("freeze", "--since", "2026-03-02", "--until", "2026-03-02T01:00"), "needs 100 sittings"),
        (("freeze", "--since", "7x"), "'7x' is no time"),
    ],
)
def test_mistakes(state: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str) -> None:
    """One line on stderr that says what to do, nothing on stdout, exit code 2."""
    capsys.readouterr()
    assert run(state, *words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("voicesearch: ")
    assert err.count("\n") == 1
    assert said in err
