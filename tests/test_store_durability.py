"""``scripts/check_durability``: acceptance L1 with few kills. The script itself does 200."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from types import ModuleType

import pytest
from script_module import load_script

from monitoring.storage.database import create_engine, parse_url, writing


@pytest.fixture(scope="module")
def script() -> ModuleType:
    """The script as a module."""
    return load_script("check_durability")


def test_what_was_acknowledged_survives_kill_9(script: ModuleType, tmp_path: Path) -> None:
    """Killed five times while it writes: every acknowledged event is there, and none twice."""
    url = f"sqlite:///{tmp_path}/events.db"
    result = script.examine(url, script.kill_writers(url, tmp_path, kills=5, seed=1))
    assert result.acknowledged > 0
    assert result.stored >= result.acknowledged
    assert (result.missing, result.twice) == (0, 0)


def test_the_check_notices_what_is_missing(script: ModuleType, tmp_path: Path) -> None:
    """Were an acknowledged event gone, it would say so: one is deleted behind its back."""
    url = f"sqlite:///{tmp_path}/events.db"
    acknowledged = script.kill_writers(url, tmp_path, kills=1, seed=1)
    with sqlite3.connect(tmp_path / "events.db") as connection:
        connection.execute("DELETE FROM events WHERE event_id = '0-0'")
    connection.close()
    assert script.examine(url, acknowledged).missing == 1


def test_a_commit_is_on_the_disk_and_not_on_its_way(tmp_path: Path) -> None:
    """WAL with ``synchronous = FULL`` (2), and ``secure_delete``: what a kill cannot show is at least set."""
    engine = create_engine(parse_url(f"sqlite:///{tmp_path}/events.db"))
    with writing(engine) as connection:
        settings = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "secure_delete")
        }
    engine.dispose()
    assert settings == {"journal_mode": "wal", "synchronous": 2, "secure_delete": 1}
