"""The voice activity network: relative log-mel in, logits of speech out, frame by frame and looking only back.

A convolution over the last five frames, then a recurrent layer. Training sees whole clips; the exported graph
(`asr.train.vad_export`) computes the same from any number of frames and a state.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from asr.train.vad_features import BANDS


@dataclass(frozen=True, slots=True)
class VadModelOptions:
    """Sizes. ``context`` is how many frames the convolution sees, the present one included."""

    context: int = 5
    channels: int = 64
    hidden: int = 64


class VadModel(nn.Module):
    """Features ``(batch, context - 1 + frames, 32)`` -> logits ``(batch, frames)``."""

    def __init__(self, options: VadModelOptions) -> None:
        super().__init__()
        self.options = options
        self.convolution = nn.Conv1d(BANDS, options.channels, options.context)
        self.recurrent = nn.GRU(options.channels, options.hidden, batch_first=True)
        self.output = nn.Linear(options.hidden, 1)

    def forward(self, features: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Logits, and the state ``(1, batch, hidden)`` to go on from. The first ``context - 1`` frames were heard
        before; at the beginning of a clip they and the state are zeros."""
        heard = functional.relu(self.convolution(features.transpose(1, 2))).transpose(1, 2)
        states, last = self.recurrent(heard, state)
        return self.output(states).squeeze(2), last
