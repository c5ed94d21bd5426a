"""``voicesearch batch`` end to end, with real worker processes and the shipped model."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from asr import bundle
from asr.cli import main

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT / "data" / "samples"

pytestmark = pytest.mark.skipif(
    bundle.DEFAULT_MODEL not in bundle.available(), reason="needs the shipped model"
)

# In a worker, a file that holds this ends the process as a fault in a decoder's C code would.
DEADLY = b"RIFF....WAVE ends whoever reads it"
CRASH = f"""
import os, signal
from asr import audio
opened = audio.kind_of
def kind_of(head):
    if head.startswith({DEADLY[:16]!r}):
        os.kill(os.getpid(), signal.SIGSEGV)
    return opened(head)
audio.kind_of = kind_of
"""


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """Five clips in two folders, one of which is none; beside them what is no audio, or hidden."""
    folder = tmp_path / "clips"
    (folder / "kitchen").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    shutil.copy(SAMPLES / "play_jazz.wav", folder / "jazz.wav")
    shutil.copy(SAMPLES / "tap.wav", folder / "tap.wav")
    shutil.copy(SAMPLES / "timer.flac", folder / "kitchen" / "timer")  # told by its content
    shutil.copy(SAMPLES / "silence.wav", folder / "kitchen" / "silence.wav")
    (folder / "broken.wav").write_text("this is not audio")
    (folder / "notes.txt").write_text("neither is this, and it does not claim to be")
    shutil.copy(SAMPLES / "tap.wav", folder / ".hidden" / "tap.wav")
    return folder


def batch(*arguments: object) -> int:
    """Run the verb, on one worker unless told otherwise: they take a second to start."""
    return main(["batch", "--workers", "1", *map(str, arguments)])


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rows(folder: Path) -> list[dict[str, object]]:
    """All rows of the shards, in order."""
    paths = sorted((folder / "shards").glob("*.jsonl"))
    return [json.loads(line) for path in paths for line in path.read_text("utf-8").splitlines()]


def test_rows_are_those_of_transcribe(
    clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Byte for byte what ``transcribe -f jsonl`` prints in the folder; hidden files and texts are left alone."""
    assert batch(clips, tmp_path / "out", "-f", "jsonl", "--workers", 2, "--shard-size", 2) == 1
    assert capsys.readouterr().err.splitlines()[0] == "5 clips: 0 done before, 0 changed, 5 new"
    monkeypatch.chdir(clips)
    names = ["broken.wav", "jazz.wav", "kitchen/silence.wav", "kitchen/timer", "tap.wav"]
    assert main(["transcribe", "-f", "jsonl", *names]) == 1
    assert (tmp_path / "out" / "transcripts.jsonl").read_text("utf-8") == capsys.readouterr().out


def test_a_clip_that_fails_is_named(clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """On stderr when it is met and in its row; later runs still count it and exit with 1."""
    assert batch(clips, tmp_path / "out") == 1
    (broken,) = [row for row in rows(tmp_path / "out") if "error" in row]
    assert broken["audio"] == "broken.wav"
    error = broken["error"]
    assert isinstance(error, dict)
    # Without a wheel of flashlight-text a worker warns first.
    shown = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("warning:")]
    assert shown[1] == f"broken.wav: UnsupportedAudioError: {error['message']}"
    assert error["message"].startswith("broken.wav: 17 bytes that start with")
    assert shown[2].startswith("5 clips, 0.00 h of audio, 1 failed; rows in ")
    assert batch(clips, tmp_path / "out") == 1
    assert "5 clips: 5 done before, 0 changed, 0 new" in capsys.readouterr().err


def test_how_many_workers_there_were_cannot_be_seen(clips: Path, tmp_path: Path) -> None:
    """One worker or three: the same files with the same bytes."""
    for workers in (1, 3):
        batch(clips, tmp_path / str(workers), "-f", "all", "--workers", workers, "--shard-size", 2)
    assert content(tmp_path / "1") == content(tmp_path / "3")
    assert "files/kitchen/timer.srt" in content(tmp_path / "1")


def test_a_second_run_does_what_changed(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One clip changed, one new before all others, one gone: the rest is not heard again, and the output is that of
    a first run."""
    arguments = ("-f", "jsonl", "-f", "txt", "--shard-size", 2)
    batch(clips, tmp_path / "out", *arguments)
    shutil.copy(SAMPLES / "red_jacket.wav", clips / "jazz.wav")
    shutil.copy(SAMPLES / "tap.wav", clips / "a_new_one.wav")
    (clips / "kitchen" / "silence.wav").unlink()
    capsys.readouterr()
    batch(clips, tmp_path / "out", "--shard-size", 2)
    shown = capsys.readouterr().err.splitlines()
    assert shown[0] == "5 clips: 3 done before, 1 changed, 1 new, 1 no longer there"
    batch(clips, tmp_path / "fresh", *arguments)
    assert content(tmp_path / "out") == content(tmp_path / "fresh")
    assert "find me" in (tmp_path / "out" / "files" / "jazz.txt").read_text("utf-8")


def test_with_checksums_a_touched_file_is_no_other_file(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A new time of change says nothing where the content is compared; a new content with the old time does."""
    batch(clips, tmp_path / "out", "--checksum")
    os.utime(clips / "tap.wav")
    old = (clips / "jazz.wav").stat()
    sound = bytearray((clips / "jazz.wav").read_bytes())
    sound[-2:] = b"\x01\x01"
    (clips / "jazz.wav").write_bytes(sound)
    os.utime(clips / "jazz.wav", ns=(old.st_atime_ns, old.st_mtime_ns))
    capsys.readouterr()
    batch(clips, tmp_path / "out", "--checksum")
    assert capsys.readouterr().err.startswith("5 clips: 4 done before, 1 changed, 0 new\n")


def test_other_settings_are_refused_or_forced(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rows of two ways to hear never mix: exit 2 names the difference, --force does all again."""
    batch(clips, tmp_path / "out")
    before = content(tmp_path / "out")
    capsys.readouterr()
    assert batch(clips, tmp_path / "out", "--vad", "none") == 2
    assert 'frontend was {"vad": "webrtc"' in capsys.readouterr().err
    assert content(tmp_path / "out") == before
    assert batch(clips, tmp_path / "out", "--vad", "none", "--force") == 1
    assert "5 clips: 0 done before, 0 changed, 5 new" in capsys.readouterr().err
    batch(clips, tmp_path / "fresh", "--vad", "none")
    assert content(tmp_path / "out") == content(tmp_path / "fresh")


def test_a_damaged_shard_is_made_again(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A row changed by hand does not fit its record."""
    batch(clips, tmp_path / "out", "--shard-size", 2)
    before = content(tmp_path / "out")
    shard = tmp_path / "out" / "shards" / "00000.jsonl"
    shard.write_bytes(shard.read_bytes().replace(b"jazz", b"punk"))
    capsys.readouterr()
    batch(clips, tmp_path / "out", "--shard-size", 2)
    assert "5 clips: 3 done before, 0 changed, 2 new" in capsys.readouterr().err
    assert content(tmp_path / "out") == before


def test_other_shards_of_the_same_rows(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another size of shards moves the rows and hears nothing."""
    batch(clips, tmp_path / "out", "--shard-size", 2)
    capsys.readouterr()
    batch(clips, tmp_path / "out", "--shard-size", 3)
    assert "5 clips: 5 done before, 0 changed, 0 new" in capsys.readouterr().err
    batch(clips, tmp_path / "fresh", "--shard-size", 3)
    assert content(tmp_path / "out") == content(tmp_path / "fresh")


@pytest.fixture
def crashing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes started from here on die at a deadly file."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(CRASH)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "site"), str(ROOT)]))


@pytest.mark.usefixtures("crashing")
def test_a_clip_that_kills_its_worker_becomes_an_error_row(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """After one more attempt, alone; every other clip is heard, and the next run tries it again."""
    batch(clips, tmp_path / "healthy")
    (clips / "deadly.wav").write_bytes(DEADLY)
    assert batch(clips, tmp_path / "out", "--workers", 2) == 1
    found = rows(tmp_path / "out")
    (died,) = [row for row in found if row["audio"] == "deadly.wav"]
    assert died["error"] == {
        "type": "WorkerError",
        "message": "deadly.wav: the process that heard it was killed by signal 11 (SIGSEGV), twice; leave it out",
    }
    assert [row for row in found if row != died] == rows(tmp_path / "healthy")
    capsys.readouterr()
    assert batch(clips, tmp_path / "out") == 1
    assert "6 clips: 5 done before, 0 changed, 0 new, 1 to be tried again" in capsys.readouterr().err


def command(*arguments: object) -> list[str]:
    """The verb as a process of its own."""
    return [sys.executable, "-m", "asr.cli", "batch", *map(str, arguments)]


def shards_done(output: Path) -> int:
    """How many shards have a record."""
    return len(list((output / "shards").glob("*.json")))


def children(pid: int) -> list[int]:
    """Processes that a process has started."""
    return [
        int(child)
        for path in Path(f"/proc/{pid}/task").glob("*/children")
        for child in path.read_text().split()
    ]


def wait_until(*, done: int, output: Path, process: subprocess.Popen[bytes]) -> None:
    """Until so many shards are done, or the process has ended."""
    while shards_done(output) < done and process.poll() is None:
        time.sleep(0.002)


def gone(pid: int) -> bool:
    """Whether a process has ended (one that nobody waits for stays as a zombie)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")")[-1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def wait_for_the_end(processes: list[int]) -> None:
    """Of all of them; one that stayed would keep the test."""
    while not all(map(gone, processes)):
        time.sleep(0.01)


@pytest.fixture
def many(tmp_path: Path) -> Iterator[Path]:
    """Twenty short clips, one of which is none."""
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(20):
        shutil.copy(SAMPLES / ("play_jazz.wav" if number % 3 else "tap.wav"), folder / f"{number}.wav")
    (folder / "7.wav").write_bytes(b"RIFF")
    return folder


def test_a_killed_job_goes_on(many: Path, tmp_path: Path) -> None:
    """L3: SIGKILL at random places, and the end is that of a job nobody killed; its workers die with it."""
    output, rng = tmp_path / "out", random.Random(0)
    arguments = (many, output, "-f", "jsonl", "-f", "srt", "--shard-size", 1, "--workers", 2)
    for target in (0, 3, 9):
        with subprocess.Popen(command(*arguments), stderr=subprocess.DEVNULL) as process:
            wait_until(done=target, output=output, process=process)
            time.sleep(rng.uniform(0, 0.02))
            workers = children(process.pid)
            process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
        wait_for_the_end(workers)
    assert 9 <= shards_done(output) < 20
    assert batch(*arguments) == 1
    assert batch(many, tmp_path / "fresh", *arguments[2:]) == 1
    assert content(output) == content(tmp_path / "fresh")


def heed_interrupts() -> None:
    """In a process to be: a shell that put the tests in the background had them ignore Ctrl+C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_control_c_keeps_what_is_done(many: Path, tmp_path: Path) -> None:
    """130, no traceback, no worker left behind, and the shards that were finished."""
    output = tmp_path / "out"
    arguments = (many, output, "--shard-size", 1, "--workers", 2)
    with subprocess.Popen(
        command(*arguments), stderr=subprocess.PIPE, start_new_session=True, preexec_fn=heed_interrupts
    ) as process:
        wait_until(done=2, output=output, process=process)
        workers = children(process.pid)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of the group
        assert process.stderr is not None
        shown = process.stderr.read().decode()
        assert process.wait() == 130
    wait_for_the_end(workers)
    assert "Traceback" not in shown
    assert 2 <= shards_done(output) < 20
    assert batch(*arguments) == 1
    assert len(rows(output)) == 20
