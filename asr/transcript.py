"""The values that travel through the pipeline: spans, clip statistics, words, transcripts.

Time inside audio is an integer number of samples of the *original* clip at ``SAMPLE_RATE_HZ``;
seconds appear only in ``as_dict`` methods, which write the public JSON row.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

SAMPLE_RATE_HZ = 16_000  # every stage after ``audio`` works at this rate
SAMPLES_PER_MS = SAMPLE_RATE_HZ // 1000  # 16


def seconds(samples: int) -> float:
    """Samples at ``SAMPLE_RATE_HZ`` as seconds, rounded to the millisecond for people and JSON."""
    return round(samples / SAMPLE_RATE_HZ, 3)


class NullReason(StrEnum):
    """Why a clip has no text. A null result is always typed, never an empty string alone."""

    NO_SPEECH = "no_speech"
    TOO_QUIET = "too_quiet"
    TOO_SHORT = "too_short"
    LOW_CONFIDENCE = "low_confidence"


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Half-open interval ``[start, end)`` of samples of the original clip."""

    start: int
    end: int

    def __post_init__(self) -> None:
        assert 0 <= self.start <= self.end, f"span [{self.start}, {self.end}) is not an interval"

    def __len__(self) -> int:
        return self.end - self.start


@dataclass(frozen=True, slots=True)
class ClipStats:
    """What the clip was like before anything was done to it: the input metrics of monitoring.

    Levels are in dBFS (0 dBFS = full-scale square wave, RMS), ratios in [0, 1]. ``level_dbfs`` is the
    active speech level (ITU-T P.56); it and ``snr_db`` are None where no speech was found.
    """

    duration_s: float
    level_dbfs: float | None
    gain_db: float
    snr_db: float | None
    clipped_ratio: float
    speech_ratio: float
    leading_silence_s: float
    trailing_silence_s: float

    def as_dict(self) -> dict[str, float | None]:
        """The ``clip`` object of a JSON row."""
        return {
            name: None if value is None else round(value, 4)
            for name, value in (
                ("duration_s", self.duration_s),
                ("level_dbfs", self.level_dbfs),
                ("gain_db", self.gain_db),
                ("snr_db", self.snr_db),
                ("clipped_ratio", self.clipped_ratio),
                ("speech_ratio", self.speech_ratio),
                ("leading_silence_s", self.leading_silence_s),
                ("trailing_silence_s", self.trailing_silence_s),
            )
        }


@dataclass(frozen=True, slots=True)
class Word:
    """One word with its time in the original clip and the probability that it is right."""

    text: str
    span: Span
    confidence: float

    def as_dict(self) -> dict[str, Any]:
        """The public form: seconds, as in every API of this field."""
        return {
            "word": self.text,
            "start": seconds(self.span.start),
            "end": seconds(self.span.end),
            "confidence": round(self.confidence, 4),
        }


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read a whole clip, and its share of the probability of all the ways that the search looked at."""

    text: str
    probability: float


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was said in one clip. ``text`` is empty exactly when ``null_reason`` is set.

    ``readings`` are the likely readings of the clip: the one in ``text``, then others, the likeliest first. Their
    probabilities add up to at most 1. Empty where nothing was read, or where nobody weighed several.

    What monitoring watches, None where it is not known: ``entropy`` of the network's answers (nats, mean over frames)
    and ``perplexity``, the language model's, per word of what was heard, the end of each segment counted as one.
    """

    text: str
    words: tuple[Word, ...]
    confidence: float
    null_reason: NullReason | None
    clip: ClipStats
    model: str
    language: str
    readings: tuple[Reading, ...] = ()
    entropy: float | None = None
    perplexity: float | None = None

    def __post_init__(self) -> None:
        assert (self.text == "") == (self.null_reason is not None), (
            f"text {self.text!r} with null reason {self.null_reason}"
        )
        assert not self.readings or self.readings[0].text == self.text, (self.readings, self.text)

    def as_dict(self) -> dict[str, Any]:
        """A row of ``--output_format json``, without the ``audio`` key that the caller knows."""
        return {
            "text": self.text,
            "null_reason": self.null_reason,
            "confidence": round(self.confidence, 4),
            "language": self.language,
            "duration": round(self.clip.duration_s, 3),
            "words": [word.as_dict() for word in self.words],
            "clip": self.clip.as_dict(),
            "model": self.model,
        }
