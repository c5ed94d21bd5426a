"""Who is heard when: a bounded queue before the workers, which refuses early what it could not answer in time.

A queue that grows is a service that answers nobody: every job is admitted only if the predicted wait and its own
cost fit the latency budget, else `OverloadedError` says when to come back.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from asr.hotwords import Hotwords
from asr.reader import CACHED_LISTS
from serving.cost import CostModel, Grouping
from serving.errors import OverloadedError, WorkerError
from serving.jobs import Crash, Heard, Job, Result, Urgency
from serving.process import Done

USUAL_AUDIO_S = 3.0  # length of a clip, until clips have come
USUAL_STEP = 0.05  # how fast that follows what comes
HOTWORDS_S = 1.5  # what a list of phrases that was not seen before may take: its own decoder is made


class Worker(Protocol):
    """What answers groups of jobs, one group at a time."""

    async def call(self, jobs: Sequence[Job]) -> Done:
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
        self._hotwords: OrderedDict[Hotwords, None] = OrderedDict()  # lists that were heard lately
        self._ends: float | None = None
        self.draining = False  # nobody new is let in
        self.closing = False  # nothing at all is

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

    def check(self) -> None:
        """Raise OverloadedError if a clip of the usual length, behind all that have a place, would come too late.

        Reading and decoding what will be refused is how a server drowns: asked before a body is read.
        """
        coming = max(0, self._places - self.queued - self.busy)
        usual_s = self._cost(self._usual_audio_s)
        expected_s = self.expected_wait_s() + coming * usual_s / len(self._workers) + usual_s
        late = self._places > len(self._workers) and expected_s > self._budget_s
        if self.draining or self.closing or late:
            raise self._refusal(expected_s, Urgency.CLIP)

    @contextmanager
    def place(self) -> Iterator[None]:
        """A place for a clip whose bytes are here, held until it is answered. Raises OverloadedError as `check` does.

        Not for one that is still coming in: whoever sends slowly would keep others out.
        """
        self.check()
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
        expected_s = self.expected_wait_s(urgency) + cost_s
        # A long clip may take longer than the budget by itself; what is bounded is what others add. A final is late
        # rather than lost: its stream was admitted when it began, and there are `Settings.max_streams` at most.
        admitted = urgency is Urgency.FINAL or expected_s <= max(self._budget_s, 2.0 * cost_s)
        if self.closing or not admitted:
            raise self._refusal(expected_s, urgency)
        if urgency is Urgency.DRAFT and self.busy == len(self._workers):
            raise self._refusal(expected_s, urgency)
        answer: asyncio.Future[tuple[Result, float]] = asyncio.get_running_loop().create_future()
        # What a new list of phrases costs is its sender's own time, and everybody's behind it.
        cost_s += self._hotwords_s(job)
        waiting = _Waiting(urgency, next(self._sequence), job, cost_s, self._clock(), answer)
        await self._put(waiting)
        try:
            return await answer
        except asyncio.CancelledError:  # nobody waits for it any more: it must not count for others
            self._waiting = [other for other in self._waiting if other is not waiting]
            heapq.heapify(self._waiting)
            raise

    def drain(self, seconds: float) -> None:
        """Let nobody new in; `close` then waits until so many seconds from now."""
        self.draining = True
        self._ends = self._clock() + seconds

    async def close(self, timeout_s: float) -> None:
        """Refuse what comes, finish what was accepted within ``timeout_s``, or as `drain` said; fail the rest."""
        self.closing = True
        ends = self._clock() + timeout_s if self._ends is None else self._ends
        while (self._waiting or self._running) and self._clock() < ends:
            await asyncio.sleep(0.02)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for waiting in self._waiting:
            _fail(waiting, _stopped())

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
            if waiting.tries and not group:  # it, or its company, took a worker down: alone, to see which
                group.append(waiting)
                break
            if not group or (not waiting.tries and self._joins(waiting, group)):
                group.append(waiting)
            else:
                rest.append(waiting)
                if len(rest) >= 2 * self._grouping.largest or self._grouping.saving == 0.0:
                    break
        for waiting in rest:
            heapq.heappush(self._waiting, waiting)
        return group

    def _joins(self, waiting: _Waiting, group: list[_Waiting]) -> bool:
        lengths = [member.job.audio_s for member in group]
        return self._grouping.admits(lengths, waiting.job.audio_s, self._cost, self._budget_s)

    async def _answer(self, worker: Worker, group: list[_Waiting]) -> None:
        started = self._clock()
        if self._gauges is not None:
            self._gauges.batch(sum(waiting.job.audio_s for waiting in group))
            for waiting in group:
                self._gauges.queue_wait(started - waiting.since)
        try:
            done = await worker.call([waiting.job for waiting in group])
            self._learn(group, done)
            for waiting, result in zip(group, done.results, strict=True):
                _resolve(waiting, result, started - waiting.since)
        except asyncio.CancelledError:
            for waiting in group:
                _fail(waiting, _stopped())
            raise
        except Exception as error:  # whatever it is, this task serves others, too
            lost = (
                error
                if isinstance(error, WorkerError)
                else WorkerError(f"a worker failed: {type(error).__name__}")
            )
            for waiting in group:
                waiting.tries += 1
                if waiting.tries > 1 or self.closing:
                    _fail(waiting, lost)
                elif not waiting.answer.done():
                    await self._put(waiting)

    def _learn(self, group: list[_Waiting], done: Done) -> None:
        """What a clip with speech costs, from one that was heard alone; and which phrases the workers know now."""
        if len(group) > 1:
            return
        (job,), (result,) = [waiting.job for waiting in group], done.results
        if job.hearing.hotwords is not None:
            self._hotwords[job.hearing.hotwords] = None
            self._hotwords.move_to_end(job.hearing.hotwords)
            if len(self._hotwords) > CACHED_LISTS:
                self._hotwords.popitem(last=False)
        elif isinstance(result, list) or (isinstance(result, Heard) and result.transcript.words):
            self._cost.observe(job.audio_s, done.took_s)

    def _hotwords_s(self, job: Job) -> float:
        hotwords = job.hearing.hotwords
        return 0.0 if hotwords is None or hotwords in self._hotwords else HOTWORDS_S

    def _refusal(self, expected_s: float, urgency: Urgency) -> OverloadedError:
        if self._gauges is not None and urgency is not Urgency.DRAFT:  # nobody misses a draft
            self._gauges.overloaded("shutdown" if self.closing or self.draining else "budget")
        if self.closing or self.draining:
            return OverloadedError("the server is shutting down", 1.0)
        return OverloadedError(
            f"an answer would take {expected_s:.2f} s, the budget is {self._budget_s:.2f} s; try again later",
            max(1.0, expected_s - self._budget_s),
        )


def _resolve(waiting: _Waiting, result: Result, waited_s: float) -> None:
    if isinstance(result, Crash):
        where = " < ".join(reversed(result.where[-3:]))
        _fail(waiting, WorkerError(f"{result.kind} at {where}"))
    elif isinstance(result, Exception):
        _fail(waiting, result)
    elif not waiting.answer.done():
        waiting.answer.set_result((result, waited_s))


def _stopped() -> WorkerError:
    return WorkerError("the server is shutting down")


def _fail(waiting: _Waiting, error: Exception) -> None:
    if not waiting.answer.done():
        waiting.answer.set_exception(error)
