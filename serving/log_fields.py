"""What may be logged: listed events, with listed fields, of a listed shape. Everything else is dropped and counted.

No free text passes: an event is one of `EVENTS` word for word, a field is a number, one of a closed set, or an id
without spaces. So a transcript, a prompt, a filename or the message of an exception is not written, even where somebody
tries to. (One single word, put where an id belongs, would be: a reviewer sees which field it was put into.)
"""

from __future__ import annotations

import math
import re
import traceback
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from structlog.typing import EventDict, WrappedLogger

from asr.transcript import NullReason
from monitoring.record import Outcome, Transport

# What may be said. A new event or field is added here, where a reviewer sees it.
EVENTS = frozenset(
    {
        "alarm", "alarm_untold", "audit", "drain", "drift_without_changes", "erased", "key_created",
        "key_revoked", "model_loaded", "overload", "purge_failed", "purged", "ready", "record_lost",
        "request", "rollout", "started", "starting", "stopped", "stopping", "stream", "uncaught",
        "unhandled", "watch_failed", "watch_stuck", "worker_lost", "worker_started",
        # uvicorn's, which hold no value
        "Application startup complete.", "Application shutdown complete.", "Application startup failed. Exiting.",
        "Application shutdown failed. Exiting.", "Waiting for application startup.",
        "Waiting for application shutdown.", "Shutting down", "Invalid HTTP request received.",
        "Unsupported upgrade request.", "Exception in ASGI application\n", "Exceeded concurrency limit.",
        "Waiting for connections to close. (CTRL+C to force quit)",
        "Waiting for background tasks to complete. (CTRL+C to force quit)",
    }
)  # fmt: skip
OTHER = "other"  # the event of a line whose own is not listed: its place says where to look

TOKEN = re.compile(r"[A-Za-z0-9._@:+-]{1,128}")  # ids, versions, names of types: no space, so no sentence
ROUTE = re.compile(r"[A-Za-z0-9._/{}:-]{1,128}")
PLACE = re.compile(r"[\w./<>-]{1,120}:[0-9]+( [\w<>]{1,80})?")


def _number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _matching(pattern: re.Pattern[str]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None


def _one_of(values: Collection[str]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, str) and value in values


def _each(allowed: Callable[[object], bool]) -> Callable[[object], bool]:
    return lambda value: isinstance(value, list | tuple) and all(map(allowed, value))


TOKENS = (
    "timestamp", "logger", "request_id", "query_id", "key_id", "model", "version", "error", "alarm", "worker", "host",
    "actor", "step",
)  # fmt: skip
NUMBERS = (
    "status", "duration_ms", "queue_ms", "bytes", "audio_s", "confidence", "n_words", "n_results", "port", "workers",
    "inflight", "queue_items", "retry_after_s", "retain", "count", "dropped", "pid", "weight",
    "records", "events", "followed", "counts", "clips",
)  # fmt: skip
CLOSED: Mapping[str, Collection[str]] = {
    "method": ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "WEBSOCKET"),
    "level": ("debug", "info", "warning", "error", "critical"),
    "transport": tuple(Transport),
    "outcome": tuple(Outcome),
    "null_reason": tuple(NullReason),
    "arm": ("stable", "canary", "shadow"),
    "severity": ("page", "ticket"),
    "phase": ("firing", "cleared"),
}
FIELDS: Mapping[str, Callable[[object], bool]] = {
    "event": lambda value: value in EVENTS or value == OTHER,
    "route": _matching(ROUTE),
    "where": _matching(PLACE),
    "frames": _each(_matching(PLACE)),
    "causes": _each(_matching(TOKEN)),
    **{name: _one_of(values) for name, values in CLOSED.items()},
    **dict.fromkeys(TOKENS, _matching(TOKEN)),
    **dict.fromkeys(NUMBERS, _number),
}


class AllowList:
    """The filter that every line passes, and how many values it has kept out."""

    def __init__(self) -> None:
        self.dropped = 0

    def __call__(self, _logger: WrappedLogger, _method: str, line: EventDict) -> EventDict:
        """Processor: what is listed, in the order of the call. An event that is not listed becomes ``other``."""
        kept: dict[str, Any] = {"event": line.pop("event", OTHER)}
        lost = 0
        if not isinstance(kept["event"], str) or kept["event"] not in EVENTS:
            lost += kept["event"] != OTHER
            kept["event"] = OTHER
        for name, value in line.items():
            if value is None:
                continue
            allowed = FIELDS.get(name)
            if allowed is not None and allowed(value):
                kept[name] = value
            else:
                lost += 1
        if lost:
            self.dropped += lost
            kept["dropped"] = lost
            kept.setdefault("where", caller())
        kept["event"] = kept["event"].strip()
        return kept


def caller() -> str:
    """``folder/file.py:line`` of who called the logger: the innermost frame that is neither structlog's nor ours."""
    for frame, line in traceback.walk_stack(None):
        filename = frame.f_code.co_filename
        if "structlog" not in Path(filename).parts and filename != __file__:
            return f"{place(filename)}:{line}"
    return "unknown:0"


def place(filename: str) -> str:
    """``folder/file.py``: enough to find a source file, without where it is installed."""
    return re.sub(r"[^\w./<>-]", "_", "/".join(Path(filename).parts[-2:]))
