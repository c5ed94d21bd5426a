"""Find speech: samples in, spans of speech out. It decides *where*, never how loud or what.

A voice activity detector (`Vad`) gives one speech probability a frame; one hysteresis `Segmenter`,
shared by every detector and by whole clips and streams alike, turns probabilities into spans. Both look
only at the past, so a stream cut at any place gives the spans of the whole clip.

Option names are those of Silero VAD, which everyone in the field knows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from asr.errors import MissingPackageError, OptionError
from asr.transcript import SAMPLE_RATE_HZ, SAMPLES_PER_MS, Span

Samples = NDArray[np.float32]
Scorer = Callable[[Samples], float]


class Vad(Protocol):
    """A detector. ``open`` starts one clip or stream: the scorer it returns keeps that stream's state."""

    @property
    def frame_length(self) -> int:
        """Samples per frame."""

    def open(self) -> Scorer:
        """A function from the next frame (float32, ``(frame_length,)``) to P(speech) in [0, 1]."""


@dataclass(frozen=True, slots=True)
class VadOptions:
    """When a run of frames is a span of speech.

    Speech starts at a frame of at least ``threshold`` and ends at the first frame under ``neg_threshold``
    that is followed by ``min_silence_duration_ms`` without a frame of at least ``threshold``. Spans shorter
    than ``min_speech_duration_ms`` are dropped, longer than ``max_speech_duration_s`` cut at their least
    speech-like frame, and all are widened by ``speech_pad_ms`` on both sides, within the clip.
    """

    threshold: float = 0.5
    neg_threshold: float = 0.35
    min_speech_duration_ms: int = 80
    max_speech_duration_s: float = 20.0
    min_silence_duration_ms: int = 600
    speech_pad_ms: int = 200

    def __post_init__(self) -> None:
        if not 0.0 < self.threshold <= 1.0:
            raise OptionError(f"threshold is {self.threshold}; it must be in (0, 1]")
        if not 0.0 <= self.neg_threshold <= self.threshold:
            raise OptionError(
                f"neg_threshold is {self.neg_threshold}; it must be in [0, threshold = {self.threshold}]"
            )
        for name in ("min_speech_duration_ms", "min_silence_duration_ms", "speech_pad_ms"):
            if getattr(self, name) < 0:
                raise OptionError(f"{name} is {getattr(self, name)}; it must not be negative")
        if self.max_speech_duration_s < 1.0:
            raise OptionError(f"max_speech_duration_s is {self.max_speech_duration_s}; it must be at least 1")
        if 2 * self.speech_pad_ms > self.min_silence_duration_ms:
            raise OptionError(
                f"speech_pad_ms is {self.speech_pad_ms}; padded spans would overlap unless it is at most half "
                f"of min_silence_duration_ms = {self.min_silence_duration_ms}"
            )


class Segmenter:
    """Turns frame probabilities into spans, one frame at a time (see `VadOptions` for the rules).

    ``speaking`` is True from the frame that makes a span long enough to keep until the one that closes it.
    Spans come out unclipped at the end side: `pad` and the caller know where the clip ends.
    """

    def __init__(self, options: VadOptions, frame_length: int) -> None:
        self._options = options
        self._frame_length = frame_length
        self._min_speech = _frames(options.min_speech_duration_ms * SAMPLES_PER_MS, frame_length)
        self._min_silence = _frames(options.min_silence_duration_ms * SAMPLES_PER_MS, frame_length)
        self._max_speech = _frames(int(options.max_speech_duration_s * SAMPLE_RATE_HZ), frame_length)
        self._pad = options.speech_pad_ms * SAMPLES_PER_MS
        self._frame = 0  # index of the next frame
        self._start: int | None = None  # frame where the open span begins
        self._silence: int | None = None  # frame where silence inside the open span began
        self._probabilities: list[float] = []  # of the open span, to find the place of a forced cut
        self._floor = 0  # samples before this one belong to an earlier span

    @property
    def speaking(self) -> bool:
        """Whether a span is open that is long enough to be kept."""
        return self._start is not None and self._speech_frames() >= max(self._min_speech, 1)

    @property
    def open_start(self) -> int | None:
        """First sample (padding included) of the open span, or None while there is none."""
        if self._start is None:
            return None
        return max(self._floor, self._start * self._frame_length - self._pad)

    def push(self, probability: float) -> Span | None:
        """Take the next frame's probability; return the span that it closes, if it closes one."""
        frame = self._frame
        self._frame += 1
        if self._start is None:
            if probability >= self._options.threshold:
                self._start, self._silence, self._probabilities = frame, None, [probability]
            return None
        self._probabilities.append(probability)
        if probability >= self._options.threshold:
            self._silence = None
        elif probability < self._options.neg_threshold and self._silence is None:
            self._silence = frame
        if self._silence is not None and frame + 1 - self._silence >= self._min_silence:
            return self._close()
        if frame + 1 - self._start >= self._max_speech:
            return self._cut()
        return None

    def finish(self) -> Span | None:
        """The stream has ended: return the span still open, if it is long enough to be kept."""
        return None if self._start is None else self._close()

    def _speech_frames(self) -> int:
        assert self._start is not None
        return (self._frame if self._silence is None else self._silence) - self._start

    def _close(self) -> Span | None:
        span = None
        if self.speaking:
            start = self.open_start
            assert start is not None
            assert self._start is not None
            end = (self._start + self._speech_frames()) * self._frame_length + self._pad
            span = Span(start, end)
            self._floor = end
        self._start = self._silence = None
        return span

    def _cut(self) -> Span:
        # The least speech-like frame of the second half: cutting there splits the fewest words.
        assert self._start is not None
        start = self.open_start
        assert start is not None
        half = len(self._probabilities) // 2
        offset = half + int(np.argmin(self._probabilities[half:]))
        cut = self._start + offset
        self._floor = cut * self._frame_length
        self._start, self._probabilities = cut, self._probabilities[offset:]
        if self._silence is not None:
            self._silence = max(self._silence, cut)
        return Span(start, self._floor)


def frame_probabilities(vad: Vad, samples: Samples) -> Iterator[float]:
    """P(speech) of each frame of a clip (float32, ``(n,)``); the last frame is completed with zeros."""
    score = vad.open()
    for start in range(0, len(samples), vad.frame_length):
        frame = samples[start : start + vad.frame_length]
        if len(frame) < vad.frame_length:
            frame = np.pad(frame, (0, vad.frame_length - len(frame)))
        yield score(frame)


def find_speech(vad: Vad, samples: Samples, options: VadOptions) -> list[Span]:
    """Spans of speech in a clip (float32, ``(n,)``, 16 kHz): padded, in order, not overlapping."""
    segmenter = Segmenter(options, vad.frame_length)
    closed = [segmenter.push(probability) for probability in frame_probabilities(vad, samples)]
    closed.append(segmenter.finish())
    return [Span(span.start, min(span.end, len(samples))) for span in closed if span is not None]


class NoVad:
    """Calls every frame speech: the whole clip is one utterance (``--vad none``)."""

    frame_length = 10 * SAMPLES_PER_MS

    def open(self) -> Scorer:
        """A scorer that always answers 1."""
        return _always


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
    FLOOR_DBFS = -66.0
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
            heard = level_db > self.FLOOR_DBFS and not steadiness(frame)
            recent.pop(0)
            recent.append(sum(votes) / len(votes) if heard else 0.0)
            return sum(recent) / len(recent)

        return score


def _always(frame: Samples) -> float:
    del frame  # every frame alike
    return 1.0


def _frames(samples: int, frame_length: int) -> int:
    return -(-samples // frame_length)
