"""Training material for a voice activity detector: aligned clips and noises in, mixtures with their truth out.

Clips are set in a row with pauses between them, then put through a room, noise, a microphone and a level, each
drawn at random. The corpora are trimmed and levelled: without the pauses nothing would be silence, and without
the levels loud would mean speech. Frames are of 10 ms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.train.augment import change_speed, reverberate, telephone, tilt
from asr.train.corpus import Entry
from asr.train.noises import FEWEST_VOICES, NOISES, babble
from asr.train.vad_labels import FRAME

Samples = NDArray[np.float32]
Truth = NDArray[np.bool_]
Generator = np.random.Generator

FULL_SCALE = 32768.0


@dataclass(frozen=True, slots=True)
class Mixture:
    """Samples (float32, ``(frames * 160,)``, on the grid of 16 bits) and whether each frame is speech."""

    samples: Samples
    truth: Truth


@dataclass(frozen=True, slots=True)
class Material:
    """What mixtures are made of: aligned clips (int16) and recorded noises (int16)."""

    speech: Sequence[tuple[NDArray[np.int16], Truth]]
    noises: Sequence[NDArray[np.int16]]


@dataclass(frozen=True, slots=True)
class MixtureOptions:
    """How often each thing is done to a mixture, and how strongly. Shares are of mixtures unless said otherwise."""

    frames: int = 1200
    speechless: float = 0.18
    pause_s: tuple[float, float] = (0.1, 2.5)
    at_once: float = 0.25  # begin with speech
    uneven_db: float = 8.0  # a clip is louder or softer than the first by up to this
    reverb: float = 0.3
    reverb_t60_s: tuple[float, float] = (0.1, 0.7)
    noiseless: float = 0.12
    second_noise: float = 0.3
    recorded: float = 0.6  # of noises
    respeed: float = 0.6  # of recorded noises: slower and lower, or faster and higher
    respeed_range: tuple[float, float] = (0.6, 1.6)
    babble: float = 0.1  # of the others
    snr_db: tuple[float, float] = (-5.0, 30.0)
    babble_snr_db: tuple[float, float] = (5.0, 30.0)  # louder babble cannot be told from speech
    intermittent: float = 0.3  # of noises: switched on and off
    floor_db: tuple[float, float] = (-80.0, -35.0)  # hiss of the microphone, relative to the speech
    silent: float = 0.3  # digital silence in some pauses
    band: float = 0.3
    telephone: float = 0.4  # of those; the others a tilt
    overdriven: float = 0.1
    overdrive_db: tuple[float, float] = (6.0, 24.0)
    level_dbfs: tuple[float, float] = (-60.0, -5.0)


def mixture(material: Material, options: MixtureOptions, rng: Generator) -> Mixture:
    """One random mixture."""
    samples, truth = _speech(material, options, rng)
    if rng.random() < options.reverb and truth.any():
        samples = reverberate(samples, rng.uniform(*options.reverb_t60_s), rng)
    active = _rms(samples.reshape(-1, FRAME)[truth]) or 1.0
    if rng.random() >= options.noiseless:
        for _ in range(2 if rng.random() < options.second_noise else 1):
            samples = samples + np.float32(active) * _noise(material, options, rng)
    hiss = np.float32(active * 10.0 ** (rng.uniform(*options.floor_db) / 20.0))
    samples = samples + hiss * rng.standard_normal(len(samples), dtype=np.float32)
    if rng.random() < options.silent:
        samples = _silenced(samples, truth, rng)
    if rng.random() < options.band:
        samples = telephone(samples, rng) if rng.random() < options.telephone else tilt(samples, rng)
    loudness = _rms(samples.reshape(-1, FRAME)[truth]) or _rms(samples) or 1.0
    if rng.random() < options.overdriven:
        drive = np.float32(10.0 ** (rng.uniform(*options.overdrive_db) / 20.0) / 8.0 / loudness)
        samples = np.clip(samples * drive, -1.0, 1.0) / drive
    gain = np.float32(10.0 ** (rng.uniform(*options.level_dbfs) / 20.0) / loudness)
    rounded = np.clip(np.round(samples * gain * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1.0)
    return Mixture(np.asarray(rounded / FULL_SCALE, dtype=np.float32), truth)


def split_noise(entries: Sequence[Entry], held_share: float = 1 / 3) -> tuple[list[Entry], list[Entry]]:
    """Clips to train on, and clips held back: of each label the last third of the recordings, none in both.

    ESC-10 names its files ``esc10_<fold>-<recording>-<take>``; a label with one recording joins the others alike.
    """
    labels: dict[str, dict[str, list[Entry]]] = {}
    for entry in entries:
        labels.setdefault(entry.set, {}).setdefault(recording(entry), []).append(entry)
    single = {name for name, found in labels.items() if len(found) == 1}
    pools = [labels[name] for name in sorted(labels.keys() - single)]
    pools.append({key: clips for name in sorted(single) for key, clips in labels[name].items()})
    train: list[Entry] = []
    held: list[Entry] = []
    for pool in pools:
        keys = sorted(pool)
        kept = len(keys) - round(len(keys) * held_share)
        for position, key in enumerate(keys):
            (train if position < kept else held).extend(pool[key])
    return train, held


def recording(entry: Entry) -> str:
    """The recording that a clip of noise was cut from."""
    return entry.audio.split("-")[1] if entry.audio.startswith("esc10_") else entry.audio


def _speech(material: Material, options: MixtureOptions, rng: Generator) -> tuple[Samples, Truth]:
    samples = np.zeros(options.frames * FRAME, dtype=np.float32)
    truth = np.zeros(options.frames, dtype=np.bool_)
    if rng.random() < options.speechless:
        return samples, truth
    at = 0 if rng.random() < options.at_once else _pause(options, rng)
    while at < options.frames:
        clip, spoken = material.speech[int(rng.integers(len(material.speech)))]
        # A mixture may begin and end anywhere in a clip.
        skip = int(rng.integers(len(spoken))) if at == 0 and rng.random() < 0.3 else 0
        count = min(len(spoken) - skip, options.frames - at)
        gain = 10.0 ** (rng.uniform(-options.uneven_db, options.uneven_db) / 20.0) / FULL_SCALE
        piece = clip[skip * FRAME : (skip + count) * FRAME]
        samples[at * FRAME : (at + count) * FRAME] = piece * np.float32(gain)
        truth[at : at + count] = spoken[skip : skip + count]
        at += count + _pause(options, rng)
    return samples, truth


def _pause(options: MixtureOptions, rng: Generator) -> int:
    return int(rng.uniform(*options.pause_s) * 100)


def _noise(material: Material, options: MixtureOptions, rng: Generator) -> Samples:
    """Noise of a mixture in which active speech has a root mean square of 1."""
    length = options.frames * FRAME
    snr_db = rng.uniform(*options.snr_db)
    if rng.random() < options.recorded:
        sound = material.noises[int(rng.integers(len(material.noises)))]
        noise = np.resize(np.roll(sound, -int(rng.integers(len(sound)))), length).astype(np.float32)
        if rng.random() < options.respeed:
            noise = np.resize(change_speed(noise, rng.uniform(*options.respeed_range)), length)
    elif rng.random() < options.babble:
        voices = rng.choice(len(material.speech), size=int(rng.integers(FEWEST_VOICES, 9)), replace=False)
        noise = babble([material.speech[int(v)][0].astype(np.float32) for v in voices], rng, length)
        snr_db = rng.uniform(*options.babble_snr_db)
    else:
        noise = list(NOISES.values())[int(rng.integers(len(NOISES)))](rng, length)
    noise = noise * np.float32(10.0 ** (-snr_db / 20.0) / (_rms(noise) or 1.0))
    return noise * _switched(length, rng) if rng.random() < options.intermittent else noise


def _switched(length: int, rng: Generator) -> Samples:
    """1 and 0 in turn, for half a second to four seconds each."""
    gate = np.zeros(length, dtype=np.float32)
    at, on = 0, rng.random() < 0.5
    while at < length:
        end = at + int(rng.uniform(0.5, 4.0) * 100) * FRAME
        gate[at:end] = on
        at, on = end, not on
    return gate


def _silenced(samples: Samples, truth: Truth, rng: Generator) -> Samples:
    """Zeros in place of a random half of the pauses, or of parts of them."""
    silenced = samples.copy()
    edges = np.flatnonzero(np.diff(np.concatenate([[True], truth, [True]]).astype(np.int8)))
    for start, end in edges.reshape(-1, 2):
        if rng.random() < 0.5:
            first, last = sorted(rng.integers(start, end + 1, size=2)) if rng.random() < 0.5 else (start, end)
            silenced[first * FRAME : last * FRAME] = 0.0
    return silenced


def _rms(samples: NDArray[np.floating[Any]]) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))) if samples.size else 0.0
