"""Models of others, as the ``onnx-asr`` library finds them: ``onnx-asr:NAME`` in, files and what to say of them out.

    onnx-asr:nemo-parakeet-tdt-0.6b-v2      a name that the library knows, or owner/repository of its model hub
    onnx-asr:/models/parakeet               a folder; its config.json says of which type it is
    onnx-asr:vosk=/models/vosk-small        a folder without one: the type stands before it

Nothing is downloaded but by `fetch`. The identity of a model is a digest of its files and of the library's version,
whose features and search decide what is read as much as the files do.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from asr.bundle import BundleInfo, DecoderSettings
from asr.confidence import Calibration
from asr.decode import DecoderOptions
from asr.digest import file_digest
from asr.errors import BundleError, DownloadError, MissingPackageError, OptionError
from asr.frontend import FrontendOptions

PREFIX = "onnx-asr:"
PACKAGE = "onnx-asr"
AS_PUBLISHED = "default"  # the precision that a name stands for
UNDETERMINED = "und"  # ISO 639
# Of the names whose models have one language; a folder may say its own in config.json.
LANGUAGES = {
    "gigaam-v2": "ru",
    "gigaam-v3": "ru",
    "nemo-fastconformer-ru": "ru",
    "nemo-parakeet-ctc-0.6b": "en",
    "nemo-parakeet-rnnt-0.6b": "en",
    "nemo-parakeet-tdt-0.6b-v2": "en",
    "alphacep/vosk-model-ru": "ru",
    "alphacep/vosk-model-small-ru": "ru",
    "t-tech/t-one": "ru",
}


@dataclass(frozen=True, slots=True)
class Named:
    """What stands behind ``onnx-asr:``. ``kind`` is a name or a type that the library knows."""

    kind: str | None
    folder: Path | None

    @classmethod
    def parse(cls, model: str | Path) -> Named:
        """Raises OptionError for a name without anything in it."""
        text = str(model).removeprefix(PREFIX)
        if text.startswith((".", "~", os.sep)) or (text and Path(text).is_dir()):
            return cls(None, Path(text).expanduser())
        kind, separator, folder = text.partition("=")
        if not kind or (separator and not folder):
            raise OptionError(f"{model}: expected {PREFIX}NAME, {PREFIX}FOLDER or {PREFIX}TYPE=FOLDER")
        return cls(kind, Path(folder).expanduser() if folder else None)

    @property
    def short(self) -> str:
        """Without the place, which is nobody's business but the machine's."""
        return str(self.kind) if self.folder is None else self.folder.resolve().name

    def resolved(self) -> str:
        """The same with an absolute path."""
        if self.folder is None:
            return f"{PREFIX}{self.kind}"
        return PREFIX + (f"{self.kind}=" if self.kind else "") + str(self.folder.resolve())


def is_named(model: str | Path) -> bool:
    """Whether it is a model of ``onnx-asr``."""
    return str(model).startswith(PREFIX)


def refuse(model: str | Path, decoder: DecoderOptions | None, catalog: Path | None) -> None:
    """Raise OptionError for what only a search of ours could honour."""
    if decoder not in (None, DecoderOptions()):
        raise OptionError(f"{model} has a search of its own, without options: leave out beam_size")
    if catalog is not None:
        raise OptionError(f"{model} has a search of its own, which no catalogue can guide: leave it out")


def library(name: str = "onnx_asr.loader") -> Any:
    """A module of the library. Raises MissingPackageError."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingPackageError(
            f"models of {PACKAGE} need its package: pip install 'voicesearch[onnx-asr]' ({error})"
        ) from error


def find(model: str | Path, precision: str | None = None) -> dict[str, Path]:
    """The model's files by what they are for, of those that are here.

    Raises BundleError (not installed, no such model or precision, no model in the folder), MissingPackageError.
    """
    named = Named.parse(model)
    if named.folder is not None and not named.folder.is_dir():
        raise BundleError(f"{model}: {named.folder} is no folder")
    try:
        return _resolve(named, precision, offline=True)
    except FileNotFoundError as error:
        wanted = "" if precision in (None, AS_PUBLISHED) else f" with {precision} weights"
        if named.folder is None:
            pull = f"voicesearch models pull {model}" + (f" --precision {precision}" if wanted else "")
            raise BundleError(f"{model}{wanted} is not on this machine: {pull}") from error
        raise BundleError(
            f"{model} is no folder of a model{wanted}: {_first_line(error)} Where no config.json tells the type, say "
            f"it: {PREFIX}TYPE=FOLDER"
        ) from error
    except (OSError, ValueError, TypeError, AttributeError) as error:  # a config.json may hold anything
        raise BundleError(f"{model} is no model that onnx-asr knows: {_first_line(error)}") from error


def fetch(model: str | Path, precision: str | None = None) -> dict[str, Path]:
    """The model's files, downloaded where they are not here; what was interrupted goes on.

    Raises DownloadError, OptionError for a name that is unknown or needs no download, MissingPackageError.
    """
    named = Named.parse(model)
    if named.folder is not None:
        raise OptionError(f"{model} is a folder of this machine: there is nothing to pull")
    library("huggingface_hub")
    try:
        return _resolve(named, precision, offline=False)
    except OSError as error:
        raise DownloadError(
            f"{model} could not be fetched: {_first_line(error)}. Without a network, bring its files by other means "
            f"and name their folder: --model {PREFIX}FOLDER"
        ) from error
    except ValueError as error:
        raise OptionError(f"{model}: {_first_line(error)}") from error


def describe(model: str | Path, precision: str | None = None) -> BundleInfo:
    """What can be said of a model without loading it. Raises what `find` raises."""
    named, files = Named.parse(model), find(model, precision)
    digests = {path.name: _digest(path, *_state(path)) for path in all_files(files)}
    stamp = hashlib.sha256(f"{PACKAGE} {metadata.version(PACKAGE)}\n".encode())
    for name, digest in sorted(digests.items()):
        stamp.update(f"{digest} {name}\n".encode())
    return BundleInfo(
        name=PREFIX + named.short,
        version=stamp.hexdigest()[:12],
        language=_language(named, files),
        frame_samples=1,  # times of words are samples
        models={precision or AS_PUBLISHED: _network(files).name},
        frontend=FrontendOptions(),
        decoder=DecoderSettings(None, None, DecoderOptions(), Calibration()),
        licence="its publisher's, not stated here",
        files=digests,
    )


def all_files(files: Mapping[str, Path]) -> list[Path]:
    """With the weights that lie beside a network of more than 2 GB."""
    beside = [extra for path in files.values() for extra in path.parent.glob(f"{path.stem}.onnx?data")]
    return sorted({*files.values(), *beside})


def _network(files: Mapping[str, Path]) -> Path:
    return next((files[key] for key in ("model", "encoder") if key in files), next(iter(files.values())))


def _resolve(named: Named, precision: str | None, *, offline: bool) -> dict[str, Path]:
    quantization = None if precision == AS_PUBLISHED else precision
    try:
        resolver = library().create_asr_resolver(named.kind, named.folder, offline=offline)
        found: dict[str, Path] = resolver.resolve_model(quantization=quantization)
    except ModuleNotFoundError as error:  # no huggingface_hub: nothing can have been downloaded
        raise FileNotFoundError(str(error)) from error
    return {key: Path(path) for key, path in found.items()}


def _language(named: Named, files: Mapping[str, Path]) -> str:
    if "config" in files:
        config = json.loads(files["config"].read_text(encoding="utf-8"))
        if isinstance(config, dict) and isinstance(config.get("language"), str):
            return str(config["language"])
    known = [code for name, code in LANGUAGES.items() if named.kind and named.kind.startswith(name)]
    return known[0] if known and named.folder is None else UNDETERMINED


def _state(path: Path) -> tuple[int, int]:
    state = path.stat()
    return state.st_size, state.st_mtime_ns


@lru_cache(64)
def _digest(path: Path, _size: int, _changed_ns: int) -> str:
    """A command asks several times, and a model may have gigabytes."""
    return file_digest(path)


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
