"""Audio is kept only with the client's word and the operator's leave, for its owner's eyes, and not for longer."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")
httpx = pytest.importorskip("httpx", reason="needs the extra test")

from serving_app import Running, clip, wait_for  # noqa: E402  # after the skips

from serving.retention import AudioStore, purging  # noqa: E402

CLIP = clip()[1]
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def post(serving: Running, **fields: str) -> httpx.Response:
    """The sample, with more fields."""
    return httpx.post(
        f"{serving.base_url}/v1/audio/transcriptions",
        data={"model": "en-small", **fields},
        files={"file": ("../../clip.wav", CLIP)},
        headers={"X-Request-Id": "request-1"},
        timeout=60,
    )


def test_a_clip_is_kept_where_both_agree(start_server: Callable[..., Running], tmp_path: Path) -> None:
    """Byte for byte, under the id of its request, readable by its owner alone; the answer says until when."""
    serving = start_server(catalogs=(), state_folder=tmp_path, retain_audio_days=2.0)
    before = datetime.now(UTC)
    answer = post(serving, retain="true")
    assert answer.headers["x-audio-retained"] == "true"
    until = datetime.fromisoformat(answer.headers["x-audio-retained-until"])
    assert abs(until - before - timedelta(days=2)) < timedelta(minutes=5)
    (path,) = (tmp_path / "audio").glob("*/*")
    assert (path.name, path.read_bytes()) == ("request-1.wav", CLIP)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_clip_is_not_kept_otherwise(start_server: Callable[..., Running], tmp_path: Path) -> None:
    """Without the client's word, or without the operator's leave: no file, and the answer says so."""
    allowed = start_server(catalogs=(), state_folder=tmp_path, retain_audio_days=2.0)
    forbidden = start_server(catalogs=(), state_folder=tmp_path, retain_audio_days=0.0)
    for answer in (post(allowed), post(allowed, retain="false"), post(forbidden, retain="true")):
        assert (answer.status_code, answer.headers["x-audio-retained"]) == (200, "false")
        assert "x-audio-retained-until" not in answer.headers
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.read_bytes() == CLIP] == []


def test_a_full_disk_costs_nobody_an_answer(start_server: Callable[..., Running], tmp_path: Path) -> None:
    """What cannot be kept is not kept; the text comes, and no half of a file stays."""
    serving = start_server(catalogs=(), state_folder=tmp_path, retain_audio_days=2.0)
    (tmp_path / "audio").write_text("a file where the folder should be")
    answer = post(serving, retain="true")
    assert (answer.status_code, answer.headers["x-audio-retained"]) == (200, "false")
    assert answer.json()["text"] == "play some jazz music"


def test_nobody_overwrites_what_another_sent(tmp_path: Path) -> None:
    """Request ids are the clients' to choose: the second clip of an id is not kept."""
    store = AudioStore(tmp_path, 1.0)
    assert store.keep("same", CLIP, NOON) == NOON + timedelta(days=1)
    assert store.keep("same", CLIP[:-2], NOON) is None
    assert (tmp_path / "2026-11-21" / "same.wav").read_bytes() == CLIP


def test_an_id_of_dots_stays_in_its_folder(tmp_path: Path) -> None:
    """The one well-formed id that looks like a path."""
    AudioStore(tmp_path / "audio", 1.0).keep("..", CLIP, NOON)
    assert [path.parent.name for path in tmp_path.rglob("*.wav")] == ["2026-11-21"]


def test_what_is_too_old_is_purged_with_its_folder(tmp_path: Path) -> None:
    """By age, to the second; what is younger stays."""
    store = AudioStore(tmp_path, 1.0)
    for name, age in (("old", 86_401), ("young", 86_399)):
        store.keep(name, CLIP, NOON - timedelta(seconds=age))
        (path,) = tmp_path.glob(f"*/{name}.wav")
        os.utime(path, (NOON.timestamp() - age,) * 2)
    store.keep("older", CLIP, NOON - timedelta(days=9))
    os.utime(tmp_path / "2026-11-12" / "older.wav", (NOON.timestamp() - 9 * 86_400,) * 2)
    assert store.purge(NOON) == 2
    assert [path.name for path in tmp_path.glob("*/*")] == ["young.wav"]
    assert not (tmp_path / "2026-11-12").exists()


def test_an_operator_who_allows_nothing_has_nothing(tmp_path: Path) -> None:
    """What was kept under an earlier setting is purged, too."""
    AudioStore(tmp_path, 30.0).keep("kept", CLIP, NOON)
    assert AudioStore(tmp_path, 0.0).purge(NOON) == 1


def test_the_task_purges_again_and_again(tmp_path: Path) -> None:
    """Also what was kept after it began."""
    store = AudioStore(tmp_path, 0.0)

    async def later() -> None:
        task = asyncio.create_task(purging(store, every_s=0.01))
        for name in ("first", "second"):
            AudioStore(tmp_path, 1.0).keep(name, CLIP, NOON)
            await asyncio.to_thread(wait_for, lambda: not list(tmp_path.glob("*/*")), f"{name} to be purged")
        task.cancel()

    asyncio.run(later())


def test_a_file_that_cannot_be_deleted_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The others are deleted in the same turn, the failure is logged, and the next turn tries again."""
    for name in ("a", "b", "c"):
        AudioStore(tmp_path, 1.0).keep(name, CLIP, NOON)
    unlink, tried = Path.unlink, []

    def stuck(path: Path, missing_ok: bool = False) -> None:
        tried.append(path.stem)
        if path.stem == "b" and tried.count("b") == 1:
            raise PermissionError(1, "the disk is read-only for a moment")
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", stuck)  # no mode stops root, who may run this

    async def turns() -> None:
        task = asyncio.create_task(purging(AudioStore(tmp_path, 0.0), every_s=0.01))
        await asyncio.to_thread(wait_for, lambda: task.done() or not list(tmp_path.glob("*/*")), "the end")
        assert not task.done()
        task.cancel()

    asyncio.run(turns())
    assert sorted(tried) == ["a", "b", "b", "c"]
    assert [record.message for record in caplog.records] == ["purge_failed"]


def test_a_request_can_be_erased(tmp_path: Path) -> None:
    """On whichever day it came, and no other."""
    store = AudioStore(tmp_path, 30.0)
    for name in ("mine", "mine.2", "other"):
        store.keep(name, CLIP, NOON)
    assert store.erase("mine") == 1
    assert sorted(path.stem for path in tmp_path.glob("*/*")) == ["mine.2", "other"]
    assert store.erase("mine") == 0
