"""Checkpoints: everything a run needs to go on after it was stopped, written so that none is ever half there."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from asr.errors import OptionError
from asr.train.model import AcousticModel, ModelOptions


def save(path: Path, model: AcousticModel, **state: Any) -> None:
    """Write a checkpoint to a neighbour of ``path`` and rename it into place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save({"options": asdict(model.options), "model": model.state_dict(), **state}, partial)
    partial.replace(path)


def load(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """The dictionary that `save` wrote; tensors only, so a checkpoint from elsewhere cannot run code."""
    state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    return state


def build(state: dict[str, Any]) -> AcousticModel:
    """The model of a checkpoint, in float32 and in evaluation mode: with dropout it would not be that model."""
    model = AcousticModel(ModelOptions(**state["options"]))
    model.load_state_dict({name: value.float() for name, value in state["model"].items()})
    return model.eval()


def blend(state: dict[str, Any], other: dict[str, Any], share: float) -> dict[str, Any]:
    """Between two checkpoints of one lineage: ``1 - share`` of the first's weights and ``share`` of the other's.

    A fine-tuned network and the one that it began as keep, half-way, most of what either can do (Wortsman et al.
    2022, "Robust fine-tuning of zero-shot models"). Raises OptionError where the networks differ.
    """
    if not 0.0 <= share <= 1.0:
        raise OptionError(f"share is {share}; expected 0 to 1")
    if state["options"] != other["options"]:
        raise OptionError(f"networks differ: {state['options']} and {other['options']}")
    first, second = state["model"], other["model"]
    return state | {
        "model": {name: torch.lerp(first[name].float(), second[name].float(), share) for name in first}
    }


def save_half(path: Path, model: AcousticModel) -> None:
    """The weights alone, in float16: what is published for fine-tuning."""
    torch.save(
        {"options": asdict(model.options), "model": {k: v.half() for k, v in model.state_dict().items()}},
        path,
    )
