"""Recordings of any length in bounded memory: blocks of samples in, the `Transcript` of the whole clip out.

The composition of `Frontend.prepare` and `Transcriber.transcribe`, with nothing kept but the utterance that is open:
same detector, same segments, same readings, and statistics that add up block by block. What grows with the length is
what is given back (words), and the power of each 10 ms of sound, from which the noise is estimated: 1.4 MB an hour.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import closing

import numpy as np
from numpy.typing import NDArray

from asr import loudness
from asr.batch.statistics import Statistics
from asr.frontend import Frontend
from asr.hotwords import Hotwords
from asr.transcribe import Transcriber
from asr.transcript import SAMPLES_PER_MS, NullReason, Span, Transcript, Word
from asr.vad import Segmenter, answers, edge

Samples = NDArray[np.float32]
Blocks = Callable[[], Iterator[Samples]]  # opens the recording: blocks (n,) at 16 kHz, joined the whole of it


def transcribe_blocks(
    transcriber: Transcriber, blocks: Blocks, hotwords: Hotwords | None = None
) -> Transcript:
    """Transcribe a recording that is not held. Raises what ``blocks`` and `Transcriber.transcribe` raise.

    It is read a second time where nothing but something very quiet was found in it.
    """
    recording = _Recording(transcriber, hotwords)
    with closing(_iterator(blocks)) as pieces:
        for piece in pieces:
            recording.hear(piece)
    recording.end()
    return recording.transcript(lambda: would_be_heard(transcriber.frontend, blocks))


def would_be_heard(frontend: Frontend, blocks: Blocks) -> bool:
    """Whether the detector finds speech once the recording is raised as far as the front end ever would."""
    finder = _Finder(frontend)
    with closing(_iterator(blocks)) as pieces:
        for piece in pieces:
            if any(True for _ in finder.push(loudness.apply_gain(piece, frontend.options.max_gain_db))):
                return True
    return any(True for _ in finder.finish())


class _Finder:
    """`find_speech` for blocks: the spans as they close, and the samples that spans to come may need."""

    def __init__(self, frontend: Frontend) -> None:
        options = frontend.options.vad_options
        self._score = frontend.vad.open()
        self._frame_length = frontend.vad.frame_length
        self._segmenter = Segmenter(options, self._frame_length)
        self._padding = options.speech_pad_ms * SAMPLES_PER_MS
        self._kept: Samples = np.zeros(0, np.float32)
        self._kept_start = 0  # sample where they begin
        self._position = 0  # samples seen by the detector; those behind it, if any, are less than a frame

    def push(self, samples: Samples) -> Iterator[tuple[int, Samples]]:
        """Take the next samples; the first sample and the samples of each span that they close."""
        self._kept = np.concatenate([self._kept, samples])
        unseen = self._kept[self._position - self._kept_start :]
        yield from self._frames(unseen[: len(unseen) // self._frame_length * self._frame_length])
        start = self._segmenter.open_start
        needed = self._position - self._padding if start is None else start
        if needed > self._kept_start:
            self._kept, self._kept_start = self._kept[needed - self._kept_start :], needed

    def finish(self) -> Iterator[tuple[int, Samples]]:
        """There are no more: the span that is open, if it is long enough."""
        rest = self._kept[self._position - self._kept_start :]
        yield from self._frames(np.pad(rest, (0, -len(rest) % self._frame_length)))
        yield from self._found(self._segmenter.finish())

    def _frames(self, frames: Samples) -> Iterator[tuple[int, Samples]]:
        for probability in answers(self._score, frames.reshape(-1, self._frame_length)):
            self._position += self._frame_length
            yield from self._found(self._segmenter.push(probability))

    def _found(self, span: Span | None) -> Iterator[tuple[int, Samples]]:
        if span is not None:
            yield span.start, self._kept[span.start - self._kept_start : span.end - self._kept_start]


class _Recording:
    """What has been heard of a recording so far."""

    def __init__(self, transcriber: Transcriber, hotwords: Hotwords | None) -> None:
        self._transcriber, self._frontend = transcriber, transcriber.frontend
        self._hotwords = hotwords
        self._silence = edge(self._frontend.options.vad_options)
        self._finder = _Finder(self._frontend)
        self._statistics = Statistics()
        self._heard: list[list[Word]] = []  # of each segment in which something was said
        self._any_loud = False
        self._hear_all(self._finder.push(np.zeros(self._silence, np.float32)))

    def hear(self, samples: Samples) -> None:
        """The next samples."""
        self._statistics.push(samples)
        self._hear_all(self._finder.push(samples))

    def end(self) -> None:
        """There are no more."""
        self._hear_all(self._finder.push(np.zeros(self._silence, np.float32)))
        self._hear_all(self._finder.finish())

    def transcript(self, would_be_heard: Callable[[], bool]) -> Transcript:
        """Of all that was heard; the argument is asked where nothing was, in a quiet recording."""
        statistics, options = self._statistics, self._frontend.options
        reason = None
        if statistics.speech and not self._any_loud:
            reason = NullReason.TOO_QUIET
        elif not statistics.speech:
            quiet = loudness.SILENCE_DBFS < statistics.rms_dbfs() < options.min_level_dbfs
            reason = NullReason.TOO_QUIET if quiet and would_be_heard() else NullReason.NO_SPEECH
        if statistics.samples < options.min_duration_ms * SAMPLES_PER_MS:
            reason = NullReason.TOO_SHORT
        return self._transcriber.assemble.joined(
            [] if reason else self._heard, statistics.clip(options), reason
        )

    def _hear_all(self, found: Iterator[tuple[int, Samples]]) -> None:
        whole = Span(0, self._statistics.samples)
        for start, samples in found:
            first = start - self._silence  # of the samples found, of which a segment may leave out some
            segment = self._frontend.segment(samples, first, whole)
            before = segment.span.start - first
            self._statistics.speech_at(segment.span, samples[before : before + len(segment.span)])
            if self._frontend.is_loud(segment):
                self._any_loud = True
                readings = self._transcriber.recognise(segment, self._hotwords)
                if readings:
                    self._heard.append(self._transcriber.assemble.words(readings, segment))


def _iterator(blocks: Blocks) -> Generator[Samples, None, None]:
    """A generator, which can be closed, out of any iterator."""
    yield from blocks()
