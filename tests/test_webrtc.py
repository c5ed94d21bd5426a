"""WebRTC's detector: what it must not take for speech, and that it hears one frame at a time as it hears many."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import webrtcvad
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from asr.audio import decode
from asr.vad import Samples, VadOptions, find_speech, frame_probabilities
from asr.webrtc import FRAME, Steadiness, WebRtcVad

SAMPLES = Path(__file__).parent.parent / "data" / "samples"


class PlainSteadiness:
    """`Steadiness` as it is defined, one frame after the other."""

    def __init__(self) -> None:
        self.frames: list[Samples] = []
        self.powers: list[NDArray[np.float64]] = []
        self.steady = True

    def __call__(self, frame: Samples) -> bool:
        self.frames.append(frame)
        if len(self.frames) == 3:
            spectra = np.abs(np.fft.rfft(np.stack(self.frames) * Steadiness.WINDOW, axis=1)) ** 2
            bins = spectra.sum(axis=0, dtype=np.float64)[:50]
            self.powers = [*self.powers[-15:], np.add.reduceat(bins, (1, 3, 5, 8, 12, 17, 24, 34))]
            self.frames = []
            powers = np.stack(self.powers)
            levels_db = 10.0 * np.log10(powers + 1e-3 * powers.sum(axis=1).mean() + 1e-12)
            self.steady = len(powers) < 4 or float(np.sqrt(levels_db.var(axis=0).mean())) < 2.2
        return self.steady


def plain_probabilities(samples: Samples) -> list[float]:
    """`WebRtcVad` as it is defined, one whole frame after the other."""
    detectors = [webrtcvad.Vad(mode) for mode in (1, 2, 3)]
    steadiness, follower_db, recent, answers = PlainSteadiness(), -50.0, [0.0] * 5, []
    for frame in samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME):
        level_db = 10.0 * math.log10(float(np.dot(frame, frame)) / FRAME + 1e-12)
        follower_db = max(level_db, follower_db - 0.01)
        scale = 32768.0 * 10.0 ** (min(max(-20.0 - follower_db, 0.0), 30.0) / 20.0)
        pcm = np.clip(frame * scale, -32768.0, 32767.0).astype("<i2").tobytes()
        votes = [detector.is_speech(pcm, 16_000) for detector in detectors]
        heard = level_db > -80.0 and not steadiness(frame)
        recent = [*recent[1:], sum(votes) / 3 if heard else 0.0]
        # Not `sum`, which since Python 3.12 rounds otherwise than adding does.
        answers.append((recent[0] + recent[1] + recent[2] + recent[3] + recent[4]) / 5)
    return answers


def noise(seed: int, seconds: float) -> Samples:
    samples = np.random.default_rng(seed).standard_normal(int(16_000 * seconds))
    return samples.astype(np.float32) * np.float32(0.1)


def rugged(seed: int, parts: int) -> Samples:
    """Speech, noise and digital silence by turns, from 10 ms to 2 s of each, at levels from -100 dBFS to clipping."""
    rng = np.random.default_rng(seed)
    speech = decode(SAMPLES / "play_jazz.wav")
    sounds = []
    for _ in range(parts):
        length = FRAME * int(rng.integers(1, 200))
        start = int(rng.integers(0, len(speech) - 1))
        kinds = (speech[start : start + length], noise(seed, length / 16_000), np.zeros(length, np.float32))
        sounds.append(kinds[rng.integers(0, 3)] * np.float32(10 ** (rng.uniform(-80, 20) / 20)))
    return np.concatenate(sounds).clip(-1, 1)


def in_pieces(samples: Samples, pieces: list[int]) -> list[float]:
    """Whole frames through one scorer, so many at a time, and the rest at once."""
    score = WebRtcVad().open()
    frames = samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)
    return [answer for piece in np.split(frames, np.cumsum(pieces)) for answer in score(piece).tolist()]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 6), st.lists(st.integers(0, 60), max_size=30))
@example(0, 1, [1] * 100)
@example(1, 6, [3] * 100)
def test_pieces_are_heard_as_the_whole(seed: int, parts: int, pieces: list[int]) -> None:
    """Noise, speech, silence and jumps in level: to the last bit what the definition gives, however they are cut."""
    samples = rugged(seed, parts)
    expected = plain_probabilities(samples)
    assert in_pieces(samples, []) == expected
    assert in_pieces(samples, pieces) == expected


@pytest.mark.parametrize("name", ["play_jazz.wav", "quiet_50dbfs.flac", "clipped_12db.flac", "keyboard.flac"])
def test_samples_are_heard_one_frame_at_a_time_as_at_once(name: str) -> None:
    """Clips, the quiet and the clipped one too: to the last bit what the definition gives."""
    samples = decode(SAMPLES / name)
    expected = plain_probabilities(samples)
    assert in_pieces(samples, []) == in_pieces(samples, [1] * (len(samples) // FRAME)) == expected
    assert 0.0 < max(expected) <= 1.0


@pytest.mark.parametrize("length", [0, 1, FRAME - 1, FRAME, FRAME + 1, 3 * FRAME, 11 * FRAME])
def test_very_short_clips(length: int) -> None:
    """One answer for each frame begun, and that of the clip completed with zeros."""
    samples = noise(0, 1)[:length]
    completed = np.pad(samples, (0, -length % FRAME))
    assert list(frame_probabilities(WebRtcVad(), samples)) == plain_probabilities(completed)


def test_webrtc_hears_nothing_in_digital_silence() -> None:
    """Digital silence never has a probability above zero."""
    assert max(frame_probabilities(WebRtcVad(), np.zeros(16_000, dtype=np.float32))) == 0.0


def test_streams_of_one_detector_are_independent() -> None:
    """Two scorers of one detector keep separate states."""
    vad = WebRtcVad()
    sound = noise(0, 1)
    alone = list(frame_probabilities(vad, sound))
    first, second = vad.open(), vad.open()
    interleaved = []
    for start in range(0, len(sound), FRAME):
        interleaved += first(sound[None, start : start + FRAME]).tolist()
        second(np.zeros((1, FRAME), dtype=np.float32))
    assert interleaved == alone


def coloured(rng: np.random.Generator, slope: float, seconds: float = 5.0) -> Samples:
    """Noise whose amplitude falls with the frequency to the power ``slope``: 0 white, 0.5 pink, 1 brown."""
    spectrum = np.fft.rfft(rng.standard_normal(int(16_000 * seconds)))
    spectrum[1:] /= np.arange(1, len(spectrum)) ** slope
    spectrum[: int(20 * seconds)] = 0.0  # nothing under 20 Hz
    sound = np.fft.irfft(spectrum)
    return np.asarray(sound / sound.std(), dtype=np.float32)


def steady_share(samples: Samples) -> float:
    """Share of frames that `Steadiness` calls steady."""
    return float(Steadiness()(samples[: len(samples) // FRAME * FRAME].reshape(-1, FRAME)).mean())


@pytest.mark.parametrize("level_dbfs", [-60, -30, -3])
@pytest.mark.parametrize("slope", [0.0, 0.5, 1.0])
def test_noise_is_steady_at_any_level(slope: float, level_dbfs: float) -> None:
    """White, pink and brown noise: at most one frame in a hundred passes for a change."""
    sound = coloured(np.random.default_rng(0), slope) * np.float32(10 ** (level_dbfs / 20))
    assert steady_share(sound) >= 0.99


@pytest.mark.parametrize(
    "frequencies_hz", [(440.0,), (261.6, 329.6, 392.0), tuple(50.0 * k for k in range(1, 13))]
)
def test_held_tones_are_steady(frequencies_hz: tuple[float, ...]) -> None:
    """A tone, a chord, mains hum with its harmonics: always."""
    time_s = np.arange(32_000) / 16_000
    tones = sum(np.sin(2 * np.pi * frequency * time_s) for frequency in frequencies_hz)
    assert steady_share(np.asarray(tones, dtype=np.float32)) == 1.0


def test_an_onset_ends_steadiness_within_its_padding() -> None:
    """Louder sound after a second of hiss is noticed within 60 ms, less than the padding before a span."""
    rng = np.random.default_rng(0)
    sound = coloured(rng, 0.0, 2.0) * np.float32(1e-3)
    sound[16_000:] += coloured(rng, 1.0, 1.0) * np.float32(1e-2)
    answers = Steadiness()(sound.reshape(-1, FRAME)).tolist()
    assert all(answers[:100])
    assert 100 <= answers.index(False) < 106
    assert all(answers[160:])  # and what goes on unchanged is steady again within 600 ms


def test_webrtc_ignores_steady_noise_but_not_its_end() -> None:
    """Pink noise at -30 dBFS has no speech in it; the same noise that swells four times a second may."""
    sound = coloured(np.random.default_rng(0), 0.5) * np.float32(0.03)
    assert find_speech(WebRtcVad(), sound, VadOptions()) == []
    swell = np.sin(np.linspace(0, 2 * np.pi * 4 * 5, len(sound))) ** 8
    assert find_speech(WebRtcVad(), (sound * swell).astype(np.float32), VadOptions()) != []
