"""A transcription as server-sent events: a delta for each stretch of words, then the whole text.

The clip is complete when it arrives, and its words are judged together; so events begin when the answer is there, and
whatever can go wrong has its status still. The deltas joined are the text.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from asr.transcript import NullReason, Transcript
from serving.openai.answers import Logprob, Usage, stretches, usage, word_logprobs

MEDIA_TYPE = "text/event-stream"


class TextDelta(BaseModel):
    """Some more text."""

    type: Literal["transcript.text.delta"] = "transcript.text.delta"
    delta: str
    logprobs: list[Logprob] | None = None


class TextDone(BaseModel):
    """The whole text, and what `Transcription` says of it."""

    type: Literal["transcript.text.done"] = "transcript.text.done"
    text: str
    logprobs: list[Logprob] | None = None
    usage: Usage
    null_reason: NullReason | None
    confidence: float


def events(transcript: Transcript, *, logprobs: bool) -> str:
    """The whole stream. Without text it is the last event alone."""
    deltas = [
        TextDelta(
            delta=("" if at == 0 else " ") + " ".join(word.text for word in words),
            logprobs=word_logprobs(words, first=at == 0) if logprobs else None,
        )
        for at, words in enumerate(stretches(transcript.words))
    ]
    done = TextDone(
        text=transcript.text,
        logprobs=word_logprobs(transcript.words) if logprobs else None,
        usage=usage(transcript),
        null_reason=transcript.null_reason,
        confidence=round(transcript.confidence, 4),
    )
    return "".join(map(_event, deltas)) + _event(done)


def _event(event: TextDelta | TextDone) -> str:
    return f"data: {without_unasked(event)}\n\n"


def without_unasked(answer: BaseModel) -> str:
    """An answer as JSON, without the lists that nobody asked for."""
    absent = {name for name in ("logprobs", "segments", "words") if getattr(answer, name, ()) is None}
    return answer.model_dump_json(exclude=absent)
