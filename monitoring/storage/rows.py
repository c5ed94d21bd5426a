"""``Record`` and ``Event`` to rows of ``schema`` and back.

What a database could choke on is made harmless here: NUL and lone surrogates in text become U+FFFD, numbers that
are not finite become NULL. A time without a zone is UTC, as ``Record`` says.
"""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import Any

from asr.transcript import ClipStats, NullReason
from monitoring.moments import microseconds, moment
from monitoring.record import Event, EventType, Outcome, Record, Transport
from monitoring.storage.schema import CLIP_COLUMNS

_HARMLESS = dict.fromkeys((0, *range(0xD800, 0xE000)), "\ufffd")

Row = dict[str, Any]


def record_row(record: Record) -> Row:
    """All of a record, a column each."""
    clip = record.clip
    return {
        "request_id": plain(record.request_id),
        "at_us": microseconds(record.at),
        "transport": record.transport.value,
        "outcome": record.outcome.value,
        "status": int(record.status),
        "model": plain(record.model),
        "arm": plain(record.arm),
        "duration_s": finite(record.duration_s),
        "query_id": optional(record.query_id),
        "session": optional(record.session),
        "key_id": optional(record.key_id),
        "null_reason": None if record.null_reason is None else record.null_reason.value,
        "error": optional(record.error),
        "bytes_received": int(record.bytes_received),
        **{f"clip_{name}": None if clip is None else finite(getattr(clip, name)) for name in CLIP_COLUMNS},
        "confidence": finite(record.confidence),
        "n_words": int(record.n_words),
        "text": plain(record.text),
        "results": [plain(item) for item in record.results],
        "stages_s": {plain(stage): finite(took) for stage, took in record.stages_s.items()},
        "first_partial_s": finite(record.first_partial_s),
        "final_after_speech_s": finite(record.final_after_speech_s),
        "fields_missing": [plain(name) for name in record.fields_missing],
        "perplexity": finite(record.perplexity),
        "entropy": finite(record.entropy),
        "top_score": finite(record.top_score),
        "repeats": finite(record.repeats),
        "device": optional(record.device),
        "locale": optional(record.locale),
    }


def event_row(event: Event) -> Row:
    """All of an event, a column each."""
    return {
        "event_id": plain(event.event_id),
        "query_id": plain(event.query_id),
        "type": event.type.value,
        "at_us": microseconds(event.at),
        "item_id": optional(event.item_id),
        "text": plain(event.text),
        "session": optional(event.session),
        "key_id": optional(event.key_id),
    }


def record_of(row: Row) -> Record:
    """The record of a row; one whose numbers were not finite has None, or 0 for a duration."""
    clip = {name: row[f"clip_{name}"] for name in CLIP_COLUMNS}
    return Record(
        request_id=row["request_id"],
        at=moment(row["at_us"]),
        transport=Transport(row["transport"]),
        outcome=Outcome(row["outcome"]),
        status=row["status"],
        model=row["model"],
        arm=row["arm"],
        duration_s=row["duration_s"] or 0.0,
        query_id=row["query_id"],
        session=row["session"],
        key_id=row["key_id"],
        null_reason=None if row["null_reason"] is None else NullReason(row["null_reason"]),
        error=row["error"],
        bytes_received=row["bytes_received"],
        clip=None if clip["duration_s"] is None else ClipStats(**clip),
        confidence=row["confidence"],
        n_words=row["n_words"],
        text=row["text"],
        results=tuple(row["results"]),
        stages_s=MappingProxyType(
            {stage: took for stage, took in row["stages_s"].items() if took is not None}
        ),
        first_partial_s=row["first_partial_s"],
        final_after_speech_s=row["final_after_speech_s"],
        fields_missing=tuple(row["fields_missing"]),
        perplexity=row["perplexity"],
        entropy=row["entropy"],
        top_score=row["top_score"],
        repeats=row["repeats"],
        device=row["device"],
        locale=row["locale"],
    )


def event_of(row: Row) -> Event:
    """The event of a row."""
    return Event(
        event_id=row["event_id"],
        query_id=row["query_id"],
        type=EventType(row["type"]),
        at=moment(row["at_us"]),
        item_id=row["item_id"],
        text=row["text"],
        session=row["session"],
        key_id=row["key_id"],
    )


def plain(text: str) -> str:
    """As every database takes it."""
    return text.translate(_HARMLESS) if not text.isascii() or "\0" in text else text


def optional(text: str | None) -> str | None:
    """The same of a text that may be missing."""
    return None if text is None else plain(text)


def finite(number: float | None) -> float | None:
    """A number, or None where it is none that a database takes."""
    return float(number) if number is not None and math.isfinite(number) else None
