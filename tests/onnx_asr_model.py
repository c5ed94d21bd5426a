"""A tiny model in the layout of NeMo's CTC models as ``onnx-asr`` loads them: random, but it says something."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

VOCABULARY = ("\u2581play", "\u2581ja", "zz", "\u2581the", "\u2581s", "ong", ",", "\u2581a", "<blk>")
FEATURES, SUBSAMPLING = 80, 8


def write(folder: Path, seed: int = 0, bias: float = 0.0, **config: Any) -> Path:
    """``model.onnx``, ``vocab.txt`` and ``config.json``; ``bias`` is the blank's: 99 makes it say nothing."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    weights = rng.normal(0.0, 0.05, (len(VOCABULARY), FEATURES, SUBSAMPLING)).astype(np.float32)
    biases = np.zeros(len(VOCABULARY), np.float32)
    biases[-1] = bias
    graph = helper.make_graph(
        [
            # As many frames as the library counts: (T - 1) // 8 + 1.
            helper.make_node(
                "Conv",
                ["audio_signal", "weights", "biases"],
                ["scores"],
                strides=[SUBSAMPLING],
                pads=[0, SUBSAMPLING - 1],
            ),
            helper.make_node("Transpose", ["scores"], ["rows"], perm=[0, 2, 1]),
            helper.make_node("LogSoftmax", ["rows"], ["logprobs"], axis=-1),
            helper.make_node("Identity", ["length"], ["length_out"]),
        ],
        "tiny",
        [
            helper.make_tensor_value_info("audio_signal", TensorProto.FLOAT, ["batch", FEATURES, "time"]),
            helper.make_tensor_value_info("length", TensorProto.INT64, ["batch"]),
        ],
        [
            helper.make_tensor_value_info(
                "logprobs", TensorProto.FLOAT, ["batch", "frames", len(VOCABULARY)]
            ),
            helper.make_tensor_value_info("length_out", TensorProto.INT64, ["batch"]),
        ],
        [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(biases, "biases")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, str(folder / "model.onnx"))
    lines = [f"{token} {at}" for at, token in enumerate(VOCABULARY)]
    (folder / "vocab.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    settings = {"model_type": "nemo-conformer-ctc", "features_size": FEATURES} | config
    (folder / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder
