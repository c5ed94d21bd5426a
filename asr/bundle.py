"""A model bundle: a folder with everything that inference needs. Segments in, CTC log-probabilities out.

    en-small/
      bundle.json        settings, vocabulary, decoder weights, evaluation, SHA-256 of every other file
      model.int8.onnx    waveform -> log-probabilities; the log-mel is inside the graph
      tokens.txt         one symbol a line, blank first
      lexicon..., lm...  words and, optional, their n-gram model
      g2p...             optional: pronounces words that the lexicon lacks

A bundle is found by path or by name and verified before it is used. Its identity is its name and the first
digits of the SHA-256 of ``bundle.json``, which covers every other file through their digests.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from asr.confidence import Calibration
from asr.decode import DecoderOptions
from asr.digest import file_digest
from asr.errors import BundleDigestError, BundleError, DeviceError, OptionError
from asr.frontend import FrontendOptions

Samples = NDArray[np.float32]
LogProbs = NDArray[np.float32]

FORMAT = 1
MANIFEST = "bundle.json"
DEFAULT_MODEL = "en-small"
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}
MIN_SAMPLES = 1600  # 100 ms: shorter input is padded so that every convolution has a frame


@dataclass(frozen=True, slots=True)
class DecoderSettings:
    """The words a bundle knows: lexicon and n-gram model (file names), search weights, calibration.

    ``g2p`` is the file that pronounces words outside the lexicon; bundles made before it have none. With a
    ``separator`` the tokens are letters, and this one stands behind every word; only then can there be no lexicon.
    """

    lexicon: str | None
    lm: str | None
    options: DecoderOptions
    calibration: Calibration
    g2p: str | None = None
    separator: str | None = None

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the files that a bundle with these settings needs."""
        return tuple(name for name in (self.lexicon, self.lm, self.g2p) if name is not None)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> DecoderSettings:
        """From ``bundle.json``. Raises OptionError for unknown or senseless settings."""
        try:
            settings = cls(
                lexicon=values["lexicon"],
                lm=values.get("lm"),
                options=DecoderOptions(**values.get("options", {})),
                calibration=Calibration.from_dict(values.get("calibration", {})),
                g2p=values.get("g2p"),
                separator=values.get("separator"),
            )
        except TypeError as error:
            raise OptionError(f"decoder settings: {error}") from error
        for name in settings.files:
            if not isinstance(name, str):
                raise OptionError(f"decoder settings: {name!r} is no name of a file")
        return settings

    def as_dict(self) -> dict[str, Any]:
        """For ``bundle.json``."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class BundleInfo:
    """What ``bundle.json`` says. ``models`` maps a precision (``int8``, ``fp32``, ``fp16``) to a file."""

    name: str
    version: str
    language: str
    frame_samples: int
    models: dict[str, str]
    frontend: FrontendOptions
    decoder: DecoderSettings
    licence: str
    files: dict[str, str]
    evaluation: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)

    @property
    def identity(self) -> str:
        """``name@digest``: what results and records carry."""
        return f"{self.name}@{self.version}"


class Bundle:
    """A verified bundle with its acoustic model loaded. Safe to share between threads."""

    def __init__(
        self, folder: Path, info: BundleInfo, session: onnxruntime.InferenceSession, precision: str = "fp32"
    ) -> None:
        self.folder = folder
        self.info = info
        self.precision = precision
        self.tokens = tuple((folder / "tokens.txt").read_text(encoding="utf-8").split())
        self._session = session

    @classmethod
    def load(
        cls,
        model: str | Path = DEFAULT_MODEL,
        *,
        precision: str | None = None,
        device: str = "cpu",
        threads: int = 1,
    ) -> Bundle:
        """Find, verify and load a bundle.

        Raises BundleError (not found, malformed, precision absent), BundleDigestError (a file was changed),
        DeviceError (CUDA asked for and absent), OptionError (no such device, threads below 1).
        """
        folder = find(model)
        info = read(folder)
        verify(folder, info)
        chosen = precision or next(iter(info.models), "default")
        if chosen not in info.models:
            raise BundleError(f"{info.identity} has no {chosen!r} model; it has {', '.join(info.models)}")
        return cls(folder, info, _session(folder / info.models[chosen], device, threads), chosen)

    def log_probs(self, segments: Sequence[Samples]) -> list[LogProbs]:
        """Log-probabilities of each segment (float32, ``(n,)``): float32 ``(frames, tokens)``, in one batch."""
        if not segments:
            return []
        lengths = np.array([max(len(segment), MIN_SAMPLES) for segment in segments], dtype=np.int64)
        audio = np.zeros((len(segments), int(lengths.max())), dtype=np.float32)
        for row, segment in enumerate(segments):
            audio[row, : len(segment)] = segment
        log_probs, frames = self._session.run(None, {"audio": audio, "audio_lengths": lengths})
        return [
            np.asarray(rows[:count], dtype=np.float32) for rows, count in zip(log_probs, frames, strict=True)
        ]


def find(model: str | Path) -> Path:
    """The folder of a bundle: a path, else a name among `search_folders`. Raises BundleError."""
    path = Path(model)
    if (path / MANIFEST).is_file():
        return path
    name = str(model)
    if path.name == name:  # a bare name: nothing in it may lead out of the folders searched
        for folder in search_folders():
            if (folder / name / MANIFEST).is_file():
                return folder / name
    known = ", ".join(sorted(available())) or "none"
    raise BundleError(f"no model bundle {name!r}: not a folder with {MANIFEST}, nor one of: {known}")


def available() -> dict[str, Path]:
    """Bundles by name, in every folder that is searched; the first of a name wins."""
    found: dict[str, Path] = {}
    for folder in search_folders():
        for manifest in sorted(folder.glob(f"*/{MANIFEST}")):
            found.setdefault(manifest.parent.name, manifest.parent)
    return found


def search_folders() -> tuple[Path, ...]:
    """Where names are looked up: pulled models first, then those in the package."""
    return (models_home(), Path(str(resources.files("asr") / "models")))


def models_home() -> Path:
    """Folder of pulled models: ``$VOICESEARCH_MODELS``, else ``voicesearch/models`` in the user's data folder."""
    if chosen := os.environ.get("VOICESEARCH_MODELS"):
        return Path(chosen)
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "voicesearch" / "models"


def read(folder: Path) -> BundleInfo:
    """Parse ``bundle.json``. Raises BundleError with what is wrong with it."""
    path = folder / MANIFEST
    try:
        text = path.read_bytes()
        values = json.loads(text)
        if values["format"] != FORMAT:
            raise BundleError(f"{path} has format {values['format']}; this version reads format {FORMAT}")
        return BundleInfo(
            name=values["name"],
            version=hashlib.sha256(text).hexdigest()[:12],
            language=values["language"],
            frame_samples=int(values["frame_samples"]),
            models=dict(values["models"]),
            frontend=FrontendOptions.from_dict(values["frontend"]),
            decoder=DecoderSettings.from_dict(values["decoder"]),
            licence=values["licence"],
            files=dict(values["files"]),
            evaluation=dict(values.get("evaluation", {})),
            training=dict(values.get("training", {})),
        )
    except FileNotFoundError as error:
        raise BundleError(f"{folder} is not a model bundle: it has no {MANIFEST}") from error
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise BundleError(f"{path} is not JSON: {error}") from error
    except KeyError as error:
        raise BundleError(f"{path} lacks {error}") from error
    except BundleError:
        raise
    except (TypeError, ValueError) as error:  # OptionError too: settings of another version, say
        raise BundleError(f"{path} does not describe a bundle: {error}") from error


def verify(folder: Path, info: BundleInfo) -> None:
    """Compare every file with its recorded SHA-256. Raises BundleError or BundleDigestError."""
    needed = {"tokens.txt", *info.decoder.files, *info.models.values()}
    if missing := needed - info.files.keys():
        raise BundleError(f"{folder / MANIFEST} records no SHA-256 for {', '.join(sorted(missing))}")
    for name, expected in info.files.items():
        if Path(name).name != name:
            raise BundleError(
                f"{folder / MANIFEST} names {name!r}; files must lie in the bundle's own folder"
            )
        try:
            actual = file_digest(folder / name)
        except FileNotFoundError as error:
            raise BundleError(f"{folder} lacks {name}, which its {MANIFEST} records") from error
        if actual != expected:
            raise BundleDigestError(
                f"{folder / name} has SHA-256 {actual}; {MANIFEST} records {expected}. "
                "The file was changed or damaged: install the bundle again"
            )


def provider(device: str) -> str:
    """ONNX Runtime's name of a device. Raises OptionError (no such device), DeviceError (not on this machine)."""
    if device not in PROVIDERS:
        raise OptionError(f"device is {device!r}; known are {', '.join(PROVIDERS)}")
    name = PROVIDERS[device]
    if name not in onnxruntime.get_available_providers():
        raise DeviceError(
            f"device {device!r} needs {name}; this onnxruntime has "
            f"{', '.join(onnxruntime.get_available_providers())}. Install onnxruntime-gpu, or use device cpu"
        )
    return name


def session_options(threads: int) -> onnxruntime.SessionOptions:
    """How networks run here, on so many threads. Raises OptionError for less than one."""
    if threads < 1:
        raise OptionError(f"threads is {threads}; at least 1 is needed")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # An arena grown for one long clip would be kept for good; the clips here are short and alike.
    options.enable_cpu_mem_arena = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return options


def _session(path: Path, device: str, threads: int) -> onnxruntime.InferenceSession:
    name, options = provider(device), session_options(threads)
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=[name])
    except Exception as error:  # of a dozen kinds, which have no root of their own
        raise BundleError(f"{path} is no model that this onnxruntime loads: {error}") from error
    if device == "cuda" and name not in session.get_providers():
        raise DeviceError(
            "CUDA was asked for, but ONNX Runtime could not start it: check the driver and cuDNN"
        )
    return session
