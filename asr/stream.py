"""Streaming: samples as they arrive in, events out. The events do not depend on how the audio was cut.

Everything happens on the detector's frame grid, counted from the start of the stream, with the segmenter, front
end and decoder of whole clips: the final texts are those that `Transcriber.transcribe` gives for the whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from asr import audio
from asr.assemble import Assembler
from asr.decode import Hypothesis
from asr.errors import OptionError
from asr.frontend import Frontend, Segment, clip_stats, level_of_all
from asr.hotwords import Hotwords
from asr.transcript import SAMPLE_RATE_HZ, SAMPLES_PER_MS, NullReason, Span, Transcript
from asr.vad import Segmenter, VadOptions, answers, edge

Samples = NDArray[np.float32]

KEPT_SILENCE = 2 * SAMPLE_RATE_HZ  # kept before speech: its padding, and noise to estimate the SNR from


@dataclass(frozen=True, slots=True)
class EndpointOptions:
    """When an utterance is over, and how often to guess before.

    It is over after ``trailing_silence_ms`` without speech, when it has lasted ``max_utterance_s``, or when the
    stream ends. The detector's thresholds are the bundle's. None takes the bundle's value, which gives the
    segments of a whole clip; a shorter silence answers sooner and splits hesitant queries.
    """

    trailing_silence_ms: int | None = None
    max_utterance_s: float | None = None
    partial_interval_ms: int = 400

    def __post_init__(self) -> None:
        if self.partial_interval_ms < 100:
            raise OptionError(
                f"partial_interval_ms is {self.partial_interval_ms}; under 100 ms nothing new was said"
            )

    def vad_options(self, bundle: VadOptions) -> VadOptions:
        """The segmenter's options: the bundle's with these rules; padding shrinks to fit a short silence."""
        silence_ms = self.trailing_silence_ms
        if silence_ms is None:
            silence_ms = bundle.min_silence_duration_ms
        longest_s = bundle.max_speech_duration_s if self.max_utterance_s is None else self.max_utterance_s
        return replace(
            bundle,
            min_silence_duration_ms=silence_ms,
            max_speech_duration_s=longest_s,
            speech_pad_ms=min(bundle.speech_pad_ms, silence_ms // 2),
        )


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Speech has begun at this sample of the stream."""

    at: int


@dataclass(frozen=True, slots=True)
class Partial:
    """What the open utterance sounds like so far; later events may revise it."""

    text: str


@dataclass(frozen=True, slots=True)
class SpeechStopped:
    """Speech has ended at this sample of the stream."""

    at: int


@dataclass(frozen=True, slots=True)
class Final:
    """The utterance is over; word times are samples of the stream."""

    transcript: Transcript


Event = SpeechStarted | Partial | SpeechStopped | Final


class Recogniser(Protocol):
    """What a stream needs of a `Transcriber`. A server's stands in for one that lives in another process."""

    @property
    def frontend(self) -> Frontend:
        """Finds and levels the speech."""

    @property
    def assemble(self) -> Assembler:
        """Makes a transcript of readings."""

    def recognise(self, segment: Segment, hotwords: Hotwords | None = None) -> list[Hypothesis]:
        """Readings of an utterance, best first."""

    def draft(self, segment: Segment, hotwords: Hotwords | None = None) -> list[Hypothesis] | None:
        """Readings of an open utterance, or None where there is no time: its partial is then left out."""


class Stream:
    """One microphone. Not shared between threads; the recogniser may be."""

    def __init__(
        self,
        recogniser: Recogniser,
        endpoint: EndpointOptions | None = None,
        hotwords: Hotwords | None = None,
    ) -> None:
        self._recogniser = recogniser
        self._hotwords = hotwords
        self._endpoint = endpoint or EndpointOptions()
        self._frontend = recogniser.frontend
        self._options = self._endpoint.vad_options(self._frontend.options.vad_options)
        self.reset()

    def reset(self) -> None:
        """Forget everything and start a new stream at sample 0."""
        vad = self._frontend.vad
        self._score = vad.open()
        self._frame_length = vad.frame_length
        self._segmenter = Segmenter(self._options, self._frame_length)
        # Inside, samples are counted from the beginning of the silence that is put before a clip.
        self._edge = edge(self._options)
        self._pending: Samples = np.zeros(self._edge, dtype=np.float32)  # not yet seen by the detector
        self._kept: Samples = np.zeros(0, dtype=np.float32)  # the open utterance and silence before it
        self._kept_start = 0  # sample where `_kept` begins
        self._position = 0  # samples seen by the detector
        self._fed = 0  # samples of the stream itself
        self._floor = self._edge  # end of the last utterance
        self._last_partial = 0
        self._announced = self._any_final = self._finished = False

    def feed(self, samples: NDArray[Any], sample_rate_hz: int = SAMPLE_RATE_HZ) -> list[Event]:
        """Take the next samples (float or int16, ``(n,)``), of any number; return what happened in them.

        Only 16 kHz is streamed: resampling pieces on their own would leave seams. Raises OptionError for
        another rate and AudioError for samples that are not finite.
        """
        return list(self.hear(samples, sample_rate_hz))

    def finish(self) -> list[Event]:
        """The stream is over: the events of what was still open. A stream without speech ends in one null, whose
        statistics are those of its last two seconds. Nothing more can be fed until `reset`.
        """
        return list(self.end())

    def hear(self, samples: NDArray[Any], sample_rate_hz: int = SAMPLE_RATE_HZ) -> Iterator[Event]:
        """`feed`, each event as soon as it is decided: a `SpeechStopped` comes before its text is looked for.

        Every event has to be taken before the next samples are given, or the stream `reset`.
        """
        assert not self._finished, "feed after finish; call reset first"
        if sample_rate_hz != SAMPLE_RATE_HZ:
            raise OptionError(f"sample_rate_hz is {sample_rate_hz}; a stream takes {SAMPLE_RATE_HZ}")
        new = audio.from_samples(samples, SAMPLE_RATE_HZ)
        self._fed += len(new)
        self._pending = np.concatenate([self._pending, new])
        yield from self._frames(len(self._pending) // self._frame_length)
        if self._segmenter.open_start is None:
            pad = self._options.speech_pad_ms * SAMPLES_PER_MS
            self._forget_before(self._position - KEPT_SILENCE - pad)

    def end(self) -> Iterator[Event]:
        """`finish`, each event as soon as it is decided."""
        if self._finished:
            return
        self._finished = True
        last = self._edge + self._fed + self._edge  # where the silence behind the clip ends
        self._pending = np.pad(self._pending, (0, self._edge + self._frame_length))
        yield from self._frames(-(-(last - self._position) // self._frame_length))
        self._position = last
        yield from self._closed(self._segmenter.finish())
        if not self._any_final:
            # How much is kept depends on the pieces fed; this much always is, and no more may be looked at.
            end = self._edge + self._fed
            prepared = self._frontend.prepare(self._cut(Span(max(self._edge, end - KEPT_SILENCE), end)))
            reason = prepared.null_reason or NullReason.NO_SPEECH
            yield Final(self._recogniser.assemble([], prepared.clip, reason))

    def _frames(self, count: int) -> Iterator[Event]:
        """Let the detector see so many pending frames."""
        whole = count * self._frame_length
        frames, self._pending = self._pending[:whole], self._pending[whole:]
        self._kept = np.concatenate([self._kept, frames])
        for probability in answers(self._score, frames.reshape(-1, self._frame_length)):
            self._position += self._frame_length
            span = self._segmenter.push(probability)
            yield from self._opened()
            yield from self._closed(span)
            if self._announced and self._partial_is_due():
                yield from self._partial()

    def _opened(self) -> Iterator[Event]:
        if self._announced or not self._segmenter.speaking:
            return
        start = self._segmenter.open_start
        assert start is not None
        self._announced, self._last_partial = True, self._position
        yield SpeechStarted(self._outside(start))

    def _closed(self, span: Span | None) -> Iterator[Event]:
        if span is None:
            return
        behind = self._edge + self._fed + self._edge  # no clip goes on beyond the silence behind it
        segment = self._segment(Span(span.start, min(span.end, self._position, behind)))
        if not self._announced:
            yield SpeechStarted(segment.span.start)
        self._announced, self._any_final = False, True
        yield SpeechStopped(segment.span.end)
        # How much silence happens to be kept depends on the pieces fed; how much is looked at must not.
        before = max(self._floor, span.start - KEPT_SILENCE)
        heard = self._cut(Span(before, self._outside(self._position) + self._edge))
        shift = self._edge - before
        local = Span(segment.span.start + shift, segment.span.end + shift)
        clip = clip_stats(heard, [local], self._frontend.options, level_of_all([segment]))
        reason = None
        if self._outside(self._position) < self._frontend.options.min_duration_ms * SAMPLES_PER_MS:
            reason = NullReason.TOO_SHORT
        elif not self._frontend.is_loud(segment):
            reason = NullReason.TOO_QUIET
        readings = [] if reason else [(segment, self._recogniser.recognise(segment, self._hotwords))]
        self._floor = segment.span.end + self._edge
        self._forget_before(self._floor)
        yield Final(self._recogniser.assemble(readings, clip, reason))

    def _partial_is_due(self) -> bool:
        silent_since = self._segmenter.silent_since
        if silent_since is not None and silent_since <= self._last_partial:
            return False  # nothing was said since, and the final must not wait for a draft
        return self._position - self._last_partial >= self._endpoint.partial_interval_ms * SAMPLES_PER_MS

    def _partial(self) -> Iterator[Event]:
        self._last_partial = self._position
        start = self._segmenter.open_start
        assert start is not None
        segment = self._segment(Span(start, self._position))
        readings = self._recogniser.draft(segment, self._hotwords)
        if readings is not None:
            yield Partial(readings[0].text if readings else "")

    def _segment(self, span: Span) -> Segment:
        clip = Span(0, self._outside(self._position))
        return self._frontend.segment(self._cut(span), span.start - self._edge, clip)

    def _outside(self, sample: int) -> int:
        """Sample of the stream, within what it has had so far."""
        return min(max(sample - self._edge, 0), self._fed)

    def _cut(self, span: Span) -> Samples:
        return self._kept[span.start - self._kept_start : span.end - self._kept_start]

    def _forget_before(self, sample: int) -> None:
        if sample > self._kept_start:
            self._kept = self._kept[sample - self._kept_start :]
            self._kept_start = sample
