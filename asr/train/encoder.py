"""The encoder of a bundle alone, for a runtime that computes Kaldi's filter bank itself, such as sherpa-onnx.

A bundle's graph takes a waveform. Cut where its log-mel is made, and given inputs by the names that sherpa-onnx knows
of "zipformer CTC" models, it takes fbank features instead; nothing else of it changes. Three differences remain that
sherpa-onnx brings along: its filters end at 7.6 kHz, ours at 8 kHz; its frames at the edges are mirrored; its floor of
the logarithm is 90 dB higher, as its samples are in [-1, 1]. Its greedy search gives tokens, which here are phones.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from asr.rows import BLANK
from asr.train.features import FRAME_LENGTH, FRAME_SHIFT, KALDI_SCALE, MEL_BINS

LOG_MEL = "Log"  # the one node of this kind: its output is the log-mel, (batch, 80, frames)
OUTPUTS = ("log_probs", "log_prob_lengths")
SHERPA_BLANK = "<blk>"


def export_encoder(model: Path, tokens: Path, folder: Path) -> tuple[Path, Path]:
    """Write ``encoder.onnx`` and ``tokens.txt`` (token and number a line) into ``folder``.

    Inputs are ``x``, float32 ``(batch, frames, 80)``, the log-mel of samples in [-1, 1], and ``x_lens``, int64.
    """
    path = folder / "encoder.onnx"
    onnx.save(_cut(onnx.load(str(model))), str(path))
    names = tokens.read_text(encoding="utf-8").split()
    listed = folder / "tokens.txt"
    listed.write_text(
        "".join(
            f"{SHERPA_BLANK if number == BLANK else name} {number}\n" for number, name in enumerate(names)
        ),
        encoding="utf-8",
    )
    return path, listed


def _cut(model: onnx.ModelProto) -> onnx.ModelProto:
    (log_mel,) = [node.output[0] for node in model.graph.node if node.op_type == LOG_MEL]
    made_by = {output: at for at, node in enumerate(model.graph.node) for output in node.output}
    given, needed, pending = {log_mel, "audio_lengths"}, set[str](), list(OUTPUTS)
    while pending:
        name = pending.pop()
        if name not in given and name not in needed:
            needed.add(name)
            if name in made_by:
                pending += model.graph.node[made_by[name]].input
    assert "audio" not in needed, "the encoder looks at the waveform behind the log-mel"
    kept = sorted({made_by[name] for name in needed if name in made_by})
    constants = {
        # Of samples in [-1, 1] the power is smaller by the square of Kaldi's scale.
        "kaldi_scale": np.float32(2.0 * math.log(KALDI_SCALE)),
        "frame_shift": np.int64(FRAME_SHIFT),
        "frame_rest": np.int64(FRAME_LENGTH - FRAME_SHIFT),  # samples that n frames take are n * shift + rest
    }
    before = [
        helper.make_node("Transpose", ["x"], ["x_transposed"], perm=[0, 2, 1]),
        helper.make_node("Add", ["x_transposed", "kaldi_scale"], [log_mel]),
        helper.make_node("Mul", ["x_lens", "frame_shift"], ["shifted"]),
        helper.make_node("Add", ["shifted", "frame_rest"], ["audio_lengths"]),
    ]
    graph = helper.make_graph(
        [*before, *(model.graph.node[at] for at in kept)],
        "encoder",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", "frames", MEL_BINS]),
            helper.make_tensor_value_info("x_lens", TensorProto.INT64, ["batch"]),
        ],
        list(model.graph.output),
        [each for each in model.graph.initializer if each.name in needed]
        + [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    found = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    helper.set_model_props(found, {"model_type": "zipformer2_ctc", "version": "1"})
    onnx.checker.check_model(found)
    return found
