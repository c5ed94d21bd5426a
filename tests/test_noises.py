"""Noises made by code: their level, their variety, and what makes each of them what it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy", reason="needs voicesearch[train]")

from asr.train.corpus import Corpus, CorpusWriter
from asr.train.noises import (
    FEWEST_VOICES,
    NOISES,
    SCALE_HZ,
    Samples,
    babble,
    beeps,
    chords,
    coloured,
    hum,
    keyboard,
    noise_bank,
    talk,
    white,
)

LENGTH = 32_000


def spectrum(sound: Samples) -> np.ndarray:
    """Power by frequency, in steps of 0.5 Hz for two seconds."""
    return np.square(np.abs(np.fft.rfft(sound)))


@pytest.mark.parametrize("name", NOISES)
@pytest.mark.parametrize("length", [160, 4_001, LENGTH])
def test_every_noise_has_the_length_and_level_asked_for(name: str, length: int) -> None:
    """Of any length: float32, finite, root mean square 1."""
    for seed in range(5):
        sound = NOISES[name](np.random.default_rng(seed), length)
        assert sound.shape == (length,)
        assert sound.dtype == np.float32
        assert np.sqrt(np.mean(np.square(sound, dtype=np.float64))) == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("name", NOISES)
def test_the_same_seed_gives_the_same_sound_and_another_seed_another(name: str) -> None:
    """A noise is a function of its generator and of nothing else."""
    first, again, other = (NOISES[name](np.random.default_rng(seed), LENGTH) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_white_noise_is_flat_and_coloured_noise_never_rises() -> None:
    """Power under 1 kHz against power over 7 kHz: equal for white noise, at least that for the others."""
    flat = spectrum(white(np.random.default_rng(0), LENGTH))
    assert flat[:2000].mean() / flat[14_000:].mean() == pytest.approx(1.0, abs=0.15)
    for seed in range(10):
        fallen = spectrum(coloured(np.random.default_rng(seed), LENGTH))
        assert fallen[:2000].mean() / fallen[14_000:].mean() > 0.85


def test_hum_sits_on_multiples_of_the_mains_frequency() -> None:
    """99 % of the power lies within 2 % of a multiple of 50 or 60 Hz."""
    for seed in range(5):
        power = spectrum(hum(np.random.default_rng(seed), LENGTH) * np.hanning(LENGTH).astype(np.float32))
        hertz = np.arange(len(power)) * 0.5
        shares = []
        for mains in (50.0, 60.0):
            order = np.maximum(np.round(hertz / mains), 1.0)
            near = np.abs(hertz - order * mains) <= np.maximum(0.02 * hertz, 3.0)
            shares.append(power[near].sum() / power.sum())
        assert max(shares) > 0.99


def test_typing_is_short_strokes() -> None:
    """Half of the energy of typing is in a tenth of its 10 ms frames at most."""
    for seed in range(5):
        frames = np.square(keyboard(np.random.default_rng(seed), LENGTH)).reshape(-1, 160).sum(axis=1)
        assert np.sort(frames)[::-1][:20].sum() > 0.5 * frames.sum()


def test_a_beep_has_one_pitch_at_a_time() -> None:
    """In a frame of 20 ms half of the power is within 100 Hz of its strongest frequency, wherever it sounds."""
    sound = beeps(np.random.default_rng(0), LENGTH).reshape(-1, 320)
    power = np.square(np.abs(np.fft.rfft(sound * np.hanning(320), axis=1)))
    sounding = power.sum(axis=1) > 0.5 * power.sum(axis=1).max()
    for row in power[sounding]:
        peak = int(row.argmax())
        assert row[max(0, peak - 2) : peak + 3].sum() > 0.5 * row.sum()


def test_babble_holds_every_voice() -> None:
    """Each of four voices, here tones, is in the babble with at least a twentieth of its power."""
    turns = 2 * np.pi * np.arange(8_000) / 16_000
    tones = [np.sin(turns * hertz).astype(np.float32) for hertz in (300, 500, 900, 1700)]
    power = spectrum(babble(tones, np.random.default_rng(0), LENGTH))
    for hertz in (300, 500, 900, 1700):
        assert power[2 * hertz - 40 : 2 * hertz + 41].sum() > 0.05 * power.sum()


def test_a_few_voices_are_no_babble() -> None:
    """Fewer voices than cannot be followed are refused."""
    with pytest.raises(AssertionError, match=str(FEWEST_VOICES - 1)):
        babble([np.ones(160, dtype=np.float32)] * (FEWEST_VOICES - 1), np.random.default_rng(0), LENGTH)


def test_a_chord_is_held() -> None:
    """Half a second into a chord, three quarters of its power and more are still in the same narrow bands."""
    for seed in range(5):
        sound = chords(np.random.default_rng(seed), LENGTH)[3_200:9_600]
        power = np.square(np.abs(np.fft.rfft(sound * np.hanning(6_400))))
        strongest = np.sort(power)[::-1]
        assert strongest[: len(power) // 10].sum() > 0.75 * power.sum()


def test_people_in_the_background_pause() -> None:
    """A single talker, here a tone, is silent for a while between two turns, and has a root mean square of 1."""
    tone = np.sin(np.arange(4_000) / 5.0).astype(np.float32)
    sounds = [talk([tone], np.random.default_rng(seed), LENGTH) for seed in range(9)]
    sound = np.concatenate(sounds)
    silent = np.abs(sound.reshape(-1, 160)).max(axis=1) == 0.0
    assert 0.1 < silent.mean() < 0.5
    assert np.sqrt(np.mean(np.square(sound))) == pytest.approx(1.0, abs=1e-3)


def test_a_bank_of_noises_is_drawn_from_a_seed(tmp_path: Path) -> None:
    """As many sounds as asked for, of root mean square 1, the same again from the same seed; some hold voices."""
    with CorpusWriter(tmp_path) as writer:
        for at in range(12):
            tone = np.sin(np.arange(8_000) * (0.1 + 0.02 * at)) * 8_000
            writer.add(tone.astype(np.int16), text="a", speaker=str(at), set="tones", audio=f"{at}.wav")
    recorded = [white(np.random.default_rng(0), 4_000)]
    first, again = (noise_bank([Corpus(tmp_path)], recorded, 12, seed=4) for _ in range(2))
    assert len(first) == 12
    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
    assert all(np.sqrt(np.mean(np.square(sound))) == pytest.approx(1.0, abs=1e-2) for sound in first)
    without = noise_bank([], recorded, 12, seed=4)
    assert any(not np.array_equal(one, other) for one, other in zip(first, without, strict=True))
    assert noise_bank([], [], 0, seed=4) == []


def test_the_scale_is_tempered() -> None:
    """Twelve semitones are an octave."""
    assert SCALE_HZ[12] / SCALE_HZ[0] == pytest.approx(2.0)
