"""The acoustic model: a small Conformer CTC network whose middle blocks run at half rate.

Waveform in, log-probabilities of phones out, one frame per 40 ms. Conformer: Gulati et al. 2020. Half-rate
middle blocks: Squeezeformer, Kim et al. 2022. Intermediate CTC fed back into the network: self-conditioned
CTC, Nozaki & Komatsu 2021. Rotary positions: Su et al. 2021. Dropout takes whole channels of an utterance:
element-wise dropout was a third of the step time on a CPU.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from asr.train.features import MEL_BINS, LogMel

SUBSAMPLING = 4  # feature frames per output frame: 4 * 10 ms = 40 ms


@dataclass(frozen=True, slots=True)
class ModelOptions:
    """Size of the network; see `SIZES`."""

    width: int = 256
    heads: int = 4
    feed_forward: int = 1024
    kernel: int = 15
    blocks_before: int = 2
    blocks_half_rate: int = 4
    blocks_after: int = 1
    front_channels: int = 32
    dropout: float = 0.1
    tokens: int = 40


# 10.9 million parameters (12 MB in int8), and 1.3 million (under 2 MB) for the smallest devices.
SIZES = {
    "en-small": ModelOptions(),
    "en-tiny": ModelOptions(
        width=128, feed_forward=256, blocks_before=1, blocks_half_rate=3, front_channels=16
    ),
}


class AcousticModel(nn.Module):
    """CTC over ``options.tokens`` symbols, blank first."""

    def __init__(self, options: ModelOptions) -> None:
        super().__init__()
        self.options = options
        self.features = LogMel()
        self.front = Front(options)
        self.before = nn.ModuleList(Block(options) for _ in range(options.blocks_before))
        self.squeeze = nn.Conv1d(options.width, options.width, 3, stride=2, padding=1, groups=options.width)
        self.half_rate = nn.ModuleList(Block(options) for _ in range(options.blocks_half_rate))
        self.expand = nn.Linear(options.width, options.width)
        self.after = nn.ModuleList(Block(options) for _ in range(options.blocks_after))
        self.middle_head = nn.Linear(options.width, options.tokens)
        self.condition = nn.Linear(options.tokens, options.width)
        self.head = nn.Linear(options.width, options.tokens)

    def forward(self, audio: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """``(batch, samples)`` float32, ``(batch,)`` int64 -> log-probabilities ``(batch, frames, tokens)``
        float32, frames ``(batch,)``."""
        features, counts = self.features(audio, lengths)
        final, _, counts = self.encode(features, counts)
        return final.float().log_softmax(dim=-1), counts

    def encode(self, features: Tensor, counts: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Normalised log-mel ``(batch, 80, frames)`` -> final logits, intermediate logits, frame counts."""
        x, counts = self.front(features, counts)
        mask = valid(counts, x.shape[1])
        for block in self.before:
            x = block(x, mask)
        logits_middle = self.middle_head(x)
        skip = x + self.condition(logits_middle.float().softmax(dim=-1).to(x.dtype))
        half = self.squeeze((skip * mask.unsqueeze(2)).transpose(1, 2)).transpose(1, 2)
        half_mask = mask[:, ::2]
        for block in self.half_rate:
            half = block(half, half_mask)
        full = self.expand(half).repeat_interleave(2, dim=1)[:, : skip.shape[1]]
        x = skip + full
        for block in self.after:
            x = block(x, mask)
        return self.head(x), logits_middle, counts


class Front(nn.Module):
    """Two strided convolutions over time and frequency: four times fewer frames."""

    def __init__(self, options: ModelOptions) -> None:
        super().__init__()
        channels = options.front_channels
        self.first = nn.Conv2d(1, channels, 3, stride=2, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, stride=2, padding=1, groups=channels)
        self.mix = nn.Conv2d(channels, channels, 1)
        self.project = nn.Linear(channels * MEL_BINS // 4, options.width)
        self.norm = nn.LayerNorm(options.width)

    def forward(self, features: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
        """``(batch, 80, frames)`` -> ``(batch, frames / 4, width)``."""
        x = functional.silu(self.first(features.unsqueeze(1)))
        counts = (counts + 1) // 2
        x = x * valid(counts, x.shape[3]).view(x.shape[0], 1, 1, x.shape[3])
        x = functional.silu(self.mix(self.second(x)))
        counts = (counts + 1) // 2
        projected: Tensor = self.norm(self.project(x.permute(0, 3, 1, 2).flatten(2)))
        return projected, counts


class Block(nn.Module):
    """One Conformer block: half a feed-forward, attention, convolution, half a feed-forward."""

    def __init__(self, options: ModelOptions) -> None:
        super().__init__()
        self.feed_in = FeedForward(options)
        self.attention = Attention(options)
        self.convolution = Convolution(options)
        self.feed_out = FeedForward(options)
        self.norm = nn.LayerNorm(options.width)
        self.dropout = ChannelDropout(options.dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """``(batch, frames, width)`` with a boolean mask of valid frames ``(batch, frames)``."""
        x = x + 0.5 * self.dropout(self.feed_in(x))
        x = x + self.dropout(self.attention(x, mask))
        x = x + self.dropout(self.convolution(x, mask))
        x = x + 0.5 * self.dropout(self.feed_out(x))
        normalised: Tensor = self.norm(x)
        return normalised


class FeedForward(nn.Module):
    """Layer norm and two linear layers."""

    def __init__(self, options: ModelOptions) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(options.width)
        self.rise = nn.Linear(options.width, options.feed_forward)
        self.dropout = ChannelDropout(options.dropout)
        self.fall = nn.Linear(options.feed_forward, options.width)

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, frames, width)`` -> the same shape."""
        out: Tensor = self.fall(self.dropout(functional.silu(self.rise(self.norm(x)))))
        return out


class Attention(nn.Module):
    """Multi-head self-attention with rotary positions; padding frames are not attended to."""

    def __init__(self, options: ModelOptions) -> None:
        super().__init__()
        self.heads = options.heads
        self.norm = nn.LayerNorm(options.width)
        self.project = nn.Linear(options.width, 3 * options.width)
        self.out = nn.Linear(options.width, options.width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """``(batch, frames, width)``, ``(batch, frames)`` -> ``(batch, frames, width)``."""
        batch, frames, width = x.shape
        projected = self.project(self.norm(x)).view(batch, frames, 3, self.heads, width // self.heads)
        query, key, value = projected.permute(2, 0, 3, 1, 4)
        cosine, sine = rotary(frames, width // self.heads, x.device)
        query = (rotate(query, cosine, sine) * (width // self.heads) ** -0.5).to(value.dtype)
        key = rotate(key, cosine, sine).to(value.dtype)
        # Spelled out: at these lengths PyTorch's fused kernel takes twice as long on a CPU, forward and back.
        bias = torch.zeros(mask.shape, dtype=value.dtype, device=x.device).masked_fill(~mask, -1e4)
        weights = (query @ key.transpose(-1, -2) + bias[:, None, None, :]).softmax(dim=-1)
        mixed = (weights.to(value.dtype) @ value).transpose(1, 2)
        out: Tensor = self.out(mixed.reshape(batch, frames, width))
        return out


class Convolution(nn.Module):
    """Gated depthwise convolution over time."""

    def __init__(self, options: ModelOptions) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(options.width)
        self.rise = nn.Linear(options.width, 2 * options.width)
        self.depthwise = nn.Conv1d(
            options.width, options.width, options.kernel, padding=options.kernel // 2, groups=options.width
        )
        self.inner_norm = nn.LayerNorm(options.width)
        self.fall = nn.Linear(options.width, options.width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """``(batch, frames, width)``, ``(batch, frames)`` -> ``(batch, frames, width)``."""
        x = functional.glu(self.rise(self.norm(x))) * mask.unsqueeze(2)
        x = self.depthwise(x.transpose(1, 2)).transpose(1, 2)
        out: Tensor = self.fall(functional.silu(self.inner_norm(x)))
        return out


class ChannelDropout(nn.Module):
    """Drops whole channels of an utterance, all frames alike."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        """``(batch, frames, width)`` -> the same shape; the identity in evaluation."""
        if not self.training or self.probability == 0.0:
            return x
        keep = 1.0 - self.probability
        mask = torch.empty(x.shape[0], 1, x.shape[2], dtype=x.dtype, device=x.device).bernoulli_(keep)
        return x * (mask / keep)


def valid(counts: Tensor, frames: int) -> Tensor:
    """Boolean mask ``(batch, frames)`` of the frames that belong to each utterance."""
    return torch.arange(frames, device=counts.device) < counts.unsqueeze(1)


def rotary(frames: int, size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosine and sine of rotary positions, ``(frames, size / 2)`` each."""
    rate = 10_000.0 ** (-torch.arange(0, size, 2, device=device, dtype=torch.float32) / size)
    angle = torch.arange(frames, device=device, dtype=torch.float32).unsqueeze(1) * rate
    return angle.cos(), angle.sin()


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Rotate pairs of channels of ``(..., frames, size)`` by their position."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cosine - second * sine, first * sine + second * cosine], dim=-1)
