"""Silero's detector through our ONNX Runtime, where its package is installed."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from asr import audio
from asr.errors import MissingPackageError
from asr.frontend import FrontendOptions, load_vad
from asr.silero import SileroVad
from asr.vad import VadOptions, find_speech, frame_probabilities

SAMPLES = Path(__file__).parents[1] / "data" / "samples"
INSTALLED = importlib.util.find_spec("silero_vad") is not None

needs_silero = pytest.mark.skipif(not INSTALLED, reason="needs voicesearch[silero]")


@needs_silero
def test_speech_is_found_and_silence_is_not() -> None:
    """Silero finds one span in a spoken sample and none in digital silence."""
    vad = SileroVad()
    assert len(find_speech(vad, audio.decode(SAMPLES / "play_jazz.wav"), VadOptions())) == 1
    assert find_speech(vad, np.zeros(32_000, dtype=np.float32), VadOptions()) == []


@needs_silero
def test_streams_of_one_detector_are_independent() -> None:
    """Two scorers of one detector keep separate states."""
    vad = SileroVad()
    speech = audio.decode(SAMPLES / "play_jazz.wav")[:16_000]
    alone = list(frame_probabilities(vad, speech))
    first, second = vad.open(), vad.open()
    interleaved = []
    for start in range(0, len(speech) - 511, 512):
        interleaved += first(speech[None, start : start + 512]).tolist()
        second(np.zeros((1, 512), dtype=np.float32))
    assert interleaved == alone[: len(interleaved)]


@needs_silero
def test_torch_is_not_imported() -> None:
    """Running Silero loads its ONNX file, not its package, which would import torch."""
    program = (
        "import sys, numpy; from asr.silero import SileroVad;"
        "SileroVad().open()(numpy.zeros((1, 512), dtype='float32'));"
        "sys.exit('torch' in sys.modules or 'silero_vad' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_without_its_package_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where silero-vad is absent, asking for it raises MissingPackageError with the pip command."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(MissingPackageError, match=r"pip install 'voicesearch\[silero\]'"):
        load_vad(FrontendOptions(vad="silero").vad)
