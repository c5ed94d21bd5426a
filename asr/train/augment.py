"""Augmentation: what phones, rooms and microphones do to a clip, and SpecAugment on its features.

Waveform in, waveform of about the same length out. Every function takes its random generator; none keeps
state. Speed perturbation: Ko et al. 2015. Reverberation: exponential-decay impulse responses (Lebart et al.
2001) with a direct path. SpecAugment: Park et al. 2019.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import librosa
import numpy as np
import soxr
from numpy.typing import NDArray
from scipy.signal import fftconvolve, lfilter
from torch import Tensor

from asr.transcript import SAMPLE_RATE_HZ

Samples = NDArray[np.float32]
Generator = np.random.Generator


@dataclass(frozen=True, slots=True)
class AugmentOptions:
    """How often each change is made, and how strongly. Probabilities are per clip."""

    speed: float = 0.6
    speed_range: tuple[float, float] = (0.87, 1.15)
    stretch: float = 0.03  # tempo or pitch alone: a phase vocoder costs 20 ms a clip
    stretch_range: tuple[float, float] = (0.8, 1.25)
    reverb: float = 0.3
    reverb_t60_s: tuple[float, float] = (0.1, 0.8)
    noise: float = 0.5
    snr_db: tuple[float, float] = (0.0, 30.0)
    band: float = 0.4
    telephone: float = 0.5  # of those, the telephone band; the others a tilt
    clip: float = 0.15
    clip_gain_db: tuple[float, float] = (10.0, 28.0)  # levelled speech starts to clip at about 12
    level_db: tuple[float, float] = (-6.0, 6.0)
    edge_ms: tuple[int, int] = (0, 250)
    long_edge: float = 0.0  # with this share of clips up to long_edge_ms: noise before and after what is said
    long_edge_ms: int = 2500
    time_masks: int = 3
    time_mask_share: float = 0.06
    frequency_masks: int = 2
    frequency_mask_bins: int = 18

    def scaled(self, strength: float) -> AugmentOptions:
        """Speaking rate, rooms, noise and masks times ``strength``; what devices do to a clip stays as it is.

        A network that has not yet learnt its training clips learns faster from clips that are left alone.
        """
        return replace(
            self,
            speed=min(1.0, self.speed * strength),
            stretch=min(1.0, self.stretch * strength),
            reverb=min(1.0, self.reverb * strength),
            noise=min(1.0, self.noise * strength),
            time_mask_share=self.time_mask_share * strength,
            frequency_mask_bins=round(self.frequency_mask_bins * strength),
        )


def augment(samples: Samples, noises: Sequence[Samples], options: AugmentOptions, rng: Generator) -> Samples:
    """One random version of a levelled clip (float32, ``(n,)``, 16 kHz)."""
    if rng.random() < options.speed:
        samples = change_speed(samples, rng.uniform(*options.speed_range))
    if rng.random() < options.stretch:
        factor = rng.uniform(*options.stretch_range)
        samples = change_tempo(samples, factor) if rng.random() < 0.5 else change_pitch(samples, factor)
    samples = pad_edges(samples, options, rng)
    if rng.random() < options.reverb:
        samples = reverberate(samples, rng.uniform(*options.reverb_t60_s), rng)
    if rng.random() < options.band:
        samples = telephone(samples, rng) if rng.random() < options.telephone else tilt(samples, rng)
    draw = rng.random()
    if noises and draw < options.noise:
        noise = noises[int(rng.integers(len(noises)))] if rng.random() < 0.8 else coloured_noise(rng)
        samples = mix(samples, noise, rng.uniform(*options.snr_db), rng)
    if rng.random() < options.clip:
        samples = np.clip(samples * np.float32(10 ** (rng.uniform(*options.clip_gain_db) / 20)), -1.0, 1.0)
        samples = samples * np.float32(0.05 / (np.sqrt(np.mean(samples**2)) + 1e-6))
    return np.asarray(samples * 10.0 ** (rng.uniform(*options.level_db) / 20.0), dtype=np.float32)


def change_speed(samples: Samples, factor: float) -> Samples:
    """Play ``factor`` times faster: tempo, pitch and formants all move."""
    return np.asarray(soxr.resample(samples, SAMPLE_RATE_HZ * factor, SAMPLE_RATE_HZ, quality="LQ"))


def change_tempo(samples: Samples, factor: float) -> Samples:
    """Speak ``factor`` times faster at the same pitch (phase vocoder)."""
    return np.asarray(librosa.effects.time_stretch(samples, rate=factor, n_fft=512), dtype=np.float32)


def change_pitch(samples: Samples, factor: float) -> Samples:
    """Raise pitch and formants by ``factor`` at the same tempo: a shorter or longer vocal tract."""
    return change_speed(change_tempo(samples, 1.0 / factor), factor)


def pad_edges(samples: Samples, options: AugmentOptions, rng: Generator) -> Samples:
    """Near-silence before and after, as a loosely trimmed clip has it.

    Noise that is mixed in later fills it. Where it is long, a network learns to write nothing for other people's
    talk, which a detector takes for speech.
    """
    low, high = options.edge_ms
    if rng.random() < options.long_edge:
        high = options.long_edge_ms
    before, after = rng.integers(low * 16, high * 16 + 1, size=2)
    floor = np.float32(10.0 ** (rng.uniform(-90.0, -60.0) / 20.0))
    padded: Samples = rng.standard_normal(len(samples) + before + after, dtype=np.float32) * floor
    padded[before : before + len(samples)] += samples
    return padded


def reverberate(samples: Samples, t60_s: float, rng: Generator) -> Samples:
    """Convolve with a direct path and an exponentially decaying tail; the delay and level are kept."""
    length = max(1, int(t60_s * SAMPLE_RATE_HZ))
    decay = np.exp(-6.908 * np.arange(length, dtype=np.float32) / length)  # ln(1000): -60 dB
    tail = rng.standard_normal(length, dtype=np.float32) * decay
    tail[: int(rng.uniform(0.001, 0.02) * SAMPLE_RATE_HZ)] = 0.0
    ratio_db = rng.uniform(-3.0, 15.0)  # direct to reverberant energy
    tail *= np.float32(10.0 ** (-ratio_db / 20.0) / (np.sqrt(np.sum(tail**2)) + 1e-9))
    tail[0] += 1.0
    wet = fftconvolve(samples, tail)[: len(samples)].astype(np.float32)
    return _at_level(wet, samples)


def telephone(samples: Samples, rng: Generator) -> Samples:
    """Through 8 kHz sampling, half the time also through G.711's eight logarithmic bits."""
    narrow = np.asarray(soxr.resample(samples, SAMPLE_RATE_HZ, 8000, quality="LQ"), dtype=np.float32)
    if rng.random() < 0.5:
        narrow = _mu_law(narrow)
    wide = np.asarray(soxr.resample(narrow, 8000, SAMPLE_RATE_HZ, quality="LQ"), dtype=np.float32)
    return np.pad(wide, (0, max(0, len(samples) - len(wide))))[: len(samples)]


def tilt(samples: Samples, rng: Generator) -> Samples:
    """A microphone that favours low or high frequencies: one zero, the level kept."""
    return _at_level(lfilter([1.0, rng.uniform(-0.7, 0.7)], [1.0], samples).astype(np.float32), samples)


def mix(samples: Samples, noise: Samples, snr_db: float, rng: Generator) -> Samples:
    """Add a random stretch of ``noise``, repeated where it is too short, at ``snr_db``."""
    start = int(rng.integers(len(noise)))
    stretch = np.resize(np.roll(noise, -start) if len(noise) <= len(samples) else noise[start:], len(samples))
    gain = _rms(samples) / (_rms(stretch) + 1e-6) * 10.0 ** (-snr_db / 20.0)
    return np.asarray(samples + stretch * gain, dtype=np.float32)


def coloured_noise(rng: Generator, length: int = 5 * SAMPLE_RATE_HZ) -> Samples:
    """White, pink or brown noise, or a mains hum with harmonics; unit RMS, float32 ``(length,)``."""
    kind = rng.integers(4)
    if kind == 3:
        time = np.arange(length, dtype=np.float32) / SAMPLE_RATE_HZ
        base = rng.choice([50.0, 60.0, 100.0, 120.0])
        noise = sum(
            rng.random() / order * np.sin(2 * np.pi * base * order * time + rng.uniform(0, 6.28))
            for order in range(1, 9)
        )
    else:
        spectrum = np.fft.rfft(rng.standard_normal(length))
        spectrum /= np.maximum(np.arange(len(spectrum)), 1.0) ** (kind / 2.0)
        noise = np.fft.irfft(spectrum, length)
    noise = np.asarray(noise, dtype=np.float32)
    return np.asarray(noise / (_rms(noise) + 1e-9), dtype=np.float32)


def spec_augment(features: Tensor, counts: Tensor, options: AugmentOptions, rng: Generator) -> Tensor:
    """Zero random bands and stretches of normalised features ``(batch, bins, frames)``, in place of none.

    Zero is the corpus mean. Stretches are at most ``time_mask_share`` of the utterance each.
    """
    masked = features.clone()
    bins = features.shape[1]
    for row, count in enumerate(counts.tolist()):
        for _ in range(options.frequency_masks):
            width = int(rng.integers(0, options.frequency_mask_bins + 1))
            start = int(rng.integers(0, bins - width + 1))
            masked[row, start : start + width] = 0.0
        for _ in range(options.time_masks):
            width = int(rng.integers(0, max(1, int(count * options.time_mask_share)) + 1))
            start = int(rng.integers(0, max(1, count - width)))
            masked[row, :, start : start + width] = 0.0
    return masked


def _mu_law(samples: Samples) -> Samples:
    limited = np.clip(samples, -1.0, 1.0)
    compressed = np.sign(limited) * np.log1p(255.0 * np.abs(limited)) / np.log(256.0)
    quantised = np.round(compressed * 127.0) / 127.0
    expanded = np.sign(quantised) * (np.power(256.0, np.abs(quantised)) - 1.0) / 255.0
    return np.asarray(expanded, dtype=np.float32)


def _at_level(samples: Samples, reference: Samples) -> Samples:
    return np.asarray(samples * (_rms(reference) / (_rms(samples) + 1e-9)), dtype=np.float32)


def _rms(samples: Samples) -> float:
    return float(np.sqrt(np.mean(np.square(samples)))) if len(samples) else 0.0
