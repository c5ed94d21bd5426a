"""The text of `/v1/stream`: what a client may say, and what it is told. JSON in both directions.

In: ``{"config": {...}}`` first, later ``{"eof": 1}`` or ``{"reset": 1}``, with any spacing. A key that we do not know
is refused by name, never dropped. Out: the objects that `message` and `refusal` make.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from asr.errors import OptionError
from asr.stream import EndpointOptions, Partial, SpeechStarted, SpeechStopped
from asr.transcript import SAMPLES_PER_MS, Transcript, seconds
from serving.errors import InvalidParameterError
from serving.hotwords import within_limits
from serving.jobs import Hearing
from serving.pcm import MAX_RATE_HZ, MIN_RATE_HZ, PcmFormat
from serving.problems import problem
from serving.slices import DEVICE, LONGEST

SHOWN = 5  # names of unknown keys in a message; a client may have sent thousands
UNKNOWN = "extra_forbidden"  # pydantic's name for a key that a model does not have


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, protected_namespaces=())


class Endpoint(_Strict):
    """When an utterance is over; null: as the model was tuned."""

    trailing_silence_ms: Annotated[int, Field(ge=100, le=5_000)] | None = None
    max_utterance_s: Annotated[float, Field(ge=1.0, le=30.0)] | None = None


class StreamConfig(_Strict):
    """The first message of a stream. Everything may be left out."""

    sample_rate: Annotated[int, Field(ge=MIN_RATE_HZ, le=MAX_RATE_HZ)] = 16_000
    words: bool = True  # in finals: each with its times and confidence
    partials: bool = True
    hotwords: tuple[str, ...] = Field((), strict=False)  # JSON has lists, which strict tuples refuse
    catalog: bool = False  # be biased to the catalogue, and search it
    endpoint: Endpoint = Endpoint()
    session: Annotated[str, Field(min_length=1, max_length=64)] | None = (
        None  # the client's name of a sitting
    )
    device: Annotated[str, Field(pattern=f"^{DEVICE.pattern}$", max_length=LONGEST)] | None = (
        None  # the kind it is of
    )
    single: bool = False  # one utterance and no more

    @property
    def form(self) -> PcmFormat:
        """Of the audio that follows."""
        return PcmFormat(self.sample_rate)

    @property
    def hearing(self) -> Hearing:
        """How it is heard. Raises OptionError for a hotword without a letter, InvalidParameterError beyond a limit."""
        return Hearing(self.catalog, within_limits(self.hotwords, "hotwords"))

    @property
    def rules(self) -> EndpointOptions:
        """When an utterance is over, as `asr.stream` takes it."""
        return EndpointOptions(self.endpoint.trailing_silence_ms, self.endpoint.max_utterance_s)


class Command(Enum):
    """What a client may say after its config."""

    EOF = auto()
    RESET = auto()


@dataclass(frozen=True, slots=True)
class Answer:
    """A `Final` with what the catalogue has for it, and the seconds since the end of speech was decided.

    ``repeats`` is how unlike it sounds to what was said before it: for its record, not for the client.
    """

    transcript: Transcript
    took_s: float
    search_s: float | None = None  # of that; None where nobody asked
    results: tuple[Mapping[str, Any], ...] | None = None
    repeats: float | None = None


Told = SpeechStarted | Partial | SpeechStopped | Answer


def parse(text: str) -> StreamConfig | Command:
    """A message of the client. Raises InvalidParameterError, which names the key and never the value."""
    try:
        said = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidParameterError(
            'A text message must be JSON: {"config": {...}}, {"eof": 1} or {"reset": 1}.', code="invalid_json"
        ) from error
    if not isinstance(said, dict) or len(said) != 1:
        raise InvalidParameterError('A text message has one key: "config", "eof" or "reset".')
    ((name, value),) = said.items()
    if name == "config":
        return _config(value)
    if name not in ("eof", "reset"):
        raise _unknown([name], 'expected "config", "eof" or "reset"')
    if value not in (1, True):
        raise InvalidParameterError(f'{name}: expected 1, as in {{"{name}": 1}}', param=name)
    return Command[name.upper()]


def _config(value: object) -> StreamConfig:
    try:
        config = StreamConfig.model_validate(value)
        _ = config.hearing, config.rules
    except ValidationError as error:
        faults = error.errors(include_input=False, include_url=False, include_context=False)
        paths = [(".".join(map(str, fault["loc"])) or "config", fault) for fault in faults]
        if unknown := [path for path, fault in paths if fault["type"] == UNKNOWN]:
            raise _unknown(unknown, f"the config has {', '.join(StreamConfig.model_fields)}") from None
        path, fault = paths[0]
        raise InvalidParameterError(f"{path}: {fault['msg']}", param=path) from None
    except OptionError as error:
        raise InvalidParameterError(str(error), param="hotwords") from error
    return config


def _unknown(names: list[str], expected: str) -> InvalidParameterError:
    shown = ", ".join(json.dumps(name[:40]) for name in names[:SHOWN])
    # Escaped, as in the message: a lone surrogate cannot be sent.
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return InvalidParameterError(
        f"unknown: {shown}{more}; {expected}", param=json.dumps(names[0])[1:-1][:40], code="unknown_parameter"
    )


def message(told: Told, config: StreamConfig, query_id: str | None = None) -> dict[str, Any]:
    """What the client is sent. Times count from the first sample, or from the last reset, in the client's clock."""
    if isinstance(told, SpeechStarted):
        return {"type": "speech_started", "at_ms": told.at // SAMPLES_PER_MS}
    if isinstance(told, SpeechStopped):
        return {"type": "speech_stopped", "at_ms": told.at // SAMPLES_PER_MS}
    if isinstance(told, Partial):
        return {"type": "partial", "text": told.text}
    return _final(told, config, query_id)


def _final(answer: Answer, config: StreamConfig, query_id: str | None) -> dict[str, Any]:
    transcript = answer.transcript
    final: dict[str, Any] = {
        "type": "final",
        "text": transcript.text,
        "confidence": round(transcript.confidence, 4),
        "query_id": query_id,
        "took_ms": round(answer.took_s * 1000, 1),
    }
    if config.words:
        final["words"] = [
            {
                "word": word.text,
                "start": seconds(word.span.start),
                "end": seconds(word.span.end),
                "conf": round(word.confidence, 4),
            }
            for word in transcript.words
        ]
    if transcript.null_reason is not None:
        final["null_reason"] = transcript.null_reason
    if answer.results is not None:
        final["results"] = [dict(result) for result in answer.results]
    return final


def refusal(error: BaseException) -> tuple[dict[str, Any], int]:
    """The error event for the client, and the code that its WebSocket is then closed with."""
    found = problem(error)
    told: dict[str, Any] = {"type": "error", "code": found.code, "message": found.message}
    if found.param is not None:
        told["param"] = found.param
    retry_after_s = getattr(error, "retry_after_s", None)
    if retry_after_s is not None:
        told["retry_after_s"] = max(1, math.ceil(retry_after_s))
    return told, found.close_code
