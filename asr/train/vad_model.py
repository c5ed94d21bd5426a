"""The voice activity network: relative log-mel in, logits of speech out, step by step and looking only back.

A convolution over the last nine frames of 10 ms, one step every three frames, then a recurrent layer. A step of
30 ms hears the end of what it judges before it judges it, and costs a third of three. Training sees whole clips;
the exported graph (`asr.train.vad_export`) computes the same from any number of steps and a state.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from asr.train.vad_features import BANDS


@dataclass(frozen=True, slots=True)
class VadModelOptions:
    """Sizes. ``context`` is how many frames the convolution sees, those of the present step included."""

    context: int = 9
    stride: int = 3
    channels: int = 96
    hidden: int = 128

    def __post_init__(self) -> None:
        assert 0 < self.stride < self.context, self

    @property
    def before(self) -> int:
        """Frames that the first step hears from before the clip."""
        return self.context - self.stride


class VadModel(nn.Module):
    """Features ``(batch, before + frames, 32)`` -> logits ``(batch, frames // stride)``."""

    def __init__(self, options: VadModelOptions) -> None:
        super().__init__()
        self.options = options
        self.convolution = nn.Conv1d(BANDS, options.channels, options.context, stride=options.stride)
        self.recurrent = nn.GRU(options.channels, options.hidden, batch_first=True)
        self.output = nn.Linear(options.hidden, 1)

    def forward(self, features: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Logits, and the state ``(1, batch, hidden)`` to go on from. The first ``before`` frames were heard
        before; at the beginning of a clip they and the state are zeros."""
        heard = functional.relu(self.convolution(features.transpose(1, 2))).transpose(1, 2)
        states, last = self.recurrent(heard, state)
        return self.output(states).squeeze(2), last
