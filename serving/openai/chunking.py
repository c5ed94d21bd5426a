"""``chunking_strategy``: when a pause ends an utterance. "auto" and nothing are the model's own rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from asr.vad import VadOptions
from serving.errors import InvalidParameterError
from serving.openai.form import Form, chosen, number, quoted

NAME = "chunking_strategy"
LEAST_THRESHOLD = 0.01  # at 0 everything would be speech
MOST_PADDING_MS = 1_000
SILENCE_MS = (50, 5_000)
MEMBERS = ("type", "threshold", "prefix_padding_ms", "silence_duration_ms")


def chunking(form: Form, own: VadOptions) -> tuple[VadOptions | None, tuple[str, ...]]:
    """Rules for finding speech, None for the model's ``own``; and the members that could not be honoured in full.

    Speech is padded alike before and after, with no more than half of the pause that ends it, so that utterances
    never overlap: a larger ``prefix_padding_ms`` is cut to that. Raises InvalidParameterError.
    """
    given = form.nested(NAME)
    if given is None or given == "auto":
        return None, ()
    if not isinstance(given, Mapping):
        raise InvalidParameterError(
            f'{NAME} is {quoted(given)}; expected "auto" or an object of type server_vad', param=NAME
        )
    chosen(f"{NAME}.type", str(given.get("type")), ("server_vad",))
    threshold = _member(given, "threshold", LEAST_THRESHOLD, 1.0, own.threshold)
    silence_ms = int(_member(given, "silence_duration_ms", *SILENCE_MS, own.min_silence_duration_ms))
    padding_ms = int(_member(given, "prefix_padding_ms", 0, MOST_PADDING_MS, own.speech_pad_ms))
    options = replace(
        own,
        threshold=threshold,
        neg_threshold=own.neg_threshold * threshold / own.threshold,
        min_silence_duration_ms=silence_ms,
        speech_pad_ms=min(padding_ms, silence_ms // 2),
    )
    unknown = [member for member in given if member not in MEMBERS]
    if "prefix_padding_ms" in given and options.speech_pad_ms < padding_ms:
        unknown.append("prefix_padding_ms")
    return options, tuple(f"{NAME}.{member}" for member in unknown)


def _member(given: Mapping[str, object], name: str, least: float, most: float, default: float) -> float:
    value = given.get(name)
    return default if value is None else number(f"{NAME}.{name}", value, least, most)
