"""One worker process, as the front process sees it: started, asked, started again when it died or hangs, ended."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from serving.errors import WorkerError
from serving.jobs import Job, Ready, Result, WorkerSpec
from serving.worker import main

START_S = 60.0  # loading takes about one second; a cold disk takes longer
HANG_S = 20.0  # more than any clip within the limits takes on a slow machine; per clip of a group


class WorkerProcess:
    """A worker and the thread that waits for it. One call at a time."""

    def __init__(self, spec: WorkerSpec) -> None:
        self._spec = spec
        # Not fork: threads of the front process may hold locks that a child would wait for in vain.
        self._context = multiprocessing.get_context("spawn")
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="worker")
        self._process: BaseProcess | None = None
        self._connection: Connection | None = None

    @property
    def pid(self) -> int | None:
        """Of the process, for an operator; None while there is none."""
        return None if self._process is None else self._process.pid

    async def start(self) -> Ready:
        """Start and load. Raises what loading raised, or WorkerError."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._start)

    async def call(self, jobs: Sequence[Job]) -> list[Result]:
        """The answers to ``jobs``, in order. WorkerError where it died or hung; the next call has a new one."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._call, list(jobs))

    async def close(self) -> None:
        """Let it end; what it is at is finished first."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._stop)
        self._thread.shutdown(wait=False)

    def _start(self) -> Ready:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=main, args=(theirs, self._spec), daemon=True)
        process.start()
        theirs.close()
        self._process, self._connection = process, ours
        ready = self._receive(START_S)
        if isinstance(ready, Exception):
            self._stop()
            raise ready
        assert isinstance(ready, Ready)
        return ready

    def _call(self, jobs: list[Job]) -> list[Result]:
        if self._connection is None:
            self._start()
        assert self._connection is not None
        try:
            self._connection.send(jobs)
        except OSError as error:
            self._stop()
            raise WorkerError("a worker process ended between two requests; another was started") from error
        results = self._receive(HANG_S * len(jobs))
        assert isinstance(results, list)
        return results

    def _receive(self, timeout_s: float) -> object:
        assert self._connection is not None
        try:
            if self._connection.poll(timeout_s):
                received: object = self._connection.recv()
                return received
            reason = f"gave no answer within {timeout_s:g} s"
        except (EOFError, OSError):
            reason = "ended while it was at work"
        self._stop()
        raise WorkerError(f"a worker process {reason}; another will be started")

    def _stop(self) -> None:
        if self._connection is not None:
            self._connection.close()  # the worker reads the end of the pipe, and returns
        if self._process is not None:
            self._process.join(1.0)
            if self._process.is_alive():
                self._process.kill()
                self._process.join()
        self._process = self._connection = None
