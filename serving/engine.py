"""Inference off the event loop: worker processes behind one queue. Samples in; a transcript or an early refusal out."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from asr import model_name
from asr.assemble import Assembler
from asr.bundle import BundleInfo
from asr.decode import Hypothesis
from asr.frontend import Frontend, Segment
from asr.hotwords import Hotwords
from asr.transcript import Transcript
from serving.cost import CostModel, Grouping
from serving.errors import OverloadedError, WorkerError
from serving.jobs import ClipJob, Heard, Hearing, Samples, SegmentJob, Urgency, WorkerSpec
from serving.process import HANG_S, WorkerProcess
from serving.scheduler import Gauges, Scheduler

ANSWER_S = 3 * HANG_S  # of two workers, one after the other, and of waiting for them


@dataclass(frozen=True, slots=True)
class Answer:
    """A transcript, and seconds by stage: ``queue, vad, model, beam``."""

    transcript: Transcript
    stages_s: Mapping[str, float]


class Engine:
    """The model as the rest of the server sees it. Made by `start`, on the event loop that it then belongs to."""

    def __init__(
        self,
        info: BundleInfo,
        assemble: Assembler,
        workers: list[WorkerProcess],
        scheduler: Scheduler,
        drafts: bool = True,
    ) -> None:
        self.info = info
        self.drafts = drafts
        self.assemble = assemble
        self.frontend = Frontend(info.frontend)  # of streams: they find speech in the front process
        self.scheduler = scheduler
        self.loop = asyncio.get_running_loop()
        self._workers = workers

    @classmethod
    async def start(
        cls, spec: WorkerSpec, workers: int, budget_s: float, gauges: Gauges | None = None
    ) -> Engine:
        """Load the model into ``workers`` processes and wait until all are warm.

        Raises BundleError, DeviceError, CatalogError as `Transcriber.load` does, and WorkerError.
        """
        info = model_name.describe(spec.model)
        processes = [WorkerProcess(spec) for _ in range(workers)]
        try:
            ready = await asyncio.gather(*(process.start() for process in processes))
        except BaseException:
            await asyncio.gather(*(process.close() for process in processes))
            raise
        timings = [timing for worker in ready for timing in worker.timings]
        scheduler = Scheduler(processes, CostModel(timings), Grouping.measured(timings), budget_s, gauges)
        scheduler.start()
        return cls(info, Assembler(info, ready[0].calibration), processes, scheduler, ready[0].drafts)

    @property
    def pids(self) -> tuple[int, ...]:
        """Of the worker processes that run now."""
        return tuple(worker.pid for worker in self._workers if worker.pid is not None)

    async def transcribe(self, samples: Samples, hearing: Hearing | None = None) -> Answer:
        """What is said in a clip (float32, ``(n,)``, 16 kHz). Raises OverloadedError, WorkerError, OptionError."""
        heard, waited_s = await self.scheduler.submit(ClipJob(samples, hearing or Hearing()))
        assert isinstance(heard, Heard)
        return Answer(heard.transcript, MappingProxyType({"queue": waited_s, **heard.stages_s}))

    def recogniser(self, hearing: Hearing | None = None) -> LiveRecogniser:
        """For one `asr.stream.Stream`, which runs in a thread of its own."""
        return LiveRecogniser(self, hearing or Hearing())

    async def close(self, timeout_s: float = 10.0) -> None:
        """Finish what was accepted, within ``timeout_s`` or as `Scheduler.drain` said; then end the processes."""
        await self.scheduler.close(timeout_s)
        await asyncio.gather(*(worker.close() for worker in self._workers))


class LiveRecogniser:
    """Stands in for a `Transcriber` in a stream: finds speech here, has it recognised by a worker.

    Its methods block; they are for a thread, never for the event loop.
    """

    def __init__(self, engine: Engine, hearing: Hearing) -> None:
        self._engine = engine
        self._hearing = hearing
        self.frontend = engine.frontend
        self.assemble = engine.assemble

    def recognise(self, segment: Segment, hotwords: Hotwords | None = None) -> list[Hypothesis]:
        """Readings of an utterance. Raises OverloadedError, WorkerError."""
        return self._submit(segment, hotwords, Urgency.FINAL)

    def draft(self, segment: Segment, hotwords: Hotwords | None = None) -> list[Hypothesis] | None:
        """Readings of an open utterance, or None where no worker is free to begin at once, or the model is slow."""
        if not self._engine.drafts:
            return None
        try:
            return self._submit(segment, hotwords, Urgency.DRAFT)
        except OverloadedError:
            return None

    def _submit(self, segment: Segment, hotwords: Hotwords | None, urgency: Urgency) -> list[Hypothesis]:
        hearing = self._hearing if hotwords is None else replace(self._hearing, hotwords=hotwords)
        submitted = self._engine.scheduler.submit(SegmentJob(segment, hearing), urgency)
        try:
            answer = asyncio.run_coroutine_threadsafe(submitted, self._engine.loop)
            readings, _ = answer.result(ANSWER_S)
        except (RuntimeError, TimeoutError) as error:
            if isinstance(error, OverloadedError | WorkerError):
                raise
            submitted.close()
            raise WorkerError("the server is shutting down, or a worker gave no answer") from error
        assert isinstance(readings, list)
        return readings
