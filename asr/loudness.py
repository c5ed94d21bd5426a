"""Level: how loud the speech of a clip is, and the gain that brings it to a standard level.

`active_speech_level` follows ITU-T P.56 (12/2011), method B: pauses do not pull the level down and a click
does not push it up. `apply_gain` limits smoothly, sample by sample, so it does not depend on chunking.
Levels are dBFS: 0 dB is the RMS of a full-scale square wave.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray

from asr.transcript import SAMPLE_RATE_HZ, SAMPLES_PER_MS

Samples = NDArray[np.float32]

SILENCE_DBFS = -120.0  # stands for minus infinity
ENVELOPE_TIME_CONSTANT_MS = 30
HANGOVER_MS = 200
MARGIN_DB = 15.9
THRESHOLD_BITS = 20  # thresholds 2**-20 .. 2**-1 of full scale: -120 .. -6 dBFS
LIMITER_KNEE = 0.891  # -1 dBFS: below it the limiter is the identity
DITHER_DBFS = -75.0  # the middle of the floors that training adds, about 50 dB under the speech
LONGEST_KEPT_NOISE = 2**19  # samples, 33 s: all powers of two up to it take 4 MB
CLIPPED = 0.999  # of full scale: 16-bit full scale is 32767 / 32768 = 0.99997


def rms_dbfs(samples: Samples) -> float:
    """Root mean square level of ``samples`` (float32, ``(n,)``); ``SILENCE_DBFS`` for none or zeros."""
    if len(samples) == 0:
        return SILENCE_DBFS
    return _decibels(float(np.mean(np.square(samples, dtype=np.float64))))


def active_speech_level(samples: Samples) -> float:
    """Active speech level of ``samples`` (float32, ``(n,)``, 16 kHz) in dBFS, after ITU-T P.56 method B.

    The envelope is computed on 1 ms means of the rectified signal (P.56 asks for at least 694 values a
    second); energy and activity are exact. ``SILENCE_DBFS`` where nothing reaches any threshold.
    """
    blocks = len(samples) // SAMPLES_PER_MS
    energy = float(np.sum(np.square(samples, dtype=np.float64)))
    if blocks == 0 or energy == 0.0:
        return rms_dbfs(samples)
    rectified = np.abs(samples[: blocks * SAMPLES_PER_MS]).reshape(blocks, SAMPLES_PER_MS).mean(axis=1)
    held = _held(np.convolve(rectified, _envelope_response())[:blocks])
    return _at_margin(energy, lambda bit: int(np.count_nonzero(held >= 2.0**-bit)))


class LevelMeter:
    """`active_speech_level` of samples that come in pieces and are not kept, within rounding of the whole's."""

    def __init__(self) -> None:
        self._pending: Samples = np.zeros(0, np.float32)  # less than a block
        self._rectified = np.zeros(len(_envelope_response()) - 1)  # means of the last blocks, oldest first
        self._envelope = np.zeros(HANGOVER_MS)  # of the last blocks: what a value to come may be held at
        self._energy = 0.0
        self._samples = 0
        self._active = np.zeros(THRESHOLD_BITS + 1, np.int64)  # blocks that reach 2**-bit

    def push(self, samples: Samples) -> None:
        """Take the next samples (float32, ``(n,)``)."""
        self._energy += float(np.sum(np.square(samples, dtype=np.float64)))
        self._samples += len(samples)
        pending = np.concatenate([self._pending, samples])
        blocks = len(pending) // SAMPLES_PER_MS
        whole = blocks * SAMPLES_PER_MS
        self._pending = pending[whole:]
        if blocks == 0:
            return
        rectified = np.abs(pending[:whole]).reshape(blocks, SAMPLES_PER_MS).mean(axis=1)
        before = np.concatenate([self._rectified, rectified])
        envelope = np.concatenate(
            [self._envelope, np.convolve(before, _envelope_response(), mode="valid")[-blocks:]]
        )
        held = _held(envelope)[HANGOVER_MS:]
        self._rectified, self._envelope = before[blocks:], envelope[blocks:]
        self._active += [int(np.count_nonzero(held >= 2.0**-bit)) for bit in range(THRESHOLD_BITS + 1)]

    def level_dbfs(self) -> float:
        """Active speech level of all that was pushed; ``SILENCE_DBFS`` where nothing reaches any threshold."""
        if self._energy == 0.0:
            return SILENCE_DBFS
        if self._samples < SAMPLES_PER_MS:
            return _decibels(self._energy / self._samples)
        return _at_margin(self._energy, lambda bit: int(self._active[bit]))


def _at_margin(energy: float, active_at: Callable[[int], int]) -> float:
    """P.56's interpolation: the level at which it lies ``MARGIN_DB`` above the threshold that it was measured with.

    ``energy`` is the sum of squares; ``active_at`` says how many blocks of 1 ms reach 2**-bit.
    """
    previous: tuple[float, float] | None = None  # (level, margin) at the next lower threshold
    for bit in range(THRESHOLD_BITS, 0, -1):
        threshold = 2.0**-bit
        active = active_at(bit)
        if active == 0:
            break
        level = _decibels(energy / (active * SAMPLES_PER_MS))
        margin = level - 20.0 * math.log10(threshold)
        if margin <= MARGIN_DB:
            if previous is None:
                return level
            # The margin falls from one threshold to the next; the level wanted lies where it is MARGIN_DB.
            share = (previous[1] - MARGIN_DB) / max(previous[1] - margin, 1e-9)
            return previous[0] + share * (level - previous[0])
        previous = (level, margin)
    return SILENCE_DBFS if previous is None else previous[0]


def apply_gain(samples: Samples, gain_db: float) -> Samples:
    """``samples`` (float32, ``(n,)``) times the gain, softly limited to (-1, 1) above ``LIMITER_KNEE``.

    The identity below the knee, a tanh above it with a continuous slope; the input is not changed.
    """
    scaled = samples * np.float32(10.0 ** (gain_db / 20.0))
    over = np.abs(scaled) > LIMITER_KNEE
    if over.any():
        room = 1.0 - LIMITER_KNEE
        excess = (np.abs(scaled[over]) - LIMITER_KNEE) / room
        scaled[over] = np.sign(scaled[over]) * (LIMITER_KNEE + room * np.tanh(excess)).astype(np.float32)
    return scaled


def dither(samples: Samples) -> Samples:
    """``samples`` (float32, ``(n,)``) with a noise floor at ``DITHER_DBFS``, the same noise at every call.

    No room is digitally silent, and the logarithm of zero is like nothing that a model has heard: a file padded with
    zeros would be heard otherwise than one padded with a quiet room. Kaldi dithers for the same reason.
    """
    power_of_two = 1 << len(samples).bit_length()
    if power_of_two > LONGEST_KEPT_NOISE:
        return samples + _noise(len(samples))
    return samples + _kept_noise(power_of_two)[: len(samples)]


def clipped_ratio(samples: Samples) -> float:
    """Share of samples at or beyond full scale."""
    if len(samples) == 0:
        return 0.0
    return float(np.count_nonzero(np.abs(samples) >= CLIPPED)) / len(samples)


def _envelope_response() -> NDArray[np.float64]:
    # Two cascaded exponential averages: t/T**2 * exp(-t/T), cut where less than 1e-4 of its area is left.
    time_ms = np.arange(1, 12 * ENVELOPE_TIME_CONSTANT_MS, dtype=np.float64)
    response = time_ms * np.exp(-time_ms / ENVELOPE_TIME_CONSTANT_MS)
    return np.asarray(response / response.sum())


def _held(envelope: NDArray[np.float64]) -> NDArray[np.float64]:
    """The largest value of each block of 1 ms and the hangover before it: active is where that reaches a threshold."""
    width = 1  # blocks that each value is the largest of: doubled as long as it fits
    while width <= HANGOVER_MS:
        step = min(width, HANGOVER_MS + 1 - width)
        envelope = np.concatenate([envelope[:step], np.maximum(envelope[step:], envelope[:-step])])
        width += step
    return envelope


@cache
def _kept_noise(length: int) -> Samples:
    """`_noise`, kept: drawing it takes longer than the rest of the levelling."""
    noise = _noise(length)
    noise.setflags(write=False)
    return noise


def _noise(length: int) -> Samples:
    noise = np.random.default_rng(0).standard_normal(length, dtype=np.float32)
    return noise * np.float32(10.0 ** (DITHER_DBFS / 20.0))


def _decibels(power: float) -> float:
    return max(SILENCE_DBFS, 10.0 * math.log10(max(power, 1e-12)))


assert SAMPLE_RATE_HZ == 1000 * SAMPLES_PER_MS
