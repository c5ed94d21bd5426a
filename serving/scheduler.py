"""Who is heard when: a bounded queue before the workers, which refuses early what it could not answer in time.

A queue that grows is a service that answers nobody: every job is admitted only if the predicted wait and its own
cost fit the latency budget, else `OverloadedError` says when to come back.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from serving.cost import CostModel, Grouping
from serving.errors import OverloadedError, WorkerError
from serving.jobs import Crash, Job, Result, Urgency

USUAL_AUDIO_S = 3.0  # length of a clip, until clips have come
USUAL_STEP = 0.05  # how fast that follows what comes
HOTWORDS_S = 1.5  # what a list of phrases that was not seen before may take: its own decoder is made


class Worker(Protocol):
    """What answers groups of jobs, one group at a time."""

    async def call(self, jobs: Sequence[Job]) -> list[Result]:
        """The answers, in order. Raises WorkerError where there will be none."""


class Gauges(Protocol):
    """Who is told how the queue does: `monitoring.metrics.Metrics`."""

    def queue_wait(self, seconds: float) -> None:
        """A clip has waited so long."""

    def batch(self, audio_s: float) -> None:
        """So much audio went to a worker at once."""

    def overloaded(self, reason: str) -> None:
        """Somebody was refused."""


@dataclass(order=True, slots=True)
class _Waiting:
    urgency: Urgency
    sequence: int
    job: Job = field(compare=False)
    cost_s: float = field(compare=False)
    since: float = field(compare=False)
    answer: asyncio.Future[tuple[Result, float]] = field(compare=False)
    tries: int = field(compare=False, default=0)


class Scheduler:
    """Feeds workers from one queue. Everything happens on the event loop that `start` is called on."""

    def __init__(
        self,
        workers: Sequence[Worker],
        cost: CostModel,
        grouping: Grouping,
        budget_s: float,
        gauges: Gauges | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._gauges = gauges
        self._workers = workers
        self._cost = cost
        self._grouping = grouping
        self._budget_s = budget_s
        self._clock = clock
        self._waiting: list[_Waiting] = []
        self._sequence = itertools.count()
        self._running: dict[int, float] = {}  # worker -> when it is expected to be free
        self._places = 0  # clips that were let in and are not answered
        self._usual_audio_s = USUAL_AUDIO_S
        self._arrived = asyncio.Condition()
        self._tasks: list[asyncio.Task[None]] = []
        self.closing = False

    @property
    def queued(self) -> int:
        """Jobs that wait for a worker."""
        return len(self._waiting)

    @property
    def busy(self) -> int:
        """Workers at work."""
        return len(self._running)

    def start(self) -> None:
        """Begin to work."""
        self._tasks = [asyncio.create_task(self._serve(at)) for at in range(len(self._workers))]

    def expected_wait_s(self, urgency: Urgency = Urgency.CLIP) -> float:
        """Until a worker would take a job that arrives now."""
        if self.busy < len(self._workers) and not self._waiting:
            return 0.0
        now = self._clock()
        ahead = sum(waiting.cost_s for waiting in self._waiting if waiting.urgency <= urgency)
        ahead += sum(max(0.0, free - now) for free in self._running.values())
        return ahead / len(self._workers)

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place for one clip whose bytes are still to come, held until it is answered.

        Reading and decoding what will be refused is how a server drowns: so a request is refused before its body is
        read if a clip of the usual length, behind all that have a place, could not be answered within the budget.
        Raises OverloadedError.
        """
        coming = max(0, self._places - self.queued - self.busy)
        usual_s = self._cost(self._usual_audio_s)
        expected_s = self.expected_wait_s() + coming * usual_s / len(self._workers) + usual_s
        if self.closing or (self._places > len(self._workers) and expected_s > self._budget_s):
            raise self._refusal(expected_s, Urgency.CLIP)
        self._places += 1
        try:
            yield
        finally:
            self._places -= 1

    async def submit(self, job: Job, urgency: Urgency = Urgency.CLIP) -> tuple[Result, float]:
        """The answer to ``job`` and the seconds it waited.

        Raises OverloadedError where the budget cannot be met, WorkerError where two workers died of it.
        """
        self._usual_audio_s += USUAL_STEP * (job.audio_s - self._usual_audio_s)
        cost_s = self._cost(job.audio_s)
        extra_s = HOTWORDS_S if job.hearing.hotwords is not None else 0.0
        expected_s = self.expected_wait_s(urgency) + cost_s
        # A long clip may take longer than the budget by itself; what is bounded is what others add. A final is late
        # rather than lost: its stream was admitted when it began, and there are `Settings.max_streams` at most.
        admitted = urgency is Urgency.FINAL or expected_s <= max(self._budget_s, 2.0 * cost_s) + extra_s
        if self.closing or not admitted:
            raise self._refusal(expected_s, urgency)
        if urgency is Urgency.DRAFT and self.busy == len(self._workers):
            raise self._refusal(expected_s, urgency)
        answer: asyncio.Future[tuple[Result, float]] = asyncio.get_running_loop().create_future()
        waiting = _Waiting(urgency, next(self._sequence), job, cost_s, self._clock(), answer)
        await self._put(waiting)
        return await answer

    async def close(self, timeout_s: float) -> None:
        """Refuse what comes, finish what was accepted, within ``timeout_s`` seconds."""
        self.closing = True
        ends = self._clock() + timeout_s
        while (self._waiting or self._running) and self._clock() < ends:
            await asyncio.sleep(0.02)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for waiting in self._waiting:
            waiting.answer.cancel()

    async def _put(self, waiting: _Waiting) -> None:
        async with self._arrived:
            heapq.heappush(self._waiting, waiting)
            self._arrived.notify()

    async def _serve(self, at: int) -> None:
        while True:
            async with self._arrived:
                await self._arrived.wait_for(lambda: bool(self._waiting))
                group = self._take()
                if group:
                    self._running[at] = self._clock() + sum(waiting.cost_s for waiting in group)
            if group:
                try:
                    await self._answer(self._workers[at], group)
                finally:
                    del self._running[at]

    def _take(self) -> list[_Waiting]:
        """The most urgent job, and those behind it that may share its call. Nobody waits for what was given up."""
        group: list[_Waiting] = []
        rest: list[_Waiting] = []
        while self._waiting:
            waiting = heapq.heappop(self._waiting)
            if waiting.answer.done():
                continue
            lengths = [member.job.audio_s for member in group]
            if not group or self._grouping.admits(lengths, waiting.job.audio_s, self._cost, self._budget_s):
                group.append(waiting)
            else:
                rest.append(waiting)
                if len(rest) >= 2 * self._grouping.largest or self._grouping.saving == 0.0:
                    break
        for waiting in rest:
            heapq.heappush(self._waiting, waiting)
        return group

    async def _answer(self, worker: Worker, group: list[_Waiting]) -> None:
        started = self._clock()
        if self._gauges is not None:
            self._gauges.batch(sum(waiting.job.audio_s for waiting in group))
            for waiting in group:
                self._gauges.queue_wait(started - waiting.since)
        try:
            results = await worker.call([waiting.job for waiting in group])
        except WorkerError as error:
            for waiting in group:
                waiting.tries += 1
                if waiting.tries > 1:
                    _fail(waiting, error)
                else:  # it may have been the fault of its company
                    await self._put(waiting)
            return
        if len(group) == 1 and group[0].job.hearing.hotwords is None:
            self._cost.observe(group[0].job.audio_s, self._clock() - started)
        for waiting, result in zip(group, results, strict=True):
            if isinstance(result, Crash):
                where = " < ".join(reversed(result.where[-3:]))
                _fail(waiting, WorkerError(f"{result.kind} at {where}"))
            elif isinstance(result, Exception):
                _fail(waiting, result)
            elif not waiting.answer.done():
                waiting.answer.set_result((result, started - waiting.since))

    def _refusal(self, expected_s: float, urgency: Urgency) -> OverloadedError:
        if self._gauges is not None and urgency is not Urgency.DRAFT:  # nobody misses a draft
            self._gauges.overloaded("shutdown" if self.closing else "budget")
        if self.closing:
            return OverloadedError("the server is shutting down", 1.0)
        return OverloadedError(
            f"an answer would take {expected_s:.2f} s, the budget is {self._budget_s:.2f} s; try again later",
            max(1.0, expected_s - self._budget_s),
        )


def _fail(waiting: _Waiting, error: Exception) -> None:
    if not waiting.answer.done():
        waiting.answer.set_exception(error)
