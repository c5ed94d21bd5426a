"""A transcript in each of OpenAI's forms. Extensions of ours: ``null_reason``, ``confidence``; clients skip them.

Probabilities are the calibrated ones of our words, so their logarithms are what ``logprobs`` promises: how likely
each word is to be right.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel

from asr.cues import PAUSE
from asr.transcript import NullReason, Transcript, Word, seconds
from serving.openai import languages

LEAST = 1e-6  # of probabilities: its logarithm is finite


class Usage(BaseModel):
    """What is charged: seconds of audio."""

    type: Literal["duration"] = "duration"
    seconds: float


class Logprob(BaseModel):
    """A word, and the natural logarithm of the probability that it is right. Tokens joined are the text."""

    token: str
    logprob: float
    bytes: list[int]


class WordTime(BaseModel):
    """A word and when it was said, in seconds of the clip."""

    word: str
    start: float
    end: float
    confidence: float


class Segment(BaseModel):
    """A stretch of words between pauses. There are no token numbers, no windows and no temperature here.

    ``no_speech_prob`` is the probability that none of its words is right, taking them as independent: it would be so
    if nobody had spoken, and is therefore no less than what its name says.
    """

    id: int
    seek: int = 0
    start: float
    end: float
    text: str
    tokens: list[int] = []
    temperature: float = 0.0
    avg_logprob: float
    compression_ratio: float
    no_speech_prob: float


class Transcription(BaseModel):
    """``response_format=json``. ``text`` is empty exactly when ``null_reason`` says why."""

    text: str
    logprobs: list[Logprob] | None = None
    usage: Usage
    null_reason: NullReason | None
    confidence: float


class VerboseTranscription(BaseModel):
    """``response_format=verbose_json``."""

    task: Literal["transcribe"] = "transcribe"
    language: str
    duration: float
    text: str
    segments: list[Segment] | None = None
    words: list[WordTime] | None = None
    usage: Usage
    null_reason: NullReason | None
    confidence: float


def plain(transcript: Transcript, *, logprobs: bool) -> Transcription:
    """``json``."""
    answer = Transcription(
        text=transcript.text,
        usage=usage(transcript),
        null_reason=transcript.null_reason,
        confidence=round(transcript.confidence, 4),
    )
    if logprobs:
        answer.logprobs = word_logprobs(transcript.words)
    return answer


def verbose(transcript: Transcript, *, words: bool, segments: bool) -> VerboseTranscription:
    """``verbose_json``, with the times asked for."""
    answer = VerboseTranscription(
        language=languages.name(transcript.language),
        duration=round(transcript.clip.duration_s, 3),
        text=transcript.text,
        usage=usage(transcript),
        null_reason=transcript.null_reason,
        confidence=round(transcript.confidence, 4),
    )
    if segments:
        answer.segments = [_segment(*numbered) for numbered in enumerate(stretches(transcript.words))]
    if words:
        answer.words = [WordTime.model_validate(word.as_dict()) for word in transcript.words]
    return answer


def usage(transcript: Transcript) -> Usage:
    """The clip's length."""
    return Usage(seconds=round(transcript.clip.duration_s, 3))


def word_logprobs(words: Sequence[Word], *, first: bool = True) -> list[Logprob]:
    """One for each word; all but the ``first`` of a text begin with the space before them."""
    tokens = [word.text if first and at == 0 else f" {word.text}" for at, word in enumerate(words)]
    return [
        Logprob(token=token, logprob=_log(word.confidence), bytes=list(token.encode()))
        for token, word in zip(tokens, words, strict=True)
    ]


def stretches(words: Sequence[Word]) -> list[list[Word]]:
    """Words between pauses, the same pauses that end a subtitle."""
    found: list[list[Word]] = []
    for word in words:
        if found and word.span.start - found[-1][-1].span.end < PAUSE:
            found[-1].append(word)
        else:
            found.append([word])
    return found


def _segment(number: int, words: Sequence[Word]) -> Segment:
    # Whisper's begin with a space: joined, they are the text.
    text = "".join(f" {word.text}" for word in words)
    sound = text.encode()
    return Segment(
        id=number,
        start=seconds(words[0].span.start),
        end=seconds(words[-1].span.end),
        text=text,
        avg_logprob=round(math.fsum(_log(word.confidence) for word in words) / len(words), 4),
        compression_ratio=round(len(sound) / len(zlib.compress(sound)), 4),  # as Whisper's
        no_speech_prob=round(math.prod(1.0 - word.confidence for word in words), 6),
    )


def _log(probability: float) -> float:
    return round(math.log(max(probability, LEAST)), 4)
