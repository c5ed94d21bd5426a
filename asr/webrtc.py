"""WebRTC's voice activity detector, and the guard that keeps it from taking every noise for speech.

Both take any number of frames at a time and answer as if they had come one by one: a whole clip costs a few
numpy calls, and cannot be heard otherwise than a stream.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from asr.errors import MissingPackageError
from asr.transcript import SAMPLE_RATE_HZ, SAMPLES_PER_MS
from asr.vad import Samples, Scorer

FRAME = 10 * SAMPLES_PER_MS


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
    WINDOW = np.hanning(FRAME + 2)[1:-1].astype(np.float32)

    def __init__(self) -> None:
        self._frames = np.zeros((0, FRAME), dtype=np.float32)  # of the block that is not complete
        self._powers = np.zeros((self.BLOCKS - 1, len(self.EDGES) - 1))  # of the last blocks, oldest first
        self._seen = 0  # blocks, up to BLOCKS: the rows of `_powers` before them mean nothing
        self._steady = True

    def __call__(self, frames: Samples) -> NDArray[np.bool_]:
        """Take the next frames (float32, ``(n, 160)``); each is answered for the blocks then complete: ``(n,)``."""
        pending = np.concatenate([self._frames, frames])
        whole = len(pending) // self.BLOCK * self.BLOCK
        if whole == 0:
            self._frames = pending
            return np.full(len(frames), self._steady)
        steady = np.concatenate([[self._steady], self._judged(self._band_powers(pending[:whole]))])
        complete = np.arange(len(self._frames) + 1, len(pending) + 1) // self.BLOCK
        self._frames, self._steady = pending[whole:], bool(steady[-1])
        return steady[complete]

    def _judged(self, powers: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether the sound was steady at the end of each of the next blocks, ``(blocks, bands)``."""
        history = np.concatenate([self._powers, powers])
        # In column i the rows of the window that ends with block i.
        rows = np.arange(self.BLOCKS)[:, None] + np.arange(len(powers))
        known = np.minimum(self._seen + 1 + np.arange(len(powers)), self.BLOCKS)
        absent = np.arange(self.BLOCKS)[:, None] < self.BLOCKS - known
        totals = history.sum(axis=1)[rows.T].sum(axis=1, where=~absent.T)
        floor = self.FLOOR * (totals / known) + 1e-12
        # Means by hand, with zeros for what is absent: `var(where=...)` takes longer than all the rest.
        levels_db = 10.0 * np.log10(history[rows] + floor[:, None])
        levels_db[absent] = 0.0
        apart_db = levels_db - levels_db.sum(axis=0) / known[:, None]
        apart_db[absent] = 0.0
        spread_db = np.sqrt((np.square(apart_db).sum(axis=0) / known[:, None]).mean(axis=1))
        self._powers, self._seen = history[1 - self.BLOCKS :], int(known[-1])
        return np.asarray((known < self.FEWEST) | (spread_db < self.LIMIT_DB))

    def _band_powers(self, frames: Samples) -> NDArray[np.float64]:
        spectra = np.abs(np.fft.rfft(frames * self.WINDOW, axis=1)[:, : self.EDGES[-1]]) ** 2
        blocks = spectra.reshape(-1, self.BLOCK, self.EDGES[-1]).sum(axis=1, dtype=np.float64)
        return np.add.reduceat(blocks, self.EDGES[:-1], axis=1)


class WebRtcVad:
    """The WebRTC project's Gaussian-mixture detector (package ``webrtcvad-wheels``), on 10 ms frames.

    It answers only yes or no, in four degrees of strictness. The share of the degrees that say yes, averaged
    over the last 50 ms, serves as the probability. Frames under ``FLOOR_DBFS`` are never speech, whatever
    it says: it was made for telephone levels and guesses on near-silence. For the same reason quiet speech is
    first raised towards ``LEVEL_DBFS`` by a causal follower that rises at once and falls slowly; without it
    a clip at -50 dBFS loses an eighth of the speech found at -26 dBFS. And because it takes most noise for
    speech, what is one `Steadiness` is not.
    """

    frame_length = FRAME
    MODES = (1, 2, 3)  # 0 calls most noise speech and adds nothing
    SMOOTHING = 5  # frames
    FLOOR_DBFS = -80.0  # 3 steps of 16 bits
    LEVEL_DBFS = -20.0
    MAX_GAIN_DB = 30.0
    FALL_DB_PER_FRAME = 0.01  # 1 dB a second

    def open(self) -> Scorer:
        """A scorer with detectors of its own. Raises MissingPackageError without webrtcvad."""
        return _Listener(self)


class _Listener:
    """One clip or stream."""

    def __init__(self, rules: WebRtcVad) -> None:
        try:
            import webrtcvad
        except ImportError as error:
            raise MissingPackageError(
                "the 'webrtc' VAD needs the package webrtcvad-wheels; install it or choose --vad none"
            ) from error
        self._rules = rules
        self._detectors = [webrtcvad.Vad(mode).is_speech for mode in rules.MODES]
        self._recent = np.zeros(rules.SMOOTHING - 1)  # what the last frames had
        self._follower_db = rules.LEVEL_DBFS - rules.MAX_GAIN_DB
        self._steadiness = Steadiness()

    def __call__(self, frames: Samples) -> NDArray[np.float64]:
        """P(speech) in each of the next frames (float32, ``(n, 160)``): ``(n,)``."""
        # As a product of matrices this is one dot product a frame, whatever their number.
        powers = np.matmul(frames[:, None, :], frames[:, :, None]).ravel().tolist()
        levels_db = [10.0 * math.log10(power / FRAME + 1e-12) for power in powers]
        scales = np.array(self._scales(levels_db), dtype=np.float32)
        pcm = (frames * scales[:, None]).clip(-32768.0, 32767.0).astype("<i2").tobytes()
        pieces = [pcm[at : at + 2 * FRAME] for at in range(0, len(pcm), 2 * FRAME)]
        votes = [[says(piece, SAMPLE_RATE_HZ, FRAME) for piece in pieces] for says in self._detectors]
        shares = np.array([sum(modes) for modes in zip(*votes, strict=True)]) / len(votes)
        # Near-silence is kept from `Steadiness`: hiss that sets in after it would count as a change.
        heard = np.array(levels_db) > self._rules.FLOOR_DBFS
        heard[heard] = ~self._steadiness(frames[heard])
        recent = np.concatenate([self._recent, shares * heard])
        self._recent = recent[len(shares) :]
        # One frame after the other, oldest first: rounding must not depend on how many there are.
        smoothing = self._rules.SMOOTHING
        total = sum((recent[at : at + len(shares)] for at in range(smoothing)), start=np.zeros(len(shares)))
        return np.asarray(total / smoothing)

    def _scales(self, levels_db: list[float]) -> list[float]:
        """For each frame the factor from [-1, 1] to 16 bits, and as far above as the follower raises it."""
        wanted_db, fall_db, largest_db = (
            self._rules.LEVEL_DBFS,
            self._rules.FALL_DB_PER_FRAME,
            self._rules.MAX_GAIN_DB,
        )
        follower_db, scales = self._follower_db, []
        for level_db in levels_db:
            follower_db = max(level_db, follower_db - fall_db)
            gain_db = min(max(wanted_db - follower_db, 0.0), largest_db)
            scales.append(32768.0 * 10.0 ** (gain_db / 20.0))
        self._follower_db = follower_db
        return scales
