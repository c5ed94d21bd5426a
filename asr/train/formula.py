"""Write the filter bank's analysis matrix into an ONNX graph as the formula that it comes from.

The matrix (512 x 400 numbers, 0.8 MB) is fixed: Fourier rows under Povey's window, pre-emphasis, removal of the
mean. As a dozen nodes it takes 2 kB; ONNX Runtime computes constants once, when it loads the model.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from asr.train.features import FFT_LENGTH, FRAME_LENGTH, PRE_EMPHASIS

MATRIX_SHAPE = [FFT_LENGTH, 1, FRAME_LENGTH]  # of the convolution's weight: real rows, then imaginary ones
PREFIX = "/features/spectrum/"  # the fp16 version keeps what is under /features/ in float32


def write_as_formula(model: onnx.ModelProto) -> onnx.ModelProto:
    """Replace the constant of `MATRIX_SHAPE` in ``model``'s graph, which is changed and returned."""
    found = [
        node
        for node in model.graph.node
        if node.op_type == "Constant" and list(node.attribute[0].t.dims) == MATRIX_SHAPE
    ]
    assert len(found) == 1, f"{len(found)} constants of shape {MATRIX_SHAPE}"
    nodes = _nodes(found[0].output[0])
    model.graph.node.remove(found[0])
    for at, node in enumerate(nodes):
        model.graph.node.insert(at, node)
    return model


def _nodes(output: str) -> list[onnx.NodeProto]:
    """S = (F w) E R: Fourier rows times window, times pre-emphasis, times removal of the mean, in float32.

    k n is taken modulo the transform's length in integers: angles stay small, so float32 is exact enough.
    """
    sample = np.arange(FRAME_LENGTH, dtype=np.int64)
    window = (0.5 - 0.5 * np.cos(2.0 * math.pi * sample / (FRAME_LENGTH - 1))) ** 0.85
    first = np.eye(1, FRAME_LENGTH, dtype=np.float32)  # Kaldi's pre-emphasis repeats the first sample
    constants: dict[str, NDArray[np.generic]] = {
        "bins": np.arange(FFT_LENGTH // 2, dtype=np.int64)[:, None],
        "samples": sample[None],
        "length": np.array(FFT_LENGTH, dtype=np.int64),
        "radians": np.array(2.0 * math.pi / FFT_LENGTH, dtype=np.float32),
        "window": window.astype(np.float32)[None],
        "one": np.array([1], dtype=np.int64),
        "axis": np.array([1], dtype=np.int64),
        "end": np.array([FRAME_LENGTH], dtype=np.int64),
        "pads": np.array([0, 0, 0, 1], dtype=np.int64),
        "emphasis": np.array(PRE_EMPHASIS, dtype=np.float32),
        "first": first * np.float32(PRE_EMPHASIS),
    }
    nodes = [
        helper.make_node(
            "Constant", [], [PREFIX + name], name=PREFIX + name, value=numpy_helper.from_array(value)
        )
        for name, value in constants.items()
    ]

    def node(kind: str, inputs: str, made: str, **attributes: Any) -> None:
        names = [PREFIX + name for name in inputs.split()]
        target = output if made == "matrix" else PREFIX + made
        nodes.append(helper.make_node(kind, names, [target], name=PREFIX + made, **attributes))

    node("Mul", "bins samples", "products")
    node("Mod", "products length", "turns")
    node("Cast", "turns", "turns_float", to=onnx.TensorProto.FLOAT)
    node("Mul", "turns_float radians", "angles")
    node("Cos", "angles", "real")
    node("Sin", "angles", "sine")
    node("Neg", "sine", "imaginary")
    node("Concat", "real imaginary", "fourier", axis=0)
    node("Mul", "fourier window", "windowed")
    # Column n of the product with the pre-emphasis: column n less 0.97 of column n + 1.
    node("Slice", "windowed one end axis", "later")
    node("Pad", "later pads", "shifted")
    node("Mul", "shifted emphasis", "scaled")
    node("Mul", "windowed first", "repeated")
    node("Add", "scaled repeated", "taken")
    node("Sub", "windowed taken", "emphasised")
    node("ReduceMean", "emphasised axis", "means", keepdims=1)
    node("Sub", "emphasised means", "centred")
    node("Unsqueeze", "centred axis", "matrix")
    return nodes
