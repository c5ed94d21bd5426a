"""The voice activity network as ONNX: any number of steps of samples and a state in, probabilities and state out.

The graph is written node by node, so that it holds the filter bank and streams: inputs ``audio`` (float32,
``(steps * 480,)``) and ``state`` (`STATE` numbers, zeros at the beginning of a clip); outputs ``probability``
(``(steps,)``) and ``next_state``. All at once or step by step gives the same. The running mean is a recurrent
layer without a non-linearity; the Fourier basis is a table of one period, looked up when the file is loaded,
and weights are kept in 16 bits and widened then: together half of its size.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch.nn import functional

from asr.train.vad_features import (
    BANDS,
    BINS,
    FLOOR,
    KEEP,
    RELATIVE_FLOOR,
    SCALE,
    SHIFT,
    SHIFTED,
    WINDOW,
    features,
    mel_filters,
    window,
)
from asr.train.vad_model import VadModel, VadModelOptions

OPSET = 18
PARITY = 1e-5  # largest difference of probabilities between torch after numpy's features and the graph
WIDENED = ("convolution", "convolution_bias", "gates", "gates_again", "gates_bias", "output", "output_bias")
FOLLOWER = 2  # the running mean of the power, and how much of it is filled


def state_length(options: VadModelOptions) -> int:
    """Numbers of the state: past samples, follower, features still in the convolution, recurrent state."""
    return sum(_state_parts(options))


def export(model: VadModel, path: Path) -> None:
    """Write ``model``, whose weights are rounded to 16 bits, and check it against torch, whole and in pieces; raises
    AssertionError over `PARITY`."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(parameter.half().float())
    graph = helper.make_graph(
        _nodes(model.options),
        "vad",
        [_value("audio", "samples"), _value("state", state_length(model.options))],
        [_value("probability", "steps"), _value("next_state", state_length(model.options))],
        [numpy_helper.from_array(value, name) for name, value in _constants(model).items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    onnx.checker.check_model(made)
    onnx.save(made, str(path))
    worst = parity(model, path)
    assert worst <= PARITY, f"torch and ONNX differ by {worst:.2e} in probability; {PARITY} is the limit"


def parity(model: VadModel, path: Path, seed: int = 0) -> float:
    """Largest difference in probability between torch and the graph, on swelling noise, whole and in pieces."""
    rng = np.random.default_rng(seed)
    step = model.options.stride * SHIFT
    swell = np.sin(np.arange(150 * step) / 3000.0) ** 4 + 0.01
    samples = (0.1 * swell * rng.standard_normal(len(swell))).astype(np.float32)
    heard = torch.from_numpy(features(samples))[None]
    with torch.inference_mode():
        expected = model(functional.pad(heard, (0, 0, model.options.before, 0)))[0].sigmoid()[0].numpy()
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    worst = 0.0
    for steps in (150, 50, 7, 1):
        state = np.zeros(state_length(model.options), dtype=np.float32)
        found = []
        for start in range(0, len(samples), steps * step):
            piece = samples[start : start + steps * step]
            probability, state = session.run(None, {"audio": piece, "state": state})
            found.append(probability)
        worst = max(worst, float(np.abs(np.concatenate(found) - expected).max()))
    return worst


def _state_parts(options: VadModelOptions) -> tuple[int, int, int, int]:
    return WINDOW - SHIFT, FOLLOWER, BANDS * options.before, options.hidden


def _value(name: str, length: int | str) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [length])


def _constants(model: VadModel) -> dict[str, NDArray[np.generic]]:
    """Everything in the graph that is not a node, by name."""
    options = model.options
    period = np.cos(2.0 * np.pi * np.arange(WINDOW) / WINDOW)
    weights = {name: value.detach().numpy().astype(np.float16) for name, value in model.named_parameters()}

    def integers(*values: int) -> NDArray[np.int64]:
        return np.array(values, dtype=np.int64)

    def gates(name: str) -> NDArray[np.float16]:
        reset, update, new = np.split(weights[name], 3)  # torch's order; ONNX has update, reset, new
        return np.concatenate([update, reset, new])

    return {
        "parts": integers(*_state_parts(options)),
        "bins": np.arange(1, BINS + 1, dtype=np.int64)[:, None, None],
        "times": np.arange(WINDOW, dtype=np.int64)[None, None],
        "period": integers(WINDOW),
        "quarter": integers(WINDOW // 4),
        "cosine": period.astype(np.float32),
        "window": window().astype(np.float32),
        "mel": mel_filters().astype(np.float32)[None],
        "follow": np.eye(FOLLOWER, dtype=np.float32)[None] * np.float32(1.0 - KEEP),
        "keep": np.eye(FOLLOWER, dtype=np.float32)[None] * np.float32(KEEP),
        "floor": np.array(FLOOR, dtype=np.float32),
        "relative_floor": np.array(RELATIVE_FLOOR, dtype=np.float32),
        "scale": np.array(SCALE, dtype=np.float32),
        "shifted": np.array(SHIFTED, dtype=np.float32),
        "convolution_16": weights["convolution.weight"],
        "convolution_bias_16": weights["convolution.bias"],
        "gates_16": gates("recurrent.weight_ih_l0")[None],
        "gates_again_16": gates("recurrent.weight_hh_l0")[None],
        "gates_bias_16": np.concatenate([gates("recurrent.bias_ih_l0"), gates("recurrent.bias_hh_l0")])[None],
        "output_16": np.ascontiguousarray(weights["output.weight"].T),
        "output_bias_16": weights["output.bias"],
        "flat": integers(-1),
        "as_sound": integers(1, 1, -1),
        "as_follower": integers(1, 1, FOLLOWER),
        "as_heard": integers(1, BANDS, options.before),
        "as_hidden": integers(1, 1, options.hidden),
        "axis_0": integers(0),
        "axis_1": integers(1),
        "axis_2": integers(2),
        "one": np.array(1.0, dtype=np.float32),
        "one_after": integers(0, 0, 0, 0, 0, 1),
        "end": integers(np.iinfo(np.int64).max),
        "last_samples": integers(SHIFT - WINDOW),
        "last_frames": integers(-options.before),
    }


def _nodes(options: VadModelOptions) -> list[onnx.NodeProto]:
    """The graph in the order in which it is computed. Shapes: channels before frames until the recurrent layers,
    which want frames first."""
    node = helper.make_node
    return [
        *(node("Cast", [f"{name}_16"], [name], to=TensorProto.FLOAT) for name in WIDENED),
        node("Split", ["state", "parts"], ["past", "followed", "heard", "hidden"], axis=0),
        node("Concat", ["past", "audio"], ["sound"], axis=0),
        # Fourier basis: cos(2 pi k n / 320) by its place in one period; the sine is a quarter later.
        node("Mul", ["bins", "times"], ["phases"]),
        node("Mod", ["phases", "period"], ["cosine_places"]),
        node("Add", ["phases", "quarter"], ["later"]),
        node("Mod", ["later", "period"], ["sine_places"]),
        node("Concat", ["cosine_places", "sine_places"], ["places"], axis=0),
        node("Gather", ["cosine", "places"], ["waves"]),
        node("Mul", ["waves", "window"], ["basis"]),
        # Band powers, (1, 32, frames).
        node("Reshape", ["sound", "as_sound"], ["channel"]),
        node("Conv", ["channel", "basis"], ["spectrum"], strides=[SHIFT]),
        node("Mul", ["spectrum", "spectrum"], ["squares"]),
        node("Split", ["squares"], ["real", "imaginary"], axis=1, num_outputs=2),
        node("Add", ["real", "imaginary"], ["power"]),
        node("MatMul", ["mel", "power"], ["bands"]),
        # Their running mean: a layer that keeps 0.99 of its state and adds 0.01 of (power, 1).
        node("ReduceMean", ["bands", "axis_1"], ["mean_power"]),
        node("Transpose", ["mean_power"], ["powers"], perm=[2, 0, 1]),
        node("Pad", ["powers", "one_after", "one"], ["powers_and_one"]),
        node("Reshape", ["followed", "as_follower"], ["follower"]),
        node(
            "RNN", ["powers_and_one", "follow", "keep", "", "", "follower"], ["means", "next_follower"],
            hidden_size=FOLLOWER, activations=["Affine"], activation_alpha=[1.0], activation_beta=[0.0],
        ),
        node("Split", ["means"], ["total", "filled"], axis=3, num_outputs=2),
        node("Div", ["total", "filled"], ["running_mean"]),
        node("Reshape", ["running_mean", "as_sound"], ["running_means"]),
        node("Add", ["running_means", "floor"], ["reference"]),
        # Relative log-mel.
        node("Div", ["bands", "reference"], ["ratio"]),
        node("Add", ["ratio", "relative_floor"], ["floored"]),
        node("Log", ["floored"], ["logarithm"]),
        node("Mul", ["logarithm", "scale"], ["scaled"]),
        node("Add", ["scaled", "shifted"], ["features"]),
        # The network.
        node("Reshape", ["heard", "as_heard"], ["before"]),
        node("Concat", ["before", "features"], ["context"], axis=2),
        node("Conv", ["context", "convolution", "convolution_bias"], ["convolved"], strides=[options.stride]),
        node("Relu", ["convolved"], ["rectified"]),
        node("Transpose", ["rectified"], ["frames_first"], perm=[2, 0, 1]),
        node("Reshape", ["hidden", "as_hidden"], ["begin"]),
        node(
            "GRU", ["frames_first", "gates", "gates_again", "gates_bias", "", "begin"], ["states", "last"],
            hidden_size=options.hidden, linear_before_reset=1,
        ),
        node("MatMul", ["states", "output"], ["product"]),
        node("Add", ["product", "output_bias"], ["logit"]),
        node("Sigmoid", ["logit"], ["speech"]),
        node("Reshape", ["speech", "flat"], ["probability"]),
        # The state to go on from.
        node("Slice", ["sound", "last_samples", "end", "axis_0"], ["next_past"]),
        node("Reshape", ["next_follower", "flat"], ["next_followed"]),
        node("Slice", ["context", "last_frames", "end", "axis_2"], ["next_context"]),
        node("Reshape", ["next_context", "flat"], ["next_heard"]),
        node("Reshape", ["last", "flat"], ["next_hidden"]),
        node("Concat", ["next_past", "next_followed", "next_heard", "next_hidden"], ["next_state"], axis=0),
    ]  # fmt: skip
