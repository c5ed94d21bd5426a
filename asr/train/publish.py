"""Make a bundle folder: exported models, words (`DecoderSettings.files`), and the ``bundle.json`` over them."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from asr.bundle import FORMAT, MANIFEST, DecoderSettings
from asr.digest import file_digest
from asr.frontend import FrontendOptions
from asr.train.corpus import Corpus
from asr.train.features import FRAME_SHIFT
from asr.train.model import SUBSAMPLING, AcousticModel
from asr.transcript import SAMPLE_RATE_HZ

FRAME_SAMPLES = FRAME_SHIFT * SUBSAMPLING  # 640: one output frame is 40 ms


@dataclass(frozen=True, slots=True)
class Release:
    """What a bundle says about itself, apart from its files' digests."""

    name: str
    language: str
    tokens: Sequence[str]
    frontend: FrontendOptions
    decoder: DecoderSettings
    licence: str
    training: Mapping[str, Any]
    frame_samples: int = FRAME_SAMPLES
    evaluation: Mapping[str, Any] = field(default_factory=dict)


def publish(release: Release, models: Mapping[str, Path], words: Iterable[Path], folder: Path) -> Path:
    """Write the bundle into ``folder``. ``models`` maps precisions to ONNX files, the default one first;
    ``words`` are the lexicon, language model and grapheme-to-phone files. Returns the path of ``bundle.json``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tokens.txt").write_text("".join(f"{token}\n" for token in release.tokens), encoding="utf-8")
    names = {
        precision: "model.onnx" if precision == "fp32" else f"model.{precision}.onnx" for precision in models
    }
    for precision, source in models.items():
        _copy(source, folder / names[precision])
    for source in words:
        _copy(source, folder / source.name)
    listed = ["tokens.txt", *names.values(), *release.decoder.files]
    values = {
        "format": FORMAT,
        "name": release.name,
        "language": release.language,
        "frame_samples": release.frame_samples,
        "models": names,
        "frontend": release.frontend.as_dict(),
        "decoder": release.decoder.as_dict(),
        "licence": release.licence,
        "training": dict(release.training),
        "evaluation": dict(release.evaluation),
        "files": {name: file_digest(folder / name) for name in listed},
    }
    path = folder / MANIFEST
    path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    return path


def amend(folder: Path, **sections: Any) -> None:
    """Replace sections of ``bundle.json`` (``evaluation``, ``decoder``); the bundle gets a new version by it."""
    path = folder / MANIFEST
    values = json.loads(path.read_text(encoding="utf-8"))
    unknown = sections.keys() - values.keys()
    assert not unknown, f"bundle.json has no sections {unknown}"
    path.write_text(json.dumps(values | sections, indent=1) + "\n", encoding="utf-8")


def describe_training(model: AcousticModel, corpora: Sequence[Path]) -> dict[str, Any]:
    """The ``training`` section: hours and clips of each set, a digest of all indexes, the network's size and cost."""
    digest = hashlib.sha256()
    sets: dict[str, dict[str, float]] = {}
    for folder in corpora:
        digest.update((folder / "index.jsonl").read_bytes())
        for entry in Corpus(folder).entries:
            tally = sets.setdefault(entry.set, {"clips": 0, "hours": 0.0})
            tally["clips"] += 1
            tally["hours"] += entry.length / SAMPLE_RATE_HZ / 3600
    return {
        "sets": {
            name: {"clips": s["clips"], "hours": round(s["hours"], 2)} for name, s in sorted(sets.items())
        },
        "digest": digest.hexdigest(),
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "flops_per_audio_s": flops_per_audio_s(model),
    }


def flops_per_audio_s(model: nn.Module, seconds: int = 10) -> int:
    """Floating-point operations (a multiply-add is two) for a second of audio, averaged over a clip."""
    model.eval()
    audio = torch.zeros(1, seconds * SAMPLE_RATE_HZ)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model(audio, torch.tensor([audio.shape[1]]))
    return int(counter.get_total_flops()) // seconds


def _copy(source: Path, target: Path) -> None:
    if source.resolve() != target.resolve():
        shutil.copyfile(source, target)
