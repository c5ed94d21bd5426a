"""Who speaks to us, by level: the stretch of a segment that is not all far under its speech.

Samples and their active speech level in, a stretch of them out. A detector takes other people's talk for speech, and
in a cafe there is talk before and after every order: 20 dB softer than the person at the microphone, but brought to
the standard level it would be written down. Only the ends of a segment are judged; pauses within it stay.
"""

from __future__ import annotations

import numpy as np

from asr.loudness import Samples
from asr.transcript import SAMPLES_PER_MS

FRAME = 10 * SAMPLES_PER_MS
SMOOTHED = 10  # frames: the closure of a stop consonant is shorter


def foreground(samples: Samples, level_dbfs: float, range_db: float, pad_ms: int) -> tuple[int, int]:
    """First sample and end of what lies between the first and the last tenth of a second within ``range_db`` of the
    active speech level ``level_dbfs``, widened by ``pad_ms`` on both sides; all of ``samples`` (float32, ``(n,)``,
    16 kHz) where none is, or where they are shorter than that."""
    frames = len(samples) // FRAME
    if frames < SMOOTHED:
        return 0, len(samples)
    power = np.square(samples[: frames * FRAME].reshape(frames, FRAME)).mean(axis=1, dtype=np.float64)
    smooth = np.convolve(power, np.full(SMOOTHED, 1.0 / SMOOTHED), mode="same")
    loud = np.flatnonzero(smooth > 10.0 ** ((level_dbfs - range_db) / 10.0))
    if len(loud) == 0:
        return 0, len(samples)
    pad = pad_ms * SAMPLES_PER_MS
    return max(0, int(loud[0]) * FRAME - pad), min(len(samples), (int(loud[-1]) + 1) * FRAME + pad)
