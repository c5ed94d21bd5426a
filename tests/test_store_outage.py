"""``monitoring.storage.writer``: a disk that is full or read-only costs counted records, and no answer.

Each test runs a small program, because the limits that make a disk full or a folder read-only hold for a process.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from monitoring.errors import StoreUnavailableError
from monitoring.record import Event, EventType, Outcome, Record, Transport
from monitoring.storage.journal import Entry, Kind
from monitoring.storage.writer import Limits
from monitoring.store import EventStore

AT = datetime(2026, 3, 1, tzinfo=UTC)
RECORD = Record("0", AT, Transport.SEARCH, Outcome.OK, 200, "en-small@0", 0.1, query_id="query")
EVENT = Event("event", "query", EventType.CLICK, AT)

PRELUDE = """
import json, os, resource, sys, time
from dataclasses import replace
from datetime import UTC, datetime
from monitoring.errors import StoreUnavailableError
from monitoring.record import Event, EventType, Outcome, Record, Transport
from monitoring.store import EventStore
from monitoring.storage.writer import Limits
import sqlalchemy.dialects.sqlite.pysqlite  # all that is imported later must be readable for another user

url, folder = f"sqlite:///{sys.argv[1]}/events.db", sys.argv[1]
AT = datetime(2026, 3, 1, tzinfo=UTC)
RECORD = Record("0", AT, Transport.SEARCH, Outcome.OK, 200, "en-small@0", 0.1, query_id="query")
EVENT = Event("event", "query", EventType.CLICK, AT)
limits = Limits(backlog=50, patience_s=0.1, pause_s=0.05, close_s=0.2)

def until_recovered(store):
    while True:
        try:
            return store.flush()
        except StoreUnavailableError:
            time.sleep(0.01)

def hand_over(store, name, count, text=""):
    for number in range(count):
        store.observe(replace(RECORD, request_id=f"{name}-{number}", query_id=f"{name}-{number}", text=text))

def refused(store):
    try:
        store.submit(EVENT).result()
    except StoreUnavailableError as error:
        return str(error)
"""


def run(program: str, folder: Path) -> dict[str, Any]:
    """The JSON that a program prints."""
    command = [sys.executable, "-W", "error", "-c", PRELUDE + program, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


FULL_DISK = """
store = EventStore.open(url, limits)
hand_over(store, "before", 20)
store.flush()
size = max(entry.stat().st_size for entry in os.scandir(folder))
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))  # no file may grow: what a write sees is a full disk
hand_over(store, "during", 10, "x" * 20_000)
said, trouble = refused(store), type(store.trouble).__name__
hand_over(store, "more", 990, "x" * 20_000)
lost, waiting = store.lost, store.waiting
owner = store.owner_of("during-0") is not None, store.owner_of("before-0") is not None
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
until_recovered(store)
new = store.submit(EVENT).result()
hand_over(store, "after", 10)
store.flush()
names = [record.request_id.split("-")[0] for record in store.records()]
print(json.dumps({
    "said": said, "trouble": trouble, "lost": lost, "waiting": waiting, "owner": owner, "new": new,
    "after_lost": store.lost, "after_trouble": repr(store.trouble), "events": len(list(store.events())),
    **{name: names.count(name) for name in ("before", "during", "more", "after")},
    "twice": len(list(store.records())) - len({record.request_id for record in store.records()}),
}))
store.close()
"""


def test_a_full_disk_loses_what_finds_no_room_and_counts_it(tmp_path: Path) -> None:
    """1,000 records meet a full disk and a backlog of 50: 950 lost, said so exactly, 50 written when there is room."""
    result = run(FULL_DISK, tmp_path)
    assert "check its disk" in result["said"]
    assert result["trouble"] == "StoreUnavailableError"
    assert (result["lost"], result["waiting"], result["owner"]) == (950, 50, [True, True])
    assert [result[name] for name in ("before", "during", "more", "after")] == [20, 10, 40, 10]
    assert (result["after_lost"], result["after_trouble"], result["twice"]) == (950, "None", 0)
    assert (result["new"], result["events"]) == (True, 1)


FULL_DISK_FOR_A_SENDER = """
store = EventStore.open(url, limits)
store.flush()
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (max(entry.stat().st_size for entry in os.scandir(folder)), hard))
futures = [store.submit(replace(EVENT, event_id=str(number), text="x" * 20_000)) for number in range(10)]
errors = [type(future.exception()).__name__ for future in futures]
waiting = store.waiting
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
until_recovered(store)
again = store.submit(replace(EVENT, event_id="0")).result()
print(json.dumps({"errors": errors, "waiting": waiting, "lost": store.lost, "again": again,
                  "events": [event.event_id for event in store.events()]}))
store.close()
"""


def test_a_sender_hears_of_a_full_disk_and_may_send_again(tmp_path: Path) -> None:
    """What is refused is not kept, not counted as lost, and new when it comes again."""
    result = run(FULL_DISK_FOR_A_SENDER, tmp_path)
    assert result["errors"] == ["StoreUnavailableError"] * 10
    assert (result["waiting"], result["lost"], result["again"], result["events"]) == (0, 0, True, ["0"])


READ_ONLY = """
os.chmod(folder, 0o555)
if os.geteuid() == 0:
    os.chown(folder, 65534, 65534)
    os.setgroups([]); os.setegid(65534); os.seteuid(65534)  # for root nothing is read-only
store = EventStore.open(url, limits)
opened = str(store.trouble)
hand_over(store, "during", 80)
said = refused(store)
lost, waiting = store.lost, store.waiting
os.chmod(folder, 0o755)
until_recovered(store)
kept = [record.request_id for record in store.records()]
mode = oct(os.stat(f"{folder}/events.db").st_mode)
store.close()
print(json.dumps({"opened": opened, "said": said, "lost": lost, "waiting": waiting, "kept": kept, "mode": mode}))
"""


def test_a_service_starts_on_a_read_only_folder_and_recovers_with_it() -> None:
    """Opening does not fail; 30 of 80 records find no room; the others are written when the folder can be."""
    # Not pytest's folder, which is closed to the other user that root becomes.
    with tempfile.TemporaryDirectory(prefix="voicesearch-") as folder:
        result = run(READ_ONLY, Path(folder))
    assert "unable to open database file" in result["opened"] or "Permission denied" in result["opened"]
    assert "backlog of 50 is full" in result["said"]
    assert (result["lost"], result["waiting"]) == (30, 50)
    assert result["kept"] == [f"during-{number}" for number in range(50)]
    assert result["mode"] == "0o100600"


CLOSED_IN_TROUBLE = """
store = EventStore.open(url, limits)
store.flush()
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (max(entry.stat().st_size for entry in os.scandir(folder)), hard))
hand_over(store, "during", 40, "x" * 20_000)
future = store.submit(EVENT)
store.close()
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
with EventStore.open(url) as again:
    stored = len(list(again.records())), len(list(again.events()))
print(json.dumps({"lost": store.lost, "waiting": store.waiting, "stored": stored,
                  "error": type(future.exception()).__name__}))
"""


def test_closing_in_trouble_ends_and_counts(tmp_path: Path) -> None:
    """Nothing waits for ever: after ``close_s`` the rest is lost, counted, and its senders are told."""
    result = run(CLOSED_IN_TROUBLE, tmp_path)
    assert result == {"lost": 40, "waiting": 0, "stored": [0, 0], "error": "StoreUnavailableError"}


def test_a_writer_that_stands_still_bounds_the_backlog(tmp_path: Path) -> None:
    """Another process holds the database: observers go on, at most ``backlog`` is held, the rest is counted."""
    with EventStore.open(f"sqlite:///{tmp_path}/events.db", Limits(backlog=10)) as store:
        started, go_on = threading.Event(), threading.Event()

        def stand_still() -> None:
            started.set()
            go_on.wait()

        job = threading.Thread(target=store._on_writer, args=(stand_still,))
        job.start()
        started.wait()
        for number in range(25):
            store.observe(replace(RECORD, request_id=str(number)))
        with pytest.raises(StoreUnavailableError, match="backlog of 10 is full"):
            store.submit(EVENT).result()
        assert (store.lost, store.waiting) == (15, 10)
        assert store.lag_s > 0
        go_on.set()
        job.join()
        store.flush()
        assert [record.request_id for record in store.records()] == [str(number) for number in range(10)]
        assert (store.lost, store.waiting) == (15, 0)


def test_a_job_is_the_first_to_reach_a_store_that_was_away(tmp_path: Path) -> None:
    """Nothing was observed, so nothing has made its tables yet: the job that comes first does."""
    folder = tmp_path / "away"
    folder.touch()  # a file where the folder should be
    with EventStore.open(f"sqlite:///{folder}/events.db") as store:
        assert store.trouble is not None
        folder.unlink()
        entry = Entry(AT, "errors-page", Kind.FIRED, "said")
        store.note([entry])
        assert [(kept.alarm, kept.kind, kept.reason) for kept in store.journal()] == [
            ("errors-page", Kind.FIRED, "said")
        ]
