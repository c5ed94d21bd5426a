"""Records for the tests of drift: what the real front end makes of the sample clips, spoken by made-up people.

A person has a voice of some loudness, near or far; their clips resemble each other. Text and search are drawn: the
front end is what drift of inputs is about.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from asr.audio import decode
from asr.frontend import Frontend
from asr.transcript import ClipStats
from monitoring.record import Outcome, Record, Transport

SAMPLES = Path(__file__).resolve().parent.parent / "data" / "samples"
SPOKEN = (
    "play_jazz.wav",
    "running_shoes.flac",
    "coffee_order.flac",
    "taxi.ogg",
    "weather.flac",
    "red_jacket.wav",
)
MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
NIGHT_DB = -5.0  # people are softer from 20 to 8 o'clock

Sound = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def unchanged(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """The microphone of before."""
    return samples


def narrow_microphone(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Nothing above 3.4 kHz, 12 dB softer: acceptance D1."""
    spectrum = np.fft.rfft(samples)
    spectrum[np.fft.rfftfreq(len(samples), 1 / 16_000) > 3_400] = 0
    return np.fft.irfft(spectrum, len(samples)).astype(np.float32) * np.float32(10 ** (-12 / 20))


@lru_cache
def heard(sound: Sound = unchanged) -> tuple[ClipStats, ...]:
    """What the front end says of each sample clip in four noises, through a microphone."""
    front, rng = Frontend(), np.random.default_rng(3)
    stats = []
    for name in SPOKEN:
        samples = decode(SAMPLES / name)
        samples = samples / (np.sqrt(np.mean(samples**2)) + 1e-9) * 0.05  # -26 dBFS
        for noise_db in (-70, -60, -50, -45):
            noise = rng.standard_normal(len(samples)) * 10 ** (noise_db / 20)
            noisy = sound((samples + noise).astype(np.float32))
            stats.append(front.prepare(noisy).clip)
    return tuple(stats)


def records(
    number: int,
    seed: int,
    *,
    clips: Sequence[ClipStats] | None = None,
    since: datetime = MONDAY,
    span: timedelta = timedelta(days=7),
    per_sitting: float = 2.0,
    confidence: float = 8.0,
    no_results: float = 0.05,
    nights: bool = False,
    model: str = "a",
) -> list[Record]:
    """``number`` records, sitting by sitting, evenly over ``span``; ``confidence``: of a beta distribution."""
    source = random.Random(seed)
    clips = heard() if clips is None else clips
    made: list[Record] = []
    sitting = 0
    while len(made) < number:
        sitting += 1
        louder_db, place = source.gauss(0.0, 4.0), source.choice(clips)
        for _ in range(1 + int(source.expovariate(1 / (per_sitting - 0.5)))):
            at = since + span * (len(made) / number)
            night_db = NIGHT_DB if nights and not 8 <= at.hour < 20 else 0.0
            null, nothing = source.random() < 0.04, source.random() < no_results
            made.append(
                Record(
                    request_id=f"{seed}-{len(made)}",
                    at=at,
                    transport=Transport.SEARCH,
                    outcome=Outcome.NULL if null else Outcome.OK,
                    status=200,
                    model=model,
                    duration_s=0.1,
                    session=f"{seed}-{sitting}",
                    clip=_spoken(place, louder_db + night_db + source.gauss(0.0, 0.5), source),
                    confidence=None if null else source.betavariate(confidence, 2.0),
                    n_words=0 if null else source.randint(1, 6),
                    results=() if null or nothing else ("item",),
                    stages_s={"search": 0.01},
                    entropy=source.gammavariate(2.0, 0.05),
                    perplexity=source.lognormvariate(5.0, 1.0),
                    top_score=None if null or nothing else source.random(),
                )
            )
    return made[:number]


def _spoken(clip: ClipStats, louder_db: float, source: random.Random) -> ClipStats:
    assert clip.level_dbfs is not None
    assert clip.snr_db is not None
    silence_s = source.expovariate(4.0)
    duration_s = clip.duration_s + silence_s
    return replace(
        clip,
        duration_s=duration_s,
        level_dbfs=clip.level_dbfs + louder_db,
        gain_db=clip.gain_db - louder_db,
        snr_db=clip.snr_db + source.gauss(0.0, 1.0),
        speech_ratio=clip.speech_ratio * clip.duration_s / duration_s,
        leading_silence_s=clip.leading_silence_s + silence_s,
    )
