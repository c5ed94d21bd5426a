"""Log-mel filter bank as a torch module of fixed weights: waveform in, normalised features out.

Equal to Kaldi's fbank (checked against kaldi-native-fbank): 25 ms frames every 10 ms, per-frame DC removal,
pre-emphasis 0.97, Povey window, 512-point power spectrum, 80 triangular mel filters from 20 Hz to 8 kHz,
natural logarithm. DC removal, pre-emphasis, window and DFT are all linear in the frame, so one matrix does
them: the exported ONNX graph holds two products and needs no signal-processing operators.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from asr.transcript import SAMPLE_RATE_HZ

FRAME_LENGTH = 400  # 25 ms
FRAME_SHIFT = 160  # 10 ms
FFT_LENGTH = 512
MEL_BINS = 80
LOW_HZ, HIGH_HZ = 20.0, 8000.0
PRE_EMPHASIS = 0.97
KALDI_SCALE = 32768.0  # Kaldi works on 16-bit integer values
ENERGY_FLOOR = 1.1920929e-07  # float32 epsilon, Kaldi's floor before the logarithm
PRIOR_FRAMES = 100  # weight of the corpus mean against the utterance's own


class LogMel(nn.Module):
    """Waveform to log-mel, with the utterance's mean drawn towards the corpus mean.

    An utterance's own mean removes the channel but, in a clip of one letter, also the vowel. So the mean
    subtracted is the posterior (n * own + k * corpus) / (n + k) with k = ``PRIOR_FRAMES``; the scale is the
    corpus standard deviation of each bin.
    """

    spectrum: Tensor
    mel: Tensor
    mean: Tensor
    inverse_deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("spectrum", _spectrum_matrix().unsqueeze(1), persistent=False)
        self.register_buffer("mel", mel_filters().unsqueeze(2), persistent=False)
        self.register_buffer("mean", torch.full((MEL_BINS,), 13.0))
        self.register_buffer("inverse_deviation", torch.full((MEL_BINS,), 0.25))

    def log_mel(self, audio: Tensor) -> Tensor:
        """Waveform in [-1, 1], float32 ``(batch, samples)`` -> Kaldi fbank, ``(batch, 80, frames)``."""
        parts = functional.conv1d(audio.unsqueeze(1) * KALDI_SCALE, self.spectrum, stride=FRAME_SHIFT)
        real, imaginary = parts.chunk(2, dim=1)
        power = real.square() + imaginary.square()
        return functional.conv1d(power, self.mel).clamp(min=ENERGY_FLOOR).log()

    def forward(self, audio: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """``(batch, samples)`` float32, ``(batch,)`` int64 -> ``(batch, 80, frames)``, frame counts.

        Frames beyond an utterance's own are zero. Clips shorter than one frame must be padded by the caller.
        """
        counts = frame_count(lengths)
        return self.normalised(self.log_mel(audio), counts), counts

    def normalised(self, features: Tensor, counts: Tensor) -> Tensor:
        """Log-mel ``(batch, 80, frames)`` with mean and scale taken out, zero beyond the counts ``(batch,)``."""
        mask = (torch.arange(features.shape[2], device=features.device) < counts.unsqueeze(1)).unsqueeze(1)
        mask = mask.to(features.dtype)
        weight = counts.to(features.dtype).view(-1, 1, 1)
        own_sum = (features * mask).sum(dim=2, keepdim=True)
        mean = (own_sum + PRIOR_FRAMES * self.mean.view(1, -1, 1)) / (weight + PRIOR_FRAMES)
        return (features - mean) * self.inverse_deviation.view(1, -1, 1) * mask


def frame_count(samples: Tensor) -> Tensor:
    """Frames of a clip of so many samples (Kaldi's ``snip_edges=true``), at least 1."""
    return ((samples - FRAME_LENGTH) // FRAME_SHIFT + 1).clamp(min=1)


def mel_filters() -> Tensor:
    """Kaldi's triangular mel filters on the power spectrum without its Nyquist bin: ``(80, 256)``."""

    def mel(hertz: Tensor) -> Tensor:
        return 1127.0 * torch.log1p(hertz / 700.0)

    edges = torch.linspace(
        float(mel(torch.tensor(LOW_HZ))), float(mel(torch.tensor(HIGH_HZ))), MEL_BINS + 2, dtype=torch.float64
    )
    left, centre, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    bins = mel(torch.arange(FFT_LENGTH // 2, dtype=torch.float64) * (SAMPLE_RATE_HZ / FFT_LENGTH))
    rising = (bins - left) / (centre - left)
    falling = (right - bins) / (right - centre)
    return torch.minimum(rising, falling).clamp(min=0.0).float()


def _spectrum_matrix() -> Tensor:
    """The linear part of a frame's analysis, ``(2 * 256, 400)``: real rows, then imaginary rows."""
    length = FRAME_LENGTH
    remove_dc = torch.eye(length, dtype=torch.float64) - 1.0 / length
    emphasise = torch.eye(length, dtype=torch.float64) - PRE_EMPHASIS * torch.diag(
        torch.ones(length - 1, dtype=torch.float64), -1
    )
    emphasise[0, 0] = 1.0 - PRE_EMPHASIS  # Kaldi repeats the first sample
    hann = 0.5 - 0.5 * torch.cos(2.0 * math.pi * torch.arange(length, dtype=torch.float64) / (length - 1))
    window = torch.diag(hann**0.85)  # Povey's window
    bins = torch.arange(FFT_LENGTH // 2, dtype=torch.float64)[:, None]
    angle = 2.0 * math.pi / FFT_LENGTH * bins * torch.arange(length, dtype=torch.float64)
    dft = torch.cat([angle.cos(), -angle.sin()])
    return (dft @ window @ emphasise @ remove_dc).float()
