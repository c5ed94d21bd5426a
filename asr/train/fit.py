"""The training loop. One loop, all of it visible here.

The schedule follows the share of the budget that is spent. The budget is time, rather than a number of steps:
a run on a busy or unknown machine still decays its learning rate to zero in time; ``steps`` makes a run
repeatable. A run may be stopped at any moment and goes on from its last checkpoint. Several processes
(``torchrun``) average their gradients over gloo or NCCL and share the work of the optimiser.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader
from tqdm import tqdm

from asr.train import checkpoint
from asr.train.augment import spec_augment
from asr.train.batches import Batch, BatchOptions, BatchStream, Source
from asr.train.features import FRAME_LENGTH
from asr.train.model import AcousticModel, ModelOptions
from asr.train.optimise import Optimisers

Samples = np.ndarray[Any, np.dtype[np.float32]]


@dataclass(frozen=True, slots=True)
class FitOptions:
    """Hyper-parameters of a run."""

    minutes: float
    steps: int | None = None  # a budget in steps instead
    peak_learning_rate: float = 2e-3
    weight_decay: float = 0.02
    warm_up: float = 0.02  # share of the budget
    hold_until: float = 0.3  # share of the budget; then linear to zero
    middle_weight: float = 0.3  # of the intermediate CTC loss
    clip_norm: float = 5.0
    short_until: float = 0.06  # share of the budget that sees only clips of at most short_clip_s
    short_clip_s: float = 4.0
    muon: bool = True
    muon_steps: int = 4  # of Newton-Schulz; the usual fifth costs a sixth of a step and is not missed
    seed: int = 0
    checkpoint_every_s: float = 120.0
    validate_every_s: float = 900.0
    model: ModelOptions = field(default_factory=ModelOptions)
    batches: BatchOptions = field(default_factory=BatchOptions)


def fit(
    options: FitOptions,
    sources: Sequence[Source],
    noises: Sequence[Samples],
    validate: Any,
    folder: Path,
    *,
    device: torch.device,
    initial: Path | None = None,
    background: Sequence[Samples] = (),
) -> AcousticModel:
    """Train within the time budget; checkpoints and ``log.jsonl`` go to ``folder``, from which it resumes.

    ``validate`` maps a model to a dictionary of error rates; ``initial`` is a checkpoint to start from;
    ``background`` are more sounds to mix in, in which people may talk.
    """
    rank, processes = _join(device)
    torch.manual_seed(options.seed)
    model = AcousticModel(options.model)
    _set_feature_statistics(model, sources)
    if initial is not None:
        model.load_state_dict(checkpoint.build(checkpoint.load(initial)).state_dict())
    model.to(device)
    optimisers = Optimisers(model, options, rank, processes)
    state: dict[str, Any] = {"step": 0, "elapsed_s": 0.0, "audio_s": 0.0}
    path = folder / "last.pt"
    if path.exists():
        saved = checkpoint.load(path, device)
        model.load_state_dict(saved["model"])
        optimisers.load(saved["optimisers"])
        state = saved["state"]
    budget_s = options.minutes * 60.0

    def progress_now() -> float:
        spent = state["elapsed_s"] / budget_s if options.steps is None else state["step"] / options.steps
        return _agree(spent, processes, device)

    stream = _batches(options, sources, (noises, background), state, rank)
    bar = tqdm(total=round(budget_s), initial=round(state["elapsed_s"]), unit="s", disable=rank > 0)
    saved_s = validated_s = state["elapsed_s"]
    losses: list[float] = []
    while (progress := progress_now()) < 1.0:
        started = time.monotonic()
        rate = learning_rate(progress, options)
        optimisers.set_rate(rate)
        loss = _step(model, optimisers, next(stream)(progress).to(device), options, state["step"], processes)
        losses.append(loss)
        state["step"] += 1
        spent = time.monotonic() - started
        state["elapsed_s"] += spent
        state["audio_s"] += options.batches.batch_s * processes
        bar.update(round(state["elapsed_s"]) - bar.n)
        if state["step"] % 50 == 0 and rank == 0:
            row = {"rate": rate, "loss": float(np.mean(losses)), **state}
            losses.clear()
            _log(folder, row)
            bar.set_postfix(loss=f"{row['loss']:.3f}", step=state["step"])
        if rank == 0 and state["elapsed_s"] - saved_s > options.checkpoint_every_s:
            saved_s = state["elapsed_s"]
            _save(path, model, optimisers, state)
        if rank == 0 and state["elapsed_s"] - validated_s > options.validate_every_s:
            validated_s = state["elapsed_s"]
            _log(folder, {"step": state["step"], "elapsed_s": state["elapsed_s"], **validate(model)})
    if rank == 0:
        _save(path, model, optimisers, state)
        _log(folder, {"step": state["step"], "final": True, **validate(model)})
    return model


def learning_rate(progress: float, options: FitOptions) -> float:
    """Linear warm-up, a plateau, linear decay to zero, over ``progress`` in [0, 1]."""
    rise = min(1.0, progress / options.warm_up) if options.warm_up > 0 else 1.0
    fall = min(1.0, (1.0 - progress) / max(1.0 - options.hold_until, 1e-6))
    return options.peak_learning_rate * max(min(rise, fall), 1e-3)


def ctc_losses(final: Tensor, middle: Tensor, counts: Tensor, batch: Batch, middle_weight: float) -> Tensor:
    """CTC per target token, summed over both heads; utterances that cannot be aligned count nothing."""

    def loss(logits: Tensor) -> Tensor:
        log_probs = logits.float().log_softmax(dim=-1).transpose(0, 1)
        return functional.ctc_loss(
            log_probs, batch.targets, counts, batch.target_lengths, reduction="sum", zero_infinity=True
        )

    total = loss(final) + middle_weight * loss(middle)
    return total / batch.target_lengths.sum().clamp(min=1)


def _step(
    model: AcousticModel,
    optimisers: Optimisers,
    batch: Batch,
    options: FitOptions,
    step: int,
    processes: int,
) -> float:
    model.train()
    rng = np.random.default_rng((options.seed, step))
    with torch.no_grad():
        features, counts = model.features(batch.audio, batch.lengths)
        features = spec_augment(features, counts, options.batches.augment, rng)
    with torch.autocast(batch.audio.device.type, dtype=torch.bfloat16):
        final, middle, frames = model.encode(features, counts)
    loss = ctc_losses(final, middle, frames, batch, options.middle_weight)
    loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it unannotated
    if processes > 1:
        _average_gradients(model, processes)
    norm = nn.utils.clip_grad_norm_(model.parameters(), options.clip_norm)
    if torch.isfinite(norm):  # a batch with an overflow teaches nothing; the next one will
        optimisers.step()
    model.zero_grad()
    return float(loss.detach())


def _batches(
    options: FitOptions,
    sources: Sequence[Source],
    noises: tuple[Sequence[Samples], Sequence[Samples]],
    state: dict[str, Any],
    rank: int,
) -> Iterator[Any]:
    """Endless functions from progress to a batch: the first part of a run draws short clips only."""
    seed = options.seed + 1000 * rank + 7919 * state["step"]
    short = _stream(options.batches, sources, noises, seed, max_clip_s=options.short_clip_s)
    full = _stream(options.batches, sources, noises, seed + 1, max_clip_s=options.batches.max_clip_s)
    while True:
        yield lambda progress: next(short if progress < options.short_until else full)


def _stream(
    options: BatchOptions,
    sources: Sequence[Source],
    noises: tuple[Sequence[Samples], Sequence[Samples]],
    seed: int,
    *,
    max_clip_s: float,
) -> Iterator[Batch]:
    sounds, background = noises
    dataset = BatchStream(sources, sounds, replace(options, max_clip_s=max_clip_s), seed, background)
    loader: Iterable[Batch] = DataLoader(dataset, batch_size=None, num_workers=1, prefetch_factor=8)
    yield from loader


def _set_feature_statistics(model: AcousticModel, sources: Sequence[Source], clips: int = 300) -> None:
    rng = np.random.default_rng(0)
    frames = []
    for source in sources:
        for index in rng.integers(len(source.corpus.entries), size=clips):
            samples = source.corpus.samples(source.corpus.entries[index]).astype(np.float32) / 32768.0
            if len(samples) >= FRAME_LENGTH:
                frames.append(model.features.log_mel(torch.from_numpy(samples)[None])[0])
    pooled = torch.cat(frames, dim=1)
    model.features.mean.copy_(pooled.mean(dim=1))
    model.features.inverse_deviation.copy_(1.0 / pooled.std(dim=1))


def _save(path: Path, model: AcousticModel, optimisers: Optimisers, state: dict[str, Any]) -> None:
    checkpoint.save(path, model, optimisers=optimisers.state(), state=state)


def _log(folder: Path, row: dict[str, Any]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log.jsonl").open("a", encoding="utf-8") as log:
        log.write(json.dumps(row) + "\n")
    if "loss" not in row:
        print(json.dumps(row), file=sys.stderr)


def _join(device: torch.device) -> tuple[int, int]:
    """Rank and number of processes; joins the others where ``torchrun`` started several."""
    if not dist.is_torchelastic_launched():
        return 0, 1
    if not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return dist.get_rank(), dist.get_world_size()


def _agree(progress: float, processes: int, device: torch.device) -> float:
    """The furthest progress of any process, so that all stop at the same step."""
    if processes == 1:
        return progress
    shared = torch.tensor(progress, device=device)
    dist.all_reduce(shared, dist.ReduceOp.MAX)
    return float(shared)


def _average_gradients(model: nn.Module, processes: int) -> None:
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    flat /= processes
    offset = 0
    for gradient in gradients:
        gradient.copy_(flat[offset : offset + gradient.numel()].view_as(gradient))
        offset += gradient.numel()
