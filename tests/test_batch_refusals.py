"""``voicesearch batch`` where it should not begin, and what a person at a terminal sees of it where it does."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import shutil
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from asr import bundle
from asr.cli import main

SAMPLES = Path(__file__).parents[1] / "data" / "samples"

pytestmark = pytest.mark.skipif(
    bundle.DEFAULT_MODEL not in bundle.available(), reason="needs the shipped model"
)


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """A folder with one clip."""
    folder = tmp_path / "clips"
    folder.mkdir()
    shutil.copy(SAMPLES / "tap.wav", folder)
    return folder


def batch(*arguments: object) -> int:
    """Run the verb on one worker."""
    return main(["batch", "--workers", "1", *map(str, arguments)])


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """What is said where the exit code is 2."""
    capsys.readouterr()
    assert batch(*arguments) == 2
    return capsys.readouterr().err


def test_a_folder_of_something_else_is_left_alone(clips: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also the folder of the clips itself."""
    assert "holds other files and no job.json" in refused(capsys, clips, clips)
    assert [path.name for path in clips.iterdir()] == ["tap.wav"]


def test_a_job_file_of_another_kind_is_refused(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that is not ours, and one of a format to come."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "job.json").write_text("[]")
    assert "is not what this command writes" in refused(capsys, clips, tmp_path / "out")
    (tmp_path / "out" / "job.json").write_text('{"format": 2}')
    assert "has format 2; this version writes format 1" in refused(capsys, clips, tmp_path / "out")


def test_two_jobs_do_not_share_a_folder(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The second says so and changes nothing."""
    (tmp_path / "out").mkdir()
    with (tmp_path / "out" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "another job is writing to" in refused(capsys, clips, tmp_path / "out")
    assert batch(clips, tmp_path / "out") == 0


def test_another_input_does_not_empty_the_output(
    clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where no clip is known, INPUT is a mistake, unless --force says that it is none; the rows are kept meanwhile."""
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy(SAMPLES / "silence.wav", other)
    batch(clips, tmp_path / "out")
    shown = refused(capsys, other, tmp_path / "out")
    assert "none of the 1 clips of " in shown
    assert batch(clips, tmp_path / "out") == 0
    assert "1 clips: 1 done before, 0 changed, 0 new" in capsys.readouterr().err
    assert batch(other, tmp_path / "out", "--force") == 0
    (row,) = (tmp_path / "out" / "shards" / "00000.jsonl").read_text("utf-8").splitlines()
    assert json.loads(row)["audio"] == "silence.wav"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--workers", "0"), "workers is 0; at least 1 is needed"),
        (("--shard-size", "0"), "shard_clips is 0; at least 1 is needed"),
        (("--max-duration", "nan"), "max_duration_s is nan"),
        (("--catalog", "nowhere"), "nowhere is no catalogue"),
        (("--precision", "fp8"), "has no 'fp8' model"),
        (("--model", "nobody"), "no model bundle 'nobody'"),
        (("--threads", "0"), "threads is 0"),  # which only a worker finds out
    ],
)
def test_bad_options_end_it(
    clips: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    message: str,
) -> None:
    """Exit 2 with one line, also where a worker is the first to see it."""
    assert message in refused(capsys, clips, tmp_path / "out", *options)


def test_a_damaged_model_ends_it(clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What keeps the workers from loading is told once, and nothing is written for any clip."""
    model = tmp_path / "model"
    shutil.copytree(bundle.find(bundle.DEFAULT_MODEL), model)
    with (model / "tokens.txt").open("a") as tokens:
        tokens.write("X\n")
    shown = refused(capsys, clips, tmp_path / "out", "--model", model)
    assert "The file was changed or damaged" in shown
    assert list((tmp_path / "out" / "shards").iterdir()) == []


def test_a_person_sees_how_it_goes(clips: Path, tmp_path: Path) -> None:
    """On a terminal: hours of audio, times real time, errors, time left."""
    (clips / "broken.wav").write_text("x")
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 120))
    command = [sys.executable, "-m", "asr.cli", "batch", str(clips), str(tmp_path / "out"), "--workers", "1"]
    with subprocess.Popen(command, stderr=theirs) as process:
        os.close(theirs)
        shown = b""
        try:
            while piece := os.read(ours, 1 << 16):
                shown += piece
        except OSError:  # Linux: the other side is closed
            pass
        assert process.wait() == 1, shown
    os.close(ours)
    assert b"100%|" in shown
    assert b"0.00 h of audio, " in shown
    assert b"x real time, 1 errors [00:" in shown
