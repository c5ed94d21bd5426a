"""A network of others becomes a bundle like ours: architecture and weights in, ONNX, words and ``bundle.json`` out."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torchaudio
from torch import nn

from asr.digest import file_digest
from asr.errors import OptionError
from asr.frontend import FrontendOptions
from asr.train import spelled_words
from asr.train.export import at_precisions, check_parity, parity, trace
from asr.train.import_torchaudio import SEPARATOR, Source
from asr.train.publish import Release, flops_per_audio_s, publish

PARITY = 1e-3  # largest difference of log-probabilities; 12 layers of 768 round more than ours
MAX_BYTES = 1_900_000_000  # of weights in float32: an ONNX file ends at 2 GiB (protobuf)


@dataclass(frozen=True, slots=True)
class Import:
    """What to import: ``torchaudio:NAME``, its weights if they are here, whose words to search through, and as what."""

    source: str
    weights: Path | None
    words: str | None
    name: str
    precisions: Sequence[str]


@dataclass(frozen=True, slots=True)
class Imported:
    """How well ONNX does what torch did, and how many words could not be spelled."""

    parity: float
    left_out: int


def import_bundle(wanted: Import, folder: Path) -> Imported:
    """Write the bundle.

    Raises OptionError (no such pipeline, weights that do not fit, too large), DownloadError, BundleError for the words.
    """
    source = Source.named(wanted.source)
    with tempfile.TemporaryDirectory() as temporary:
        words = (
            spelled_words.without_lexicon(SEPARATOR)
            if wanted.words is None
            else spelled_words.of_bundle(wanted.words, source.tokens, SEPARATOR, Path(temporary))
        )
        weights = wanted.weights or source.download()
        model = source.load(weights)
        parameters = parameter_count(model)
        if 4 * parameters > MAX_BYTES:
            raise OptionError(
                f"{wanted.source} has {parameters:,} parameters; an ONNX file holds {MAX_BYTES // 4:,}"
            )
        fp32 = Path(temporary) / "traced.onnx"
        trace(model, fp32)
        worst = check_parity(parity(model, fp32), PARITY)
        release = Release(
            name=wanted.name,
            language=source.language,
            tokens=source.tokens,
            frontend=FrontendOptions(),
            decoder=words.decoder,
            licence=f"network: {source.licence}" + (f"; words: {words.licence}" if words.licence else ""),
            training=_origin(source, weights, wanted.words, model),
            frame_samples=source.frame_samples,
        )
        publish(release, at_precisions(fp32, wanted.precisions), words.files, folder)
    return Imported(worst, words.left_out)


def _origin(source: Source, weights: Path, words: str | None, model: nn.Module) -> dict[str, Any]:
    """Where it comes from, in place of how it was trained."""
    return {
        "source": f"torchaudio {torchaudio.__version__}, torchaudio.pipelines.{source.name}",
        "weights_sha256": file_digest(weights),
        "words": words,
        "parameters": parameter_count(model),
        "flops_per_audio_s": flops_per_audio_s(model),
    }


def parameter_count(model: nn.Module) -> int:
    """Numbers that training chose."""
    return sum(parameter.numel() for parameter in model.parameters())
