"""What ``--model`` may say: the name or folder of a bundle, or ``onnx-asr:`` and a model of others."""

from __future__ import annotations

from pathlib import Path

from asr import bundle, onnx_asr_files
from asr.bundle import BundleInfo
from asr.onnx_asr_files import Named

FORMS = "name or folder, or onnx-asr:NAME"  # for help texts


def describe(model: str | Path, precision: str | None = None) -> BundleInfo:
    """What a model says of itself, without loading it. Raises BundleError, MissingPackageError."""
    if onnx_asr_files.is_named(model):
        return onnx_asr_files.describe(model, precision)
    return bundle.read(bundle.find(model))


def resolved(model: str | Path) -> str | Path:
    """The same for processes with another working folder. Raises BundleError."""
    if onnx_asr_files.is_named(model):
        return Named.parse(model).resolved()
    return bundle.find(model).resolve()


def files(model: str | Path) -> list[Path]:
    """What it is made of, the first telling of the others. Raises BundleError, MissingPackageError."""
    if onnx_asr_files.is_named(model):
        return onnx_asr_files.all_files(onnx_asr_files.find(model))
    folder = bundle.find(model)
    return [folder / bundle.MANIFEST, *(folder / name for name in bundle.read(folder).files)]
