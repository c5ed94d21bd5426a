"""The recipe of ``en-small``: which corpora, with what weights, become which targets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch

from asr.train.batches import Source
from asr.train.corpus import Corpus, Entry
from asr.train.fit import FitOptions, fit
from asr.train.lexicon import TOKENS, Pronouncer
from asr.train.model import AcousticModel
from asr.train.noises import noise_bank
from asr.train.validate import phone_error_rates

VALIDATION_CLIPS_PER_SET = 60


@dataclass(frozen=True, slots=True)
class Inputs:
    """Folders of prepared corpora and the pronouncing dictionary. Shares are of the audio seconds.

    ``extra`` are corpora with a share of their own; ``real_share`` is of what they leave. ``made_noises`` is how
    many sounds made by code (babble of the training's own voices, clatter, hum ...) join those of ``noise``.
    """

    real: Sequence[Path]
    synthetic: Sequence[Path]
    dev: Path
    noise: Path
    dictionary: Path
    pronunciation_cache: Path
    real_share: float = 0.65
    extra: Sequence[tuple[Path, float]] = ()
    made_noises: int = 0


def train(
    inputs: Inputs, options: FitOptions, folder: Path, device: torch.device, initial: Path | None
) -> AcousticModel:
    """Train, or go on training, the model in ``folder``."""
    targets = phone_targets(Pronouncer.from_cmudict(inputs.dictionary, cache=inputs.pronunciation_cache))
    left = 1.0 - sum(share for _, share in inputs.extra)
    assert left >= 0.0, inputs.extra
    sources = [
        *_sources(inputs.real, left * inputs.real_share, targets),
        *_sources(inputs.synthetic, left * (1.0 - inputs.real_share), targets),
        *(source for folder, share in inputs.extra for source in _sources([folder], share, targets)),
    ]
    recorded = Corpus(inputs.noise)
    noises = [recorded.samples(entry).astype(np.float32) / 32768.0 for entry in recorded.entries]
    voices = [source.corpus for source in sources if source.weight > 0]
    background = noise_bank(voices, noises, inputs.made_noises, options.seed)
    validate = partial(
        phone_error_rates, corpus=Corpus(inputs.dev), targets=targets, clips_per_set=VALIDATION_CLIPS_PER_SET
    )
    return fit(
        options, sources, noises, validate, folder, device=device, initial=initial, background=background
    )


def phone_targets(pronouncer: Pronouncer) -> Callable[[Entry], Sequence[int]]:
    """Token ids of a clip: its own phones where the synthesiser named them, else the dictionary's."""
    ids = {token: index for index, token in enumerate(TOKENS)}
    known: dict[str, tuple[int, ...]] = {}

    def targets(entry: Entry) -> Sequence[int]:
        if entry.phones is not None:
            return tuple(ids[phone] for phone in entry.phones)
        if entry.text not in known:
            known[entry.text] = tuple(ids[phone] for phone in pronouncer.phones(entry.text))
        return known[entry.text]

    return targets


def _sources(
    folders: Sequence[Path], share: float, targets: Callable[[Entry], Sequence[int]]
) -> list[Source]:
    corpora = [Corpus(folder) for folder in folders]
    seconds = [sum(entry.length for entry in corpus.entries) for corpus in corpora]
    return [
        Source(corpus, share * own / sum(seconds), targets)
        for corpus, own in zip(corpora, seconds, strict=True)
    ]
