"""Find speech: samples in, spans of speech out. It decides *where*, never how loud or what.

A voice activity detector (`Vad`) gives one speech probability a frame; one hysteresis `Segmenter`,
shared by every detector and by whole clips and streams alike, turns probabilities into spans. Both look
only at the past, so a stream cut at any place gives the spans of the whole clip.

Option names are those of Silero VAD, which everyone in the field knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from asr.errors import OptionError
from asr.transcript import SAMPLE_RATE_HZ, SAMPLES_PER_MS, Span

SETTLING_MS = 100  # of silence that a detector hears before what is padded around speech
AT_ONCE = 256  # frames given to a scorer: what it makes of them fits a cache, without a page fault
LONGEST_SPEECH_S = 3600.0  # the longest clip that `asr.audio` takes; what a model can hold is far less

Samples = NDArray[np.float32]
Scorer = Callable[[Samples], NDArray[np.float64]]


class Vad(Protocol):
    """A detector. ``open`` starts one clip or stream: the scorer it returns keeps that stream's state."""

    @property
    def frame_length(self) -> int:
        """Samples per frame."""

    def open(self) -> Scorer:
        """A function from the next frames (float32, ``(n, frame_length)``) to P(speech) in each, in [0, 1]: ``(n,)``.

        The answers do not depend on how many frames are given at a time.
        """


@runtime_checkable
class WholeClipVad(Protocol):
    """A detector that answers for a whole clip faster than its scorer does, but rounds otherwise."""

    def probabilities(self, samples: Samples) -> NDArray[np.float32]:
        """What a scorer would answer, within 1e-5: ``(ceil(n / frame_length),)``."""


def one_by_one(score: Callable[[Samples], float]) -> Scorer:
    """A scorer out of a function of one frame (float32, ``(frame_length,)``)."""
    return lambda frames: np.array([score(frame) for frame in frames], dtype=np.float64)


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
        if not 1.0 <= self.max_speech_duration_s <= LONGEST_SPEECH_S:  # not: NaN compares false
            raise OptionError(
                f"max_speech_duration_s is {self.max_speech_duration_s}; it must be in [1, {LONGEST_SPEECH_S:g}]"
            )
        if 2 * self.speech_pad_ms > self.min_silence_duration_ms:
            raise OptionError(
                f"speech_pad_ms is {self.speech_pad_ms}; padded spans would overlap unless it is at most half "
                f"of min_silence_duration_ms = {self.min_silence_duration_ms}"
            )


def edge(options: VadOptions) -> int:
    """Samples of silence to put before and after a clip: speech cut off at its edges is then padded, and the
    detector begins, as if the silence had been recorded. More silence in the recording changes nothing."""
    return (options.speech_pad_ms + SETTLING_MS) * SAMPLES_PER_MS


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

    @property
    def silent_since(self) -> int | None:
        """First sample of the silence that may end the open span, or None while somebody speaks."""
        return None if self._silence is None else self._silence * self._frame_length

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
    if isinstance(vad, WholeClipVad):
        yield from vad.probabilities(samples).tolist()
        return
    whole = np.pad(samples, (0, -len(samples) % vad.frame_length))
    yield from answers(vad.open(), whole.reshape(-1, vad.frame_length))


def answers(score: Scorer, frames: Samples) -> Iterator[float]:
    """P(speech) of each of any number of frames (float32, ``(n, frame_length)``), scored `AT_ONCE` at a time."""
    for start in range(0, len(frames), AT_ONCE):
        yield from score(frames[start : start + AT_ONCE]).tolist()


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
        return lambda frames: np.ones(len(frames))


def _frames(samples: int, frame_length: int) -> int:
    return -(-samples // frame_length)
