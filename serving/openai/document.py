"""What OpenAPI says of the form that a transcription is asked for with, and of the answers that are not JSON.

By hand, because the body is read by `serving.uploads`, within limits, and not by FastAPI.
"""

from __future__ import annotations

from typing import Any

from asr.bundle import DEFAULT_MODEL
from serving.openai.chunking import LEAST_THRESHOLD, MOST_PADDING_MS, SILENCE_MS
from serving.openai.parameters import GRANULARITIES, Format


def _text(description: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "description": description, **more}


def _list(description: str, **item: Any) -> dict[str, Any]:
    return {"type": "array", "items": {"type": "string", **item}, "description": description}


SERVER_VAD = {
    "type": "object",
    "required": ["type"],
    "properties": {
        "type": {"type": "string", "enum": ["server_vad"]},
        "threshold": {"type": "number", "minimum": LEAST_THRESHOLD, "maximum": 1},
        "prefix_padding_ms": {"type": "integer", "minimum": 0, "maximum": MOST_PADDING_MS},
        "silence_duration_ms": {"type": "integer", "minimum": SILENCE_MS[0], "maximum": SILENCE_MS[1]},
    },
}
PROPERTIES: dict[str, Any] = {
    "file": {
        "type": "string",
        "format": "binary",
        "description": "The clip: WAV, FLAC, OGG (Opus, Vorbis), MP3, WebM, MP4, M4A. Told by its content.",
    },
    "model": _text("A name from GET /v1/models.", examples=[DEFAULT_MODEL]),
    "language": _text(
        "The language of the clip, which must be the model's.", examples=["en", "English", "en-US"]
    ),
    "languages[]": _list("Possible languages of the clip."),
    "prompt": _text("Names and phrases to expect; they are favoured, nothing is excluded."),
    "keywords[]": _list("Phrases to expect, of up to 10 words each.", pattern="[A-Za-z]"),
    "temperature": {
        "type": "number",
        "minimum": 0,
        "maximum": 1,
        "default": 0,
        "description": "Other than 0 it is listed in X-Ignored-Parameters: there is no chance in the search.",
    },
    "response_format": _text(
        "The form of the answer.", enum=list(map(str, Format)), default=str(Format.JSON)
    ),
    "timestamp_granularities[]": _list("verbose_json only; segment if absent.", enum=list(GRANULARITIES)),
    "include[]": _list("json only: the log-probability of each word.", enum=["logprobs"]),
    "stream": {"type": "boolean", "default": False, "description": "Server-sent events. json and text only."},
    "chunking_strategy": {
        "anyOf": [{"type": "string", "enum": ["auto"]}, SERVER_VAD],
        "description": "When a pause ends an utterance.",
    },
    "retain": {
        "type": "boolean",
        "default": False,
        "description": "Keep the audio, where the operator allows it: X-Audio-Retained says so.",
    },
}
FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {"type": "object", "required": ["file", "model"], "properties": PROPERTIES},
            }
        },
    }
}


def _header(description: str) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string"}}


ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "What was said.",
        "content": {
            media_type: {"schema": {"type": "string"}}
            for media_type in ("text/plain", "text/vtt", "application/x-subrip", "text/event-stream")
        },
        "headers": {
            "X-Model": _header("The model that answered, name@digest."),
            "X-Null-Reason": _header("Why there is no text, where there is none."),
            "X-Ignored-Parameters": _header("What was sent and has no effect."),
            "X-Audio-Retained": _header("Whether the audio is kept: true or false."),
            "X-Audio-Retained-Until": _header("Until when, where it is."),
        },
    }
}
