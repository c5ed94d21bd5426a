"""Synthetic speech for training: one ``Recipe`` (what, by whom, in which manner) becomes one clip.

In: phrases; the programs ``flite`` (whose phones are kept) and ``espeak-ng`` (whose phones are not: the
lexicon supplies them). Out: int16 at 16 kHz with silence around it. It adds no room, noise or level
change: training augments. Many speakers are made of few voices by resampling: played at ``shift`` times
the speed, pitch and formants rise together as in a shorter vocal tract; flite speaks that much slower
first, so the speaking rate does not change.
"""

# ruff: noqa: SIM905 - a list of words reads best as one string

from __future__ import annotations

import random
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from asr.train.lexicon import PHONES, arpabet
from asr.train.phrases import Phrase
from asr.transcript import SAMPLE_RATE_HZ

TIMEOUT_S = 20
MIN_SPEECH_S, MAX_SPEECH_S = 0.08, 12.0
# A phone below 25 ms or above 400 ms on average means that label and sound disagree.
MIN_PHONE_S, MAX_PHONE_S = 0.025, 0.400
SILENCE_BELOW_PEAK_DB = 45
EDGE_S = 0.03  # kept around the loud part: the onset of a fricative is softer than the threshold


# Mean pitch of each voice at shift 1, None where the voice ignores the setting (measured).
FLITE_VOICES: dict[str, int | None] = {"slt": 174, "awb": 133, "rms": None, "kal16": 100}
_FLITE_SHARES = {"slt": 32, "rms": 28, "awb": 25, "kal16": 15}
# Percent. The last three sound like children; a grid, so that a speaker's label recurs.
_SHIFTS = (82, 85, 88, 91, 94, 97, 100, 103, 106, 109, 112, 115, 118, 122, 126, 130)
_SHIFT_SHARES = (1,) * 13 + (0.6, 0.5, 0.4)

ESPEAK_ACCENTS = (
    "en-us en-us en-us en-us en-us-nyc en-gb en-gb en-gb-x-rp en-gb-scotland en-029 en-gb-x-gbclan "
    "en-gb-x-gbcwmd"
).split()
ESPEAK_VARIANTS = (
    "m1 m2 m3 m4 m5 m6 m7 m8 f1 f2 f3 f4 f5 steph steph2 Alicia Andrea Annie linda belinda anika adam Alex "
    "Andy benjamin boris david edward Gene Hugo iven john Lee max Michael pablo paul quincy rob robert "
    "shelby victor"
).split()


@dataclass(frozen=True, slots=True)
class Manner:
    """Who speaks and how: ``shift_percent`` scales pitch and formants.

    ``rate`` is 1 at the voice's own speed.
    ``pitch`` is the mean in hertz for flite (None: the voice's own) and 0 to 99 for espeak.
    """

    engine: str
    voice: str
    shift_percent: int
    rate: float
    pitch: int | None
    lead_s: float
    tail_s: float

    @property
    def speaker(self) -> str:
        """A label that recurs for the same voice and vocal-tract length: ``flite_slt_112``."""
        return f"{self.engine}_{self.voice}_{self.shift_percent}"


@dataclass(frozen=True, slots=True)
class Recipe:
    """One clip to make."""

    phrase: Phrase
    manner: Manner


@dataclass(frozen=True, slots=True)
class Clip:
    """One clip made: ``samples`` int16, shape ``(n,)``, 16 kHz; ``phones`` is None for espeak."""

    recipe: Recipe
    samples: NDArray[np.int16]
    phones: tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class Skipped:
    """A recipe that gave no usable clip, and the kind of reason."""

    recipe: Recipe
    reason: str


def draw_manner(engine: str, source: random.Random) -> Manner:
    """A random speaker and manner for ``"flite"`` or ``"espeak"``."""
    lead_s, tail_s = source.uniform(0.15, 0.4), source.uniform(0.15, 0.4)
    if engine == "espeak":
        voice = f"{source.choice(ESPEAK_ACCENTS)}+{source.choice(ESPEAK_VARIANTS)}"
        rate, pitch = source.uniform(120, 230) / 175, source.randint(20, 80)
        return Manner(engine, voice, source.choice((94, 100, 106)), rate, pitch, lead_s, tail_s)
    assert engine == "flite", engine
    (voice,) = source.choices(list(_FLITE_SHARES), list(_FLITE_SHARES.values()))
    (shift_percent,) = source.choices(_SHIFTS, _SHIFT_SHARES)
    mean_hz = FLITE_VOICES[voice]
    shifted_hz = None if mean_hz is None else round(mean_hz * source.uniform(0.85, 1.18))
    return Manner(engine, voice, shift_percent, 1 / source.uniform(0.8, 1.3), shifted_hz, lead_s, tail_s)


def synthesise(recipe: Recipe) -> Clip | Skipped:
    """Speak one recipe. A text that crashes or stalls the program is skipped, never fatal."""
    with tempfile.TemporaryDirectory(prefix="synthesis") as folder:
        path = Path(folder) / "clip.wav"
        try:
            phones = _speak(recipe, path)
            samples, rate_hz = soundfile.read(path, dtype="float32")
        except subprocess.TimeoutExpired:
            return Skipped(recipe, "timeout")
        except subprocess.CalledProcessError:
            return Skipped(recipe, "crash")
        except soundfile.SoundFileError:
            return Skipped(recipe, "no audio")
    shift = recipe.manner.shift_percent / 100
    speech = trim(soxr.resample(samples, rate_hz * shift, SAMPLE_RATE_HZ))
    speech_s = len(speech) / SAMPLE_RATE_HZ
    if not MIN_SPEECH_S <= speech_s <= MAX_SPEECH_S:
        return Skipped(recipe, "length")
    if phones is not None and not set(phones) <= set(PHONES):
        return Skipped(recipe, "unknown phone")
    if phones is not None and not MIN_PHONE_S * len(phones) <= speech_s <= MAX_PHONE_S * len(phones):
        return Skipped(recipe, "phone rate")
    return Clip(recipe, _surround(speech, recipe.manner), phones)


def trim(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cut the silence at both ends: float32, shape ``(n,)`` to ``(m,)``; empty when nothing is loud."""
    level = np.abs(samples)
    peak = float(level.max(initial=0.0))
    loud = np.flatnonzero(level > peak * 10 ** (-SILENCE_BELOW_PEAK_DB / 20))
    if not len(loud):
        return samples[:0]
    edge = round(EDGE_S * SAMPLE_RATE_HZ)
    return samples[max(0, loud[0] - edge) : loud[-1] + 1 + edge]


def _surround(speech: NDArray[np.float32], manner: Manner) -> NDArray[np.int16]:
    lead, tail = (round(seconds * SAMPLE_RATE_HZ) for seconds in (manner.lead_s, manner.tail_s))
    # Resampling overshoots a little: scale such a clip down instead of clipping it.
    scale = 32_767 / max(1.0, float(np.abs(speech).max()))
    return np.pad(np.round(speech * scale).astype(np.int16), (lead, tail))


def _speak(recipe: Recipe, path: Path) -> tuple[str, ...] | None:
    """Write the speech to ``path``; the phones, where the engine tells them."""
    if recipe.manner.engine == "flite":
        return _flite(recipe, path)
    _espeak(recipe, path)
    return None


def _flite(recipe: Recipe, path: Path) -> tuple[str, ...]:
    manner = recipe.manner
    stretch = manner.shift_percent / 100 / manner.rate
    settings = ["--setf", f"duration_stretch={stretch:.3f}"]
    if manner.pitch is not None:
        settings += ["--setf", f"int_f0_target_mean={manner.pitch}"]
    command = ["flite", "-voice", manner.voice, *settings, "-ps", "-t", recipe.phrase.spoken, "-o", str(path)]
    return arpabet(_run(command))


def _espeak(recipe: Recipe, path: Path) -> None:
    manner = recipe.manner
    words_per_minute = round(175 * manner.rate)  # 175 is espeak's own speed
    command = ["espeak-ng", "-v", manner.voice, "-s", str(words_per_minute), "-p", str(manner.pitch)]
    _run([*command, "-w", str(path), recipe.phrase.spoken])


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=True)
    return done.stdout
