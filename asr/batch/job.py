"""The whole job: compare with what is done, hear the rest, write shards as they fill, and make the outputs.

    OUTPUT/job.json      settings, and the outputs that are kept up to date
    OUTPUT/shards/       rows in the order of the clips, each shard with the record of what it was made from
    OUTPUT/transcripts.* and OUTPUT/files/   on request

Which worker heard what, in which order, and how often the job was interrupted, cannot be seen in any of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeAlias

from asr.batch import outputs, parquet, plan, shards
from asr.batch.folder import JobFile, locked
from asr.batch.inputs import Input, Source
from asr.batch.pipeline import Pipeline
from asr.batch.plan import Counts, Plan, Shard
from asr.batch.pool import Pool, Task
from asr.batch.shards import Line, Totals
from asr.batch.worker import WorkerSpec
from asr.errors import OptionError


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Workers(Protocol):
    """Who hears: processes of this machine (`Pool`), or of many (`asr.batch.cluster.Cluster`)."""

    def run(self, tasks: Iterator[Task]) -> Iterator[tuple[Task, Line]]:
        """The row of every task, as they come."""


# What they load, how many there shall be at most, and who is told what they warn of.
Engine: TypeAlias = Callable[[WorkerSpec, int, Callable[[str], None]], AbstractContextManager[Workers]]


@dataclass(frozen=True, slots=True)
class Job:
    """What to hear, how, and where to. ``version`` is voicesearch's own; ``force`` gives up rows of other settings."""

    source: Source
    output: Path
    pipeline: Pipeline
    version: str
    formats: tuple[str, ...] = ()
    per_word: bool = False
    workers: int = field(default_factory=usable_cores)
    shard_clips: int = shards.CLIPS
    force: bool = False
    engine: Engine = Pool

    def __post_init__(self) -> None:
        for name in ("workers", "shard_clips"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name} is {getattr(self, name)}; at least 1 is needed")


class Watcher(Protocol):
    """Who is told how the job goes."""

    def say(self, message: str) -> None:
        """Something that a person should read."""

    def planned(self, counts: Counts, todo_bytes: int) -> None:
        """What there is to do, before the first clip."""

    def heard(self, clip: Input, line: Line) -> None:
        """One clip is done."""


def run(job: Job, watcher: Watcher) -> Totals:
    """Bring the output up to date; all its rows add up to what is returned.

    Raises OptionError for a folder that holds something else, and what loading the model raises.
    """
    pipeline = job.pipeline.resolved()
    settings = pipeline.settings(job.version)
    if "parquet" in job.formats:
        parquet.require()
    with locked(job.output):
        before = JobFile.read(job.output)
        now = JobFile(settings, job.formats, job.per_word).following(before)
        if differences := now.differences(before):
            if not job.force:
                raise OptionError(
                    f"{job.output} holds rows of other settings ({differences}): choose another folder, or --force to "
                    "give them up and do all again"
                )
            watcher.say(f"other settings ({differences}): all is done again")
        now.write(job.output)
        planned = plan.make(job.output, job.source.inputs, now.digest, job.shard_clips)
        if planned.counts.gone and not planned.counts.known and not job.force:
            raise OptionError(
                f"none of the {planned.counts.gone:,} clips of {job.output} is among the {planned.counts.clips:,} of "
                "INPUT: choose another folder, or --force to remove their rows"
            )
        pending = [clip for shard in planned.todo for clip in shard.inputs if clip.audio not in planned.kept]
        watcher.planned(planned.counts, sum(clip.size or 0 for clip in pending))
        spec = WorkerSpec(pipeline, settings["model"], job.source.root)
        tally = _Tally(job.output / shards.FOLDER, now.digest, planned)
        engine = job.engine if pending else Pool  # of nobody
        with engine(spec, min(job.workers, len(pending)), watcher.say) as workers:
            _hear(planned, tally, workers, watcher)
        outputs.write(job.output, now.formats, planned.count, per_word=now.per_word)
        plan.finish(job.output)
        return tally.totals


def _hear(planned: Plan, tally: _Tally, workers: Workers, watcher: Watcher) -> None:
    """Hear what is left, and write each shard as it fills."""
    opened: dict[int, _Open] = {}
    todo = []
    for shard in sorted(planned.todo, key=_longest, reverse=True):
        if all(clip.audio in planned.kept for clip in shard.inputs):  # its rows only move
            tally.close(_Open(shard, planned))
        else:
            todo.append(shard)

    def tasks() -> Iterator[Task]:
        for shard in todo:
            opened[shard.number] = _Open(shard, planned)
            yield from opened[shard.number].tasks()

    for task, line in workers.run(tasks()):
        one = opened[task.shard]
        one.fill(task.place, line)
        watcher.heard(one.inputs[task.place], line)
        if one.missing == 0:
            tally.close(opened.pop(task.shard))


class _Tally:
    """The shards on the disk, and what their rows add up to."""

    def __init__(self, folder: Path, settings: str, planned: Plan) -> None:
        self._folder, self._settings = folder, settings
        self.totals = planned.done

    def close(self, shard: _Open) -> None:
        """Write a shard that is complete."""
        lines = shard.complete()
        shards.write(self._folder, shards.stem(shard.number), self._settings, shard.inputs, lines)
        self.totals = self.totals.plus([line.error for line in lines], [line.duration_s for line in lines])


class _Open:
    """A shard whose rows are not all there."""

    def __init__(self, shard: Shard, planned: Plan) -> None:
        self.number, self.inputs = shard.number, shard.inputs
        self._lines = [planned.earlier(clip.audio) for clip in shard.inputs]
        self.missing = self._lines.count(None)

    def tasks(self) -> Iterator[Task]:
        """What is missing, the largest file first: at the end of a job nobody waits long for the last worker."""
        places = [place for place, line in enumerate(self._lines) if line is None]
        places.sort(key=lambda place: -(self.inputs[place].size or 0))
        for place in places:
            yield Task(self.inputs[place].audio, self.number, place, self.inputs[place].size)

    def fill(self, place: int, line: Line) -> None:
        """Put a row in its place."""
        assert self._lines[place] is None
        self._lines[place] = line
        self.missing -= 1

    def complete(self) -> Sequence[Line]:
        """All rows, in order."""
        lines = [line for line in self._lines if line is not None]
        assert len(lines) == len(self.inputs)
        return lines


def _longest(shard: Shard) -> int:
    return max(clip.size or 0 for clip in shard.inputs)
