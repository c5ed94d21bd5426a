"""`asr.frontend.clip_stats` for a recording that is not held: blocks and spans of speech in, `ClipStats` out."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from asr import loudness
from asr.frontend import MAX_SNR_DB, NOISE_FRAME, FrontendOptions, gain_for
from asr.transcript import SAMPLE_RATE_HZ, ClipStats, Span

Samples = NDArray[np.float32]


class Statistics:
    """What has been seen of a recording so far, speech and all."""

    def __init__(self) -> None:
        self.samples = 0
        self.speech: list[int] = []  # samples of each span
        self._first = self._last = 0
        self._clipped = 0
        self._energy = 0.0
        self._level = loudness.LevelMeter()
        self._rest: Samples = np.zeros(0, np.float32)  # less than a frame
        self._powers: list[Samples] = []

    def push(self, samples: Samples) -> None:
        """The next samples of the recording."""
        self.samples += len(samples)
        self._clipped += int(np.count_nonzero(np.abs(samples) >= loudness.CLIPPED))
        self._energy += float(np.sum(np.square(samples, dtype=np.float64)))
        rest = np.concatenate([self._rest, samples])
        frames = len(rest) // NOISE_FRAME
        whole, self._rest = rest[: frames * NOISE_FRAME], rest[frames * NOISE_FRAME :]
        self._powers.append(np.square(whole.reshape(frames, NOISE_FRAME)).mean(axis=1))

    def speech_at(self, span: Span, samples: Samples) -> None:
        """The next span of speech."""
        if not self.speech:
            self._first = span.start
        self._last = span.end
        self.speech.append(len(span))
        self._level.push(samples)

    def rms_dbfs(self) -> float:
        """Of all samples."""
        return loudness.SILENCE_DBFS if self._energy == 0.0 else _decibels(self._energy / self.samples)

    def clip(self, options: FrontendOptions) -> ClipStats:
        """Of the whole recording."""
        duration_s = self.samples / SAMPLE_RATE_HZ
        clipped = self._clipped / max(1, self.samples)
        if not self.speech:
            return ClipStats(duration_s, None, 0.0, None, clipped, 0.0, duration_s, 0.0)
        level = self._level.level_dbfs()
        return ClipStats(
            duration_s=duration_s,
            level_dbfs=level,
            gain_db=gain_for(level, options),
            snr_db=self._snr_db(level),
            clipped_ratio=clipped,
            speech_ratio=sum(self.speech) / self.samples,
            leading_silence_s=self._first / SAMPLE_RATE_HZ,
            trailing_silence_s=(self.samples - self._last) / SAMPLE_RATE_HZ,
        )

    def _snr_db(self, level_dbfs: float) -> float:
        powers = np.concatenate(self._powers)
        if len(powers) == 0:
            return 0.0
        return min(MAX_SNR_DB, level_dbfs - _decibels(float(np.quantile(powers, 0.1))))


def _decibels(power: float) -> float:
    return 10.0 * math.log10(max(power, 1e-12))
