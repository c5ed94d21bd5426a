"""Real worker processes with the shipped model: the answers are those of `Transcriber`, and a death costs nobody."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from asr import Transcriber, audio
from asr.errors import BundleError
from asr.hotwords import Hotwords
from asr.stream import Final, Stream
from asr.transcript import NullReason
from asr.vad import VadOptions
from serving import process
from serving.engine import Engine
from serving.errors import WorkerError
from serving.jobs import ClipJob, Crash, Heard, Hearing, SegmentJob, WorkerSpec
from serving.worker import Ears

DATA = Path(__file__).parent.parent / "data" / "samples"
SAMPLES = [DATA / name for name in ("play_jazz.wav", "phone_number.flac", "news.flac", "timer.flac")]
SPEC = WorkerSpec("en-small")


def with_engine(body: Callable[[Engine], Awaitable[None]], workers: int = 1) -> None:
    async def run() -> None:
        engine = await Engine.start(SPEC, workers, budget_s=60.0)
        try:
            await asyncio.wait_for(body(engine), 100)
        finally:
            await engine.close()

    asyncio.run(run())


def clips() -> list[np.ndarray]:
    return [audio.decode(path) for path in SAMPLES]


def test_an_engine_answers_as_the_transcriber_does(transcriber: Transcriber) -> None:
    """Text, words and confidence are the same, and every stage is timed."""
    expected = [transcriber.transcribe(samples) for samples in clips()]

    async def body(engine: Engine) -> None:
        answers = await asyncio.gather(*(engine.transcribe(samples) for samples in clips()))
        assert [answer.transcript for answer in answers] == expected
        assert {"queue", "vad", "model", "beam"} <= answers[0].stages_s.keys()
        assert engine.info.identity == expected[0].model

    with_engine(body, workers=2)


def test_a_stream_through_the_engine_hears_what_the_clip_says(transcriber: Transcriber) -> None:
    """`asr.stream.Stream` in a thread, its utterances recognised by a worker."""
    samples = clips()[0]
    expected = transcriber.transcribe(samples)

    async def body(engine: Engine) -> None:
        def listen() -> list[Final]:
            stream = Stream(engine.recogniser())
            events = [
                event for at in range(0, len(samples), 4000) for event in stream.feed(samples[at : at + 4000])
            ]
            return [event for event in [*events, *stream.finish()] if isinstance(event, Final)]

        finals = await asyncio.to_thread(listen)
        assert " ".join(final.transcript.text for final in finals) == expected.text

    with_engine(body)


def test_requests_may_have_rules_and_phrases_of_their_own(transcriber: Transcriber) -> None:
    """Endpoint rules and hotwords of one request do not change the next."""
    samples = clips()[0]
    expected = transcriber.transcribe(samples)
    rules = VadOptions(min_silence_duration_ms=100, speech_pad_ms=20)
    strict = transcriber.listening(
        type(transcriber.frontend.options)(vad_options=rules, vad=transcriber.frontend.options.vad)
    ).transcribe(samples)

    async def body(engine: Engine) -> None:
        assert (await engine.transcribe(samples, Hearing(vad=rules))).transcript.words == strict.words
        biased = await engine.transcribe(samples, Hearing(hotwords=Hotwords(("zanzibar",))))
        assert biased.transcript.clip == expected.clip
        assert (await engine.transcribe(samples)).transcript == expected

    with_engine(body)


def test_a_killed_worker_costs_nobody_an_answer() -> None:
    """The process is killed while requests wait; another takes its place and all are answered."""

    async def body(engine: Engine) -> None:
        pid = engine.pids[0]
        answers = [asyncio.create_task(engine.transcribe(samples)) for samples in clips()]
        await asyncio.sleep(0)
        os.kill(pid, signal.SIGKILL)
        assert all(answer.transcript.text for answer in await asyncio.gather(*answers))
        assert engine.pids[0] != pid

    with_engine(body)


def test_what_cannot_be_loaded_is_said_at_the_start() -> None:
    """An unknown model is an error of the start, not of the first request, and leaves no process."""
    with pytest.raises(BundleError, match="no model bundle 'nobody'"):
        asyncio.run(Engine.start(WorkerSpec("nobody"), 1, 1.0))


def test_clips_in_company_are_heard_as_they_are_alone(transcriber: Transcriber) -> None:
    """A group's answers are those of single calls; int8 activations, scaled over the group, may move a confidence."""
    ears = Ears(SPEC)
    quiet = np.zeros(16_000, dtype=np.float32)
    prepared = transcriber.frontend.prepare(clips()[0])
    jobs = [ClipJob(samples) for samples in [*clips(), quiet]]
    *heard, silent, segment = ears.hear([*jobs, SegmentJob(prepared.segments[0])])
    for path, samples, answer in zip(SAMPLES, clips(), heard, strict=True):
        assert isinstance(answer, Heard)
        alone = transcriber.transcribe(samples)
        assert answer.transcript.clip == alone.clip
        assert answer.transcript.text == alone.text, path
    assert isinstance(silent, Heard)
    assert silent.transcript.null_reason is NullReason.NO_SPEECH
    assert isinstance(segment, list)
    assert segment[0].text == transcriber.recognise(prepared.segments[0])[0].text


def test_an_error_of_ours_takes_no_worker_down() -> None:
    """What a worker does not expect comes back as a crash that quotes no value, alone and in a group."""
    ears = Ears(SPEC)
    broken = ClipJob(np.array(["not a sample"]))  # type: ignore[arg-type]
    with_it = [ClipJob(clips()[0]), broken, ClipJob(clips()[1])]
    for crash in (ears.hear([broken])[0], ears.hear(with_it)[1]):
        assert isinstance(crash, Crash | Exception)
        assert "not a sample" not in str(crash)
    first, _, third = ears.hear(with_it)
    assert isinstance(first, Heard)
    assert isinstance(third, Heard)
    assert "jazz" in first.transcript.text


def test_a_worker_that_stops_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that neither reads nor answers is killed when its time is over; the request is answered by another."""
    monkeypatch.setattr(process, "HANG_S", 1.0)

    async def body(engine: Engine) -> None:
        stopped = engine.pids[0]
        os.kill(stopped, signal.SIGSTOP)
        assert (await engine.transcribe(np.tile(clips()[0], 10))).transcript.text  # more than a pipe holds
        assert stopped not in engine.pids

    with_engine(body)


def test_a_worker_that_dies_at_once_is_reported() -> None:
    """A clip that kills every worker is given up after the second: WorkerError, and the engine lives on."""

    async def body(engine: Engine) -> None:
        async def kill_while(task: asyncio.Task[object]) -> None:
            while not task.done():
                for pid in engine.pids:
                    with suppress(ProcessLookupError):  # it is gone already
                        os.kill(pid, signal.SIGKILL)
                await asyncio.sleep(0.05)

        doomed = asyncio.create_task(engine.transcribe(np.tile(clips()[0], 5)))
        await asyncio.sleep(0.01)
        await kill_while(doomed)
        with pytest.raises(WorkerError):
            await doomed
        assert (await engine.transcribe(clips()[0])).transcript.text

    with_engine(body)
