"""A broken model to practise on: a bundle whose weights have noise in them, and which loads as if nothing were wrong.

What a bad export, a bad quantisation or half-trained weights look like from outside: right shapes, right digests, right
words in the lexicon, and far more of them wrong.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from asr import bundle
from asr.digest import file_digest
from asr.errors import BundleError

MATRIX = 20_000  # weights: what is smaller is scales and biases, and stays


def damage(model: str | Path, out: Path, strength: float, seed: int = 0) -> Path:
    """Write a copy of a bundle to ``out``, noise in every matrix: its standard deviation times ``strength``.

    BundleError where ``out`` is there already.
    """
    source = bundle.find(model)
    if out.exists():
        raise BundleError(f"{out} is there already; name a folder that is not")
    shutil.copytree(source, out)
    description = json.loads((out / bundle.MANIFEST).read_text(encoding="utf-8"))
    rng = np.random.default_rng(seed)
    for name in sorted(set(description["models"].values())):
        graph = onnx.load(out / name)
        for tensor in graph.graph.initializer:
            weights = numpy_helper.to_array(tensor)
            if weights.size >= MATRIX and weights.dtype in (np.int8, np.float32):
                noise = rng.standard_normal(weights.shape) * (strength * weights.std())
                worse = weights + noise
                if weights.dtype == np.int8:
                    worse = np.clip(np.round(worse), -128, 127)
                tensor.CopyFrom(numpy_helper.from_array(worse.astype(weights.dtype), tensor.name))
        onnx.save(graph, out / name)
        description["files"][name] = file_digest(out / name)
    description.pop("evaluation", None)  # it was another model's
    (out / bundle.MANIFEST).write_text(json.dumps(description, indent=1) + "\n", encoding="utf-8")
    return out
