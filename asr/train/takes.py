"""Takes to simulate traffic with: one spoken query as one person says it in one place, and what incidents do to it.

In: the words and the number of a take. Out: a clip as a device records it, float32 ``(n,)`` at 16 kHz, already rounded
to 16 bits. All of it follows from the seed, so that a clip can be made again instead of being kept. The same take
under two conditions is the same voice in the same room: what differs is the incident.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, sosfilt

from asr.errors import OptionError
from asr.train.augment import coloured_noise, mix, reverberate
from asr.train.noises import babble, clatter
from asr.train.phrases import phrase
from asr.train.synthesis import Manner, Recipe, Skipped, draw_manner, synthesise
from asr.transcript import SAMPLE_RATE_HZ

Samples = NDArray[np.float32]
Generator = np.random.Generator

# Where people speak to a device of theirs. Assumptions: a quiet room most of the time, seldom a loud one.
LEVEL_DBFS, LEVEL_SPREAD_DB = -26.0, 4.0
SNR_DB, SNR_SPREAD_DB, LEAST_SNR_DB = 30.0, 7.0, 8.0
IN_A_ROOM, T60_S = 0.5, (0.1, 0.5)
FLITE = 0.85  # share of the takes; the others are espeak's
AGAIN_RATE, AGAIN_PITCH = (0.88, 1.12), (0.92, 1.08)  # of one voice, from take to take

CONDITIONS = ("normal", "microphone", "cafe", "quiet")
LOW_PASS_HZ, MICROPHONE_DB = 3_400.0, -12.0
CAFE_SNR_DB = (3.0, 15.0)
QUIET_DB = -20.0
CROWD = (
    "a flat white and two teas",
    "did you see the match last night",
    "i told her that it was fine",
    "could we sit by the window",
    "that will be seven fifty please",
    "he said he would come at eight",
    "no i have not read it yet",
    "the train was late again this morning",
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a take is spoken: levels in dBFS (RMS over the clip) and dB, no room where ``t60_s`` is 0."""

    level_dbfs: float
    snr_db: float
    t60_s: float
    seed: int


@dataclass(frozen=True, slots=True)
class Take:
    """One way of saying ``text``. ``clean`` is the voice alone, float32 ``(n,)``."""

    text: str
    manner: Manner
    place: Place
    clean: Samples


def draw_take(text: str, number: int, seed: int = 0, voice: int | None = None) -> Take:
    """The take of that number. A voice that cannot say it gives way to the next; RuntimeError where none can.

    With the number of a ``voice``, each take is that voice's, in its home, a little faster, higher and otherwise
    placed than the others: as somebody says the same thing again.
    """
    source = random.Random(f"{seed} {number} {text}")
    home = source if voice is None else random.Random(f"voice {seed} {voice}")
    place = Place(
        home.gauss(LEVEL_DBFS, LEVEL_SPREAD_DB),
        max(LEAST_SNR_DB, home.gauss(SNR_DB, SNR_SPREAD_DB)),
        home.uniform(*T60_S) if home.random() < IN_A_ROOM else 0.0,
        source.getrandbits(32),
    )
    engines = ["flite", "espeak"] if home.random() < FLITE else ["espeak", "flite"]
    for engine in (*engines, *engines):
        manner = draw_manner(engine, home)
        if voice is not None:
            manner = _varied(manner, source)
        clip = synthesise(Recipe(phrase(text), manner))
        if not isinstance(clip, Skipped):
            return Take(text, manner, place, np.asarray(clip.samples / 32_768, np.float32))
    raise RuntimeError(f"neither flite nor espeak-ng could say {text!r}")


def _varied(manner: Manner, source: random.Random) -> Manner:
    """Nobody says anything twice alike."""
    pitch = manner.pitch
    return replace(
        manner,
        rate=manner.rate * source.uniform(*AGAIN_RATE),
        pitch=None if pitch is None else round(pitch * source.uniform(*AGAIN_PITCH)),
        lead_s=manner.lead_s * source.uniform(0.7, 1.3),
        tail_s=manner.tail_s * source.uniform(0.7, 1.3),
    )


def recorded(take: Take, condition: str, crowd: Sequence[Samples]) -> Samples:
    """The take as a device records it under one of ``CONDITIONS``; ``crowd`` is what a cafe is made of.

    Quiet people are 20 dB softer, and the room is as loud as ever. OptionError for another condition.
    """
    if condition not in CONDITIONS:
        raise OptionError(f"condition {condition!r}: expected one of {', '.join(CONDITIONS)}")
    rng = np.random.default_rng(take.place.seed)
    voice = _at(take.clean, take.place.level_dbfs)
    if take.place.t60_s:
        voice = reverberate(voice, take.place.t60_s, rng)
    room = mix(voice, coloured_noise(rng), take.place.snr_db, rng) - voice
    if condition == "quiet":
        voice = voice * np.float32(10.0 ** (QUIET_DB / 20.0))
    elif condition == "cafe":
        voice = _in_cafe(voice, crowd, rng)
    heard = _microphone(voice + room) if condition == "microphone" else voice + room
    return np.asarray(np.round(np.clip(heard, -1.0, 32_767 / 32_768) * 32_768) / 32_768, np.float32)


def crowd_of(seed: int = 0) -> list[Samples]:
    """The voices of a cafe: nobody's query."""
    return [draw_take(text, number, seed).clean for number, text in enumerate(CROWD)]


def _microphone(heard: Samples) -> Samples:
    """A narrow one: low-pass 3.4 kHz (Butterworth, 8th order), 12 dB softer; what it hears includes the room."""
    sections = butter(8, LOW_PASS_HZ, fs=SAMPLE_RATE_HZ, output="sos")
    return np.asarray(sosfilt(sections, heard) * 10.0 ** (MICROPHONE_DB / 20.0), np.float32)


def _in_cafe(voice: Samples, crowd: Sequence[Samples], rng: Generator) -> Samples:
    others = babble(crowd, rng, len(voice)) + np.float32(0.3) * clatter(rng, len(voice))
    return mix(voice, others, rng.uniform(*CAFE_SNR_DB), rng)


def _at(samples: Samples, level_dbfs: float) -> Samples:
    rms = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) + 1e-9
    return samples * np.float32(10.0 ** (level_dbfs / 20.0) / rms)
