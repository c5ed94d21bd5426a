"""How unlike two clips sound, whatever a recogniser makes of them: for telling that somebody said the same again.

In: the speech of a clip, from its first to its last word (float32, ``(n,)``, 16 kHz), at any level. `sketch` makes of
it a small array that can be kept in its place, and `spoken_distance` compares two of those. A few milliseconds each,
numpy alone. Meant for one person's clips within minutes: other voices sound unlike, whatever they say.

The method is query by example as in spoken term detection: dynamic time warping of cepstra, the shorter clip searched
for anywhere in the longer ("show me red shoes" contains "red shoes"). Sakoe & Chiba (1978) for warping with slope
penalties; Müller, "Information Retrieval for Music and Motion" (2007, ch. 4) for subsequences; Anguera & Ferrarons
(ICME 2013) and Zhang & Glass (ASRU 2009) for normalising by the length of the query; Viikki & Laurila (1998) for
normalising mean and variance of the cepstra. Two things were chosen by measurement (`scripts/check_outcomes`): long
windows and few cepstra, because a person who repeats changes pitch, and a floor under each band's energy, relative to
its mean, because noise fills the gaps between words with sounds that are never the same again.

The distance is the mean cost along the best path over the mean cost of any frame against any: 0 for the same
recording, towards 1 for clips that have nothing in common; what noise does to both, it does to their ratio least.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from asr.transcript import SAMPLE_RATE_HZ

Samples = NDArray[np.float32]
Sketch = NDArray[np.int8]

WINDOW, HOP = 1024, 512  # samples: 64 and 32 ms, so 31 frames and 500 bytes for a second of speech
BANDS, CEPSTRA = 24, 8
LOW_HZ, HIGH_HZ = 150.0, 7000.0
FLOOR = 2.0  # of a band's mean energy
SLOPE_WEIGHT = 2.0  # weight of the change from frame to frame
STEP = 24  # of int8 for one standard deviation: clipped at 5.3
SKEW = 0.15  # cost of standing still in the longer clip, or of skipping a frame of it
FEWEST = 8  # frames, 0.3 s: any sound is found somewhere in a long clip if it is short enough
LONGEST_S = 10.0  # of a clip: a query is over by then, and costs grow with the square
FREE = np.float32(1e9)  # the cost of a path that is not allowed


def sketch(speech: Samples) -> Sketch | None:
    """What is kept of a clip (int8, ``(frames, 2 * CEPSTRA)``): cepstra and their slopes, each of unit variance.

    None for less than ``FEWEST`` frames; of more than ``LONGEST_S``, the beginning. A sketch is personal data, as the
    clip is: what was said can be guessed from it, and whose voice it was.
    """
    samples = speech[: int(LONGEST_S * SAMPLE_RATE_HZ)]
    if len(samples) < WINDOW + (FEWEST - 1) * HOP:
        return None
    frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP]
    power = np.square(np.abs(np.fft.rfft(frames * _window(), axis=1)))
    energy = power.astype(np.float32) @ _filters()
    mean = energy.mean(axis=0)
    cepstra = np.log(energy + FLOOR * mean + 1e-10) @ _cosines()
    cepstra = _standard(cepstra)
    slopes = SLOPE_WEIGHT * np.gradient(cepstra, axis=0)
    made = np.concatenate([cepstra, slopes], axis=1) * STEP
    rounded: NDArray[np.int8] = np.clip(np.rint(made), -127, 127).astype(np.int8)
    return rounded


def spoken_distance(one: Sketch, other: Sketch) -> float:
    """How unlike two clips sound, from 0 (one is in the other) to 1 (nothing in common). Symmetric."""
    short, long = sorted((one, other), key=len)
    cost = (1.0 - _unit(short) @ _unit(long).T) / 2.0
    usual = float(cost.mean())
    if usual <= 0.0:
        return 0.0  # both are one unchanging sound
    best = _best_path(cost)
    if len(short) == len(long):  # either may be searched for in the other
        best = min(best, _best_path(np.ascontiguousarray(cost.T)))
    return min(1.0, best / usual)


def _best_path(cost: NDArray[np.float32]) -> float:
    """Mean cost of the best way to lay the rows over the columns: from any column to any, one step for each row."""
    rows = len(cost)
    reached = cost[0]
    padded = np.full(cost.shape[1] + 2, FREE, np.float32)
    for row in cost[1:]:
        padded[2:] = reached
        reached = row + np.minimum(padded[1:-1], np.minimum(padded[:-2], padded[2:]) + np.float32(SKEW))
    return float(reached.min()) / rows


def _unit(made: Sketch) -> NDArray[np.float32]:
    floats = made.astype(np.float32)
    return np.asarray(floats / (np.linalg.norm(floats, axis=1, keepdims=True) + 1e-6), dtype=np.float32)


def _standard(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray((values - values.mean(axis=0)) / (values.std(axis=0) + 1e-3), dtype=np.float32)


@cache
def _window() -> NDArray[np.float32]:
    return np.hanning(WINDOW).astype(np.float32)


@cache
def _filters() -> NDArray[np.float32]:
    """Triangles of the mel scale on the power spectrum: ``(WINDOW // 2 + 1, BANDS)``."""
    low, high = 1127.0 * np.log1p(np.array([LOW_HZ, HIGH_HZ]) / 700.0)
    edges = 700.0 * np.expm1(np.linspace(low, high, BANDS + 2) / 1127.0)
    hertz = np.arange(WINDOW // 2 + 1) * SAMPLE_RATE_HZ / WINDOW
    rising = (hertz[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - hertz[:, None]) / (edges[2:] - edges[1:-1])
    triangles: NDArray[np.float32] = np.clip(np.minimum(rising, falling), 0.0, None).astype(np.float32)
    return triangles


@cache
def _cosines() -> NDArray[np.float32]:
    """Of the discrete cosine transform: ``(BANDS, CEPSTRA)``. The first is the energy of all bands."""
    phases = np.outer(np.arange(BANDS) + 0.5, np.arange(CEPSTRA))
    cosines: NDArray[np.float32] = (np.sqrt(2.0 / BANDS) * np.cos(np.pi / BANDS * phases)).astype(np.float32)
    return cosines
