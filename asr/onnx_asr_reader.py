"""A model of the ``onnx-asr`` library as a `Reader`: levelled segments in, its one reading of each out.

Features, network and search are the library's; finding the speech, levelling it, null results and metrics are ours.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from asr import onnx_asr_files
from asr.bundle import MIN_SAMPLES, BundleInfo, provider, session_options
from asr.confidence import Calibration
from asr.decode import Hypothesis
from asr.errors import BundleError, DeviceError, OptionError
from asr.hotwords import Hotwords
from asr.onnx_asr_files import AS_PUBLISHED, Named
from asr.onnx_asr_words import Heard, hypotheses
from asr.stages import Stages
from asr.transcript import SAMPLE_RATE_HZ

WHISPER = "onnx_asr.models.whisper"
WHISPER_S = 30  # what is behind them the library leaves out without a word

Samples = NDArray[np.float32]


class OnnxAsrReader:
    """A loaded model. Threads may share it."""

    drafts = False  # these models are large: an utterance is read once, when it is over
    groups = False

    def __init__(self, info: BundleInfo, adapter: Any) -> None:
        """``adapter`` is what `onnx_asr.load_model` gives."""
        self.info = info
        self.calibration: Calibration = info.decoder.calibration
        self._model = adapter.with_timestamps()
        self._longest_s = WHISPER_S if type(adapter.asr).__module__ == WHISPER else None

    @classmethod
    def load(
        cls, model: str | Path, *, precision: str | None = None, device: str = "cpu", threads: int = 1
    ) -> OnnxAsrReader:
        """Load a model that is on this machine.

        Raises BundleError (not here, or no model that onnxruntime loads), DeviceError, MissingPackageError,
        OptionError (no such device, threads below 1).
        """
        named, info = Named.parse(model), onnx_asr_files.describe(model, precision)
        manager = onnx_asr_files.library().Manager(
            sess_options=session_options(threads), providers=[provider(device)]
        )
        quantization = None if precision == AS_PUBLISHED else precision
        try:
            adapter = manager.create_asr(named.kind, named.folder, quantization=quantization, offline=True)
        except (
            Exception
        ) as error:  # onnxruntime's have no root, and any part of a foreign folder may be wrong
            raise BundleError(f"{model} is no model that onnx-asr loads: {error!r}") from error
        if device == "cuda" and any(
            provider(device) not in each.get_providers() for each in _sessions(adapter)
        ):
            raise DeviceError(
                "CUDA was asked for, but ONNX Runtime could not start it: check the driver and cuDNN"
            )
        return cls(info, adapter)

    def read(
        self, samples: Samples, hotwords: Hotwords | None = None, stages: Stages | None = None
    ) -> list[Hypothesis]:
        """One reading, or none. See `Reader.read`; OptionError also for a segment that the model cannot hold."""
        if hotwords is not None:
            self.check(hotwords)
        seconds = len(samples) / SAMPLE_RATE_HZ
        if self._longest_s is not None and seconds > self._longest_s:
            raise OptionError(
                f"{self.info.name} hears {self._longest_s} s at once, and this speech lasts {seconds:.1f} s: lower "
                "max_speech_duration_s"
            )
        padded = np.pad(samples, (0, max(0, MIN_SAMPLES - len(samples))))
        with (stages or Stages())("model"):
            result = self._model.recognize(padded, sample_rate=SAMPLE_RATE_HZ)
        heard = Heard(result.text, result.tokens, result.timestamps, result.logprobs)
        return hypotheses(heard, len(samples))

    def check(self, hotwords: Hotwords) -> None:
        """Always an OptionError: the library's search knows none."""
        raise OptionError(
            f"hotwords {', '.join(hotwords.phrases)!r}: {self.info.name} has a search of its own, which takes none"
        )


def _sessions(adapter: Any) -> list[onnxruntime.InferenceSession]:
    """Of the networks that a model is made of."""
    return [part for part in vars(adapter.asr).values() if isinstance(part, onnxruntime.InferenceSession)]
