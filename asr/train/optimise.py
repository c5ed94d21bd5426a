"""The optimisers of a run, shared among its processes.

Muon (Jordan 2024; scaled to AdamW's update size, Liu et al. 2025) for the matrices of the blocks, AdamW for the
rest. Muon orthogonalises each matrix's momentum, which on a CPU costs as much as a third of a step: with
several processes each updates its share of the matrices, and all exchange the results.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
import torch.distributed as dist
from torch import nn


class OptimiserOptions(Protocol):
    """What the optimisers read of a run's options."""

    @property
    def peak_learning_rate(self) -> float: ...
    @property
    def weight_decay(self) -> float: ...
    @property
    def muon(self) -> bool: ...
    @property
    def muon_steps(self) -> int: ...


class Optimisers:
    """AdamW, and Muon on this process's share of the matrices."""

    def __init__(self, model: nn.Module, options: OptimiserOptions, rank: int, processes: int) -> None:
        matrices, rest = _split(model, muon=options.muon)
        # The largest first, each to the process that has least to do: all wait for the slowest.
        self._shares: list[list[nn.Parameter]] = [[] for _ in range(processes)]
        for matrix in sorted(matrices, key=_orthogonalisation_cost, reverse=True):
            min(self._shares, key=lambda s: sum(map(_orthogonalisation_cost, s))).append(matrix)
        self._rank = rank
        rate, decay = options.peak_learning_rate, options.weight_decay
        self._all: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(rest, lr=rate, betas=(0.9, 0.98), weight_decay=decay, fused=True)
        ]
        if own := self._shares[rank]:
            self._all.append(
                torch.optim.Muon(
                    own,
                    lr=rate,
                    weight_decay=decay,
                    ns_steps=options.muon_steps,
                    adjust_lr_fn="match_rms_adamw",
                )
            )

    def set_rate(self, rate: float) -> None:
        """Use this learning rate from the next step on."""
        for optimiser in self._all:
            for group in optimiser.param_groups:
                group["lr"] = rate

    def step(self) -> None:
        """Update all parameters from their gradients; afterwards they are the same in every process."""
        for optimiser in self._all:
            optimiser.step()
        if len(self._shares) > 1:
            self._exchange()

    def state(self) -> list[dict[str, Any]]:
        """For a checkpoint. With several processes without Muon's momentum, which is made anew in 20 steps."""
        return [
            optimiser.state_dict() for optimiser in (self._all[:1] if len(self._shares) > 1 else self._all)
        ]

    def load(self, states: list[dict[str, Any]]) -> None:
        """Take over what `state` gave, as far as this run has the same optimisers."""
        for optimiser, state in zip(self._all, states, strict=False):
            if len(state["param_groups"][0]["params"]) == len(optimiser.param_groups[0]["params"]):
                optimiser.load_state_dict(state)

    @torch.no_grad()
    def _exchange(self) -> None:
        for owner, share in enumerate(self._shares):
            if not share:
                continue
            flat = nn.utils.parameters_to_vector(share)
            dist.broadcast(flat, owner)
            if owner != self._rank:
                nn.utils.vector_to_parameters(flat, share)


def _split(model: nn.Module, *, muon: bool) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    matrices: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        in_block = name.startswith(("before.", "half_rate.", "after.")) or name == "expand.weight"
        (matrices if muon and in_block and parameter.ndim == 2 else rest).append(parameter)
    return matrices, rest


def _orthogonalisation_cost(matrix: nn.Parameter) -> int:
    """Proportional to the multiplications of a Newton-Schulz step."""
    small, large = sorted(matrix.shape)
    return small * small * (2 * large + small)
