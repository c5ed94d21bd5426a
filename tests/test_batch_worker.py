"""``asr.batch.worker``: the row of a clip, whatever is wrong with it. Its process is in ``test_batch``."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]  # publishes no stubs

from asr.audio import decode
from asr.batch import worker
from asr.batch.pipeline import Pipeline
from asr.decode import DecoderOptions
from asr.errors import OptionError
from asr.formats import row
from asr.frontend import FrontendOptions
from asr.transcribe import Transcriber
from asr.transcript import SAMPLE_RATE_HZ

SAMPLES = Path(__file__).parents[1] / "data" / "samples"


def pipeline(**options: Any) -> Pipeline:
    """For `worker.line`, which has its model already."""
    return Pipeline(Path("unused"), FrontendOptions(), DecoderOptions(), **options)


def heard(transcriber: Transcriber, audio: str, **options: Any) -> dict[str, Any]:
    """The row of a clip."""
    found: dict[str, Any] = json.loads(worker.line(transcriber, audio, pipeline(**options)).row)
    return found


@pytest.mark.parametrize("limit", [worker.LONG, 1000])
def test_a_long_clip_has_the_row_of_the_whole(
    transcriber: Transcriber, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    """Held or block by block: `Transcriber.transcribe`'s, to the last digit of these."""
    monkeypatch.setattr(worker, "LONG", limit)
    for name in ("timer.flac", "train_station.mp3", "silence.wav"):
        path = str(SAMPLES / name)
        assert heard(transcriber, path) == json.loads(json.dumps(row(path, transcriber.transcribe(path))))


def test_what_was_heard_and_what_failed(transcriber: Transcriber, tmp_path: Path) -> None:
    """A line tells the seconds of audio, or the type of error."""
    line = worker.line(transcriber, str(SAMPLES / "timer.flac"), pipeline())
    assert (line.duration_s, line.error) == (json.loads(line.row)["duration"], None)
    assert line.duration_s > 1.0
    (tmp_path / "x.wav").write_text("no audio")
    line = worker.line(transcriber, str(tmp_path / "x.wav"), pipeline())
    assert (line.duration_s, line.error) == (0.0, "UnsupportedAudioError")


def test_longer_than_allowed_is_an_error_row(transcriber: Transcriber) -> None:
    """``--max-duration``."""
    error = heard(transcriber, str(SAMPLES / "timer.flac"), max_duration_s=1.0)["error"]
    assert error["type"] == "AudioLimitError"
    assert "the limit is 1 s" in error["message"]


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_a_duration_that_limits_nothing_is_refused(value: float) -> None:
    """A number of seconds above 0."""
    with pytest.raises(OptionError, match="max_duration_s"):
        pipeline(max_duration_s=value)


def test_more_than_an_hour_is_heard(transcriber: Transcriber, tmp_path: Path) -> None:
    """The limit of `asr.audio` for clips in memory is none here."""
    path = tmp_path / "long.flac"
    silence = np.zeros(3700 * 8000, np.int16)
    soundfile.write(path, silence, 8000)
    found = heard(transcriber, str(path))
    assert (found["duration"], found["null_reason"]) == (3700.0, "no_speech")


def test_no_kind_of_path_ends_the_worker(
    transcriber: Transcriber, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder, nothing, a pipe, names that no file can have: an error row each, at once."""
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe.wav")
    Path("folder").mkdir()
    types = {
        name: heard(transcriber, name)["error"]["type"]
        for name in ("folder", "absent.wav", "pipe.wav", "nul\0.wav", "\ud800.wav")
    }
    assert types == {
        "folder": "IsADirectoryError",
        "absent.wav": "FileNotFoundError",
        "pipe.wav": "UnsupportedAudioError",
        "nul\0.wav": "ValueError",
        "\ud800.wav": "UnicodeEncodeError",
    }


def test_a_name_that_is_no_text_stays_what_it_is(
    transcriber: Transcriber, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its odd byte is what JSON calls it, and leads back to the file."""
    monkeypatch.chdir(tmp_path)
    name = os.fsdecode(b"caf\xe9.wav")
    shutil.copy(SAMPLES / "play_jazz.wav", name)
    found = heard(transcriber, name)
    assert found["audio"] == name
    assert found["duration"] == round(len(decode(Path(name))) / SAMPLE_RATE_HZ, 3)
