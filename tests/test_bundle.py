"""What a bundle says of itself, when it is wrong; loading a real one is in ``test_export`` and ``test_commands``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from asr.bundle import FORMAT, MANIFEST, Bundle, DecoderSettings, read, verify
from asr.confidence import Calibration
from asr.decode import DecoderOptions
from asr.digest import file_digest
from asr.errors import BundleDigestError, BundleError
from asr.frontend import FrontendOptions

NAMES = ("tokens.txt", "lexicon.txt", "model.onnx")


def written(folder: Path, **changes: Any) -> Path:
    """A bundle of files that hold nothing of use, its ``bundle.json`` changed as asked."""
    for name in NAMES:
        (folder / name).write_text("nothing of use")
    decoder = DecoderSettings("lexicon.txt", None, DecoderOptions(), Calibration())
    manifest = {
        "format": FORMAT,
        "name": "wrong",
        "language": "en",
        "frame_samples": 640,
        "models": {"fp32": "model.onnx"},
        "frontend": FrontendOptions().as_dict(),
        "decoder": decoder.as_dict(),
        "licence": "none",
        "files": {name: file_digest(folder / name) for name in NAMES},
    }
    (folder / MANIFEST).write_text(json.dumps(manifest | changes))
    return folder


@pytest.mark.parametrize(
    "changes",
    [
        {"format": FORMAT + 1},
        {"frame_samples": "many"},
        {"models": 5},
        {"files": ["model.onnx"]},
        {"frontend": {"option_of_tomorrow": 1}},
        {"decoder": "greedy"},
        {"decoder": {"lexicon": "lexicon.txt", "g2p": 5}},
    ],
)
def test_a_senseless_description_is_a_bundle_error(changes: dict[str, Any], tmp_path: Path) -> None:
    """Whatever is wrong with bundle.json, the error is typed and names the file."""
    with pytest.raises(BundleError, match=r"bundle\.json"):
        read(written(tmp_path, **changes))


def test_json_that_is_no_object_is_a_bundle_error(tmp_path: Path) -> None:
    """A list is JSON and no bundle."""
    (tmp_path / MANIFEST).write_text("[1]")
    with pytest.raises(BundleError, match="does not describe a bundle"):
        read(tmp_path)


def test_a_bundle_without_models_says_so(tmp_path: Path) -> None:
    """There is no first precision to take."""
    with pytest.raises(BundleError, match="has no 'default' model"):
        Bundle.load(written(tmp_path, models={}))


def test_a_model_that_does_not_load_is_a_bundle_error(tmp_path: Path) -> None:
    """Its digest is right, and ONNX Runtime cannot read it."""
    with pytest.raises(BundleError, match=r"model\.onnx is no model that this onnxruntime loads"):
        Bundle.load(written(tmp_path))


def test_a_bundle_made_before_g2p_has_none(tmp_path: Path) -> None:
    """Settings without the entry load, verify and need no such file."""
    old = {"lexicon": "lexicon.txt", "lm": None}
    info = read(written(tmp_path, decoder=old))
    verify(tmp_path, info)
    assert info.decoder.g2p is None
    assert info.decoder.files == ("lexicon.txt",)


def test_settings_come_back_as_they_were_written() -> None:
    """The file that pronounces words travels in ``bundle.json`` beside lexicon and language model."""
    settings = DecoderSettings("lexicon.txt", "lm.bin", DecoderOptions(), Calibration(), "g2p.xz")
    assert DecoderSettings.from_dict(json.loads(json.dumps(settings.as_dict()))) == settings
    assert settings.files == ("lexicon.txt", "lm.bin", "g2p.xz")


def test_the_g2p_file_is_verified(tmp_path: Path) -> None:
    """It must be recorded, be there, and be unchanged: as every other file."""
    settings = {"lexicon": "lexicon.txt", "g2p": "g2p.xz"}
    with pytest.raises(BundleError, match=r"records no SHA-256 for g2p\.xz"):
        verify(tmp_path, read(written(tmp_path, decoder=settings)))
    (tmp_path / "g2p.xz").write_bytes(b"as trained")
    files = {name: file_digest(tmp_path / name) for name in (*NAMES, "g2p.xz")}
    info = read(written(tmp_path, decoder=settings, files=files))
    verify(tmp_path, info)
    (tmp_path / "g2p.xz").write_bytes(b"as damaged")
    with pytest.raises(BundleDigestError, match=r"g2p\.xz has SHA-256"):
        verify(tmp_path, info)
    (tmp_path / "g2p.xz").unlink()
    with pytest.raises(BundleError, match=r"lacks g2p\.xz"):
        verify(tmp_path, info)
