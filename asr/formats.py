"""Output formats: one outcome (transcript or failure) in, the text of a file out.

``srt``, ``vtt`` and ``tsv`` as whisper writes them: times of cues, in ``tsv`` as whole milliseconds.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from asr.cues import cues
from asr.transcript import SAMPLES_PER_MS, Transcript

MS_PER_HOUR, MS_PER_MINUTE, MS_PER_S = 3_600_000, 60_000, 1_000


def txt(transcript: Transcript) -> str:
    """The text on a line of its own; an empty line where there is none."""
    return f"{transcript.text}\n"


def row(audio: str, outcome: Transcript | Exception) -> dict[str, Any]:
    """The public JSON row of a clip, or that of the error that it met."""
    if isinstance(outcome, Transcript):
        return {"audio": audio, **outcome.as_dict()}
    return {"audio": audio, "error": {"type": type(outcome).__name__, "message": str(outcome)}}


def json_text(row: dict[str, Any] | list[dict[str, Any]]) -> str:
    """A row, or a list of them, for people: indented."""
    return json.dumps(row, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def jsonl(row: dict[str, Any]) -> str:
    """A row for programs: one line."""
    return json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n"


def srt(transcript: Transcript, *, per_word: bool = False) -> str:
    """SubRip: numbered cues, comma before the milliseconds."""
    blocks = (
        f"{number}\n{_clock(cue.span.start, ',')} --> {_clock(cue.span.end, ',')}\n{cue.text}\n"
        for number, cue in enumerate(cues(transcript, per_word=per_word), 1)
    )
    return "\n".join(blocks)


def vtt(transcript: Transcript, *, per_word: bool = False) -> str:
    """WebVTT: header, then cues with a point before the milliseconds."""
    blocks = (
        f"{_clock(cue.span.start, '.')} --> {_clock(cue.span.end, '.')}\n{cue.text}\n"
        for cue in cues(transcript, per_word=per_word)
    )
    return "\n".join(["WEBVTT\n", *blocks])


def tsv(transcript: Transcript, *, per_word: bool = False) -> str:
    """Tab-separated ``start``, ``end`` (ms) and ``text`` under a header line."""
    lines = (
        f"{_ms(cue.span.start)}\t{_ms(cue.span.end)}\t{cue.text}\n"
        for cue in cues(transcript, per_word=per_word)
    )
    return "".join(["start\tend\ttext\n", *lines])


CueWriter = Callable[..., str]
CUE_WRITERS: dict[str, CueWriter] = {"srt": srt, "vtt": vtt, "tsv": tsv}
FORMATS = ("txt", "json", "jsonl", *CUE_WRITERS)
ALL = ("txt", "json", *CUE_WRITERS)  # whisper's five; jsonl would say the same as json


def render(audio: str, outcome: Transcript | Exception, format: str, *, per_word: bool = False) -> str | None:
    """The file of one clip in a format; None for a failure, which only the JSON forms can tell."""
    if format == "json":
        return json_text(row(audio, outcome))
    if format == "jsonl":
        return jsonl(row(audio, outcome))
    if not isinstance(outcome, Transcript):
        return None
    if format == "txt":
        return txt(outcome)
    return CUE_WRITERS[format](outcome, per_word=per_word)


def _ms(samples: int) -> int:
    return round(samples / SAMPLES_PER_MS)


def _clock(samples: int, point: str) -> str:
    """``HH:MM:SS.mmm`` with the given decimal point."""
    hours, rest = divmod(_ms(samples), MS_PER_HOUR)
    minutes, rest = divmod(rest, MS_PER_MINUTE)
    whole, ms = divmod(rest, MS_PER_S)
    return f"{hours:02d}:{minutes:02d}:{whole:02d}{point}{ms:03d}"
