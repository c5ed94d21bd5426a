"""Takes to simulate traffic with, the damaged model, and the pool that is made of both."""

from __future__ import annotations

import dataclasses
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs the extra train")
pytest.importorskip("onnx", reason="needs the extra train")

from script_module import load_script

from asr.bundle import Bundle
from asr.errors import BundleError, OptionError
from asr.loudness import rms_dbfs
from asr.train.clip_cache import ClipCache, Spoken
from asr.train.damage import damage
from asr.train.takes import CONDITIONS, LOW_PASS_HZ, Samples, Take, crowd_of, draw_take, recorded
from monitoring.simulation.pool import read

for program in ("flite", "espeak-ng"):
    if shutil.which(program) is None:
        pytest.skip(f"needs {program}", allow_module_level=True)

TEXT = "find me moby dick"


@pytest.fixture(scope="module")
def crowd() -> list[Samples]:
    """Other people."""
    return crowd_of()


@pytest.fixture(scope="module")
def take() -> Take:
    """In a room that is quiet enough to hear what incidents do."""
    drawn = draw_take(TEXT, 0)
    return dataclasses.replace(drawn, place=dataclasses.replace(drawn.place, snr_db=60.0))


def test_a_take_can_be_made_again_and_the_next_is_another(crowd: list[Samples]) -> None:
    """The same number is the same samples, under every condition; another number is another voice or place."""
    for condition in CONDITIONS:
        one, same = (recorded(draw_take(TEXT, 3), condition, crowd) for _ in range(2))
        assert np.array_equal(one, same)
        assert one.dtype == np.float32
        assert np.array_equal(one * 32_768, np.round(one * 32_768))
        assert not np.array_equal(one, recorded(draw_take(TEXT, 4), condition, crowd)[: len(one)])


def test_a_voice_says_the_same_again_a_little_otherwise() -> None:
    """One voice and one home; pace and edges vary."""
    one, two = (draw_take(TEXT, number, voice=5) for number in (0, 1))
    assert one.manner.speaker == two.manner.speaker
    assert (one.place.level_dbfs, one.place.t60_s) == (two.place.level_dbfs, two.place.t60_s)
    assert one.manner.rate != two.manner.rate
    assert draw_take(TEXT, 0, voice=6).place.level_dbfs != one.place.level_dbfs


def test_each_incident_does_to_a_clip_what_it_says(take: Take, crowd: list[Samples]) -> None:
    """Quiet people are 20 dB softer; the microphone 12 dB, with nothing above 4 kHz; a cafe is louder than a room."""
    level = {condition: rms_dbfs(recorded(take, condition, crowd)) for condition in CONDITIONS}
    assert level["quiet"] - level["normal"] == pytest.approx(-20.0, abs=0.5)
    assert level["microphone"] - level["normal"] == pytest.approx(-12.0, abs=1.0)
    assert level["cafe"] > level["normal"]
    spectrum = np.abs(np.fft.rfft(recorded(take, "microphone", crowd))) ** 2
    hertz = np.linspace(0.0, 8_000.0, len(spectrum))
    assert spectrum[hertz > LOW_PASS_HZ + 600.0].sum() < 1e-3 * spectrum.sum()
    with pytest.raises(OptionError, match="expected one of normal"):
        recorded(take, "underwater", crowd)


def test_clips_are_made_once(tmp_path: Path) -> None:
    """The second time a file is read; nothing unfinished stays."""
    clips = ClipCache(tmp_path)
    spoken = Spoken(TEXT, "normal", voice=1, take=0)
    made = clips.find(spoken)
    assert made[:4] == b"RIFF"
    (file,) = tmp_path.iterdir()
    assert re.fullmatch(r"find-me-moby-dick\.[0-9a-f]{12}\.1\.0\.normal\.flac", file.name)
    changed = file.stat().st_mtime_ns
    assert clips.find(spoken) == made
    assert file.stat().st_mtime_ns == changed


def test_each_sentence_has_a_file_of_its_own() -> None:
    """An apostrophe, a capital, or the end of a long sentence tells them apart; no sentence leads out of the folder."""
    long = "the " * 60
    texts = (
        "the cat's book",
        "the cats book",
        "The cats book",
        long + "cat",
        long + "dog",
        "../the cats book",
        "書",
    )
    names = {Spoken(text, "normal", voice=1, take=0).file for text in texts}
    assert len({name.lower() for name in names}) == len(texts)
    assert all(len(name) < 120 and "/" not in name for name in names)


def test_a_damaged_model_loads_and_answers_otherwise(tmp_path: Path, take: Take) -> None:
    """Its digests are right and its name is another's; a folder that exists is left alone."""
    sound, broken = Bundle.load("en-small"), Bundle.load(damage("en-small", tmp_path / "broken", 0.5))
    assert broken.info.identity != sound.info.identity
    assert broken.info.evaluation == {}
    one, other = (bundle.log_probs([take.clean])[0] for bundle in (sound, broken))
    assert one.shape == other.shape
    assert np.mean(one.argmax(axis=1) != other.argmax(axis=1)) > 0.02
    with pytest.raises(BundleError, match="is there already"):
        damage("en-small", tmp_path / "broken", 0.5)


def test_a_pool_is_made_and_an_interrupted_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small one, through the whole of scripts/make_traffic; of a run that was killed, whole lines are kept."""
    pytest.importorskip("structlog", reason="needs the extra serve")
    script: Any = load_script("make_traffic")
    new = tmp_path / "new.jsonl"
    new.write_text(script.NEW_BOOKS.read_text(encoding="utf-8").splitlines()[0] + "\n", encoding="utf-8")
    monkeypatch.setattr(script, "NEW_BOOKS", new)
    monkeypatch.setattr(
        script, "WISHES", {"cafe": 1, "books": 0}
    )  # the catalogues that servers are tested with
    work, pool = tmp_path / "work", tmp_path / "pool.json.xz"
    monkeypatch.setattr("sys.argv", ["make_traffic", str(work), "--takes", "1", "--output", str(pool)])
    assert script.main() == 0
    loaded = read(pool)
    assert [wish.kind for wish in loaded.wishes] == ["cafe", "books"]
    assert {condition: len(heard) for condition, heard in loaded.hearings.items()} == {
        "normal": 3, "microphone": 3, "cafe": 3, "quiet": 3, "broken": 3, "vocabulary": 3,
    }  # fmt: skip
    file = work / "heard-0.jsonl"
    rows = file.read_text(encoding="utf-8").splitlines(keepends=True)
    file.write_text("".join(rows[:15]) + rows[15][:20], encoding="utf-8")  # killed in the middle of a line
    heard = script.Heard(file)
    heard.close()
    assert len(heard.rows) == 15
    assert file.read_text(encoding="utf-8") == "".join(rows[:15])
