"""What a job does on a node of a Ray cluster: an actor with one worker process, tables of clips in, of rows out.

Clips are heard as on one machine, by a `Pool` of one: a clip that kills its process costs no actor and gets the row
that it would get there. What kills the actor itself may still be a clip: Ray's memory monitor takes the actor for what
its child holds. `asr.batch.rounds` finds out.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from asr.batch.pool import Pool, Task
from asr.batch.shards import Line
from asr.batch.worker import WorkerSpec
from asr.errors import AsrError, WorkerError
from asr.formats import jsonl, row

ABSENT = FileNotFoundError.__name__
SAID, FAILED = -1, -2  # in place of a clip's number: a warning, and an error that is not a clip's


class Hearing:
    """One actor. Ray makes it on a node, and hands it one table after the other."""

    def __init__(self, spec: WorkerSpec, installed: Callable[[], str], wanted: str) -> None:
        self._node = _address()
        # Told with the first table: of an error of a constructor Ray says that the actor died, of a later one its text.
        self._refusal = self._unfit(spec, installed(), wanted)
        self._said: list[str] = []
        self._pool = Pool(spec, 0 if self._refusal else 1, self._said.append)
        self._pool.__enter__()  # its process ends with this one

    def _unfit(self, spec: WorkerSpec, installed: str, wanted: str) -> WorkerError | None:
        if installed != wanted:
            return WorkerError(
                f"node {self._node} has voicesearch {installed}, and the job was started with {wanted}: install the "
                "same version on every node"
            )
        if not spec.root.is_dir():
            return WorkerError(
                f"node {self._node} has no folder {spec.root}: every node must see the clips under the same path, on "
                "a shared file system"
            )
        return None

    def __call__(self, clips: Any) -> Any:
        """The rows of a table that `clips_table` made, as `lines_table` makes them.

        What `read_lines` raises of it: WorkerError of a node that cannot do the job, and what kept it from loading.
        """
        try:
            return self._heard(clips)
        except (AsrError, OSError) as error:
            return _table([(FAILED, pickle.dumps(error), 0.0, None)])

    def _heard(self, clips: Any) -> Any:
        if self._refusal is not None:
            raise self._refusal
        known = {
            Task(name.decode("utf-8", "surrogateescape"), 0, place): seen
            for place, (name, seen) in _rows(clips)
        }
        found = [
            (task.place, self._explained(task, line, known[task]))
            for task, line in self._pool.run(iter(known))
        ]
        said, self._said[:] = list(self._said), []
        return lines_table([(clips["number"][place].as_py(), line) for place, line in found], said)

    def _explained(self, task: Task, line: Line, seen: bool) -> Line:
        """A file that is missing here alone is not the clip's fault."""
        if line.error != ABSENT or not seen:
            return line
        error = WorkerError(
            f"{task.audio}: not on node {self._node}, though the machine that started the job has it: every node "
            "must see the clips under the same path, on a shared file system"
        )
        text = jsonl(row(task.audio, error)).encode("utf-8", errors="backslashreplace")
        return Line(text, error=type(error).__name__)


def clips_table(clips: Iterable[tuple[int, Task]]) -> Any:
    """Clips with their numbers, for the journey. Names are bytes: not every name of a file is text."""
    import pyarrow

    numbered = list(clips)
    return pyarrow.table(
        {
            "number": pyarrow.array([number for number, _ in numbered], pyarrow.int64()),
            "audio": pyarrow.array(
                [task.audio.encode("utf-8", "surrogateescape") for _, task in numbered], pyarrow.binary()
            ),
            "seen": pyarrow.array([task.size is not None for _, task in numbered], pyarrow.bool_()),
        }
    )


def lines_table(lines: Iterable[tuple[int, Line]], said: Iterable[str]) -> Any:
    """Rows with the numbers of their clips, and what the worker warned of: a row without a number each."""
    numbered = [(number, line.row, line.duration_s, line.error) for number, line in lines]
    return _table(numbered + [(SAID, text.encode(), 0.0, None) for text in said])


def _table(everything: Sequence[tuple[int, bytes, float, str | None]]) -> Any:
    import pyarrow

    kinds = {
        "number": pyarrow.int64(),
        "row": pyarrow.binary(),
        "duration_s": pyarrow.float64(),
        "error": pyarrow.string(),
    }
    return pyarrow.table(
        {
            name: pyarrow.array([values[at] for values in everything], kind)
            for at, (name, kind) in enumerate(kinds.items())
        }
    )


def read_lines(table: Any) -> Iterator[tuple[int | None, Line]]:
    """What an actor has answered; the line of a warning has no number. Raises what kept it from hearing."""
    columns = (table[name].to_pylist() for name in ("number", "row", "duration_s", "error"))
    for number, text, duration_s, error in zip(*columns, strict=True):
        if number == FAILED:
            raise pickle.loads(text)  # Ray has unpickled all that comes from there already
        yield (None if number == SAID else number), Line(text, duration_s, error)


def _rows(clips: Any) -> Iterator[tuple[int, tuple[bytes, bool]]]:
    pairs = zip(clips["audio"].to_pylist(), clips["seen"].to_pylist(), strict=True)
    yield from enumerate(pairs)


def _address() -> str:
    import ray

    address: str = ray.util.get_node_ip_address()
    return address
