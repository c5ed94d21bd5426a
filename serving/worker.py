"""A worker process: loads the model once, then answers groups of jobs until the front process hangs up.

Python's threads would wait for one another here: the voice detector and the beam search hold the interpreter.
"""

from __future__ import annotations

import signal
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypeVar

import numpy as np

from asr.bundle import LogProbs
from asr.errors import AsrError
from asr.frontend import Prepared, Segment
from asr.stages import Stages
from asr.transcribe import Transcriber
from asr.transcript import SAMPLE_RATE_HZ
from asr.vad import VadOptions
from serving import logs
from serving.jobs import Crash, Heard, Hearing, Job, Ready, Result, Samples, SegmentJob, Timing, WorkerSpec

WARM_UP_S = (0.5, 1.0, 2.0)  # lengths of the sounds that show what a clip costs
GROUP = 4  # and how many of them together show whether company pays


def main(connection: Connection, spec: WorkerSpec) -> None:
    """Body of the process. The first message says `Ready`, or the error that kept it from loading."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the front process decides when to stop
    if spec.log_level is not None:  # an error that nobody caught must not print what it choked on
        logs.configure(level=spec.log_level, form=spec.log_format)
    try:
        ears = Ears(spec)
        connection.send(Ready(ears.plain.assemble.calibration, ears.measure(), ears.plain.reader.drafts))
    except AsrError as error:
        connection.send(error)
        return
    while True:
        try:
            jobs = connection.recv()
        except EOFError:
            return
        connection.send(ears.hear(jobs))


class Ears:
    """The model with both of its decoders: the general one, and the one that expects the catalogue."""

    def __init__(self, spec: WorkerSpec) -> None:
        self.plain = Transcriber.load(spec.model, device=spec.device)
        self._biased = (
            self.plain
            if spec.catalog is None
            else Transcriber.of(self.plain.bundle, catalog=Path(spec.catalog))
        )
        self._with_rules = lru_cache(16)(self._listening)

    def hear(self, jobs: Sequence[Job]) -> list[Result]:
        """The answer to each job. One network call for several: see `serving.cost.Grouping`."""
        if len(jobs) == 1:
            return [_attempt(partial(self._hear, jobs[0]))]
        return self._together(jobs)

    def measure(self) -> tuple[Timing, ...]:
        """Warm the network up and see what it costs, alone and in company, on made sounds."""
        rng = np.random.default_rng(0)
        sounds = [rng.normal(0.0, 0.05, int(s * SAMPLE_RATE_HZ)).astype(np.float32) for s in WARM_UP_S]
        self.plain.reader.read(sounds[0])  # the first call also plans memory
        groups = [[sound] for sound in sounds]
        if self.plain.reader.groups:
            groups.append([sounds[-1]] * GROUP)
        return tuple(self._timed(group) for group in groups)

    def _timed(self, group: Sequence[Samples]) -> Timing:
        """The quickest of three: whatever else the machine does only ever adds."""
        took_s = []
        for _ in range(3):
            started = time.perf_counter()
            if len(group) == 1:
                self.plain.reader.read(group[0])
            else:
                for log_probs in self.plain.bundle.log_probs(group):
                    self.plain.search(log_probs)
            took_s.append(time.perf_counter() - started)
        return Timing(len(group), sum(map(len, group)) / SAMPLE_RATE_HZ, min(took_s))

    def _hear(self, job: Job) -> Result:
        ears = self._for(job.hearing)
        if isinstance(job, SegmentJob):
            return ears.recognise(job.segment, job.hearing.hotwords)
        stages = Stages()
        transcript = ears.transcribe(job.samples, hotwords=job.hearing.hotwords, stages=stages)
        return Heard(transcript, stages.seconds)

    def _together(self, jobs: Sequence[Job]) -> list[Result]:
        """All segments of all jobs through the network at once; each is prepared and decoded on its own."""
        opened = [_attempt(partial(self._open, job)) for job in jobs]
        ready = [one for one in opened if isinstance(one, _Opened)]
        started = time.perf_counter()
        try:
            log_probs = iter(
                self.plain.bundle.log_probs([segment.samples for one in ready for segment in one.segments])
            )
        except Exception:  # whosever fault it is, alone it is nobody else's
            return [_attempt(partial(self._hear, job)) for job in jobs]
        share_s = (time.perf_counter() - started) / max(1, sum(len(one.segments) for one in ready))
        return [
            one.finish([next(log_probs) for _ in one.segments], share_s) if isinstance(one, _Opened) else one
            for one in opened
        ]

    def _open(self, job: Job) -> _Opened:
        return _Opened(self._for(job.hearing), job)

    def _for(self, hearing: Hearing) -> Transcriber:
        ears = self._biased if hearing.catalog else self.plain
        return ears if hearing.vad is None else self._with_rules(ears, hearing.vad)

    def _listening(self, ears: Transcriber, vad: VadOptions) -> Transcriber:
        return ears.listening(replace(ears.frontend.options, vad_options=vad))


class _Opened:
    """A job of a group between its front end and its decoder."""

    def __init__(self, ears: Transcriber, job: Job) -> None:
        self._ears, self._job, self._stages = ears, job, Stages()
        self._prepared: Prepared | None = None
        if isinstance(job, SegmentJob):
            self.segments: tuple[Segment, ...] = (job.segment,)
        else:
            with self._stages("vad"):
                self._prepared = ears.frontend.prepare(job.samples)
            self.segments = self._prepared.segments

    def finish(self, log_probs: Sequence[LogProbs], share_s: float) -> Result:
        """The answer, from the log-probabilities of its segments, each of which cost ``share_s`` seconds."""
        self._stages.seconds["model"] = share_s * len(log_probs)
        return _attempt(lambda: self._finish(log_probs))

    def _finish(self, log_probs: Sequence[LogProbs]) -> Result:
        with self._stages("beam"):
            readings = [self._ears.search(rows, self._job.hearing.hotwords) for rows in log_probs]
        if self._prepared is None:
            return readings[0]
        pairs = list(zip(self.segments, readings, strict=True))
        transcript = self._ears.assemble(pairs, self._prepared.clip, self._prepared.null_reason)
        return Heard(transcript, self._stages.seconds)


T = TypeVar("T")


def _attempt(make: Callable[[], T]) -> T | AsrError | Crash:
    """What ``make`` makes; the error where the input is at fault; a `Crash` where we are."""
    try:
        return make()
    except AsrError as error:
        return error
    except Exception as error:  # one clip's bad luck must not take the worker from the others
        frames = traceback.extract_tb(error.__traceback__)
        return Crash(type(error).__name__, tuple(f"{Path(f.filename).name}:{f.lineno}" for f in frames))
