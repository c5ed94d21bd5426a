"""Synthetic clips: what comes back from flite and espeak-ng."""

from __future__ import annotations

import lzma
import random
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from asr.train.corpus import Corpus
from asr.train.lexicon import arpabet
from asr.train.phrases import phrase
from asr.train.synthesis import (
    SAMPLE_RATE_HZ,
    Clip,
    Manner,
    Recipe,
    Skipped,
    draw_manner,
    synthesise,
    trim,
)

needs_flite = pytest.mark.skipif(shutil.which("flite") is None, reason="needs flite")
needs_espeak = pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="needs espeak-ng")

ROOT = Path(__file__).parent.parent
SLT = Manner("flite", "slt", 100, 1.0, None, 0.2, 0.3)


def made(recipe: Recipe) -> Clip:
    """The clip of a recipe that must succeed."""
    outcome = synthesise(recipe)
    assert isinstance(outcome, Clip), outcome
    return outcome


def test_segments_become_phones() -> None:
    """Schwa folds into AH and pauses vanish."""
    assert arpabet("pau dh ax b ah t er pau ") == ("DH", "AH", "B", "AH", "T", "ER")


def test_trim_keeps_the_loud_part_and_its_edges() -> None:
    """A tone between silences is kept with 30 ms either side."""
    samples = np.zeros(16_000, dtype=np.float32)
    samples[4_000:8_000] = 0.5
    assert len(trim(samples)) == 4_000 + 2 * 480


def test_trim_of_silence_is_empty() -> None:
    """Nothing loud, nothing kept."""
    assert len(trim(np.zeros(1_000, dtype=np.float32))) == 0


def test_a_seed_repeats_its_manners() -> None:
    """Speakers depend on the random source alone."""
    for engine in ("flite", "espeak"):
        assert draw_manner(engine, random.Random(3)) == draw_manner(engine, random.Random(3))


@needs_flite
def test_flite_gives_the_phones_it_spoke() -> None:
    """Letters are spoken by name, and silence of the length asked for surrounds them."""
    clip = made(Recipe(phrase("R A T"), SLT))
    assert clip.phones == ("AA", "R", "EY", "T", "IY")
    assert clip.samples.dtype == np.int16
    sounding = np.flatnonzero(clip.samples)
    assert sounding[0] >= 0.2 * SAMPLE_RATE_HZ
    assert len(clip.samples) - 1 - sounding[-1] >= 0.3 * SAMPLE_RATE_HZ


@needs_flite
def test_a_shift_keeps_the_duration() -> None:
    """A shorter vocal tract does not speak faster: the lengths agree within five percent."""
    words = phrase("we were away a year ago")
    plain = len(made(Recipe(words, SLT)).samples)
    for percent in (82, 130):
        shifted = Manner("flite", "slt", percent, 1.0, None, 0.2, 0.3)
        assert len(made(Recipe(words, shifted)).samples) == pytest.approx(plain, rel=0.05)


@needs_flite
def test_an_unknown_voice_or_empty_text_is_skipped() -> None:
    """A recipe that gives no sound is counted, not raised."""
    assert isinstance(synthesise(Recipe(phrase(","), SLT)), Skipped)


@needs_espeak
def test_espeak_leaves_the_phones_to_the_lexicon() -> None:
    """espeak clips carry no phones."""
    clip = made(Recipe(phrase("play a song"), draw_manner("espeak", random.Random(0))))
    assert clip.phones is None
    assert 0.5 * SAMPLE_RATE_HZ < len(clip.samples) < 4 * SAMPLE_RATE_HZ


@needs_flite
@needs_espeak
def test_the_corpus_does_not_depend_on_the_workers(tmp_path: Path) -> None:
    """The script writes the same bytes with one worker and with two."""
    for name in ("sentences", "ljspeech", "librispeech-train-clean-100"):
        with lzma.open(tmp_path / f"{name}.txt.xz", "wt") as text:
            text.write("play a song for me\nthe cat sat on the mat\n")
    with lzma.open(tmp_path / "cmudict.xz", "wt") as text:
        text.write("CAT 1 K AE1 T\nMAT 1 M AE1 T\nSONG 1 S AO1 NG\n")
    for workers in ("1", "2"):
        options = ["--text", str(tmp_path), "--hours", "0.005", "--workers", workers]
        subprocess.run(
            [sys.executable, str(ROOT / "scripts" / "synthesise"), str(tmp_path / workers), *options],
            check=True,
            capture_output=True,
            env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        )
    one, two = (Corpus(tmp_path / workers) for workers in ("1", "2"))
    assert one.entries == two.entries
    assert (tmp_path / "1" / "samples.i16").read_bytes() == (tmp_path / "2" / "samples.i16").read_bytes()
    assert "flite" in (tmp_path / "1" / "DONE").read_text()
