"""How fast a pipeline is on this machine: latency by clip length, throughput, memory, share of the GEMM peak.

What takes the time of a clip is measured on prepared clips in memory, one after the other. Import time and
the matrix-multiplication peak are measured in processes of their own, where nothing is warm and the number of
threads can still be chosen.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.transcript import SAMPLE_RATE_HZ, Transcript

Samples = NDArray[np.float32]
Transcribe = Callable[[Samples], Transcript]

LENGTHS_S = (1, 2, 3, 5, 8, 15)
PERCENTILES = (50, 90, 95, 99)
GEMM_SIZE = 1024  # 2 * 1024^3 = 2.1e9 floating-point operations a product; three matrices are 12 MB
GEMM_REPEATS = 8
BYTES_PER_RSS_UNIT = 1 if sys.platform == "darwin" else 1024  # getrusage(2): bytes there, KiB on Linux

GEMM_CODE = f"""
import time, numpy
a = numpy.random.default_rng(0).standard_normal(({GEMM_SIZE}, {GEMM_SIZE}), dtype=numpy.float32)
a @ a
times = []
for _ in range({GEMM_REPEATS}):
    start = time.perf_counter()
    a @ a
    times.append(time.perf_counter() - start)
print(2 * {GEMM_SIZE} ** 3 / min(times))
"""
IMPORT_CODE = "import time; start = time.perf_counter(); import asr; print(time.perf_counter() - start)"
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


@dataclass(frozen=True, slots=True)
class Latency:
    """Times of clips of one length. ``speech_ratio`` tells whether the model had work to do."""

    length_s: int
    seconds: tuple[float, ...]
    speech_ratio: float

    @property
    def real_time_factor(self) -> float:
        """Seconds of work for each second of audio."""
        return sum(self.seconds) / (len(self.seconds) * self.length_s)

    def as_dict(self) -> dict[str, float]:
        """Percentiles in milliseconds, real-time factor, and share of the audio that is speech."""
        percentiles = np.percentile(self.seconds, PERCENTILES)
        return {
            **{
                f"p{which}": round(1000 * float(at), 2)
                for which, at in zip(PERCENTILES, percentiles, strict=True)
            },
            "real_time_factor": round(self.real_time_factor, 5),
            "speech_ratio": round(self.speech_ratio, 3),
        }


def measure(transcribe: Transcribe, material: Samples, repeats: int) -> list[Latency]:
    """Time ``repeats`` clips of each length, cut from ``material`` (tiled where it is short)."""
    latencies = []
    for length_s in LENGTHS_S:
        clips = list(cut(material, length_s * SAMPLE_RATE_HZ, repeats + 1))
        transcribe(clips[0])  # the first run of a shape allocates
        seconds, speech = [], []
        for clip in clips[1:]:
            start = time.perf_counter()
            transcript = transcribe(clip)
            seconds.append(time.perf_counter() - start)
            speech.append(transcript.clip.speech_ratio)
        latencies.append(Latency(length_s, tuple(seconds), sum(speech) / len(speech)))
    return latencies


def cut(material: Samples, length: int, count: int) -> Iterable[Samples]:
    """``count`` clips of ``length`` samples that begin at places spread evenly over the material."""
    for at in range(count):
        start = at * len(material) // count
        yield material.take(np.arange(start, start + length), mode="wrap")


def voiced_noise(duration_s: float = 30.0, seed: int = 0) -> Samples:
    """Speech-like sound: a pulse train of wandering pitch through three resonances, in syllables of 4 Hz.

    For machines without a recording at hand; it makes the detector and the model work, and means nothing.
    """
    rng = np.random.default_rng(seed)
    time_s = np.arange(int(duration_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    pitch_hz = 120.0 + 20.0 * np.sin(2 * np.pi * 0.7 * time_s)
    phase = 2 * np.pi * np.cumsum(pitch_hz) / SAMPLE_RATE_HZ
    sound = np.zeros_like(time_s)
    for harmonic in range(1, 30):
        frequency_hz = 120.0 * harmonic
        gain = sum(1.0 / (1.0 + ((frequency_hz - formant) / 120.0) ** 2) for formant in (600, 1200, 2500))
        sound += gain * np.sin(harmonic * phase)
    syllables = np.clip(np.sin(2 * np.pi * 4.0 * time_s) + 0.5, 0.0, None)
    pauses = np.sin(2 * np.pi * time_s / 3.0) > -0.8
    sound = sound * syllables * pauses + 0.01 * rng.standard_normal(len(time_s))
    return np.asarray(0.1 * sound / np.abs(sound).max(), dtype=np.float32)


def peak_rss_bytes(*, children: bool = False) -> int:
    """The most memory that this process has held, or the largest of those that it has started and seen the end of."""
    import resource  # not on Windows, where the other verbs must still run

    who = resource.RUSAGE_CHILDREN if children else resource.RUSAGE_SELF
    return resource.getrusage(who).ru_maxrss * BYTES_PER_RSS_UNIT


def import_s() -> float:
    """Seconds that ``import asr`` takes in a new process."""
    return _number(IMPORT_CODE, {})


def gemm_flops_per_s(threads: int) -> float:
    """The machine's float32 matrix-multiplication peak (numpy's BLAS) on so many threads."""
    return _number(GEMM_CODE, dict.fromkeys(THREAD_VARIABLES, str(threads)))


def gemm_share(flops_per_audio_s: Any, real_time_factor: float, peak: float) -> float | None:
    """Share of the peak that the whole pipeline reaches; None if the bundle does not say its cost."""
    if not isinstance(flops_per_audio_s, int | float):
        return None
    return round(flops_per_audio_s / real_time_factor / peak, 4)


def _number(code: str, environment: dict[str, str]) -> float:
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(result.stdout)
