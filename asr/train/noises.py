"""Sounds that are not speech, made by code: a generator and a length in, float32 ``(length,)`` at 16 kHz out.

Everything has a root mean square of 1; whoever mixes sets the level. No two draws are alike: rates, pitches and
decays are drawn anew in each. `NOISES` names them all but `babble`, which is made of voices.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from asr.train.corpus import Corpus
from asr.transcript import SAMPLE_RATE_HZ, SAMPLES_PER_MS

Samples = NDArray[np.float32]
Generator = np.random.Generator

FEWEST_VOICES = 4  # in babble: of fewer, words can be followed, and that is speech
TALKERS = (2, 8)  # in the background, each pausing
BANK_S = 8.0  # of a sound in a bank; mixing repeats it where a clip is longer
SCALE_HZ = 110.0 * 2.0 ** (np.arange(48) / 12.0)  # four octaves of semitones from A2


def coloured(rng: Generator, length: int) -> Samples:
    """Hiss to rumble: power falls by 0 (white), 3 (pink), 6 (brown) dB an octave, or between."""
    spectrum = np.fft.rfft(rng.standard_normal(length))
    spectrum /= np.maximum(np.arange(len(spectrum)), 20.0 * length / SAMPLE_RATE_HZ) ** rng.uniform(0.0, 1.0)
    return _unit(np.fft.irfft(spectrum, length))


def white(rng: Generator, length: int) -> Samples:
    """White noise."""
    return _unit(rng.standard_normal(length))


def hum(rng: Generator, length: int) -> Samples:
    """Mains hum: 50 or 60 Hz, or twice that, with up to 20 harmonics of random strength."""
    base_hz = float(rng.choice([50.0, 60.0, 100.0, 120.0])) * rng.uniform(0.995, 1.005)
    return _unit(_harmonics(base_hz, length, int(rng.integers(1, 21)), rng.uniform(0.3, 1.5), rng))


def fan(rng: Generator, length: int) -> Samples:
    """A fan or motor: rumble and hiss that swell with each turn, over a whine with harmonics."""
    turn = 1.0 + rng.uniform(0.0, 0.5) * np.sin(2 * np.pi * rng.uniform(0.5, 30.0) * _time_s(length))
    whine = _harmonics(rng.uniform(60.0, 400.0), length, 8, 1.0, rng)
    return _unit(coloured(rng, length) * turn + rng.uniform(0.0, 0.5) * _unit(whine))


def swells(rng: Generator, length: int) -> Samples:
    """Noise that swells as often as syllables do, one to ten times a second: what fools detectors of change."""
    swell = np.sin(np.pi * rng.uniform(1.0, 10.0) * _time_s(length) + rng.uniform(0.0, np.pi))
    return _unit(coloured(rng, length) * np.abs(swell) ** rng.uniform(0.5, 8.0))


def keyboard(rng: Generator, length: int) -> Samples:
    """Typing: bursts of strokes, each a click of 5 to 30 ms as the key goes down and a softer one as it comes up."""
    sound = np.zeros(length + SAMPLE_RATE_HZ)
    decay_ms, ring = rng.uniform(1.0, 8.0), _ring(rng)
    at = rng.uniform(0.0, 0.3) * SAMPLE_RATE_HZ
    while at < length:
        up = at + rng.uniform(0.05, 0.12) * SAMPLE_RATE_HZ
        for start, size in ((at, rng.uniform(0.4, 1.0)), (up, rng.uniform(0.1, 0.5))):
            _add(sound, int(start), size * ring(_click(rng, decay_ms * rng.uniform(0.7, 1.4))))
        pause_s = rng.uniform(0.3, 1.5) if rng.random() < 0.1 else rng.uniform(0.06, 0.3)
        at += pause_s * SAMPLE_RATE_HZ
    return _unit(sound[:length] + rng.standard_normal(length) * 10.0 ** rng.uniform(-5.0, -2.5))


def clatter(rng: Generator, length: int) -> Samples:
    """Dishes, tools, knocks: blows that make a few resonances ring for 10 to 300 ms."""
    sound = np.zeros(length + SAMPLE_RATE_HZ)
    per_s, lowest_hz = rng.uniform(0.5, 8.0), rng.uniform(80.0, 1500.0)
    for start in rng.integers(0, length, size=max(1, int(per_s * length / SAMPLE_RATE_HZ))):
        time_s = _time_s(int(rng.uniform(0.05, 0.5) * SAMPLE_RATE_HZ))
        blow = rng.standard_normal(len(time_s)) * np.exp(-time_s / 0.004)
        for _ in range(int(rng.integers(2, 7))):
            hertz = lowest_hz * rng.uniform(1.0, 5.0)
            blow += np.sin(2 * np.pi * hertz * time_s) * np.exp(-time_s / rng.uniform(0.003, 0.1))
        _add(sound, int(start), blow * rng.uniform(0.1, 1.0))
    return _unit(sound[:length] + rng.standard_normal(length) * 1e-4)


def music(rng: Generator, length: int) -> Samples:
    """Notes and chords of an instrument with harmonics: plucked or held, with or without a beat."""
    sound = np.zeros(length + 8 * SAMPLE_RATE_HZ)
    note_s, fade_s = rng.uniform(0.1, 1.2), rng.uniform(0.1, 3.0)
    harmonics, slope, voices = int(rng.integers(1, 9)), rng.uniform(0.5, 2.0), int(rng.integers(1, 5))
    beat = rng.random() < 0.4
    for start in range(0, length, int(note_s * SAMPLE_RATE_HZ)):
        if beat:
            _add(sound, start, 3.0 * _click(rng, rng.uniform(5.0, 60.0)))
        if rng.random() < 0.85:
            samples = int(min(note_s * rng.uniform(0.8, 2.0), 4.0) * SAMPLE_RATE_HZ)
            rise = np.minimum(_time_s(samples) / rng.uniform(0.002, 0.05), 1.0)
            shape = (
                rise
                * np.exp(-_time_s(samples) / fade_s)
                * np.minimum((samples - np.arange(samples)) / 400, 1)
            )
            for hertz in rng.choice(SCALE_HZ, size=voices):
                _add(sound, start, shape * _harmonics(float(hertz), samples, harmonics, slope, rng))
    return _unit(sound[:length] + rng.standard_normal(length) * 1e-4)


def beeps(rng: Generator, length: int) -> Samples:
    """Alarms, ringing tones, sirens: tones switched on and off, or gliding up and down."""
    hertz, time_s = rng.uniform(300.0, 3500.0), _time_s(length)
    glide = rng.uniform(0.0, 0.4) * np.sin(2 * np.pi * rng.uniform(0.2, 6.0) * time_s) * (rng.random() < 0.5)
    tone = np.sin(2 * np.pi * np.cumsum(hertz * (1.0 + glide)) / SAMPLE_RATE_HZ)
    on = np.sin(2 * np.pi * rng.uniform(0.3, 6.0) * time_s) > rng.uniform(-1.2, 0.8)
    return _unit(
        tone * np.convolve(on, np.full(80, 1 / 80), mode="same") + rng.standard_normal(length) * 1e-3
    )


def chords(rng: Generator, length: int) -> Samples:
    """Chords held on an organ, strings or a synthesiser, with vibrato and tremolo or without, one fading into the
    next: as steady and as rich in harmonics as a vowel, but without formants that move."""
    sound = np.zeros(length + 8 * SAMPLE_RATE_HZ)
    count, slope, voices = int(rng.integers(2, 25)), rng.uniform(0.3, 2.0), int(rng.integers(1, 6))
    hold_s, rise_s = rng.uniform(0.4, 6.0), rng.uniform(0.005, 0.6)
    vibrato_hz, depth = rng.uniform(3.0, 8.0), rng.uniform(0.0, 0.02) * (rng.random() < 0.6)
    tremolo = rng.uniform(0.0, 0.6) * (rng.random() < 0.4)
    at = 0
    while at < length:
        held_s = hold_s * rng.uniform(0.6, 1.4)
        time_s = _time_s(int((held_s + rise_s) * SAMPLE_RATE_HZ))
        shape = np.minimum(np.minimum(time_s, time_s[::-1]) / rise_s, 1.0)
        shape *= 1.0 - tremolo * np.sin(np.pi * vibrato_hz * time_s) ** 2
        for hertz in rng.choice(SCALE_HZ[:36], size=voices, replace=False):
            bend = depth * np.sin(2 * np.pi * vibrato_hz * time_s + rng.uniform(0.0, 6.28))
            _add(sound, at, shape * _overtones(float(hertz) * (1.0 + bend), count, slope, rng))
        at += int(held_s * SAMPLE_RATE_HZ)
    return _unit(sound[:length] + rng.standard_normal(length) * 1e-3)


def glides(rng: Generator, length: int) -> Samples:
    """A melody of one voice that slides from note to note, like a violin, a theremin or humming without a mouth."""
    per_note = int(rng.uniform(0.12, 1.0) * SAMPLE_RATE_HZ)
    slide = int(rng.uniform(0.01, 0.3) * SAMPLE_RATE_HZ)
    notes = rng.choice(SCALE_HZ[: int(rng.integers(24, 48))], size=(length + slide) // per_note + 1)
    hertz = np.repeat(notes, per_note)[: length + slide]
    hertz = np.convolve(hertz, np.full(slide, 1.0 / slide), mode="valid")[:length]
    hertz = hertz * (
        1.0 + rng.uniform(0.0, 0.03) * np.sin(2 * np.pi * rng.uniform(4.0, 7.0) * _time_s(length))
    )
    swell = 1.0 - rng.uniform(0.0, 1.0) * np.sin(np.pi * rng.uniform(0.3, 4.0) * _time_s(length)) ** 2
    sound = _overtones(hertz, int(rng.integers(1, 20)), rng.uniform(0.4, 2.0), rng) * swell
    return _unit(sound + rng.standard_normal(length) * 10.0 ** rng.uniform(-4.0, -1.5))


def drums(rng: Generator, length: int) -> Samples:
    """A beat of kick, snare and hat on a grid of sixteenths, alone or under chords."""
    sound = np.zeros(length + SAMPLE_RATE_HZ)
    step = int(60.0 / rng.uniform(70.0, 170.0) / 4.0 * SAMPLE_RATE_HZ)
    time_s = _time_s(int(0.35 * SAMPLE_RATE_HZ))
    low_hz, fall_s = rng.uniform(40.0, 90.0), rng.uniform(0.05, 0.15)
    kick = np.sin(2 * np.pi * (low_hz * time_s - 3.0 * low_hz * 0.03 * np.exp(-time_s / 0.03)))
    played = (
        (kick * np.exp(-time_s / fall_s), rng.random(16) < 0.25, 1.5),
        (_click(rng, rng.uniform(20.0, 60.0)), np.arange(16) % 8 == 4, 1.0),
        (
            np.diff(_click(rng, rng.uniform(5.0, 40.0)), prepend=0.0),
            np.arange(16) % 2 == rng.integers(2),
            0.5,
        ),
    )
    for beat, start in enumerate(range(0, length, step)):
        for piece, pattern, loud in played:
            if pattern[beat % 16]:
                _add(sound, start, loud * rng.uniform(0.6, 1.0) * piece)
    total = _unit(sound[:length] + rng.standard_normal(length) * 1e-3)
    return _unit(total + rng.uniform(0.3, 2.0) * chords(rng, length)) if rng.random() < 0.5 else total


def babble(voices: Sequence[Samples], rng: Generator, length: int) -> Samples:
    """Voices talking at once, each repeated where it is too short; at least `FEWEST_VOICES` of them."""
    assert len(voices) >= FEWEST_VOICES, len(voices)
    total = np.zeros(length)
    for voice in voices:
        total += np.resize(np.roll(_unit(voice), int(rng.integers(len(voice)))), length) * rng.uniform(
            0.6, 1.0
        )
    return _unit(total)


NOISES: Mapping[str, Callable[[Generator, int], Samples]] = {
    made.__name__: made
    for made in (coloured, white, hum, fan, swells, keyboard, clatter, music, beeps, chords, glides, drums)
}


def talk(voices: Sequence[Samples], rng: Generator, length: int) -> Samples:
    """People talking in the background, each with pauses as long as a clip at most. Unlike in `babble` words may be
    followed: to be mixed in well below whoever is to be understood."""
    total = np.zeros(length)
    for voice in voices:
        pausing = np.concatenate([_unit(voice), np.zeros(int(rng.uniform(0.0, 1.0) * len(voice)))])
        total += np.resize(np.roll(pausing, int(rng.integers(len(pausing)))), length) * rng.uniform(0.5, 1.0)
    return _unit(total)


def noise_bank(voices: Sequence[Corpus], recorded: Sequence[Samples], count: int, seed: int) -> list[Samples]:
    """``count`` sounds of `BANK_S` to mix into speech: a third `talk`, the others made by one of `NOISES`; half of
    them over a second sound, made or ``recorded``, as loud. Made once: drawing them anew for each clip would cost
    more than training on it."""
    rng, length = np.random.default_rng(seed), int(BANK_S * SAMPLE_RATE_HZ)

    def one() -> Samples:
        if voices and rng.random() < 1 / 3:
            corpus = voices[int(rng.integers(len(voices)))]
            chosen = rng.choice(len(corpus.entries), size=int(rng.integers(TALKERS[0], TALKERS[1] + 1)))
            return talk([corpus.samples(corpus.entries[at]).astype(np.float32) for at in chosen], rng, length)
        return list(NOISES.values())[int(rng.integers(len(NOISES)))](rng, length)

    def second() -> Samples:
        if recorded and rng.random() < 0.5:
            sound = recorded[int(rng.integers(len(recorded)))]
            return _unit(np.resize(np.roll(sound, -int(rng.integers(len(sound)))), length))
        return one()

    return [_unit(one() + second()) if rng.random() < 0.5 else one() for _ in range(count)]


def _harmonics(base_hz: float, length: int, count: int, slope: float, rng: Generator) -> NDArray[np.float64]:
    return _overtones(np.full(length, base_hz), count, slope, rng)


def _overtones(hertz: NDArray[np.float64], count: int, slope: float, rng: Generator) -> NDArray[np.float64]:
    """A tone whose frequency is ``hertz`` at each sample, with up to ``count`` harmonics that fall by ``slope``."""
    # By powers of one rotating vector: a sine for each harmonic would cost four times as much.
    turn = np.exp(2j * np.pi * np.cumsum(hertz) / SAMPLE_RATE_HZ)
    total, power = np.zeros(len(hertz)), np.ones(len(hertz), dtype=np.complex128)
    for order in range(1, min(count, int(0.45 * SAMPLE_RATE_HZ / hertz.max())) + 1):
        power = power * turn
        phase = np.exp(1j * rng.uniform(0.0, 2.0 * np.pi))
        total += rng.uniform(0.2, 1.0) * order**-slope * (power * phase).real
    return total


def _click(rng: Generator, decay_ms: float) -> NDArray[np.float64]:
    decay = decay_ms * SAMPLES_PER_MS
    return rng.standard_normal(int(5 * decay) + 8) * np.exp(-np.arange(int(5 * decay) + 8) / decay)


def _ring(rng: Generator) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    angle = 2 * np.pi * rng.uniform(300.0, 6000.0) / SAMPLE_RATE_HZ
    radius = rng.uniform(0.5, 0.97)
    poles = [1.0, -2.0 * radius * np.cos(angle), radius**2]
    return lambda click: np.asarray(lfilter([1.0 - radius], poles, click))


def _add(sound: NDArray[np.float64], start: int, piece: NDArray[np.float64]) -> None:
    room = min(len(piece), len(sound) - start)
    sound[start : start + room] += piece[:room]


def _time_s(length: int) -> NDArray[np.float64]:
    return np.arange(length) / SAMPLE_RATE_HZ


def _unit(sound: NDArray[np.floating[Any]]) -> Samples:
    return np.asarray(
        sound / (np.sqrt(np.mean(np.square(sound, dtype=np.float64))) + 1e-12), dtype=np.float32
    )
