"""Prepare a clip for the model: find the speech, judge it, trim it, level it. The only composition of these.

Samples in; levelled segments, clip statistics and, where there is nothing to transcribe, the reason out.
Training (`asr.train.prepare`) and inference call this same code with the options stored in the bundle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr import loudness
from asr.errors import OptionError
from asr.foreground import foreground
from asr.neural import NeuralVad
from asr.transcript import SAMPLE_RATE_HZ, SAMPLES_PER_MS, ClipStats, NullReason, Span
from asr.vad import NoVad, Vad, VadOptions, edge, find_speech
from asr.webrtc import WebRtcVad

Samples = NDArray[np.float32]

VAD_NAMES = ("webrtc", "neural", "silero", "none")
NOISE_FRAME = 10 * SAMPLES_PER_MS
MAX_SNR_DB = 80.0  # what digital silence around the speech would make infinite


@dataclass(frozen=True, slots=True)
class FrontendOptions:
    """Settings of the front end; they travel in the bundle.

    ``target_level_dbfs`` is P.56's customary -26 dBov. Gain is bounded so that a wrong level cannot wreck a
    clip. Speech under ``min_level_dbfs`` before any gain is *too quiet*: mostly quantisation noise in 16 bits.
    What is more than ``foreground_range_db`` softer than a segment's speech is left out at its ends, but for
    ``foreground_pad_ms`` (`asr.foreground`).
    """

    vad: str = "webrtc"
    vad_options: VadOptions = field(default_factory=VadOptions)
    target_level_dbfs: float = -26.0
    min_gain_db: float = -30.0
    max_gain_db: float = 40.0
    min_level_dbfs: float = -62.0
    min_duration_ms: int = 100
    foreground_range_db: float = 12.0
    foreground_pad_ms: int = 500

    def __post_init__(self) -> None:
        if self.vad not in VAD_NAMES:
            raise OptionError(f"vad is {self.vad!r}; known are {', '.join(VAD_NAMES)}")
        if not -120.0 <= self.min_level_dbfs <= 0.0 or not -60.0 <= self.target_level_dbfs <= 0.0:
            raise OptionError(
                f"min_level_dbfs is {self.min_level_dbfs} and target_level_dbfs {self.target_level_dbfs}; "
                "they must be in [-120, 0] and [-60, 0] dBFS"
            )
        if not 0.0 < self.foreground_range_db <= 120.0 or not 0 <= self.foreground_pad_ms <= 10_000:
            raise OptionError(
                f"foreground_range_db is {self.foreground_range_db} and foreground_pad_ms "
                f"{self.foreground_pad_ms}; they must be in (0, 120] dB and [0, 10000] ms"
            )
        if not self.min_gain_db <= 0.0 <= self.max_gain_db:
            raise OptionError(
                f"gain bounds are [{self.min_gain_db}, {self.max_gain_db}] dB; 0 must be inside"
            )

    def as_dict(self) -> dict[str, Any]:
        """For ``bundle.json``."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> FrontendOptions:
        """The inverse of `as_dict`; unknown names raise OptionError."""
        values = dict(values)
        try:
            return cls(vad_options=VadOptions(**values.pop("vad_options", {})), **values)
        except TypeError as error:
            raise OptionError(f"front-end options: {error}") from error


@dataclass(frozen=True, slots=True)
class Segment:
    """One utterance: levelled samples (float32, ``(n,)``), where they lie in the clip, and the active speech
    level before the gain.

    ``first`` is the sample of the clip at which they begin. It may lie before the clip, and their end behind it:
    speech at the edge of a clip is padded with silence. ``span`` is the part within the clip.
    """

    samples: Samples
    span: Span
    level_dbfs: float
    first: int


@dataclass(frozen=True, slots=True)
class Prepared:
    """What the model gets. ``segments`` is empty exactly when ``null_reason`` is set."""

    segments: tuple[Segment, ...]
    clip: ClipStats
    null_reason: NullReason | None


class Frontend:
    """The front end with its detector loaded. Holds no state of a clip: safe to share between threads."""

    def __init__(self, options: FrontendOptions | None = None) -> None:
        self.options = options or FrontendOptions()
        self.vad = load_vad(self.options.vad)

    def prepare(self, samples: Samples) -> Prepared:
        """Find, judge, trim and level the speech of one clip (float32, ``(n,)``, 16 kHz)."""
        silence = edge(self.options.vad_options)
        padded = np.pad(samples, silence)
        whole = Span(0, len(samples))
        found = [
            self.segment(padded[span.start : span.end], span.start - silence, whole)
            for span in find_speech(self.vad, padded, self.options.vad_options)
        ]
        spans = [segment.span for segment in found]
        clip = clip_stats(samples, spans, self.options, level_of_all(found))
        loud = tuple(segment for segment in found if self.is_loud(segment))
        reason = self._null_reason(samples, found, loud)
        return Prepared(() if reason else loud, clip, reason)

    def segment(self, samples: Samples, first: int, clip: Span) -> Segment:
        """Level one stretch of speech that begins at sample ``first``, before or within ``clip``; what is softer
        at its ends is cut off."""
        level_dbfs = loudness.active_speech_level(samples)
        begin, end = foreground(
            samples, level_dbfs, self.options.foreground_range_db, self.options.foreground_pad_ms
        )
        if (begin, end) != (0, len(samples)):
            samples, first = samples[begin:end], first + begin
            level_dbfs = loudness.active_speech_level(samples)
        levelled = loudness.dither(loudness.apply_gain(samples, gain_for(level_dbfs, self.options)))
        start = min(max(first, clip.start), clip.end)
        span = Span(start, max(start, min(first + len(samples), clip.end)))
        return Segment(levelled, span, level_dbfs, first)

    def is_loud(self, segment: Segment) -> bool:
        """Whether speech was, before any gain, loud enough to be worth hearing. Segment by segment, as a stream
        must judge it."""
        return segment.level_dbfs >= self.options.min_level_dbfs

    def _null_reason(
        self, samples: Samples, found: Sequence[Segment], loud: Sequence[Segment]
    ) -> NullReason | None:
        options = self.options
        if len(samples) < options.min_duration_ms * SAMPLES_PER_MS:
            return NullReason.TOO_SHORT
        if found:
            return None if loud else NullReason.TOO_QUIET
        # Nothing was found. Would there be speech if it were louder? Only worth asking of a quiet clip.
        if loudness.SILENCE_DBFS < loudness.rms_dbfs(samples) < options.min_level_dbfs:
            louder = loudness.apply_gain(samples, options.max_gain_db)
            if find_speech(self.vad, louder, options.vad_options):
                return NullReason.TOO_QUIET
        return NullReason.NO_SPEECH


def load_vad(name: str) -> Vad:
    """The detector of that name: ``webrtc``, ``neural`` (our own), ``silero`` (needs its package) or ``none``."""
    if name == "neural":
        return NeuralVad()
    if name == "silero":
        from asr.silero import SileroVad

        return SileroVad()
    return NoVad() if name == "none" else WebRtcVad()


def gain_for(level_dbfs: float, options: FrontendOptions) -> float:
    """Gain in dB from an active speech level to the target, within the bounds."""
    wanted = options.target_level_dbfs - level_dbfs
    return min(max(wanted, options.min_gain_db), options.max_gain_db)


def level_of_all(segments: Sequence[Segment]) -> float | None:
    """Active speech level of all speech of a clip, where one segment holds it and nothing else: else None."""
    if len(segments) != 1 or len(segments[0].samples) != len(segments[0].span):
        return None
    return segments[0].level_dbfs


def clip_stats(
    samples: Samples, spans: list[Span], options: FrontendOptions, level_dbfs: float | None = None
) -> ClipStats:
    """Statistics of a clip before any gain; ``spans`` are its speech, in order, and ``level_dbfs`` their active
    speech level, where that is known."""
    duration_s = len(samples) / SAMPLE_RATE_HZ
    clipped = loudness.clipped_ratio(samples)
    if not spans:
        return ClipStats(duration_s, None, 0.0, None, clipped, 0.0, duration_s, 0.0)
    speech = np.concatenate([samples[span.start : span.end] for span in spans])
    level = loudness.active_speech_level(speech) if level_dbfs is None else level_dbfs
    return ClipStats(
        duration_s=duration_s,
        level_dbfs=level,
        gain_db=gain_for(level, options),
        snr_db=_snr_db(samples, level),
        clipped_ratio=clipped,
        speech_ratio=len(speech) / len(samples),
        leading_silence_s=spans[0].start / SAMPLE_RATE_HZ,
        trailing_silence_s=(len(samples) - spans[-1].end) / SAMPLE_RATE_HZ,
    )


def _snr_db(samples: Samples, speech_level_dbfs: float) -> float:
    """Speech level over the level of the quietest tenth of the clip's 10 ms frames.

    Taken over the whole clip: the padding around the spans, or the gaps between words where the clip was cut
    close, hold the noise. Sound that is only noise-like speech would be overestimated; no clip is judged by it.
    """
    frames = len(samples) // NOISE_FRAME
    if frames == 0:
        return 0.0
    power = np.square(samples[: frames * NOISE_FRAME].reshape(frames, NOISE_FRAME)).mean(axis=1)
    noise = float(np.quantile(power, 0.1))
    return min(MAX_SNR_DB, speech_level_dbfs - 10.0 * float(np.log10(max(noise, 1e-12))))
