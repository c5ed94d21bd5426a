"""WebRTC's voice activity detector, and the guard that keeps it from taking every noise for speech."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from asr.errors import MissingPackageError
from asr.transcript import SAMPLE_RATE_HZ, SAMPLES_PER_MS
from asr.vad import Samples, Scorer, one_by_one


class Steadiness:
    """Whether the last half second was one unchanging sound: hiss, hum, a fan, a held tone. Speech never is.

    The spread over time of the power in eight bands (100 Hz to 5 kHz, widths as in hearing), after the
    long-term signal variability of Ghosh, Tsiartas and Narayanan (2011). It does not depend on the level.
    Powers are averaged over 30 ms: white noise then has a relative standard deviation of
    1 / sqrt(bins * 3 frames) in a band, which is under 2 dB over all bands; running speech has about 8 dB.
    """

    BLOCK = 3  # frames of 10 ms: longer blocks spread less in noise, but notice the onset of speech later
    BLOCKS = 16  # half a second
    FEWEST = 4  # blocks that show a change; before them a sound counts as steady, and padding makes up for it
    LIMIT_DB = 2.2  # root mean square over the bands of their standard deviations
    FLOOR = 1e-3  # of the mean power: bands 30 dB below it say nothing
    EDGES = (1, 3, 5, 8, 12, 17, 24, 34, 50)  # in bins of 100 Hz = 16000 Hz / 160 samples
    WINDOW = np.hanning(162)[1:-1].astype(np.float32)

    def __init__(self) -> None:
        self._frames = np.zeros((self.BLOCK, len(self.WINDOW)), dtype=np.float32)
        self._powers = np.zeros((0, len(self.EDGES) - 1))  # of the last blocks, oldest first
        self._filled = 0
        self._steady = True

    def __call__(self, frame: Samples) -> bool:
        """Take the next frame (float32, ``(160,)``); answer for the blocks that are complete."""
        self._frames[self._filled] = frame
        self._filled += 1
        if self._filled == self.BLOCK:
            self._filled = 0
            self._powers = np.vstack([self._powers[1 - self.BLOCKS :], self._band_powers()])
            self._steady = len(self._powers) < self.FEWEST or self._spread_db() < self.LIMIT_DB
        return self._steady

    def _band_powers(self) -> NDArray[np.float64]:
        spectra = np.abs(np.fft.rfft(self._frames * self.WINDOW, axis=1)) ** 2
        return np.add.reduceat(spectra.sum(axis=0, dtype=np.float64)[: self.EDGES[-1]], self.EDGES[:-1])

    def _spread_db(self) -> float:
        floor = self.FLOOR * self._powers.sum(axis=1).mean() + 1e-12
        return float(np.sqrt((10.0 * np.log10(self._powers + floor)).var(axis=0).mean()))


class WebRtcVad:
    """The WebRTC project's Gaussian-mixture detector (package ``webrtcvad-wheels``), on 10 ms frames.

    It answers only yes or no, in four degrees of strictness. The share of the degrees that say yes, averaged
    over the last 50 ms, serves as the probability. Frames under ``FLOOR_DBFS`` are never speech, whatever
    it says: it was made for telephone levels and guesses on near-silence. For the same reason quiet speech is
    first raised towards ``LEVEL_DBFS`` by a causal follower that rises at once and falls slowly; without it
    a clip at -50 dBFS loses an eighth of the speech found at -26 dBFS. And because it takes most noise for
    speech, what is one `Steadiness` is not.
    """

    frame_length = 10 * SAMPLES_PER_MS
    MODES = (1, 2, 3)  # 0 calls most noise speech and adds nothing
    SMOOTHING = 5  # frames
    FLOOR_DBFS = -80.0  # 3 steps of 16 bits
    LEVEL_DBFS = -20.0
    MAX_GAIN_DB = 30.0
    FALL_DB_PER_FRAME = 0.01  # 1 dB a second

    def open(self) -> Scorer:
        """A scorer with detectors of its own. Raises MissingPackageError without webrtcvad."""
        try:
            import webrtcvad
        except ImportError as error:
            raise MissingPackageError(
                "the 'webrtc' VAD needs the package webrtcvad-wheels; install it or choose --vad none"
            ) from error
        detectors = [webrtcvad.Vad(mode) for mode in self.MODES]
        recent = [0.0] * self.SMOOTHING
        follower_db = self.LEVEL_DBFS - self.MAX_GAIN_DB
        steadiness = Steadiness()

        def score(frame: Samples) -> float:
            nonlocal follower_db
            level_db = 10.0 * math.log10(float(np.dot(frame, frame)) / len(frame) + 1e-12)
            follower_db = max(level_db, follower_db - self.FALL_DB_PER_FRAME)
            gain_db = min(max(self.LEVEL_DBFS - follower_db, 0.0), self.MAX_GAIN_DB)
            scale = 32768.0 * 10.0 ** (gain_db / 20.0)
            pcm = np.clip(frame * scale, -32768.0, 32767.0).astype("<i2").tobytes()
            votes = [detector.is_speech(pcm, SAMPLE_RATE_HZ) for detector in detectors]
            # Near-silence is kept from `Steadiness`: hiss that sets in after it would count as a change.
            heard = level_db > self.FLOOR_DBFS and not steadiness(frame)
            recent.pop(0)
            recent.append(sum(votes) / len(votes) if heard else 0.0)
            return sum(recent) / len(recent)

        return one_by_one(score)
