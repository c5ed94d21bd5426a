"""A piece of sound to look at and to listen to: its mel spectrogram as PNG, its samples as WAV.

Samples in (float32 mono at 16 kHz), bytes out. The picture has no axes: the page draws words over it, in its own
colours.
"""

from __future__ import annotations

import io
import wave
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from asr.report.extra import need
from asr.transcript import SAMPLE_RATE_HZ, SAMPLES_PER_MS, Span

Samples = NDArray[np.float32]

WINDOW = 512  # 32 ms
HOP = 5 * SAMPLES_PER_MS  # 80: five milliseconds a column, more in long pieces
MOST_COLUMNS = 600  # no screen shows more of them in a card
MELS = 80
RANGE_DB = 70.0  # below the loudest point everything is black
CONTEXT = 450 * SAMPLES_PER_MS  # on both sides of a word: enough to hear what came before


@dataclass(frozen=True, slots=True)
class Cut:
    """Samples ``[start, start + len(samples))`` of a clip."""

    start: int
    samples: Samples

    @property
    def span(self) -> Span:
        """Where in the clip it was."""
        return Span(self.start, self.start + len(self.samples))


def cut(samples: Samples, span: Span | None, context: int = CONTEXT) -> Cut:
    """The piece around a span, with ``context`` samples on both sides as far as there are; None: the whole."""
    if span is None:
        return Cut(0, samples)
    start = max(0, span.start - context)
    return Cut(start, samples[start : max(start + 1, span.end + context)])


def spectrogram(samples: Samples) -> bytes:
    """PNG of the log-mel spectrogram (librosa), at most `MOST_COLUMNS` wide, low frequencies at the bottom."""
    librosa, pyplot = need("librosa"), need("matplotlib.image")
    padded = np.pad(samples, (0, max(0, WINDOW - len(samples))))
    power = librosa.feature.melspectrogram(
        y=padded,
        sr=SAMPLE_RATE_HZ,
        n_fft=WINDOW,
        hop_length=max(HOP, len(padded) // MOST_COLUMNS),
        n_mels=MELS,
        fmax=SAMPLE_RATE_HZ / 2,
    )
    decibels = librosa.power_to_db(power, ref=np.max, top_db=RANGE_DB)
    file = io.BytesIO()
    pyplot.imsave(
        file,
        decibels[::-1],
        cmap="magma",
        vmin=-RANGE_DB,
        vmax=0.0,
        format="png",
        metadata={"Software": None},
    )
    return file.getvalue()


def wav(samples: Samples) -> bytes:
    """A WAV file of 16 bits: the one format that every browser plays."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(SAMPLE_RATE_HZ)
        out.writeframes((np.clip(samples, -1.0, 1.0) * 32767.0).astype("<i2").tobytes())
    return file.getvalue()
