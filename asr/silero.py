"""Silero's detector, from the ONNX file inside its package, through our ONNX Runtime: torch is not imported."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import onnxruntime

from asr.errors import MissingPackageError
from asr.transcript import SAMPLE_RATE_HZ
from asr.vad import Samples, Scorer, one_by_one


class SileroVad:
    """Silero VAD 5 and 6: frames of 512 samples, each seen after the last 64 samples of the one before."""

    frame_length = 512
    CONTEXT = 64

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(_model_file()), options, providers=["CPUExecutionProvider"]
        )

    def open(self) -> Scorer:
        """A scorer with its own recurrent state."""
        state = np.zeros((2, 1, 128), dtype=np.float32)
        context = np.zeros((1, self.CONTEXT), dtype=np.float32)
        rate = np.array(SAMPLE_RATE_HZ, dtype=np.int64)

        def score(frame: Samples) -> float:
            nonlocal state, context
            window = np.concatenate([context, frame[None]], axis=1)
            probability, state = self._session.run(None, {"input": window, "state": state, "sr": rate})
            context = window[:, -self.CONTEXT :]
            return float(probability[0, 0])

        return one_by_one(score)


def _model_file() -> Path:
    # find_spec does not run the package: importing silero_vad would import torch.
    spec = importlib.util.find_spec("silero_vad")
    if spec is None or not spec.submodule_search_locations:
        raise MissingPackageError(
            "the 'silero' VAD needs the package silero-vad: pip install 'voicesearch[silero]', "
            "or choose --vad webrtc"
        )
    path = Path(spec.submodule_search_locations[0]) / "data" / "silero_vad.onnx"
    if not path.is_file():
        raise MissingPackageError(f"silero-vad is installed without {path.name}; versions 5 and 6 carry it")
    return path
