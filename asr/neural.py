"""Our own detector, `vad-small`: a recurrent network of 0.3 MB that ships with the package and hears 30 ms a frame.

    vad-small/
      vad.onnx    samples and state -> P(speech) of each frame and the next state; the filter bank is inside
      vad.json    how long a frame is, its SHA-256, licence, training data, evaluation

Levels cancel inside the graph (`asr.train.vad_features`), so nothing here looks at them.
"""

from __future__ import annotations

import hashlib
import json
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from asr.errors import BundleDigestError, BundleError
from asr.transcript import SAMPLES_PER_MS
from asr.vad import Samples, Scorer, one_by_one

CARD = "vad.json"
FORMAT = 2  # 2: with frame_ms
BLOCK = 1000  # frames of a clip at a time: half a minute, of which the spectrum takes 4 MB


class NeuralVad:
    """The network, loaded and verified. Holds no state of a clip: safe to share between threads."""

    def __init__(self, folder: Path | None = None) -> None:
        """Load ``vad-small`` of the package, or another ``folder``.

        Raises BundleError (card or file absent or malformed) and BundleDigestError (the file was changed).
        """
        folder = folder or Path(str(resources.files("asr") / "models" / "vad-small"))
        card = read_card(folder)
        self.frame_length = int(card["frame_ms"]) * SAMPLES_PER_MS
        self._session = _session(_verified(folder, card))
        self._start: Samples = np.zeros(self._session.get_inputs()[1].shape, dtype=np.float32)

    def open(self) -> Scorer:
        """A scorer with its own state."""
        run, state = self._session.run, self._start

        def score(frame: Samples) -> float:
            nonlocal state
            probability, state = run(None, {"audio": frame, "state": state})
            return float(probability[0])

        return one_by_one(score)

    def probabilities(self, samples: Samples) -> NDArray[np.float32]:
        """What a scorer answers to all frames of a clip (float32, ``(n,)``), within 1e-5, much
        faster: float32 ``(ceil(n / frame_length),)``. The last frame is completed with zeros."""
        whole = np.pad(samples, (0, -len(samples) % self.frame_length))
        found, state = [np.zeros(0, dtype=np.float32)], self._start
        for start in range(0, len(whole), BLOCK * self.frame_length):
            block = whole[start : start + BLOCK * self.frame_length]
            probability, state = self._session.run(None, {"audio": block, "state": state})
            found.append(probability)
        return np.concatenate(found)


def read_card(folder: Path) -> dict[str, Any]:
    """``vad.json`` of a detector. Raises BundleError with what is wrong with it."""
    path = folder / CARD
    try:
        card: dict[str, Any] = json.loads(path.read_bytes())
        if card["format"] != FORMAT:
            raise BundleError(f"{path} has format {card['format']}; this version reads format {FORMAT}")
        if int(card["frame_ms"]) < 1:
            raise BundleError(f"{path} has frames of {card['frame_ms']} ms; expected at least 1")
        if Path(card["file"]).name != card["file"]:
            raise BundleError(
                f"{path} names {card['file']!r}; the file must lie in the detector's own folder"
            )
    except FileNotFoundError as error:
        raise BundleError(f"{folder} is not a detector: it has no {CARD}") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise BundleError(f"{path} is not JSON: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise BundleError(f"{path} does not describe a detector: {error!r}") from error
    return card


def _verified(folder: Path, card: dict[str, Any]) -> bytes:
    path = folder / str(card["file"])
    try:
        graph = path.read_bytes()
    except FileNotFoundError as error:
        raise BundleError(f"{folder} lacks {card['file']}, which its {CARD} names") from error
    digest = hashlib.sha256(graph).hexdigest()
    if digest != card.get("sha256"):
        raise BundleDigestError(
            f"{path} has SHA-256 {digest}; {CARD} records {card.get('sha256')}. "
            "The file was changed or damaged: install the package again"
        )
    return graph


def _session(graph: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # of a dozen kinds, which have no root of their own
        raise BundleError(f"the detector is no model that this onnxruntime loads: {error}") from error
