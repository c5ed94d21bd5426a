"""What the voice activity network hears: samples in, relative log-mel out. In numpy here, in its graph at run time.

A frame of 20 ms every 10 ms looks only backwards. Its band powers are divided by a causal running mean of the
clip's own power, so the level of a clip cancels exactly; what is far under the running mean, or under
`FLOOR_DBFS`, vanishes smoothly in a constant. (PCEN, Wang et al. 2017, divides each band by its own mean; one
mean for all bands keeps the shape of the spectrum.)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from asr.transcript import SAMPLE_RATE_HZ

Samples = NDArray[np.float32]
Features = NDArray[np.float32]

SHIFT = 160  # 10 ms
WINDOW = 320  # 20 ms: the new samples and the 160 before them
BINS = WINDOW // 2  # 50 Hz to 8 kHz in steps of 50 Hz; without the constant
BANDS = 32  # at 84 mel each, so the lowest are one bin wide
LOW_HZ, HIGH_HZ = 50.0, 7600.0
KEEP = 0.99  # of the running mean a frame: it forgets with a time constant of a second
FLOOR_DBFS = -90.0
FLOOR = 10.0 ** (FLOOR_DBFS / 10.0)
RELATIVE_FLOOR = 1e-5  # 50 dB under the running mean
SCALE, SHIFTED = 0.25, 1.0  # bring log values of about [-11.5, 5] to [-1.9, 2.2]


def features(samples: Samples) -> Features:
    """Relative log-mel of a clip (float32, ``(n,)``, 16 kHz) from its first sample: float32 ``(n // 160, 32)``."""
    count = len(samples) // SHIFT
    padded = np.concatenate([np.zeros(WINDOW - SHIFT, dtype=np.float32), samples[: count * SHIFT]])
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::SHIFT]
    power = np.square(np.abs(np.fft.rfft(frames * window(), axis=1)[:, 1:]))
    return relative(power @ mel_filters().T)


def relative(bands: NDArray[np.floating[Any]]) -> Features:
    """Band powers ``(frames, 32)`` as logarithms relative to their running mean."""
    total = lfilter([1.0 - KEEP], [1.0, -KEEP], bands.mean(axis=1))
    # How much of the mean is filled, at the start of a clip.
    seen = 1.0 - KEEP ** np.arange(1, len(bands) + 1)
    mean = total / seen + FLOOR
    return np.asarray(np.log(bands / mean[:, None] + RELATIVE_FLOOR) * SCALE + SHIFTED, dtype=np.float32)


def window() -> NDArray[np.float64]:
    """Hann's window, scaled so that the power spectrum of a square wave of full scale sums to about 1."""
    hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(WINDOW) / WINDOW)
    return np.asarray(hann * np.sqrt(2.0 / (WINDOW * np.square(hann).sum())))


def mel_filters() -> NDArray[np.float64]:
    """Triangles on the mel scale, float64 ``(32, 160)``; each sums to as many bins as there are, over the bands.

    The mean of the band powers of white noise is then its power.
    """

    def mel(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
        return 1127.0 * np.log1p(hertz / 700.0)

    low, high = mel(np.array([LOW_HZ / 2, HIGH_HZ], dtype=np.float64))
    edges = np.linspace(low, high, BANDS + 2)
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    bins = mel(np.arange(1, BINS + 1, dtype=np.float64) * (SAMPLE_RATE_HZ / WINDOW))
    triangles = np.minimum((bins - left) / (centre - left), (right - bins) / (right - centre)).clip(min=0.0)
    return np.asarray(triangles / triangles.sum(axis=1, keepdims=True) * BINS)
