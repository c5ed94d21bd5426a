"""What the service tells of itself: one `Record` when a request ends, one `Event` for what a person does next.

Both are handed to observers, in the order in which they happened. An observer must not raise and must not wait:
it counts, or puts what it was given into a queue of its own. Text that a person said or typed is in ``text``
alone, which ``repr`` leaves out; it goes into the event store and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from asr.transcript import ClipStats, NullReason

# Of a request, in the order of the pipeline: the keys of ``Record.stages_s``.
STAGES = ("queue", "decode", "vad", "level", "model", "beam", "search")


class Transport(StrEnum):
    """How a request came in."""

    REST = "rest"
    SEARCH = "search"
    TEXT = "text"  # a typed query: no clip
    STREAM = "stream"
    WYOMING = "wyoming"


class Outcome(StrEnum):
    """How it ended. The null rate is NULL / (OK + NULL): a clip without speech is nobody's failure."""

    OK = "ok"
    NULL = "null"  # somebody spoke and got no text: too quiet, too short, low confidence
    NO_SPEECH = "no_speech"
    ERROR = "error"

    @classmethod
    def of(cls, reason: NullReason | None) -> Outcome:
        """The outcome of a clip that was answered."""
        if reason is None:
            return cls.OK
        return cls.NO_SPEECH if reason is NullReason.NO_SPEECH else cls.NULL


class EventType(StrEnum):
    """What a person did with the answer to a query."""

    CLICK = "click"
    REDO = "redo"
    TYPED = "typed"
    DISMISS = "dismiss"


@dataclass(frozen=True, slots=True)
class Record:
    """One request, as it ended. Times are UTC.

    ``stages_s`` has some of ``queue, decode, vad, level, model, beam, search`` and what each took. ``results`` are the
    ids shown, best first. ``session`` is the client's own, opaque name of a sitting; ``key_id`` that of the API key.
    ``fields_missing`` names what a well-meaning client would have sent. ``error`` is the type of the error, never
    its message, which may quote what was said. ``perplexity`` is the language model's, per word, of the text;
    ``entropy`` the mean over frames of that of the network's answer, in nats. ``top_score`` is the first result's, in
    [0, 1]; None: nothing was searched for. ``repeats`` is how unlike this clip sounds to the one before it in its
    session, from 0 to 1; None: there was none in time. ``device`` and ``locale`` are what the client says of itself.
    """

    request_id: str
    at: datetime
    transport: Transport
    outcome: Outcome
    status: int
    model: str
    duration_s: float
    arm: str = "stable"
    query_id: str | None = None
    session: str | None = None
    key_id: str | None = None
    null_reason: NullReason | None = None
    error: str | None = None
    bytes_received: int = 0
    clip: ClipStats | None = None
    confidence: float | None = None
    n_words: int = 0
    text: str = field(default="", repr=False)
    results: tuple[str, ...] = ()
    stages_s: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    first_partial_s: float | None = None  # from the start of speech
    final_after_speech_s: float | None = None  # from the endpoint decision to the final text
    fields_missing: tuple[str, ...] = ()
    perplexity: float | None = None
    entropy: float | None = None
    top_score: float | None = None
    repeats: float | None = None
    device: str | None = None
    locale: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """What a person did with the results of ``query_id``. The same ``event_id`` again is the same event."""

    event_id: str
    query_id: str
    type: EventType
    at: datetime
    item_id: str | None = None
    text: str = field(default="", repr=False)
    session: str | None = None
    key_id: str | None = None


Observer = Callable[[Record | Event], None]
