"""What is made of the shards on request: one JSON-lines file, one Parquet file, files of text and subtitles per clip.

Everything here follows from the rows alone, so a format can be added later without hearing a clip again, and what a
kill has interrupted is made good by the next run.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

from asr.batch import parquet, shards
from asr.batch.atomic import TEMPORARY, replacing
from asr.batch.places import places
from asr.formats import ALL, json_text, render
from asr.transcript import SAMPLE_RATE_HZ, ClipStats, NullReason, Span, Transcript, Word

MERGED = ("jsonl", "parquet")  # one file for all
FORMATS = (*MERGED, *ALL)
NAME = "transcripts"  # of the merged files
FILES = "files"  # folder of those of each clip


def write(output: Path, formats: Collection[str], count: int, *, per_word: bool) -> None:
    """Make the formats of the ``count`` shards in ``output``; nothing else stays in its folder ``files``.

    Raises MissingPackageError for Parquet without pyarrow.
    """
    if "jsonl" in formats:
        with replacing(output / f"{NAME}.jsonl") as stream:
            for shard in _shards(output, count):
                stream.write(shard)
    if "parquet" in formats:
        parquet.write(output / f"{NAME}.parquet", _shards(output, count))
    if own := [name for name in ALL if name in formats]:
        _write_files(output / FILES, own, lambda: _rows(output, count), per_word=per_word)


def _write_files(
    folder: Path, formats: list[str], rows: Callable[[], Iterator[dict[str, Any]]], *, per_word: bool
) -> None:
    place = places([row["audio"] for row in rows()])
    written = set()
    for row in rows():
        for extension in formats:
            text = json_text(row) if extension == "json" else _rendered(row, extension, per_word)
            if text is not None:
                path = folder / f"{place[row['audio']]}.{extension}"
                _replace(path, text.encode("utf-8", errors="backslashreplace"))
                written.add(str(path))
    _remove_others(folder, written)


def _rendered(row: dict[str, Any], extension: str, per_word: bool) -> str | None:
    if "error" in row:
        return None
    return render(row["audio"], transcript(row), extension, per_word=per_word)


def transcript(row: dict[str, Any]) -> Transcript:
    """The transcript of a row: times to the millisecond, as they were written."""
    words = tuple(
        Word(word["word"], Span(_samples(word["start"]), _samples(word["end"])), word["confidence"])
        for word in row["words"]
    )
    reason = None if row["null_reason"] is None else NullReason(row["null_reason"])
    clip = ClipStats(**row["clip"])
    return Transcript(row["text"], words, row["confidence"], reason, clip, row["model"], row["language"])


def _samples(seconds: float) -> int:
    return round(seconds * SAMPLE_RATE_HZ)


def _shards(output: Path, count: int) -> Iterator[bytes]:
    for number in range(count):
        yield (output / shards.FOLDER / f"{shards.stem(number)}.jsonl").read_bytes()


def _rows(output: Path, count: int) -> Iterator[dict[str, Any]]:
    for shard in _shards(output, count):
        for line in shard.splitlines():
            yield json.loads(line)


def _replace(path: Path, content: bytes) -> None:
    """Without waiting for the disk, for there may be a hundred thousand: the next run looks at them again."""
    if path.is_file() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + TEMPORARY)
    temporary.write_bytes(content)
    temporary.replace(path)


def _remove_others(folder: Path, written: set[str]) -> None:
    """Files of clips that are gone, of other names, or never finished; then folders that are empty."""
    for parent, _, names in os.walk(folder, topdown=False):
        for name in names:
            path = Path(parent, name)
            if str(path) not in written and path.suffix.lstrip(".") in (*ALL, TEMPORARY.lstrip(".")):
                path.unlink()
        if Path(parent) != folder and not any(Path(parent).iterdir()):
            Path(parent).rmdir()
