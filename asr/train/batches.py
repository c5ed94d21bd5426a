"""From corpora to batches: which clips are drawn, how long they are, and what they are padded to.

An endless stream. Sets are drawn with weights, clips within a set evenly; a window of clips is sorted by
length and cut into batches of about ``batch_s`` seconds of padded audio, so little computation goes to padding
while every batch differs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import IterableDataset

from asr.train.augment import AugmentOptions, augment, coloured_noise, mix
from asr.train.corpus import Corpus, Entry
from asr.transcript import SAMPLE_RATE_HZ

Samples = NDArray[np.float32]
WINDOW_BATCHES = 12  # batches drawn and sorted together


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """What a batch holds. Clips longer than ``max_clip_s`` are not drawn.

    ``join`` is the share of clips made of two with a pause between; ``no_speech`` the share of clips of noise
    alone, with nothing to write: they teach the network to stay silent.
    """

    batch_s: float = 90.0
    max_clip_s: float = 17.0
    join: float = 0.08
    no_speech: float = 0.02
    set_power: float = 0.75  # a set is drawn in proportion to its duration to this power
    augment: AugmentOptions = field(default_factory=AugmentOptions)


@dataclass(frozen=True, slots=True)
class Source:
    """A corpus and how much of the training it makes up. ``targets`` gives a clip's token ids."""

    corpus: Corpus
    weight: float
    targets: Callable[[Entry], Sequence[int]]


@dataclass(frozen=True, slots=True)
class Batch:
    """Padded audio float32 ``(batch, samples)`` with lengths, and targets end to end with their lengths."""

    audio: Tensor
    lengths: Tensor
    targets: Tensor
    target_lengths: Tensor

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device."""
        return Batch(*(t.to(device, non_blocking=True) for t in self._tensors()))

    def _tensors(self) -> tuple[Tensor, ...]:
        return self.audio, self.lengths, self.targets, self.target_lengths


class BatchStream(IterableDataset[Batch]):
    """The endless stream; iterate it in a `torch.utils.data.DataLoader` with ``batch_size=None``.

    Clips are mixed with sounds of ``noises`` and ``background``; clips without speech are of ``noises`` alone, since
    people may be talking in the background.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        noises: Sequence[Samples],
        options: BatchOptions,
        seed: int,
        background: Sequence[Samples] = (),
    ) -> None:
        self.options = options
        self._noises = noises
        self._mixed = (*noises, *background)
        self._seed = seed
        self._groups: list[tuple[Source, list[Entry]]] = []
        weights = []
        for source in sources:
            groups: dict[str, list[Entry]] = {}
            for entry in source.corpus.entries:
                if entry.length <= options.max_clip_s * SAMPLE_RATE_HZ:
                    groups.setdefault(entry.set, []).append(entry)
            sizes = np.array([sum(e.length for e in group) for group in groups.values()], dtype=np.float64)
            shares = sizes**options.set_power
            weights.extend(source.weight * shares / shares.sum())
            self._groups.extend((source, group) for group in groups.values())
        # Weights count seconds of audio, draws count clips: sets of long clips must be drawn less often.
        mean_length = [np.mean([e.length for e in group]) for _, group in self._groups]
        draws = np.array(weights) / np.array(mean_length)
        self._draws = draws / draws.sum()
        self._mean_s = float(np.dot(self._draws, mean_length)) / SAMPLE_RATE_HZ

    def __iter__(self) -> Iterator[Batch]:
        rng = np.random.default_rng(self._seed)
        window = int(WINDOW_BATCHES * self.options.batch_s / self._mean_s)
        while True:
            clips = sorted((self._draw(rng) for _ in range(window)), key=lambda clip: len(clip[0]))
            batches = list(_cut(clips, int(self.options.batch_s * SAMPLE_RATE_HZ)))
            for index in rng.permutation(len(batches)):
                yield collate(batches[index])

    def _draw(self, rng: np.random.Generator) -> tuple[Samples, Sequence[int]]:
        options = self.options
        if rng.random() < options.no_speech:
            return self._silence(rng), ()
        samples, targets = self._clip(rng)
        if rng.random() < options.join and len(samples) < 4 * SAMPLE_RATE_HZ:
            more, more_targets = self._clip(rng)
            pause = np.zeros(int(rng.uniform(0.05, 0.5) * SAMPLE_RATE_HZ), dtype=np.float32)
            if len(samples) + len(more) < options.max_clip_s * SAMPLE_RATE_HZ:
                samples = np.concatenate([samples, pause, more])
                targets = (*targets, *more_targets)
        return augment(samples, self._mixed, options.augment, rng), targets

    def _clip(self, rng: np.random.Generator) -> tuple[Samples, Sequence[int]]:
        source, entries = self._groups[int(rng.choice(len(self._groups), p=self._draws))]
        entry = entries[int(rng.integers(len(entries)))]
        return source.corpus.samples(entry).astype(np.float32) / 32768.0, source.targets(entry)

    def _silence(self, rng: np.random.Generator) -> Samples:
        length = int(rng.uniform(0.4, 5.0) * SAMPLE_RATE_HZ)
        quiet = rng.standard_normal(length, dtype=np.float32) * np.float32(10 ** (rng.uniform(-90, -50) / 20))
        noise = self._noises[int(rng.integers(len(self._noises)))] if self._noises else coloured_noise(rng)
        loud = np.full(length, 0.05, dtype=np.float32)  # the level that noise taken for speech is brought to
        return quiet + mix(loud, noise, rng.uniform(-3, 20), rng) - loud


def collate(clips: Sequence[tuple[Samples, Sequence[int]]]) -> Batch:
    """Pad clips to the longest of them."""
    lengths = torch.tensor([len(samples) for samples, _ in clips])
    audio = torch.zeros(len(clips), int(lengths.max()))
    for row, (samples, _) in enumerate(clips):
        audio[row, : len(samples)] = torch.from_numpy(np.ascontiguousarray(samples))
    targets = torch.tensor([token for _, tokens in clips for token in tokens], dtype=torch.int64)
    return Batch(audio, lengths, targets, torch.tensor([len(tokens) for _, tokens in clips]))


def _cut(
    clips: Sequence[tuple[Samples, Sequence[int]]], samples_per_batch: int
) -> Iterator[list[tuple[Samples, Sequence[int]]]]:
    batch: list[tuple[Samples, Sequence[int]]] = []
    for clip in clips:  # shortest first, so the newest clip sets the padded length
        if batch and (len(batch) + 1) * len(clip[0]) > samples_per_batch:
            yield batch
            batch = []
        batch.append(clip)
    if batch:
        yield batch
