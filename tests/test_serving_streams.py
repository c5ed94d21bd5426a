"""What bounds a stream, without a socket: the inbox, the seats, the meter; and that its final is never refused."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="needs the extra serve")

from asr.frontend import Segment
from asr.transcript import Span
from serving.cost import CostModel, Grouping
from serving.errors import OverloadedError, RateLimitedError, TooLargeError
from serving.inbox import JOINED, MAX_MESSAGE, MAX_WAITING, Inbox
from serving.jobs import Job, SegmentJob, Timing, Urgency
from serving.meter import Meter
from serving.process import Done
from serving.rates import RateLimit, RateLimiter
from serving.scheduler import Scheduler
from serving.streams import ClosingError, Streams


async def settled() -> None:
    """Let every task run until it waits."""
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.mark.parametrize("piece", [b"\0" * MAX_MESSAGE, b"\0" * 640, b"", "x" * 1_000])
def test_a_fast_sender_waits(piece: str | bytes) -> None:
    """Whatever is sent, audio or text or nothing at all, memory is bounded; what is taken makes room, in order."""

    async def fill() -> None:
        inbox, sent = Inbox(), 0

        async def send() -> None:
            nonlocal sent
            while True:
                await inbox.put(piece)
                sent += 1

        sender = asyncio.create_task(send())
        while True:
            before = sent
            await settled()
            if sent == before:
                break
        assert sent * len(piece) < MAX_WAITING + MAX_MESSAGE
        assert 0 < sent < 10_000
        taken = await inbox.get()
        assert set(taken) <= set(piece)
        await settled()
        assert sent > before
        sender.cancel()

    asyncio.run(fill())


def test_audio_that_waits_is_taken_together() -> None:
    """In order, up to a limit, and never across a text."""

    async def take() -> list[str | bytes]:
        inbox = Inbox()
        for message in (b"a", b"b", "reset", b"c", b"d" * JOINED, b"e"):
            await inbox.put(message)
        taken = [await inbox.get() for _ in range(4)]
        assert inbox.audio_bytes == 0
        return taken

    assert asyncio.run(take()) == [b"ab", "reset", b"c" + b"d" * JOINED, b"e"]


def test_the_end_comes_behind_what_was_sent() -> None:
    """In order, then the first reason; what comes later is dropped, and nobody waits for room any more."""

    async def end() -> list[str | bytes]:
        inbox = Inbox()
        await inbox.put(b"\0\0")
        await inbox.put("later")
        assert inbox.audio_bytes == 2
        await inbox.end(ClosingError())
        await inbox.end(KeyError())
        await inbox.put(b"dropped")
        taken = [await inbox.get(), await inbox.get()]
        with pytest.raises(ClosingError):
            await inbox.get()
        assert inbox.audio_bytes == 0
        return taken

    assert asyncio.run(end()) == [b"\0\0", "later"]


def test_a_message_that_is_too_long_is_refused() -> None:
    """The error says how long it was and what to do."""
    with pytest.raises(TooLargeError, match=f"{MAX_MESSAGE + 1} bytes; the limit is {MAX_MESSAGE}"):
        asyncio.run(Inbox().put(b"\0" * (MAX_MESSAGE + 1)))


def test_closing_asks_everyone_to_finish_and_lets_nobody_in() -> None:
    """It waits for those who are still at it, and a seat is refused as a shutdown, not as a full house."""

    async def close() -> list[str]:
        streams, happened = Streams(2), list[str]()
        stopped = asyncio.Event()

        async def stop() -> None:
            stopped.set()

        async def sit() -> None:
            with streams.seat(stop):
                await stopped.wait()
                happened.append("finished")

        sitting = asyncio.create_task(sit())
        await settled()
        assert streams.open == 1
        await streams.close(60.0)
        happened.append("closed")
        with pytest.raises(ClosingError), streams.seat(stop):
            pass
        await sitting
        return happened

    assert asyncio.run(close()) == ["finished", "closed"]


def test_steps_are_taken_in_order_in_threads() -> None:
    """What an iterator gives, until it ends; its error is the caller's."""

    def steps() -> Iterator[int]:
        yield from (1, 2, 3)
        raise KeyError("4")

    async def walk() -> list[int]:
        streams, seen = Streams(1), list[int]()

        async def take() -> None:
            async for step in streams.each(steps()):
                seen.append(step)

        with pytest.raises(KeyError):
            await take()
        await streams.close(0.0)
        return seen

    assert asyncio.run(walk()) == [1, 2, 3]


def test_audio_is_charged_as_it_comes() -> None:
    """In steps of the limiter's minimum, the rest at the end; what it cannot pay is refused while it streams."""
    rates = RateLimiter(RateLimit(capacity_s=4.0, refill_per_s=1e-9), clock=lambda: 0.0)
    meter = Meter(rates, "key", 100.0)
    for expected in (4.0, 2.8, 2.8):
        meter.add(0.6)
        assert rates.allowance("key").remaining_s == pytest.approx(expected)
    meter.settle()
    assert rates.allowance("key").remaining_s == pytest.approx(1.8)  # at least a second a charge
    with pytest.raises(RateLimitedError):
        meter.add(2.0)


def test_a_stream_may_not_exceed_its_own_limit() -> None:
    """Whatever its key may still spend."""
    rates = RateLimiter(RateLimit(capacity_s=1_000.0, refill_per_s=1.0))
    with pytest.raises(TooLargeError, match=r"10\.5 s of audio; a stream may have 10 s"):
        Meter(rates, None, 10.0).add(10.5)


def test_a_final_is_late_rather_than_lost() -> None:
    """A hundred streams end at once where the budget is good for one: each gets its answer; a clip is refused."""
    timings = [Timing(1, seconds, 0.1 * seconds) for seconds in (1.0, 2.0, 4.0)]

    class Worker:
        async def call(self, jobs: Sequence[Job]) -> Done:
            await asyncio.sleep(0)
            return Done([[] for _ in jobs], 0.1)

    def job() -> SegmentJob:
        return SegmentJob(Segment(np.zeros(16_000, np.float32), Span(0, 16_000), 0, 0.0))

    async def end() -> int:
        scheduler = Scheduler([Worker()], CostModel(timings), Grouping.measured(timings), 0.15)
        scheduler.start()
        finals = [asyncio.create_task(scheduler.submit(job(), Urgency.FINAL)) for _ in range(100)]
        await asyncio.sleep(0)
        with pytest.raises(OverloadedError):
            await scheduler.submit(job(), Urgency.CLIP)
        answered = await asyncio.gather(*finals)
        await scheduler.close(60.0)
        return len(answered)

    assert asyncio.run(end()) == 100


def test_without_a_key_nothing_is_charged() -> None:
    """As with clips: everybody would share one purse."""
    rates = RateLimiter(RateLimit(capacity_s=1.0, refill_per_s=1e-9), clock=lambda: 0.0)
    meter = Meter(rates, None, 100.0)
    for _ in range(5):
        meter.add(2.0)
    meter.settle()
    assert rates.allowance(None).remaining_s == pytest.approx(1.0)
