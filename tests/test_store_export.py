"""``monitoring.storage.export``: the store as Parquet files that any tool of analysis reads."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from asr.transcript import ClipStats
from monitoring.aftermath import Aftermath
from monitoring.errors import MissingPackageError, StoreUnavailableError
from monitoring.outcomes import Again
from monitoring.record import Event, EventType, Outcome, Record, Transport
from monitoring.store import EventStore

AT = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
CLIP = ClipStats(3.5, -23.25, 3.25, None, 0.0, 0.5, 0.25, 0.125)
RECORD = Record(
    "request", AT, Transport.SEARCH, Outcome.OK, 200, "en-small@0", 0.125, query_id="query", session="sitting",
    clip=CLIP, n_words=2, text="canary", results=("item-2", "item-1"), stages_s={"vad": 0.5},
)  # fmt: skip
AFTERMATH = Aftermath(
    "query", AT, "en-small@0", "stable", Transport.SEARCH, "sitting", Again.TYPED, "query-2", False, 2, 9.5, False
)  # fmt: skip
EVENT = Event("event", "query", EventType.TYPED, AT, text="canary")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EventStore]:
    """Three records, a second apart, and an event."""
    with EventStore.open(f"sqlite:///{tmp_path}/events.db") as opened:
        for second in range(3):
            at = AT + timedelta(seconds=second)
            opened.observe(replace(RECORD, request_id=f"request-{second}", at=at))
        opened.observe(EVENT)
        opened.flush()
        opened.keep([AFTERMATH])
        yield opened


def test_rows_become_typed_columns(store: EventStore, tmp_path: Path) -> None:
    """Times with their zone, numbers as numbers, nothing where there was nothing."""
    written = store.export(tmp_path / "out", with_text=True)
    assert {path.name: rows for path, rows in written.items()} == {
        "records.parquet": 3,
        "events.parquet": 1,
        "followed.parquet": 1,
    }
    row = pq.read_table(tmp_path / "out/records.parquet").to_pylist()[1]
    assert row["request_id"] == "request-1"
    assert row["at"] == AT + timedelta(seconds=1)
    assert (row["clip_duration_s"], row["clip_snr_db"], row["n_words"]) == (3.5, None, 2)
    assert (json.loads(row["results"]), json.loads(row["stages_s"])) == (["item-2", "item-1"], {"vad": 0.5})
    assert (row["text"], row["session"], row["key_id"]) == ("canary", "sitting", None)
    (event,) = pq.read_table(tmp_path / "out/events.parquet").to_pylist()
    assert (event["event_id"], event["type"], event["at"]) == ("event", "typed", AT)
    (followed,) = pq.read_table(tmp_path / "out/followed.parquet").to_pylist()
    assert (followed["query_id"], followed["at"], followed["told"]) == ("query", AT, False)
    assert (followed["again"], followed["clicks"], followed["dwell_s"]) == ("typed", 2, 9.5)


def test_what_was_said_stays_unless_asked_for(store: EventStore, tmp_path: Path) -> None:
    """No column, and no byte of it."""
    for path in store.export(tmp_path / "out"):
        assert "text" not in pq.read_schema(path).names
        assert b"canary" not in path.read_bytes()


def test_a_window_is_exported_across_pages(
    store: EventStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A row group for each page, and only rows of the window; an empty one is a file without rows."""
    monkeypatch.setattr("monitoring.storage.queries.PAGE", 1)
    written = store.export(tmp_path / "out", AT + timedelta(seconds=1), AT + timedelta(seconds=9))
    assert list(written.values()) == [2, 0, 0]
    assert pq.ParquetFile(tmp_path / "out/records.parquet").metadata.num_row_groups == 2
    assert pq.read_table(tmp_path / "out/events.parquet").num_rows == 0


def test_a_failed_export_leaves_what_was_there(tmp_path: Path) -> None:
    """A store that cannot be read any more: no half file, and the one of yesterday is untouched."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "records.parquet").write_bytes(b"yesterday")
    with EventStore.open(f"sqlite:///{tmp_path}/events.db") as store:
        store._engine.dispose()  # or its log would mend what comes next
        (tmp_path / "events.db").write_bytes(b"not a database" * 1000)
        with pytest.raises(StoreUnavailableError):
            store.export(out)
    assert [(path.name, path.read_bytes()) for path in out.iterdir()] == [("records.parquet", b"yesterday")]


def test_without_pyarrow_the_error_says_what_to_install(
    store: EventStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing is written."""
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'voicesearch\[parquet\]'"):
        store.export(tmp_path / "out")
    assert not (tmp_path / "out").exists()
