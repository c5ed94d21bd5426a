"""torch to ONNX: waveform in, log-probabilities out, batch and time dynamic; then int8 and fp16 versions.

int8: dynamic, weights of the matrix products per channel. A per-tensor scale cost Moonshine a third of its
accuracy (7.57 against 4.83 % WER); convolutions, among them the filter bank, stay in float32.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.transformers.float16 import convert_float_to_float16
from torch import Tensor, nn

from asr.train.formula import write_as_formula
from asr.train.model import AcousticModel

OPSET = 18
PARITY = 1e-4  # largest difference of log-probabilities between torch and ONNX (acceptance C7)


def export_fp32(model: AcousticModel, path: Path) -> None:
    """Write ``model`` as ONNX in float32 and check its parity with torch; raises AssertionError over 1e-4."""
    trace(model, path)
    onnx.save(write_as_formula(onnx.load(str(path))), str(path))
    check_parity(parity(model, path), PARITY)


@dataclass(frozen=True, slots=True)
class Interface:
    """What a graph calls its inputs, first what changes with time, then how much of it, and its outputs alike."""

    inputs: tuple[str, str]
    outputs: tuple[str, str]
    example: tuple[Tensor, Tensor]


def waveforms() -> Interface:
    """That of bundles: two clips, unlike in length."""
    return Interface(
        ("audio", "audio_lengths"),
        ("log_probs", "log_prob_lengths"),
        (torch.randn(2, 48_000) * 0.05, torch.tensor([48_000, 30_000])),
    )


def trace(model: nn.Module, path: Path, interface: Interface | None = None) -> None:
    """Write a module of `AcousticModel`'s interface, or of another, as ONNX in float32."""
    model.eval()
    interface = interface or waveforms()
    (values, counts), (log_probs, frames) = interface.inputs, interface.outputs
    with warnings.catch_warnings():
        # The exporter remarks on its own age and on shapes that it traces; parity is the judge.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            interface.example,
            str(path),
            input_names=[values, counts],
            output_names=[log_probs, frames],
            dynamic_axes={
                values: {0: "batch", 1: "samples"},
                counts: {0: "batch"},
                log_probs: {0: "batch", 1: "frames"},
                frames: {0: "batch"},
            },
            opset_version=OPSET,
            dynamo=False,
        )


def check_parity(worst: float, limit: float) -> float:
    """The largest difference, as `parity` finds it, if it is within the limit; else AssertionError."""
    assert worst <= limit, f"torch and ONNX differ by {worst:.2e} in log-probabilities; {limit} is the limit"
    return worst


def parity(model: nn.Module, path: Path, seed: int = 0) -> float:
    """Largest difference of log-probabilities over noise clips of odd lengths, singly and in a batch."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(seed)
    worst = 0.0
    for lengths in ([16_001], [1_600], [70_123], [52_000, 17_777, 9_999]):
        audio = np.zeros((len(lengths), max(lengths)), dtype=np.float32)
        for row, length in enumerate(lengths):
            audio[row, :length] = rng.standard_normal(length) * 0.05
        counts = np.array(lengths, dtype=np.int64)
        with torch.inference_mode():
            expected, frames = model(torch.from_numpy(audio), torch.from_numpy(counts))
        found, found_frames = session.run(None, {"audio": audio, "audio_lengths": counts})
        assert frames.tolist() == found_frames.tolist(), (frames, found_frames)
        for row, count in enumerate(frames.tolist()):
            worst = max(worst, float(np.abs(expected[row, :count].numpy() - found[row, :count]).max()))
    return worst


def at_precisions(fp32: Path, precisions: Sequence[str]) -> dict[str, Path]:
    """A network in float32 at each of ``int8``, ``fp32``, ``fp16``, in files beside it."""
    made = {precision: fp32.with_name(f"{precision}.onnx") for precision in precisions}
    if "int8" in made:
        quantise_int8(fp32, made["int8"])
    if "fp16" in made:
        convert_fp16(fp32, made["fp16"])
    if "fp32" in made:
        made["fp32"] = fp32
    return made


def quantise_int8(source: Path, path: Path) -> None:
    """Dynamic int8 of the matrix products, weights per channel."""
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        onnx.save(onnx.shape_inference.infer_shapes(onnx.load(str(source))), str(prepared))
        quantize_dynamic(
            prepared,
            path,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            weight_type=QuantType.QInt8,
        )


def convert_fp16(source: Path, path: Path) -> None:
    """float16 for GPUs; the filter bank keeps float32, whose powers would overflow half precision."""
    model = onnx.load(str(source))
    features = [node.name for node in model.graph.node if node.name.startswith("/features/")]
    half = convert_float_to_float16(model, keep_io_types=True, node_block_list=features)
    _merge_duplicate_casts(half.graph)
    onnx.save(half, str(path))


def _merge_duplicate_casts(graph: onnx.GraphProto) -> None:
    """Where several nodes of the filter bank read one value, the converter casts it once for each, all alike
    and under one name; one of them is enough."""
    seen = set()
    for node in list(graph.node):
        if node.op_type == "Cast" and node.output[0] in seen:
            graph.node.remove(node)
        seen.update(node.output)
