"""What crosses from the front process to a worker and back: plain values that pickle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from asr.confidence import Calibration
from asr.decode import Hypothesis
from asr.frontend import Segment
from asr.hotwords import Hotwords
from asr.transcript import SAMPLE_RATE_HZ, Transcript
from asr.vad import VadOptions

Samples = NDArray[np.float32]


class Urgency(IntEnum):
    """Who goes first. A draft is only worth having at once."""

    FINAL = 0  # somebody has stopped speaking and waits
    CLIP = 1
    DRAFT = 2


@dataclass(frozen=True, slots=True)
class Hearing:
    """How one request wants to be heard: biased to the catalogue, to phrases of its own, its own endpoint rules."""

    catalog: bool = False
    hotwords: Hotwords | None = None
    vad: VadOptions | None = None


@dataclass(frozen=True, slots=True)
class ClipJob:
    """A whole clip (float32, ``(n,)``, 16 kHz) through the whole pipeline."""

    samples: Samples
    hearing: Hearing = Hearing()

    @property
    def audio_s(self) -> float:
        """How much audio this is."""
        return len(self.samples) / SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class SegmentJob:
    """One utterance that a stream has found and levelled."""

    segment: Segment
    hearing: Hearing = Hearing()

    @property
    def audio_s(self) -> float:
        """How much audio this is."""
        return len(self.segment.samples) / SAMPLE_RATE_HZ


Job = ClipJob | SegmentJob


@dataclass(frozen=True, slots=True)
class Heard:
    """The answer to a `ClipJob`: what was said, and seconds by stage."""

    transcript: Transcript
    stages_s: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Crash:
    """An error in a worker that is nobody's input's fault: its type and where, never a message or a value."""

    kind: str
    where: tuple[str, ...]


Result = Heard | list[Hypothesis] | Exception | Crash


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """What a worker loads, and how it logs: None leaves Python's own way, for use as a library."""

    model: str
    device: str = "cpu"
    catalog: Path | None = None  # a folder of `asr.catalog`
    log_level: str | None = None
    log_format: Literal["auto", "json", "console"] = "auto"


@dataclass(frozen=True, slots=True)
class Timing:
    """What a group of clips cost: their number, their seconds together, seconds of wall clock."""

    n: int
    audio_s: float
    took_s: float


@dataclass(frozen=True, slots=True)
class Ready:
    """A worker has loaded, is warm, and has measured itself."""

    calibration: Calibration  # of the decoder that could be loaded
    timings: tuple[Timing, ...]
    drafts: bool = True  # whether the model is quick enough for partial texts
