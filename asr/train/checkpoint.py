"""Checkpoints: everything a run needs to go on after it was stopped, written so that none is ever half there."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

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


def save_half(path: Path, model: AcousticModel) -> None:
    """The weights alone, in float16: what is published for fine-tuning."""
    torch.save(
        {"options": asdict(model.options), "model": {k: v.half() for k, v in model.state_dict().items()}},
        path,
    )
