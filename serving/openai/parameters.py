"""What a request for a transcription asks for: the fields of its form in, one checked value out.

Everything that OpenAI documents is honoured, refused, or named in ``ignored``; so is everything that it does not.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from asr.bundle import BundleInfo
from serving.errors import InvalidParameterError, NotFoundError
from serving.jobs import Hearing
from serving.openai import languages
from serving.openai.chunking import chunking
from serving.openai.form import Form, quoted
from serving.openai.phrases import expected


class Format(StrEnum):
    """Forms of an answer."""

    JSON = "json"
    TEXT = "text"
    SRT = "srt"
    VERBOSE_JSON = "verbose_json"
    VTT = "vtt"


GRANULARITIES = ("word", "segment")
STREAMED = (Format.JSON, Format.TEXT)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One request, checked. ``ignored`` names what was sent and has no effect on the answer."""

    format: Format
    words: bool  # times of words and of segments: verbose_json only
    segments: bool
    logprobs: bool
    stream: bool
    retain: bool
    hearing: Hearing
    ignored: tuple[str, ...]


def wanted(form: Form, info: BundleInfo, names: Collection[str]) -> Wanted:
    """Read all of a form, for a model that answers to ``names``.

    Raises InvalidParameterError, and NotFoundError for another model.
    """
    _check_model(form.text("model"), names)
    _check_language(form, info.language)
    shape = Format(form.choice("response_format", tuple(Format), Format.JSON))
    granularities = form.choices("timestamp_granularities", GRANULARITIES)
    include = form.choices("include", ("logprobs",))
    stream = form.flag("stream")
    if granularities and shape is not Format.VERBOSE_JSON:
        raise _only("timestamp_granularities", Format.VERBOSE_JSON, shape)
    if include and shape is not Format.JSON:
        raise _only("include", Format.JSON, shape)
    if stream and shape not in STREAMED:
        raise _only("stream", Format.JSON, shape)
    ignored = []
    if form.number("temperature", 0.0, 1.0):
        ignored.append("temperature")  # our search has no dice
    prompt = expected(form.text("prompt"), form.texts("keywords"))
    if prompt.dropped:
        ignored.append("prompt")
    vad, cut = chunking(form, info.frontend.vad_options)
    retain = form.flag("retain")
    return Wanted(
        format=shape,
        words="word" in granularities,
        segments="segment" in granularities or not granularities,
        logprobs=bool(include),
        stream=stream,
        retain=retain,
        hearing=Hearing(hotwords=prompt.hotwords, vad=vad),
        ignored=(*ignored, *cut, *form.unread()),
    )


def no_such_model(name: str) -> NotFoundError:
    """The error for a model that is not here, whatever its name looks like: names are compared, never opened."""
    return NotFoundError(
        f"The model {quoted(name)} does not exist here; GET /v1/models lists those that do",
        param="model",
        code="model_not_found",
    )


def _check_model(name: str | None, names: Collection[str]) -> None:
    if name is None:
        raise InvalidParameterError(
            f"model is missing; {' or '.join(sorted(names))} would do",
            param="model",
            code="missing_required_parameter",
        )
    if name not in names:
        raise no_such_model(name)


def _check_language(form: Form, language: str) -> None:
    given, several = form.text("language"), form.texts("languages")
    if given is not None and not languages.same(given, language):
        raise InvalidParameterError(
            f"language is {quoted(given)}; this model hears {language!r}", param="language"
        )
    if several and not any(languages.same(one, language) for one in several):
        raise InvalidParameterError(
            f"languages are {quoted(several)}; this model hears {language!r}", param="languages"
        )


def _only(param: str, needed: Format, given: Format) -> InvalidParameterError:
    return InvalidParameterError(
        f"response_format is {given.value!r}; {param} needs {needed.value!r}", param=param
    )
