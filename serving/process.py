"""One worker process, as the front process sees it: started, asked, started again when it died or hangs, ended."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from threading import Timer

from asr.errors import AsrError
from serving.errors import WorkerError
from serving.jobs import Job, Ready, Result, WorkerSpec
from serving.worker import main

START_S = 60.0  # loading takes about one second; a cold disk takes longer
HANG_S = 20.0  # more than any clip within the limits takes on a slow machine; per clip of a group


@dataclass(frozen=True, slots=True)
class Done:
    """The answers to a group, in order, and how long the worker took; a restart before it is not counted."""

    results: list[Result]
    took_s: float


class WorkerProcess:
    """A worker and the thread that waits for it. One call at a time."""

    def __init__(self, spec: WorkerSpec) -> None:
        self._spec = spec
        # Not fork: threads of the front process may hold locks that a child would wait for in vain.
        self._context = multiprocessing.get_context("spawn")
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="worker")
        self._process: BaseProcess | None = None
        self._connection: Connection | None = None
        self._closing = False

    @property
    def pid(self) -> int | None:
        """Of the process, for an operator; None while there is none."""
        return None if self._process is None else self._process.pid

    async def start(self) -> Ready:
        """Start and load. Raises what loading raised, or WorkerError."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._start)

    async def call(self, jobs: Sequence[Job]) -> Done:
        """The answers to ``jobs``. WorkerError where it died, hung or could not start; the next call tries anew."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._call, list(jobs))

    async def close(self) -> None:
        """End it at once; who wants its last answer waits for that before."""
        self._closing = True
        if self._process is not None:
            self._process.kill()  # wakes the thread, if that waits for an answer
        await asyncio.get_running_loop().run_in_executor(self._thread, self._stop)
        self._thread.shutdown(wait=False)

    def _start(self) -> Ready:
        if self._closing:
            raise WorkerError("the server is shutting down")
        ours, theirs = self._context.Pipe()
        self._connection = ours
        self._process = self._context.Process(target=main, args=(theirs, self._spec), daemon=True)
        try:
            self._process.start()
            theirs.close()
            ready = self._received(START_S)
            if isinstance(ready, Exception):
                raise ready
        except BaseException:
            self._stop()
            raise
        assert isinstance(ready, Ready)
        return ready

    def _call(self, jobs: list[Job]) -> Done:
        if self._connection is None:
            try:
                self._start()
            except (
                AsrError,
                OSError,
            ) as error:  # the model was taken away, or the system has no more processes
                raise WorkerError(
                    f"a worker process could not be started again: {type(error).__name__}"
                ) from error
        started = time.perf_counter()
        results = self._received(HANG_S * len(jobs), jobs)
        assert isinstance(results, list)
        return Done(results, time.perf_counter() - started)

    def _received(self, timeout_s: float, send: list[Job] | None = None) -> object:
        """What it says, after it was sent something. It is killed when its time is over: sending and receiving wait
        for a process that is stopped or swapped out without an end, and a dead one wakes both."""
        assert self._connection is not None
        assert self._process is not None
        watchdog = Timer(timeout_s, self._process.kill)
        watchdog.daemon = True
        watchdog.start()
        try:
            if send is not None:
                self._connection.send(send)
            received: object = self._connection.recv()
        except BaseException as error:  # also half a message: the next one would be taken for its end
            self._stop()
            raise WorkerError(f"a worker process died, or was silent for {timeout_s:g} s") from error
        finally:
            watchdog.cancel()
        return received

    def _stop(self) -> None:
        if self._connection is not None:
            self._connection.close()  # the worker reads the end of the pipe, and returns
        if self._process is not None and self._process.pid is not None:
            self._process.join(1.0)
            if self._process.is_alive():
                self._process.kill()
                self._process.join()
        self._process = self._connection = None
