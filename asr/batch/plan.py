"""What is to do: the clips of a job compared with the rows that are on the disk already.

Clips and an output folder in, a `Plan` out. Shards that no longer fit (clips came, went or changed) are put aside in
``previous/``, from where the rows of clips that are as they were move to the new shards; nothing is heard twice.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from asr.batch import shards
from asr.batch.atomic import TEMPORARY
from asr.batch.inputs import Input
from asr.batch.shards import Line, Record, Totals
from asr.errors import AudioError

PREVIOUS = "previous"
Kept = tuple[Path, str, int, float, str | None]  # folder, shard and line of a row; seconds; error
# What the content of a file is to blame for will not go away; a full memory or an absent disk may have.
LASTING_ERRORS = frozenset({AudioError.__name__, *(kind.__name__ for kind in AudioError.__subclasses__())})


@dataclass(frozen=True, slots=True)
class Shard:
    """A number and the clips of the rows to write."""

    number: int
    inputs: tuple[Input, ...]


@dataclass(frozen=True, slots=True)
class Counts:
    """Of clips: heard before and unchanged; changed since; new; to be tried again; no longer there."""

    clips: int
    done: int
    changed: int = 0
    again: int = 0
    new: int = 0
    gone: int = 0

    @property
    def known(self) -> int:
        """Clips that the output had rows of, and still should."""
        return self.done + self.changed + self.again

    def __str__(self) -> str:
        parts = [f"{self.done:,} done before", f"{self.changed:,} changed", f"{self.new:,} new"]
        parts += [f"{self.again:,} to be tried again"] if self.again else []
        parts += [f"{self.gone:,} no longer there"] if self.gone else []
        return f"{self.clips:,} clips: {', '.join(parts)}"


@dataclass(frozen=True, slots=True)
class Plan:
    """The number of shards, what those add up to that are done, those to do, and where the rows are that these may
    take over: ``kept[audio]``."""

    count: int
    done: Totals
    todo: tuple[Shard, ...]
    counts: Counts
    kept: dict[str, Kept] = field(default_factory=dict)

    def earlier(self, audio: str) -> Line | None:
        """The row of a clip that was heard before."""
        if audio not in self.kept:
            return None
        folder, name, at, duration_s, error = self.kept[audio]
        return Line(_rows(folder, name)[at], duration_s, error)


def make(output: Path, inputs: Sequence[Input], settings: str, clips: int = shards.CLIPS) -> Plan:
    """Compare, and put aside what fits no longer. ``settings`` is the digest that rows must have to be kept."""
    folder, previous = output / shards.FOLDER, output / PREVIOUS
    folder.mkdir(exist_ok=True)
    planned = [Shard(number, run) for number, run in enumerate(shards.cut(inputs, clips))]
    done, todo = Totals(), []
    for shard in planned:
        record = shards.read(folder, shards.stem(shard.number))
        if record is not None and record.settings == settings and _holds(record, shard.inputs):
            done = done.plus(record.errors, record.durations_s)
        else:
            todo.append(shard)
    stale = {shards.stem(shard.number) for shard in todo}
    _put_aside(folder, previous, settings, {shards.stem(shard.number) for shard in planned} - stale)
    pending = {clip.audio: clip for shard in todo for clip in shard.inputs}
    kept, others = _kept(previous, settings, pending)
    before = done.clips + len(kept)
    changed = sum(not retry for audio, retry in others.items() if audio in pending)
    again = sum(retry for audio, retry in others.items() if audio in pending)
    counts = Counts(
        clips=len(inputs),
        done=before,
        changed=changed,
        again=again,
        new=len(inputs) - before - changed - again,
        gone=len(others.keys() - {clip.audio for clip in inputs}) if others else 0,
    )
    return Plan(len(planned), done, tuple(todo), counts, kept)


def finish(output: Path) -> None:
    """All is done: forget what was put aside."""
    shutil.rmtree(output / PREVIOUS, ignore_errors=True)


def _holds(record: Record, inputs: Sequence[Input]) -> bool:
    """Whether a shard's rows are those of these clips, with nothing to try again."""
    return (
        len(record.inputs) == len(inputs)
        and all(
            new.audio == old.audio and new.is_unchanged_since(old)
            for new, old in zip(inputs, record.inputs, strict=True)
        )
        and all(_lasts(error) for error in record.errors)
    )


def _lasts(error: str | None) -> bool:
    return error is None or error in LASTING_ERRORS


def _put_aside(folder: Path, previous: Path, settings: str, keep: set[str]) -> None:
    """Move shards with the right settings, delete the others and what was not finished."""
    for path in folder.glob(f"*{TEMPORARY}"):
        path.unlink()
    for name in sorted({path.stem for path in folder.iterdir()} - keep):
        record = shards.read(folder, name)
        if record is None or record.settings != settings:
            shards.remove(folder, name)
        else:
            previous.mkdir(exist_ok=True)
            shards.move(folder, name, previous, record.sha256[:16])


def _kept(
    previous: Path, settings: str, pending: dict[str, Input]
) -> tuple[dict[str, Kept], dict[str, bool]]:
    """Where the rows of pending clips are; and of the other clips put aside, whether they met an error that may not
    last."""
    kept: dict[str, Kept] = {}
    others: dict[str, bool] = {}
    for name, record in _records(previous):
        if record.settings != settings:
            continue
        facts = zip(record.inputs, record.durations_s, record.errors, strict=True)
        for at, (old, duration_s, error) in enumerate(facts):
            new = pending.get(old.audio)
            unchanged = new is not None and new.is_unchanged_since(old)
            if unchanged and _lasts(error):
                kept[old.audio] = (previous, name, at, duration_s, error)
            else:
                others[old.audio] = unchanged
    return kept, {audio: retry for audio, retry in others.items() if audio not in kept}


def _records(folder: Path) -> Iterator[tuple[str, Record]]:
    names: Iterable[str] = sorted(path.stem for path in folder.glob("*.jsonl"))
    for name in names:
        record = shards.read(folder, name)
        if record is not None:
            yield name, record


@lru_cache(maxsize=4)  # clips come in order, and so do the files of their rows
def _rows(folder: Path, name: str) -> list[bytes]:
    return shards.rows(folder, name)
