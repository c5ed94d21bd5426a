"""The encoder without the filter bank: Kaldi's features in, log-probabilities out, as sherpa-onnx loads Zipformer CTC.

For runtimes that make features themselves. They must be those of `asr.train.features`: 80 bins from 20 to 8000 Hz of
16-bit sample values, frames within the clip (``snip_edges``), no dither. In sherpa-onnx 2 that is
``FeatureExtractorConfig(high_freq=8000, normalize_samples=False, snip_edges=True)``.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn

from asr.train.export import PARITY, Interface, at_precisions, check_parity, trace
from asr.train.features import MEL_BINS
from asr.train.lexicon import TOKENS
from asr.train.model import SUBSAMPLING, AcousticModel

BLANK_THERE = "<blk>"  # what these runtimes call it
METADATA = {
    "model_type": "zipformer2_ctc",
    "vocab_size": str(len(TOKENS)),
    "subsampling_factor": str(SUBSAMPLING),
    "features": "kaldi fbank, 80 bins, 20-8000 Hz, 16-bit values, snip_edges, no dither",
}


class Encoder(nn.Module):
    """Kaldi's log-mel ``(batch, frames, 80)`` and their counts to log-probabilities ``(batch, frames / 4, tokens)``."""

    def __init__(self, model: AcousticModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, x_lens: Tensor) -> tuple[Tensor, Tensor]:
        """As the rest of `AcousticModel.forward`."""
        final, _, counts = self.model.encode(
            self.model.features.normalised(x.transpose(1, 2), x_lens), x_lens
        )
        return final.float().log_softmax(dim=-1), counts


def export_encoder(model: AcousticModel, folder: Path, precisions: Sequence[str]) -> list[Path]:
    """Write ``encoder.onnx`` (``encoder.int8.onnx`` ...) and ``tokens.txt``; what was written.

    Raises AssertionError where torch and ONNX differ by more than `PARITY`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    encoder = Encoder(model).eval()
    example = (torch.randn(2, 300, MEL_BINS) + 13.0, torch.tensor([300, 187]))
    with tempfile.TemporaryDirectory() as temporary:
        fp32 = Path(temporary) / "traced.onnx"
        trace(encoder, fp32, Interface(("x", "x_lens"), ("log_probs", "log_probs_len"), example))
        network = onnx.load(str(fp32))
        onnx.helper.set_model_props(network, METADATA)
        onnx.save(network, str(fp32))
        check_parity(parity(encoder, fp32), PARITY)
        written = [
            Path(shutil.copyfile(made, folder / _file(precision)))
            for precision, made in at_precisions(fp32, precisions).items()
        ]
    tokens = folder / "tokens.txt"
    names = (BLANK_THERE, *TOKENS[1:])
    tokens.write_text("".join(f"{name} {at}\n" for at, name in enumerate(names)), encoding="utf-8")
    return [*written, tokens]


def parity(encoder: Encoder, path: Path, seed: int = 0) -> float:
    """Largest difference of log-probabilities over made features of odd lengths, singly and in a batch."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(seed)
    worst = 0.0
    for lengths in ([8], [333], [150, 61]):
        x = np.zeros((len(lengths), max(lengths), MEL_BINS), np.float32)
        for row, length in enumerate(lengths):
            x[row, :length] = rng.normal(13.0, 3.0, (length, MEL_BINS))
        counts = np.array(lengths, np.int64)
        with torch.inference_mode():
            expected, frames = encoder(torch.from_numpy(x), torch.from_numpy(counts))
        found, found_frames = session.run(None, {"x": x, "x_lens": counts})
        assert frames.tolist() == found_frames.tolist(), (frames, found_frames)
        for row, count in enumerate(frames.tolist()):
            worst = max(worst, float(np.abs(expected[row, :count].numpy() - found[row, :count]).max()))
    return worst


def _file(precision: str) -> str:
    return "encoder.onnx" if precision == "fp32" else f"encoder.{precision}.onnx"
