"""The same job on a Ray cluster: Ray Data feeds tables of clips to a pool of actors that have loaded the model.

A `Cluster` stands where `asr.batch.pool.Pool` stands on one machine. Actors are not restarted by Ray, which has the
work of a dead one wait for just that one, for ever where its place is gone with its node (ray-project/ray, issues
31794 and 62746). So a round ends when an actor dies, and the next one hears what is still missing with the nodes that
there are. What is lost is about a second's work of each actor. The clips' names travel, their content does not: every
node must see the same files.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Self

from asr.batch import actor
from asr.batch.pool import Task
from asr.batch.shards import Line
from asr.batch.worker import WorkerSpec
from asr.cluster import first_line, join, require
from asr.errors import AsrError, OptionError, WorkerError

TABLE_CLIPS = 32  # short clips, a third of a second's work: what comes back at once, and is lost with a node
TABLE_BYTES = 8 << 20  # of files: ten minutes of sound or more
AHEAD = 2  # tables given to an actor
FRUITLESS = 3  # rounds in a row that bring nothing: then it is not by chance


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

    def __enter__(self) -> Self:
        ray = require("data")
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        ray.data.DataContext.get_current().enable_progress_bars = False  # the command has one
        join(ray, self._address, self._workers)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        require("data").shutdown()

    def run(self, tasks: Iterator[Task]) -> Iterator[tuple[Task, Line]]:
        """The row of every task, as they come. Raises what kept an actor from loading, and WorkerError."""
        missing = dict(enumerate(tasks))
        fruitless = 0
        while missing:
            before = len(missing)
            try:
                for number, line in self._round(missing):
                    yield missing.pop(number), line
            except _lost() as error:
                fruitless = fruitless + 1 if len(missing) == before else 0
                if fruitless == FRUITLESS:
                    raise WorkerError(
                        f"{FRUITLESS} times in a row a node was lost before it had heard a clip: {first_line(error)}"
                    ) from error
                self._say(f"a node or its process was lost: {len(missing):,} clips are left to the others")
            except (AsrError, OSError):
                raise
            except Exception as error:  # a fault of ours on a node, or of Ray
                raise WorkerError(f"Ray could not go on: {_gist(error)}") from error

    def _round(self, missing: dict[int, Task]) -> Iterator[tuple[int, Line]]:
        """Hear clips until all are heard or an actor dies."""
        from ray.data import ActorPoolStrategy, from_arrow

        device = "GPU" if self._spec.pipeline.device != "cpu" else "CPU"
        threads = 1 if device == "GPU" else max(1, self._spec.pipeline.threads)
        tables = [actor.clips_table(clips) for clips in cut(missing.items())]
        actors = min(self._workers, len(tables), _places(device, threads))
        with warnings.catch_warnings():
            # Of the last two, which are to have another name from Ray 2.64 on (pyproject.toml has it below that).
            warnings.filterwarnings("ignore", "`ray_remote_args` is deprecated")
            heard = from_arrow(tables).map_batches(
                actor.Hearing,
                fn_constructor_args=(self._spec, self._installed, self._installed()),
                batch_size=None,
                batch_format="pyarrow",
                compute=ActorPoolStrategy(size=actors, max_tasks_in_flight_per_actor=AHEAD),
                num_cpus=threads if device == "CPU" else 1,
                num_gpus=1 if device == "GPU" else 0,
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


def cut(numbered: Iterable[tuple[int, Task]]) -> Iterator[list[tuple[int, Task]]]:
    """Clips in runs of at most ``TABLE_CLIPS``, and of ``TABLE_BYTES`` unless one alone has more."""
    run: list[tuple[int, Task]] = []
    size = 0
    for number, task in numbered:
        if run and (len(run) == TABLE_CLIPS or size + (task.size or 0) > TABLE_BYTES):
            yield run
            run, size = [], 0
        run.append((number, task))
        size += task.size or 0
    if run:
        yield run


def _places(device: str, each: int) -> int:
    """How many actors the cluster has room for."""
    total = int(require("data").cluster_resources().get(device, 0)) // each
    if total < 1:
        raise OptionError(f"the Ray cluster has no {device} for an actor that needs {each}")
    return total


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
