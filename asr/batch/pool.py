"""Worker processes: clips are handed out as fast as rows come back, and what a dying worker had is given to others.

A clip whose worker died is tried once more, alone; then its row says so.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Self

from asr.batch.shards import Line
from asr.batch.worker import Ready, WorkerSpec, main
from asr.errors import WorkerError
from asr.formats import jsonl, row

DYING_S = 5.0  # from the end of a dead process's pipe to its exit code, at most
STILLBORN = 3  # processes in a row that die before they have loaded: then it is not by chance
AHEAD = 2  # clips given to a worker: the one that it hears, and one so that it never waits


@dataclass(frozen=True, slots=True)
class Task:
    """One clip, and where its row belongs: the number of a shard and the place in it. ``size`` is None for a file
    that was not there when the job was planned."""

    audio: str
    shard: int
    place: int
    size: int | None = None


class _Worker:
    """One process, and what it was given, the oldest first."""

    def __init__(self, spec: WorkerSpec) -> None:
        # Not fork: the runtime's threads may hold locks that a child would wait for in vain.
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=main, args=(theirs, spec), daemon=True)
        # Ctrl+C reaches the whole group of processes: a child must not see it before it can ignore it.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        theirs.close()
        self.given: deque[Task] = deque()
        self.ready = self.alone = False

    def give(self, task: Task) -> None:
        """Send a clip. That it died is found out when its answer is read."""
        self.given.append(task)
        with suppress(OSError):
            self.connection.send(task.audio)

    def end(self, grace_s: float = 0.0) -> int:
        """Kill it where it does not end by itself; its exit code, or less than 0 for the signal that it died of."""
        self.connection.close()
        self.process.join(grace_s)
        self.process.kill()
        self.process.join()
        code = self.process.exitcode
        self.process.close()
        return code or 0


class Pool:
    """So many workers, from ``with`` to its end. ``say`` is told what they warn of."""

    def __init__(self, spec: WorkerSpec, workers: int, say: Callable[[str], None]) -> None:
        self._spec, self._say = spec, say
        self._count = workers
        self._workers: list[_Worker] = []
        self._returned: deque[Task] = deque()  # of dead workers, never begun
        self._suspects: deque[Task] = deque()  # at which a worker died
        self._tried: set[Task] = set()
        self._warned = False
        self._stillborn = 0

    def __enter__(self) -> Self:
        for _ in range(self._count):
            self._workers.append(_Worker(self._spec))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.end()

    def run(self, tasks: Iterator[Task]) -> Iterator[tuple[Task, Line]]:
        """The row of every task, as they come.

        Raises what kept a worker from loading, and WorkerError where several die before they have loaded.
        """
        while True:
            self._hand_out(tasks)
            if not any(worker.given for worker in self._workers):
                return
            for connection in wait([worker.connection for worker in self._workers]):
                worker = next(each for each in self._workers if each.connection is connection)
                assert isinstance(connection, Connection)
                try:
                    received = connection.recv()
                except (EOFError, OSError):
                    yield from self._lost(worker)
                    continue
                if isinstance(received, Line):
                    worker.alone = False
                    yield worker.given.popleft(), received
                else:
                    self._greet(worker, received)

    def _hand_out(self, tasks: Iterator[Task]) -> None:
        for worker in self._workers:
            if self._suspects and not worker.given:
                worker.alone = True
                worker.give(self._suspects.popleft())
            while not self._suspects and not worker.alone and len(worker.given) < AHEAD:
                task = self._returned.popleft() if self._returned else next(tasks, None)
                if task is None:
                    break
                worker.give(task)

    def _greet(self, worker: _Worker, received: object) -> None:
        if isinstance(received, Exception):
            raise received
        assert isinstance(received, Ready)
        worker.ready, self._stillborn = True, 0
        if not self._warned:  # the others will say the same
            self._warned = True
            for warning in received.warnings:
                self._say(f"warning: {warning}")

    def _lost(self, worker: _Worker) -> Iterator[tuple[Task, Line]]:
        """A worker died: another takes its place, and its clips are returned."""
        code = worker.end(DYING_S)
        died = (
            f"was killed by signal {-code} ({_signal_name(-code)})" if code < 0 else f"ended with code {code}"
        )
        self._stillborn += not worker.ready
        if self._stillborn == STILLBORN:
            raise WorkerError(f"a worker process {died} before it had loaded the model; use fewer --workers?")
        self._workers[self._workers.index(worker)] = _Worker(self._spec)
        if not worker.ready:
            self._returned.extendleft(reversed(worker.given))
            return
        if not worker.given:
            return
        suspect = worker.given.popleft()
        self._returned.extendleft(reversed(worker.given))
        if suspect in self._tried:
            error = WorkerError(f"{suspect.audio}: the process that heard it {died}, twice; leave it out")
            text = jsonl(row(suspect.audio, error)).encode("utf-8", errors="backslashreplace")
            yield suspect, Line(text, error=type(error).__name__)
        else:
            self._tried.add(suspect)
            self._suspects.append(suspect)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"
