"""How well a detector tells speech from noise: detectors and mixtures in, areas and error rates out.

Every detector is asked on the same mixtures and judged on frames of 10 ms, whatever its own frames are. Noises
must be those that `split_noise` held back, clips those of speakers that no detector of ours was trained on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr.train.noises import NOISES
from asr.train.vad_labels import FRAME, away_from_edges
from asr.train.vad_mixtures import Material, Mixture, MixtureOptions, mixture
from asr.transcript import SAMPLE_RATE_HZ
from asr.vad import Samples, Scorer, Vad, VadOptions, find_speech, frame_probabilities, one_by_one

COLLAR = 10  # frames on both sides of an edge that the stricter area leaves out: no label is that exact

# Speech at one level with pauses, in a recorded noise or none: nothing else is done to it.
PLAIN = MixtureOptions(
    frames=2000,
    speechless=0.0,
    at_once=0.0,
    uneven_db=0.0,
    reverb=0.0,
    second_noise=0.0,
    recorded=1.0,
    respeed=0.0,
    intermittent=0.0,
    silent=0.0,
    band=0.0,
    overdriven=0.0,
    floor_db=(-60.0, -60.0),
    level_dbfs=(-26.0, -26.0),
)


@dataclass(frozen=True, slots=True)
class Detection:
    """How a detector did on mixtures of one kind.

    ``auc`` is the area under the ROC curve over all frames, ``auc_collar`` without those within `COLLAR` of an
    edge. ``missed`` and ``false_alarms`` are shares of the frames of speech and of the others at ``threshold``;
    ``missed_by_spans`` the share of speech outside the spans of `find_speech`, padding included.
    """

    auc: float
    auc_collar: float
    missed: float
    false_alarms: float
    missed_by_spans: float


def plain_mixtures(material: Material, snr_db: float | None, count: int, seed: int = 0) -> list[Mixture]:
    """Mixtures of 20 s at one ratio of active speech to noise; None for no noise."""
    rng = np.random.default_rng(seed)
    noiseless = 1.0 if snr_db is None else 0.0
    options = replace(PLAIN, noiseless=noiseless, snr_db=(snr_db or 0.0, snr_db or 0.0))
    return [mixture(material, options, rng) for _ in range(count)]


def detection(vad: Vad, mixtures: Sequence[Mixture], options: VadOptions) -> Detection:
    """Ask ``vad`` about every mixture."""
    heard = [list(frame_probabilities(vad, made.samples)) for made in mixtures]
    scores = np.concatenate(
        [on_grid(own, vad.frame_length, len(made.truth)) for own, made in zip(heard, mixtures, strict=True)]
    )
    truth = np.concatenate([made.truth for made in mixtures])
    sure = np.concatenate([away_from_edges(made.truth, COLLAR) for made in mixtures])
    inside = np.concatenate(
        [
            frames_in_spans(_Heard(own, vad.frame_length), made.samples, options)
            for own, made in zip(heard, mixtures, strict=True)
        ]
    )
    spoken = scores >= options.threshold
    return Detection(
        auc=roc_auc(scores, truth),
        auc_collar=roc_auc(scores[sure], truth[sure]),
        missed=1.0 - float(spoken[truth].mean()),
        false_alarms=float(spoken[~truth].mean()),
        missed_by_spans=1.0 - float(inside[truth].mean()),
    )


def false_alarms(vad: Vad, sounds: Iterable[Samples], threshold: float) -> float:
    """Share of the frames of sounds without speech that reach ``threshold``."""
    return float(np.mean(np.concatenate([frame_scores(vad, sound) for sound in sounds]) >= threshold))


def sounds_without_speech(seconds: float = 20.0, seed: int = 1) -> Mapping[str, Samples]:
    """Digital silence, white noise at five levels, and one of each of `NOISES` at -30 dBFS, by name."""
    rng = np.random.default_rng(seed)
    length = int(seconds * SAMPLE_RATE_HZ)
    made: dict[str, Samples] = {"digital silence": np.zeros(length, dtype=np.float32)}
    for dbfs in (-80, -60, -40, -20, -6):
        made[f"white, {dbfs} dBFS"] = np.clip(_at(NOISES["white"](rng, length), dbfs), -1.0, 1.0)
    return made | {name: _at(make(rng, length), -30) for name, make in NOISES.items() if name != "white"}


def frame_scores(vad: Vad, samples: Samples) -> NDArray[np.float64]:
    """P(speech) of each 10 ms of a clip (float32, ``(n,)``): float64 ``(n // 160,)``."""
    return on_grid(list(frame_probabilities(vad, samples)), vad.frame_length, len(samples) // FRAME)


def on_grid(probabilities: Sequence[float], frame_length: int, count: int) -> NDArray[np.float64]:
    """Probabilities of a detector's own frames for ``count`` frames of 10 ms: of the one around the middle of each."""
    middles = np.arange(count) * FRAME + FRAME // 2
    return np.asarray(np.asarray(probabilities)[middles // frame_length], dtype=np.float64)


def frames_in_spans(vad: Vad, samples: Samples, options: VadOptions) -> NDArray[np.bool_]:
    """Whether the middle of each 10 ms of a clip is in a span of speech."""
    inside = np.zeros(len(samples), dtype=np.bool_)
    for span in find_speech(vad, samples, options):
        inside[span.start : span.end] = True
    return inside[FRAME // 2 :: FRAME][: len(samples) // FRAME]


def roc_auc(scores: NDArray[np.floating[Any]], truth: NDArray[np.bool_]) -> float:
    """Probability that a frame of speech scores above another (ties count half): Mann and Whitney's U, scaled."""
    _, places, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2.0)[places]
    positive, negative = int(truth.sum()), int((~truth).sum())
    return float((ranks[truth].sum() - positive * (positive + 1) / 2.0) / (positive * negative))


class _Heard:
    """A detector that repeats what another has answered, so that a slow one is asked only once."""

    def __init__(self, probabilities: Sequence[float], frame_length: int) -> None:
        self.frame_length = frame_length
        self._probabilities = probabilities

    def open(self) -> Scorer:
        """A scorer that goes through the answers."""
        answers = iter(self._probabilities)
        return one_by_one(lambda _frame: next(answers))


def _at(sound: Samples, dbfs: float) -> Samples:
    return sound * np.float32(10.0 ** (dbfs / 20.0))
