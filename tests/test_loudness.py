"""Levels after ITU-T P.56, gain and the limiter."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asr import loudness
from asr.loudness import (
    SILENCE_DBFS,
    LevelMeter,
    active_speech_level,
    apply_gain,
    clipped_ratio,
    dither,
    rms_dbfs,
)

RATE = 16_000


def tone(seconds: float, rms: float = 0.05) -> np.ndarray:
    time = np.arange(int(seconds * RATE)) / RATE
    return (rms * np.sqrt(2) * np.sin(2 * np.pi * 440 * time)).astype(np.float32)


def test_rms_of_a_full_scale_square_wave_is_zero() -> None:
    """0 dBFS is the RMS of a full-scale square wave."""
    assert rms_dbfs(np.tile(np.array([1, -1], dtype=np.float32), 100)) == 0.0


def test_silence_has_the_level_that_stands_for_minus_infinity() -> None:
    """Digital silence and no samples at all are SILENCE_DBFS, in RMS and active level."""
    for samples in (np.zeros(RATE, dtype=np.float32), np.zeros(0, dtype=np.float32)):
        assert rms_dbfs(samples) == active_speech_level(samples) == SILENCE_DBFS


def test_continuous_sound_has_its_rms_as_active_level() -> None:
    """Without pauses the active level is the RMS level."""
    assert active_speech_level(tone(3.0)) == pytest.approx(rms_dbfs(tone(3.0)), abs=0.1)


def test_pauses_do_not_lower_the_active_level() -> None:
    """Two seconds of tone in eight of silence: the RMS falls by 7 dB, the active level by under one."""
    padded = np.concatenate(
        [np.zeros(3 * RATE, dtype=np.float32), tone(2.0), np.zeros(5 * RATE, dtype=np.float32)]
    )
    assert rms_dbfs(padded) == pytest.approx(rms_dbfs(tone(2.0)) - 7.0, abs=0.1)
    assert active_speech_level(padded) == pytest.approx(rms_dbfs(tone(2.0)), abs=0.9)


def plain_active_speech_level(samples: np.ndarray) -> float:
    """P.56 method B block by block: all thresholds, and for each the hangover as a counter that runs down."""
    rectified = np.abs(samples[: len(samples) // 16 * 16]).reshape(-1, 16).mean(axis=1)
    time_ms = np.arange(1, 360)
    response = time_ms * np.exp(-time_ms / 30)
    envelope = np.convolve(rectified, response / response.sum())[: len(rectified)].tolist()
    energy = float(np.square(samples, dtype=np.float64).sum())
    levels = []
    for bit in range(20, 0, -1):
        active, hangover = 0, 0
        for value in envelope:
            hangover = 201 if value >= 2.0**-bit else max(hangover - 1, 0)
            active += hangover > 0
        if active:
            level = 10 * math.log10(energy / (active * 16))
            levels.append((level, level - 20 * math.log10(2.0**-bit)))
    for (low, low_margin), (high, high_margin) in pairwise(levels):
        if high_margin <= 15.9:
            return low + (low_margin - 15.9) / (low_margin - high_margin) * (high - low)
    return levels[-1][0]


@given(st.lists(st.tuples(st.integers(0, 8000), st.floats(-50.0, 0.0)), min_size=1, max_size=8))
@example([(16, -10.0)])
@example([(16 * 200, -50.0), (16, 0.0), (16 * 201, -50.0)])
def test_the_active_level_is_that_of_the_plain_definition(parts: list[tuple[int, float]]) -> None:
    """Runs of noise of any length and level: what counting block by block and threshold by threshold gives."""
    rng = np.random.default_rng(0)
    noise = [rng.standard_normal(length) * 10 ** (level_db / 20) for length, level_db in parts]
    samples = np.concatenate([tone(0.2), *noise]).astype(np.float32)
    assert active_speech_level(samples) == pytest.approx(plain_active_speech_level(samples), abs=1e-9)


def test_a_click_does_not_raise_the_active_level() -> None:
    """A full-scale click counts by its energy, not its peak: 34 dB above the tone, it moves the level by 0.6."""
    clicked = tone(2.0, rms=0.02)
    clicked[RATE : RATE + 2] = 0.99
    assert active_speech_level(clicked) == pytest.approx(active_speech_level(tone(2.0, rms=0.02)), abs=0.8)


@given(st.floats(-45.0, 12.0))
def test_the_active_level_follows_gain(gain_db: float) -> None:
    """Scaling a clip by x dB moves its active level by x dB."""
    samples = tone(1.0)
    scaled = samples * np.float32(10 ** (gain_db / 20))
    assert active_speech_level(scaled) == pytest.approx(active_speech_level(samples) + gain_db, abs=0.2)


def test_gain_is_exact_below_the_knee() -> None:
    """Below the limiter's knee, gain is a plain product."""
    samples = tone(0.1)
    assert np.array_equal(apply_gain(samples, 6.0), samples * np.float32(10 ** (6.0 / 20)))


@given(st.floats(-40.0, 60.0))
def test_the_limiter_keeps_order_and_range(gain_db: float) -> None:
    """Limited samples stay within full scale and in the order of the input; the input is not changed."""
    samples = np.linspace(-1, 1, 201, dtype=np.float32)
    before = samples.copy()
    limited = apply_gain(samples, gain_db)
    assert np.abs(limited).max() <= 1.0
    assert (np.diff(limited) >= 0).all()
    assert np.array_equal(samples, before)


def test_clipped_ratio_counts_full_scale() -> None:
    """16-bit full scale counts as clipped; none of no samples is clipped."""
    assert clipped_ratio(np.array([0, 32767 / 32768, -1, 0.5], dtype=np.float32)) == 0.5
    assert clipped_ratio(np.zeros(0, dtype=np.float32)) == 0.0


def test_dither_is_a_repeatable_noise_floor() -> None:
    """Digital silence becomes noise at -75 dBFS, the same at every call; the input is not changed."""
    silence = np.zeros(RATE, dtype=np.float32)
    floor = dither(silence)
    assert rms_dbfs(floor) == pytest.approx(-75.0, abs=0.1)
    assert np.array_equal(floor, dither(silence))
    assert not silence.any()
    assert floor.dtype == np.float32


@pytest.mark.parametrize("length", [0, 1, 1023, 1024, 1025, 1026, 5000])
def test_dither_is_the_same_kept_or_not(length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Clips of any length, also beyond what is kept, begin with the same noise."""
    noise = dither(np.zeros(6000, dtype=np.float32))[:length]
    monkeypatch.setattr(loudness, "LONGEST_KEPT_NOISE", 1024)
    assert np.array_equal(dither(np.zeros(length, dtype=np.float32)), noise)


def test_no_clip_can_change_the_noise_of_another() -> None:
    """What `dither` returns is the caller's own."""
    dither(np.zeros(100, dtype=np.float32))[:] = 1.0
    assert rms_dbfs(dither(np.zeros(100, dtype=np.float32))) == pytest.approx(-75.0, abs=1.0)


@given(st.lists(st.integers(0, 9000), max_size=6), st.integers(0, 40_000))
def test_a_level_in_pieces_is_that_of_the_whole(cuts: list[int], length: int) -> None:
    """Wherever speech with pauses is cut, the meter has the active level of the whole."""
    rng = np.random.default_rng(length)
    loudness_of_second = np.repeat(rng.choice([0.0, 0.001, 0.1], 5), 8000)[:length]
    samples = (rng.standard_normal(length) * loudness_of_second).astype(np.float32)
    meter = LevelMeter()
    for piece in np.split(samples, np.minimum(np.cumsum(cuts), length).astype(int)):
        meter.push(piece)
    assert meter.level_dbfs() == pytest.approx(active_speech_level(samples), abs=1e-9)
