"""The filter bank as a formula in the ONNX graph."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs voicesearch[train]")
onnx = pytest.importorskip("onnx", reason="needs voicesearch[train]")

import onnxruntime  # noqa: E402  # after the skips
from onnx import helper, numpy_helper  # noqa: E402

from asr.train.features import LogMel  # noqa: E402
from asr.train.formula import MATRIX_SHAPE, write_as_formula  # noqa: E402


def graph_of(matrix: np.ndarray) -> onnx.ModelProto:
    """A model that gives back its constant."""
    constant = helper.make_node("Constant", [], ["weight"], value=numpy_helper.from_array(matrix))
    output = helper.make_node("Identity", ["weight"], ["out"])
    result = helper.make_tensor_value_info("out", onnx.TensorProto.FLOAT, list(matrix.shape))
    graph = helper.make_graph([constant, output], "toy", [], [result])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def test_the_formula_gives_the_matrix() -> None:
    """ONNX Runtime computes from the formula what torch holds, to float32's precision, from 1 % of the bytes."""
    matrix = LogMel().spectrum.numpy()
    model = graph_of(matrix)
    before = model.ByteSize()
    changed = write_as_formula(model)
    session = onnxruntime.InferenceSession(changed.SerializeToString(), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {})
    assert list(found.shape) == MATRIX_SHAPE
    np.testing.assert_allclose(found, matrix, atol=2e-6)
    assert changed.ByteSize() < 0.02 * before


def test_a_graph_without_the_matrix_is_refused() -> None:
    """Nothing is replaced silently where the filter bank has another shape."""
    with pytest.raises(AssertionError, match="0 constants"):
        write_as_formula(graph_of(np.zeros((2, 3), dtype=np.float32)))
