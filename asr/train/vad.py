"""Fit the voice activity network: mixtures in, network out. The one loop of its training."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from asr.train.vad_features import BANDS, features
from asr.train.vad_labels import away_from_edges
from asr.train.vad_mixtures import Material, MixtureOptions, mixture
from asr.train.vad_model import VadModel, VadModelOptions

EDGE = 1  # frames on both sides of a change of truth that do not count: no label is that exact


@dataclass(frozen=True, slots=True)
class VadFitOptions:
    """``mixtures`` are made once and heard ``epochs`` times; 720 of 12 s are 2.4 hours."""

    mixtures: int = 720
    epochs: int = 8
    batch: int = 24
    piece: int = 600  # frames, a whole number of steps: gradients reach back six seconds at most
    learning_rate: float = 4e-3
    seed: int = 0
    model: VadModelOptions = field(default_factory=VadModelOptions)
    mixture: MixtureOptions = field(default_factory=MixtureOptions)


@dataclass(frozen=True, slots=True)
class VadSet:
    """Features (float16, ``(mixtures, frames, 32)``), truth and which of it counts (bool, ``(mixtures, frames)``)."""

    features: NDArray[np.float16]
    truth: NDArray[np.bool_]
    counts: NDArray[np.bool_]


def make_set(material: Material, options: VadFitOptions, report: Callable[[str], None]) -> VadSet:
    """Draw all mixtures and compute what the network will hear of them."""
    rng = np.random.default_rng(options.seed)
    shape = (options.mixtures, options.mixture.frames)
    heard = np.zeros((*shape, BANDS), dtype=np.float16)
    truth = np.zeros(shape, dtype=np.bool_)
    for row in range(options.mixtures):
        drawn = mixture(material, options.mixture, rng)
        heard[row], truth[row] = features(drawn.samples), drawn.truth
        if (row + 1) % 100 == 0:
            report(
                f"mixture {row + 1} of {options.mixtures}, speech in {truth[: row + 1].mean():.0%} of frames"
            )
    return VadSet(heard, truth, np.stack([away_from_edges(row, EDGE) for row in truth]))


def fit(
    made: VadSet,
    options: VadFitOptions,
    report: Callable[[str], None],
    initial: Mapping[str, Tensor] | None = None,
) -> VadModel:
    """Train on ``made``, from weights of an earlier run where ``initial`` gives them.

    AdamW, the learning rate rising over a tenth of the steps and falling to zero.

    A mixture is heard in pieces of ``options.piece`` frames, one step each, the state carried from piece to piece.
    """
    torch.manual_seed(options.seed)
    rng = np.random.default_rng(options.seed)
    model = VadModel(options.model)
    if initial is not None:
        model.load_state_dict(initial)
    before, stride = options.model.before, options.model.stride
    count, frames = made.truth.shape
    assert frames % stride == options.piece % stride == 0, (frames, options.piece, stride)
    steps = options.epochs * (count // options.batch) * -(-frames // options.piece)
    optimiser = torch.optim.AdamW(model.parameters(), lr=options.learning_rate, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, options.learning_rate, total_steps=steps, pct_start=0.1, anneal_strategy="linear"
    )
    for epoch in range(options.epochs):
        began, order, losses = time.monotonic(), rng.permutation(count), []
        for first in range(0, count - options.batch + 1, options.batch):
            rows = order[first : first + options.batch]
            heard = functional.pad(torch.from_numpy(made.features[rows]).float(), (0, 0, before, 0))
            truth = torch.from_numpy(made.truth[rows]).float()
            counts = torch.from_numpy(made.counts[rows]).float()
            state = None
            for start in range(0, frames, options.piece):
                piece = slice(start, start + options.piece)
                logits, state = model(heard[:, start : start + options.piece + before], state)
                # Of a step the frame in its middle is the truth.
                wanted, counted = (kind[:, piece][:, stride // 2 :: stride] for kind in (truth, counts))
                loss = functional.binary_cross_entropy_with_logits(logits, wanted, counted)
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]  # torch ships it without annotations
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimiser.step()
                schedule.step()
                state = state.detach()
                losses.append(loss.item())
        seconds = time.monotonic() - began
        report(f"epoch {epoch + 1} of {options.epochs}: loss {np.mean(losses):.4f}, {seconds:.0f} s")
    return model.eval()
