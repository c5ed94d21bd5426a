"""The queue before the workers: who goes first, who is refused, and what happens when a worker dies."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import numpy as np
import pytest

from asr.errors import OptionError
from asr.hotwords import Hotwords
from serving.cost import CostModel, Grouping
from serving.errors import OverloadedError, WorkerError
from serving.jobs import ClipJob, Crash, Hearing, Job, Result, Timing, Urgency
from serving.process import Done
from serving.scheduler import Scheduler

ALONE = Grouping(saving=0.0)


def tenth() -> CostModel:
    """A tenth of real time."""
    return CostModel([Timing(1, 1.0, 0.1), Timing(1, 2.0, 0.2)])


class Gate:
    """A worker that answers when it is told to, and remembers the groups it was given."""

    def __init__(self, answer: Callable[[Job], Result] = lambda _: []) -> None:
        self.groups: list[list[float]] = []
        self.open = asyncio.Event()
        self._answer = answer

    async def call(self, jobs: Sequence[Job]) -> Done:
        self.groups.append([job.audio_s for job in jobs])
        await self.open.wait()
        return Done([self._answer(job) for job in jobs], 0.1)


def clip(audio_s: float) -> ClipJob:
    return ClipJob(np.zeros(int(audio_s * 16_000), dtype=np.float32))


def run(body: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(body, 20))


async def settled() -> None:
    """Let every task run until it waits."""
    for _ in range(20):
        await asyncio.sleep(0)


def started(
    worker: Any, *, grouping: Grouping = ALONE, budget_s: float = 10.0, workers: int = 1
) -> Scheduler:
    scheduler = Scheduler([worker] * workers, tenth(), grouping, budget_s)
    scheduler.start()
    return scheduler


def test_urgent_jobs_overtake_those_that_wait() -> None:
    """Finals go before clips, clips in the order of their arrival."""

    async def body() -> None:
        gate = Gate()
        scheduler = started(gate)
        jobs = [(1.0, Urgency.CLIP), (2.0, Urgency.CLIP), (3.0, Urgency.CLIP), (4.0, Urgency.FINAL)]
        tasks = []
        for audio_s, urgency in jobs:
            tasks.append(asyncio.create_task(scheduler.submit(clip(audio_s), urgency)))
            await settled()
        gate.open.set()
        await asyncio.gather(*tasks)
        assert gate.groups == [[1.0], [4.0], [2.0], [3.0]]
        await scheduler.close(1)

    run(body())


def test_what_cannot_be_answered_in_time_is_refused_at_once() -> None:
    """With half a second of budget and .2 s a clip, one is served, two wait, and the fourth hears when to come back."""

    async def body() -> None:
        gate = Gate()
        scheduler = started(gate, budget_s=0.65)
        accepted = [asyncio.create_task(scheduler.submit(clip(2.0))) for _ in range(3)]
        await settled()
        with pytest.raises(OverloadedError, match=r"budget is 0\.65 s") as refused:
            await scheduler.submit(clip(2.0))
        assert refused.value.retry_after_s >= 1.0
        gate.open.set()
        await asyncio.gather(*accepted)
        assert await scheduler.submit(clip(2.0))
        await scheduler.close(1)

    run(body())


def test_a_long_clip_on_an_idle_server_is_not_refused_for_its_own_length() -> None:
    """The budget bounds what others add; a clip that takes longer than it by itself is served."""

    async def body() -> None:
        gate = Gate()
        gate.open.set()
        scheduler = started(gate, budget_s=0.3)
        assert await scheduler.submit(clip(60.0))
        await scheduler.close(1)

    run(body())


def test_a_draft_is_refused_while_every_worker_is_busy() -> None:
    """A partial text is worth nothing later, and must not make anybody wait."""

    async def body() -> None:
        gate = Gate()
        scheduler = started(gate)
        running = asyncio.create_task(scheduler.submit(clip(1.0)))
        await settled()
        with pytest.raises(OverloadedError):
            await scheduler.submit(clip(1.0), Urgency.DRAFT)
        gate.open.set()
        await running
        assert await scheduler.submit(clip(1.0), Urgency.DRAFT)
        await scheduler.close(1)

    run(body())


def test_clips_of_like_length_share_a_call_where_company_pays() -> None:
    """Where groups save time, 2.0, 2.1 and 2.2 s go together and 9 s does not join them; where not, each goes alone."""

    async def body(saving: float, expected: list[list[float]]) -> None:
        gate = Gate()
        scheduler = started(gate, grouping=Grouping(saving))
        tasks = []
        for audio_s in (5.0, 2.0, 9.0, 2.1, 2.2):
            tasks.append(asyncio.create_task(scheduler.submit(clip(audio_s))))
            await settled()
        gate.open.set()
        await asyncio.gather(*tasks)
        assert gate.groups == expected
        await scheduler.close(1)

    run(body(0.5, [[5.0], [2.0, 2.1, 2.2], [9.0]]))
    run(body(0.0, [[5.0], [2.0], [9.0], [2.1], [2.2]]))


def test_a_client_that_has_gone_is_not_served() -> None:
    """A cancelled request gives its place up before a worker takes it."""

    async def body() -> None:
        gate = Gate()
        scheduler = started(gate)
        first = asyncio.create_task(scheduler.submit(clip(1.0)))
        await settled()
        gone = asyncio.create_task(scheduler.submit(clip(2.0)))
        last = asyncio.create_task(scheduler.submit(clip(3.0)))
        await settled()
        gone.cancel()
        gate.open.set()
        await asyncio.gather(first, last)
        assert gate.groups == [[1.0], [3.0]]
        await scheduler.close(1)

    run(body())


class Dying:
    """A worker that dies of its first calls, or of every group with a clip of so many seconds."""

    def __init__(self, deaths: int = 0, poison_s: float = 0.0, error: Exception | None = None) -> None:
        self.groups: list[list[float]] = []
        self._deaths = deaths
        self._poison_s = poison_s
        self._error = error or WorkerError("died")

    async def call(self, jobs: Sequence[Job]) -> Done:
        self.groups.append([job.audio_s for job in jobs])
        if len(self.groups) <= self._deaths or self._poison_s in self.groups[-1]:
            raise self._error
        return Done([[] for _ in jobs], 0.1)


def test_a_job_whose_worker_died_is_tried_once_more() -> None:
    """One death costs nobody an answer; a clip that kills two workers is given up."""

    async def body() -> None:
        once = Dying(1)
        scheduler = started(once)
        assert (await scheduler.submit(clip(1.0)))[0] == []
        await scheduler.close(1)
        twice = Dying(2)
        scheduler = started(twice)
        with pytest.raises(WorkerError):
            await scheduler.submit(clip(1.0))
        assert (await scheduler.submit(clip(1.0)))[0] == []
        await scheduler.close(1)

    run(body())


def test_a_worker_that_cannot_be_asked_at_all_fails_the_request_and_no_more() -> None:
    """What no one expected of a worker ends as a WorkerError that tells its type, and the queue goes on."""

    async def body() -> None:
        scheduler = started(Dying(2, error=MemoryError("no value of ours")))
        with pytest.raises(WorkerError, match=r"MemoryError$"):
            await scheduler.submit(clip(1.0))
        assert (await scheduler.submit(clip(1.0)))[0] == []
        await scheduler.close(1)

    run(body())


def test_an_answer_that_is_none_fails_the_request_and_no_more() -> None:
    """A worker that gives fewer answers than there were questions costs two tries, not the queue."""

    async def body() -> None:
        class Mute:
            async def call(self, jobs: Sequence[Job]) -> Done:
                return Done([] if jobs[0].audio_s > 1.0 else [[]], 0.1)

        scheduler = started(Mute())
        with pytest.raises(WorkerError, match=r"a worker failed"):
            await scheduler.submit(clip(2.0))
        assert (await scheduler.submit(clip(1.0)))[0] == []
        await scheduler.close(1)

    run(body())


def test_a_clip_that_kills_does_not_take_its_company_along() -> None:
    """A group whose worker died is heard one by one: one clip is given up, three are answered."""

    async def body() -> None:
        dying = Dying(poison_s=2.1)
        scheduler = started(dying, grouping=Grouping(0.5))
        answers = await asyncio.gather(
            *(scheduler.submit(clip(s)) for s in (2.0, 2.1, 2.2, 2.3)), return_exceptions=True
        )
        assert [isinstance(answer, WorkerError) for answer in answers] == [False, True, False, False]
        assert all(len(group) == 1 for group in dying.groups[-3:])
        await scheduler.close(1)

    run(body())


def test_a_request_that_was_given_up_costs_others_nothing() -> None:
    """Clients that connect and hang up leave no trace in what the next one is told to wait."""

    async def body() -> None:
        gate = Gate()
        scheduler = started(gate)
        running = asyncio.create_task(scheduler.submit(clip(1.0)))
        await settled()
        before = scheduler.expected_wait_s()
        gone = [asyncio.create_task(scheduler.submit(clip(5.0))) for _ in range(5)]
        await settled()
        assert scheduler.expected_wait_s() > before
        for task in gone:
            task.cancel()
        await settled()
        assert (scheduler.queued, scheduler.expected_wait_s()) == (0, pytest.approx(before, abs=0.05))
        gate.open.set()
        await running
        await scheduler.close(1)

    run(body())


def test_new_phrases_cost_their_sender_and_known_ones_nobody() -> None:
    """A list of hotwords is as dear as it is: behind it others are refused; once it is known it is a clip like any."""

    async def body() -> None:
        gate = Gate()
        scheduler = started(gate, budget_s=1.0)
        names = ClipJob(clip(1.0).samples, Hearing(hotwords=Hotwords(("nguyen",))))
        first = asyncio.create_task(scheduler.submit(names))
        await settled()
        with pytest.raises(OverloadedError):
            await scheduler.submit(names)
        gate.open.set()
        await first
        gate.open.clear()
        again = [asyncio.create_task(scheduler.submit(names)) for _ in range(2)]
        await settled()
        assert scheduler.expected_wait_s() < 1.0
        gate.open.set()
        await asyncio.gather(*again)
        await scheduler.close(1)

    run(body())


def test_a_place_is_checked_before_the_body_and_counts_behind_it() -> None:
    """Clips that are being decoded stand before those that come; during a drain nobody new is let in, and who is in
    is answered."""

    async def body() -> None:
        gate = Gate()
        scheduler = started(gate, budget_s=0.65)
        with scheduler.place(), scheduler.place(), pytest.raises(OverloadedError), scheduler.place():
            pass
        scheduler.check()
        with scheduler.place():
            scheduler.drain(5.0)
            with pytest.raises(OverloadedError, match="shutting down"):
                scheduler.check()
            gate.open.set()
            assert await scheduler.submit(clip(1.0))
        await scheduler.close(0)

    run(body())


def test_closing_fails_what_no_time_is_left_for() -> None:
    """A job that is in a worker, and one that waits, end as errors: nobody hangs."""

    async def body() -> None:
        scheduler = started(Gate())
        accepted = [asyncio.create_task(scheduler.submit(clip(1.0))) for _ in range(2)]
        await settled()
        await scheduler.close(0)
        ended = await asyncio.gather(*accepted, return_exceptions=True)
        assert [str(error) for error in ended] == ["the server is shutting down"] * 2

    run(body())


def test_errors_reach_the_one_who_caused_them() -> None:
    """A bad option is the caller's error, a crash a WorkerError that says where and quotes nothing."""

    async def body() -> None:
        answers: list[Result] = [OptionError("no such thing"), Crash("KeyError", ("a.py:1", "b.py:2"))]
        gate = Gate(lambda _: answers.pop(0))
        gate.open.set()
        scheduler = started(gate)
        with pytest.raises(OptionError, match="no such thing"):
            await scheduler.submit(clip(1.0))
        with pytest.raises(WorkerError, match=r"KeyError at b\.py:2 < a\.py:1"):
            await scheduler.submit(clip(1.0))
        await scheduler.close(1)

    run(body())


def test_closing_finishes_what_was_accepted_and_refuses_the_rest() -> None:
    """A shutdown loses no accepted request."""

    async def body() -> None:
        gate = Gate()
        scheduler = started(gate)
        accepted = [asyncio.create_task(scheduler.submit(clip(1.0))) for _ in range(3)]
        await settled()
        closing = asyncio.create_task(scheduler.close(5))
        await settled()
        with pytest.raises(OverloadedError, match="shutting down"):
            await scheduler.submit(clip(1.0))
        gate.open.set()
        assert len(await asyncio.gather(*accepted)) == 3
        await closing

    run(body())


def test_the_cost_model_finds_slope_and_intercept() -> None:
    """Observations on a line give the line back, and newer ones replace older ones."""
    cost = CostModel([Timing(1, s, 0.01 * s + 0.002) for s in (1.0, 2.0, 4.0)])
    assert cost(3.0) == pytest.approx(0.032)
    for at in range(300):
        cost.observe(1.0 + at % 4, 0.02 * (1.0 + at % 4) + 0.01)
    assert cost(3.0) == pytest.approx(0.07)


def test_a_cost_is_never_negative() -> None:
    """Noise that would put the line under zero for short clips ends in a line through the origin."""
    cost = CostModel([Timing(1, 1.0, 0.001), Timing(1, 2.0, 0.1)])
    assert cost.b == 0.0
    assert cost(0.1) > 0.0


def test_grouping_is_decided_by_what_was_measured() -> None:
    """Four clips together in twice the time of one save half; in four times the time, nothing."""
    alone = [Timing(1, 1.0, 0.1), Timing(1, 2.0, 0.2)]
    assert Grouping.measured([*alone, Timing(4, 8.0, 0.4)]).saving == pytest.approx(0.5)
    assert Grouping.measured([*alone, Timing(4, 8.0, 0.9)]).saving == 0.0
    assert not Grouping(0.05).admits([2.0], 2.0, tenth(), 10.0)
    assert Grouping(0.5).admits([2.0], 2.0, tenth(), 10.0)
    assert not Grouping(0.5).admits([2.0], 4.0, tenth(), 10.0)  # a third of it would be padding
    assert not Grouping(0.5).admits([2.0], 2.0, tenth(), 0.1)  # too late for the first
