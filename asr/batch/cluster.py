"""The same job on a Ray cluster: Ray Data feeds tables of clips to a pool of actors that have loaded the model.

A `Cluster` stands where `asr.batch.pool.Pool` stands on one machine. Actors are not restarted by Ray, which has the
work of a dead one wait for just that one, for ever where its place is gone with its node (ray-project/ray, issues
31794 and 62746). So a round ends when an actor dies, and the next one hears what is still missing with the nodes that
there are (`asr.batch.rounds`). What is lost is about a second's work of each actor. The clips' names travel, their
content does not: every node must see the same files.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Self

from asr.batch import actor
from asr.batch.pool import Task
from asr.batch.rounds import LostError, heard
from asr.batch.shards import Line
from asr.batch.worker import WorkerSpec
from asr.cluster import first_line, join, require
from asr.errors import AsrError, OptionError, WorkerError

TABLE_CLIPS = 32  # short clips, a third of a second's work: what comes back at once, and is lost with a node
TABLE_BYTES = 8 << 20  # of files: ten minutes of sound or more
AHEAD = 2  # tables given to an actor
AT_ONCE = 10_000  # clips of each actor that are sent for: two minutes' work, beside which a start is little


class Cluster:
    """Ray, from ``with`` to its end: the one at ``address``, or one of this process's own. ``say`` is told warnings.

    ``installed`` tells the version of voicesearch here, and on each node; they must be the same.
    """

    def __init__(
        self,
        spec: WorkerSpec,
        workers: int,
        say: Callable[[str], None],
        *,
        installed: Callable[[], str],
        address: str | None = None,
    ) -> None:
        self._spec, self._workers, self._say = spec, workers, say
        self._installed, self._address = installed, address
        self._said: set[str] = set()
        self._gpu = spec.pipeline.device != "cpu"
        self._cpus = 1 if self._gpu else max(1, spec.pipeline.threads)  # of an actor

    def __enter__(self) -> Self:
        ray = require("data")
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        ray.data.DataContext.get_current().enable_progress_bars = False  # the command has one
        join(ray, self._address, self._workers * self._cpus)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        require("data").shutdown()

    def run(self, tasks: Iterator[Task]) -> Iterator[tuple[Task, Line]]:
        """The row of every task, as they come. Raises what kept an actor from loading, and WorkerError."""
        try:
            yield from heard(tasks, self._hear, AT_ONCE * min(self._workers, self._places()), self._say)
        except (AsrError, OSError):
            raise
        except Exception as error:  # a fault of ours on a node, or of Ray
            raise WorkerError(f"Ray could not go on: {_gist(error)}") from error

    def _hear(self, missing: Mapping[int, Task], alone: bool) -> Iterator[tuple[int, Line]]:
        """See `asr.batch.rounds.Hear`."""
        try:
            yield from self._round(missing, 1 if alone else TABLE_CLIPS)
        except _lost() as error:
            raise LostError(first_line(error)) from error

    def _round(self, missing: Mapping[int, Task], together: int) -> Iterator[tuple[int, Line]]:
        """Hear clips until all are heard or an actor dies."""
        from ray.data import ActorPoolStrategy, from_arrow

        tables = [actor.clips_table(clips) for clips in cut(missing.items(), together)]
        actors = min(self._workers, len(tables), self._places())
        with warnings.catch_warnings():
            # Of the last two, which are to have another name from Ray 2.64 on (pyproject.toml has it below that).
            warnings.filterwarnings("ignore", "`ray_remote_args` is deprecated")
            heard = from_arrow(tables).map_batches(
                actor.Hearing,
                fn_constructor_args=(self._spec, self._installed, self._installed()),
                batch_size=None,
                batch_format="pyarrow",
                compute=ActorPoolStrategy(size=actors, max_tasks_in_flight_per_actor=AHEAD),
                num_cpus=self._cpus,
                num_gpus=int(self._gpu),
                max_restarts=0,
                max_task_retries=0,
            )
        for table in heard.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
            for number, line in actor.read_lines(table):
                if number is not None:
                    yield number, line
                elif (text := line.row.decode()) not in self._said:  # each actor says the same
                    self._said.add(text)
                    self._say(text)

    def _places(self) -> int:
        """How many actors the cluster has room for. Raises OptionError where it is none."""
        kind, each = ("GPU", 1) if self._gpu else ("CPU", self._cpus)
        total = int(require("data").cluster_resources().get(kind, 0)) // each
        if total < 1:
            raise OptionError(f"the Ray cluster has no {kind} for an actor that needs {each}")
        return total


def cut(numbered: Iterable[tuple[int, Task]], most: int) -> Iterator[list[tuple[int, Task]]]:
    """Clips in runs of at most so many, and of ``TABLE_BYTES`` unless one alone has more."""
    run: list[tuple[int, Task]] = []
    size = 0
    for number, task in numbered:
        if run and (len(run) == most or size + (task.size or 0) > TABLE_BYTES):
            yield run
            run, size = [], 0
        run.append((number, task))
        size += task.size or 0
    if run:
        yield run


def _lost() -> tuple[type[Exception], ...]:
    """What Ray raises when a process or a node has gone."""
    from ray import exceptions

    return (
        exceptions.ActorDiedError,
        exceptions.ActorUnavailableError,
        exceptions.WorkerCrashedError,
        exceptions.NodeDiedError,
        exceptions.ObjectLostError,
        exceptions.OutOfMemoryError,
    )


def _gist(error: Exception) -> str:
    """The line that matters of a message of dozens: the innermost error, if one is named."""
    lines = [line.strip() for line in str(error).splitlines() if "Error: " in line]
    return lines[-1] if lines else f"{type(error).__name__}: {first_line(error)}"
