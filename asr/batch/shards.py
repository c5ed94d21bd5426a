"""Shards: runs of clips whose rows lie in one file, with a record of what they were made from.

    shards/00012.jsonl   rows, in the order of the clips
    shards/00012.json    settings (digest), SHA-256 of the rows, and each clip's name, size, time of change, error

A shard counts as done when its record fits its rows. The record is written last: what a kill leaves behind fits not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from asr.batch import atomic
from asr.batch.inputs import Input

FOLDER = "shards"
CLIPS = 500  # short clips a shard, a few seconds' work
# And no more than this in files, which is an hour or two of sound: what an interrupted job loses.
BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Line:
    """One clip's row: the text with its line end, seconds of audio, and the type of error that it met, if any."""

    row: bytes
    duration_s: float = 0.0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Totals:
    """What rows add up to: clips, those of them that could not be heard, and seconds of audio."""

    clips: int = 0
    failed: int = 0
    audio_s: float = 0.0

    def plus(self, errors: Sequence[str | None], durations_s: Sequence[float]) -> Totals:
        """With so many more."""
        failed = sum(error is not None for error in errors)
        return Totals(self.clips + len(errors), self.failed + failed, self.audio_s + sum(durations_s))


@dataclass(frozen=True, slots=True)
class Record:
    """What a shard on disk was made from. ``errors`` has None for each clip that could be read."""

    settings: str
    sha256: str
    inputs: tuple[Input, ...]
    durations_s: tuple[float, ...]
    errors: tuple[str | None, ...]


def cut(inputs: Sequence[Input], clips: int = CLIPS) -> Iterator[tuple[Input, ...]]:
    """Runs of at most ``clips`` clips and, but for a single one, at most ``BYTES`` of files."""
    run: list[Input] = []
    size = 0
    for clip in inputs:
        if run and (len(run) == clips or size + (clip.size or 0) > BYTES):
            yield tuple(run)
            run, size = [], 0
        run.append(clip)
        size += clip.size or 0
    if run:
        yield tuple(run)


def stem(number: int) -> str:
    """The name of a shard's files."""
    return f"{number:05d}"


def write(folder: Path, name: str, settings: str, inputs: Sequence[Input], lines: Sequence[Line]) -> None:
    """Put a shard on the disk."""
    rows = b"".join(line.row for line in lines)
    record = {
        "settings": settings,
        "sha256": hashlib.sha256(rows).hexdigest(),
        "clips": [
            [clip.audio, clip.size, clip.mtime_ns, clip.sha256, line.duration_s, line.error]
            for clip, line in zip(inputs, lines, strict=True)
        ],
    }
    atomic.write(folder / f"{name}.jsonl", rows)
    atomic.write(folder / f"{name}.json", (json.dumps(record) + "\n").encode())


def read(folder: Path, name: str) -> Record | None:
    """The record of a shard, or None where there is none that fits the rows beside it."""
    try:
        values = json.loads((folder / f"{name}.json").read_bytes())
        rows = (folder / f"{name}.jsonl").read_bytes()
        clips = values["clips"]
        record = Record(
            values["settings"],
            values["sha256"],
            tuple(Input(*clip[:4]) for clip in clips),
            tuple(clip[4] for clip in clips),
            tuple(clip[5] for clip in clips),
        )
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return None
    whole = hashlib.sha256(rows).hexdigest() == record.sha256 and rows.count(b"\n") == len(clips)
    return record if whole else None


def remove(folder: Path, name: str) -> None:
    """Delete a shard, or what there is of it."""
    for suffix in (".json", ".jsonl"):
        (folder / f"{name}{suffix}").unlink(missing_ok=True)


def move(folder: Path, name: str, to: Path, new_name: str) -> None:
    """Put a shard elsewhere. A kill between its two files costs it its record, and it counts as none."""
    for suffix in (".jsonl", ".json"):
        (folder / f"{name}{suffix}").replace(to / f"{new_name}{suffix}")


def rows(folder: Path, name: str) -> list[bytes]:
    """The rows of a shard, each with its line end."""
    return (folder / f"{name}.jsonl").read_bytes().splitlines(keepends=True)
