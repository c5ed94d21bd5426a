"""Raw PCM as a microphone sends it, in pieces of any size, becomes float32 mono samples at 16 kHz.

The pieces change nothing: half a frame waits for its other half, and soxr's stream gives the same samples, to the
last bit, as for the whole clip. The samples' clock is the client's: the resampler delays nothing in time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import soxr  # ships no py.typed marker
from numpy.typing import NDArray

from asr.errors import AudioLimitError, UnsupportedAudioError
from asr.transcript import SAMPLE_RATE_HZ

Samples = NDArray[np.float32]

MIN_RATE_HZ, MAX_RATE_HZ = 8_000, 48_000  # telephone to sound card
MAX_CHANNELS = 8  # as `asr.audio.AudioLimits`
FULL_SCALE = {1: 2.0**7, 2: 2.0**15, 3: 2.0**23, 4: 2.0**31}  # by bytes a sample


@dataclass(frozen=True, slots=True)
class PcmFormat:
    """Signed little-endian integers of ``width`` bytes, interleaved; one byte is unsigned, as in WAV files.

    Raises AudioLimitError and UnsupportedAudioError.
    """

    rate_hz: int = SAMPLE_RATE_HZ
    width: int = 2
    channels: int = 1

    def __post_init__(self) -> None:
        if not MIN_RATE_HZ <= self.rate_hz <= MAX_RATE_HZ:
            raise AudioLimitError(
                f"sample rate {self.rate_hz} Hz, expected {MIN_RATE_HZ} to {MAX_RATE_HZ} Hz; resample it"
            )
        if self.width not in FULL_SCALE:
            raise UnsupportedAudioError(f"samples of {self.width} bytes, expected 1, 2, 3 or 4; send 2")
        if not 1 <= self.channels <= MAX_CHANNELS:
            raise AudioLimitError(f"{self.channels} channels, expected 1 to {MAX_CHANNELS}; mix them down")

    def seconds(self, n_bytes: int) -> float:
        """How much audio so many bytes are."""
        return n_bytes / (self.width * self.channels * self.rate_hz)


class PcmReader:
    """One recording. `feed` its pieces, then `finish`."""

    def __init__(self, form: PcmFormat) -> None:
        self._form = form
        self._half = b""  # the beginning of a frame
        self._resampler = (
            None
            if form.rate_hz == SAMPLE_RATE_HZ
            else soxr.ResampleStream(form.rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ")
        )

    def feed(self, piece: bytes) -> Samples:
        """What this piece adds, float32 ``(n,)``; the resampler keeps a few milliseconds back."""
        data = self._half + piece
        whole = len(data) - len(data) % (self._form.width * self._form.channels)
        self._half = data[whole:]
        mono = self._values(data[:whole]).reshape(-1, self._form.channels).mean(axis=1, dtype=np.float32)
        return self._resampled(mono)

    def finish(self) -> Samples:
        """What was kept back. Half a frame that never got its other half is no sound: it is dropped."""
        return self._resampled(np.zeros(0, np.float32), last=True)

    def _values(self, data: bytes) -> Samples:
        width = self._form.width
        if width == 1:
            values = np.frombuffer(data, np.uint8).astype(np.float32) - np.float32(FULL_SCALE[1])
        elif width == 3:  # numpy has no such type: put under the upper bytes of four
            padded = np.zeros((len(data) // 3, 4), np.uint8)
            padded[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
            values = (padded.view("<i4")[:, 0] >> 8).astype(np.float32)
        else:
            values = np.frombuffer(data, f"<i{width}").astype(np.float32)
        scaled: Samples = values / np.float32(FULL_SCALE[width])
        return scaled

    def _resampled(self, mono: Samples, last: bool = False) -> Samples:
        if self._resampler is None:
            return mono
        resampled: Samples = self._resampler.resample_chunk(mono, last=last)
        return resampled
