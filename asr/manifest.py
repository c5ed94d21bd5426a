"""Manifests: JSON lines that say what was spoken in which file.

``{"audio": path relative to the manifest, "text", "speaker"?, "duration"?, ...}``: further keys are slices.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asr.errors import OptionError


@dataclass(frozen=True, slots=True)
class Reference:
    """One row: the audio as the manifest names it, where it lies, what was said, and the other keys."""

    audio: str
    path: Path
    text: str
    values: dict[str, Any] = field(default_factory=dict)


def read_manifest(path: Path, limit: int | None = None, *, spoken: bool = True) -> list[Reference]:
    """The first ``limit`` rows of a manifest (default all); blank lines are skipped.

    Manifests of noise, or of speech nobody has transcribed, are read with ``spoken=False``: text is then "".
    Raises OptionError naming the line that is not such a row, OSError if there is no such file.
    """
    if limit is not None and limit < 1:
        raise OptionError(f"limit is {limit}; at least 1 row is needed")
    references: list[Reference] = []
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if len(references) == limit:
                break
            if line.strip():
                references.append(_reference(line, path, number, spoken))
    if not references:
        raise OptionError(f"{path} has no rows; expected JSON lines with audio and text")
    return references


def _reference(line: str, path: Path, number: int, spoken: bool) -> Reference:
    try:
        values = json.loads(line)
        audio = values.pop("audio")
        text = values.pop("text") if spoken else values.pop("text", "")
    except (ValueError, AttributeError, TypeError, KeyError) as error:
        raise OptionError(
            f"{path}, line {number}: expected a JSON object with audio and text, got {line[:60].strip()!r}"
        ) from error
    if not isinstance(audio, str) or not isinstance(text, str):
        raise OptionError(f"{path}, line {number}: audio and text must be strings")
    return Reference(audio, path.parent / audio, text, values)
