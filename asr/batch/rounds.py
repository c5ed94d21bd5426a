"""Clips in, rows out, whatever dies on the way: what is missing is heard in rounds until nothing is.

Of Ray this knows nothing: ``hear`` sends clips out and gives rows back, and raises `LostError` when somebody died of
them or beside them. A clip that kills whoever hears it must not end a job of ten hours, and neither must a cluster that
cannot hear at all give every clip an error row; so what brings nothing is cut down to one clip at a time, and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice

from asr.batch.pool import Task
from asr.batch.shards import Line
from asr.errors import WorkerError
from asr.formats import jsonl, row

LONE_TRIES = 2  # of one clip, alone: as `Pool` tries one
UNHEARD = 8  # clips in a row that nobody survives alone: then it is not the clips

# Clips by number, and whether each is to travel alone. What comes is a row with the number of its clip.
Hear = Callable[[Mapping[int, Task], bool], Iterator[tuple[int, Line]]]


class LostError(Exception):
    """Somebody who heard clips is gone; the message says who."""


def heard(
    tasks: Iterator[Task], hear: Hear, at_once: int, say: Callable[[str], None]
) -> Iterator[tuple[Task, Line]]:
    """The row of every task, as they come. Of ``tasks`` so many are taken ``at_once``.

    Raises WorkerError where nothing can be heard, and what ``hear`` raises but `LostError`.
    """
    numbered = enumerate(tasks)
    while missing := dict(islice(numbered, at_once)):
        unsurvived: list[tuple[Task, Line]] = []  # alone, since a row last came
        alone = False
        while missing:
            asked, last = list(missing), None
            try:
                for number, line in hear(missing, alone):
                    yield from unsurvived
                    unsurvived.clear()
                    last = number
                    yield missing.pop(number), line
            except LostError as error:
                say(f"a node or its process was lost: {len(missing):,} clips are left to the others")
                if last is not None:
                    missing = _overtaken_last(missing, asked, last)
                elif alone:  # it was one of the first: this one?
                    number = next(iter(missing))
                    task = missing.pop(number)
                    found = _alone(number, task, hear)
                    if found is not None:
                        yield from unsurvived
                        unsurvived.clear()
                        yield task, found
                        continue
                    unsurvived.append((task, _fatal(task, error)))
                    if len(unsurvived) == UNHEARD:
                        raise WorkerError(
                            f"{UNHEARD} clips in a row were not survived by who heard them, {task.audio} the last: "
                            f"{error}"
                        ) from error
                alone = alone or last is None  # to the end of these: who kills is among them
        yield from unsurvived


def _overtaken_last(missing: dict[int, Task], asked: list[int], last: int) -> dict[int, Task]:
    """``missing`` with those behind that were sent out before ``last``, which came: one of them may be the killer.

    In front again it would end every round after the first rows.
    """
    before = [number for number in asked[: asked.index(last)] if number in missing]
    overtaken = set(before)
    return {
        number: missing[number] for number in (*(one for one in missing if one not in overtaken), *before)
    }


def _alone(number: int, task: Task, hear: Hear) -> Line | None:
    """The row of a clip that is sent out with no other; None if nobody lives to give it."""
    for _ in range(LONE_TRIES):
        try:
            for _, line in list(hear({number: task}, True)):  # to its end: it has an actor to let go
                return line
        except LostError:
            continue
    return None


def _fatal(task: Task, lost: LostError) -> Line:
    """The row of a clip that was not survived."""
    error = WorkerError(
        f"{task.audio}: whoever heard it was lost, {LONE_TRIES} times alone; leave it out ({lost})"
    )
    text = jsonl(row(task.audio, error)).encode("utf-8", errors="backslashreplace")
    return Line(text, error=type(error).__name__)
