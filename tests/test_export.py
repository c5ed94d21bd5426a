"""Export: torch, ONNX and the runtime that loads the result agree."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs voicesearch[train]")
pytest.importorskip("onnx", reason="needs voicesearch[train]")

from asr.bundle import Bundle, DecoderSettings  # noqa: E402  # after the skips
from asr.confidence import Calibration  # noqa: E402
from asr.decode import DecoderOptions  # noqa: E402
from asr.digest import file_digest  # noqa: E402
from asr.errors import BundleDigestError, BundleError, DeviceError, OptionError  # noqa: E402
from asr.frontend import FrontendOptions  # noqa: E402
from asr.train import checkpoint  # noqa: E402
from asr.train.export import PARITY, convert_fp16, export_fp32, parity, quantise_int8  # noqa: E402
from asr.train.lexicon import TOKENS  # noqa: E402
from asr.train.model import AcousticModel, ModelOptions  # noqa: E402
from asr.train.publish import Release, amend, publish  # noqa: E402

# onnxruntime's quantiser calls an onnx function that onnx has deprecated; torch's exporter warns of its age.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def model() -> AcousticModel:
    torch.manual_seed(0)
    options = ModelOptions(width=32, heads=2, feed_forward=64, blocks_half_rate=1, blocks_before=1)
    return AcousticModel(options).eval()


@pytest.fixture(scope="module")
def exported(model: AcousticModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export")
    export_fp32(model, folder / "model.onnx")
    quantise_int8(folder / "model.onnx", folder / "model.int8.onnx")
    (folder / "lexicon.txt").write_text("yes Y EH S\nno N OW\n")
    release = Release(
        name="toy",
        language="en",
        tokens=TOKENS,
        frontend=FrontendOptions(),
        decoder=DecoderSettings("lexicon.txt", None, DecoderOptions(), Calibration()),
        licence="Apache-2.0",
        training={},
    )
    models = {"int8": folder / "model.int8.onnx", "fp32": folder / "model.onnx"}
    publish(release, models, [folder / "lexicon.txt"], folder / "toy")
    return folder


def test_torch_and_onnx_agree(model: AcousticModel, exported: Path) -> None:
    """Log-probabilities differ by at most 1e-4 over odd lengths, singly and batched (acceptance C7)."""
    assert parity(model, exported / "model.onnx", seed=5) <= PARITY


def test_fp16_keeps_the_filter_bank(model: AcousticModel, exported: Path, tmp_path: Path) -> None:
    """The fp16 graph stays finite and close to float32: its filter bank did not overflow."""
    convert_fp16(exported / "model.onnx", tmp_path / "model.fp16.onnx")
    assert parity(model, tmp_path / "model.fp16.onnx") < 0.1


def test_int8_stays_close(model: AcousticModel, exported: Path) -> None:
    """Per-channel int8 of an untrained network moves log-probabilities by under 0.1."""
    assert parity(model, exported / "model.int8.onnx") < 0.1


def test_published_bundle_loads(model: AcousticModel, exported: Path) -> None:
    """The bundle names itself, verifies, and gives the model's log-probabilities for a batch of segments."""
    bundle = Bundle.load(exported / "toy", precision="fp32")
    assert bundle.info.identity.startswith("toy@")
    assert bundle.tokens == TOKENS
    clips = [np.random.default_rng(0).standard_normal(n).astype(np.float32) * 0.05 for n in (16_000, 5_000)]
    for clip, found in zip(clips, bundle.log_probs(clips), strict=True):
        with torch.inference_mode():
            expected, _ = model(torch.from_numpy(clip)[None], torch.tensor([len(clip)]))
        assert np.abs(found - expected[0].numpy()).max() <= PARITY


def test_published_g2p_is_recorded(exported: Path, tmp_path: Path) -> None:
    """A bundle with a file that pronounces words carries it and its digest, and loads."""
    (tmp_path / "g2p.xz").write_bytes(b"as trained")
    release = Release(
        name="toy",
        language="en",
        tokens=TOKENS,
        frontend=FrontendOptions(),
        decoder=DecoderSettings("lexicon.txt", None, DecoderOptions(), Calibration(), "g2p.xz"),
        licence="Apache-2.0",
        training={},
    )
    words = [exported / "lexicon.txt", tmp_path / "g2p.xz"]
    publish(release, {"fp32": exported / "model.onnx"}, words, tmp_path / "toy")
    info = Bundle.load(tmp_path / "toy").info
    assert info.decoder.g2p == "g2p.xz"
    assert info.files["g2p.xz"] == file_digest(tmp_path / "g2p.xz")


def test_checkpoints_are_blended(model: AcousticModel) -> None:
    """A quarter of the way from one network to another lies a quarter of the way in every weight."""
    torch.manual_seed(1)
    other = AcousticModel(model.options)
    first, second = ({"options": asdict(model.options), "model": m.state_dict()} for m in (model, other))
    mixed = checkpoint.build(checkpoint.blend(first, second, 0.25)).state_dict()
    for name, value in mixed.items():
        assert torch.allclose(value, 0.75 * first["model"][name] + 0.25 * second["model"][name], atol=1e-6)


def test_only_networks_of_one_shape_are_blended(model: AcousticModel) -> None:
    """Another size and a share beyond 1 raise OptionError naming them."""
    small = {"options": asdict(model.options), "model": model.state_dict()}
    large = {"options": asdict(replace(model.options, width=64)), "model": {}}
    with pytest.raises(OptionError, match=r"networks differ: .*'width': 32.* and .*'width': 64"):
        checkpoint.blend(small, large, 0.5)
    with pytest.raises(OptionError, match=r"share is 1\.5; expected 0 to 1"):
        checkpoint.blend(small, small, 1.5)


def test_a_changed_file_is_refused(exported: Path, tmp_path: Path) -> None:
    """A bundle with one byte changed does not load, and the error names the file."""
    for file in (exported / "toy").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "lexicon.txt").write_text("yes N OW\nno Y EH S\n")
    with pytest.raises(BundleDigestError, match=r"lexicon\.txt has SHA-256"):
        Bundle.load(tmp_path)


def test_amending_changes_the_version(exported: Path, tmp_path: Path) -> None:
    """A new evaluation is a new version: the identity is the digest of bundle.json."""
    for file in (exported / "toy").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    before = Bundle.load(tmp_path).info
    amend(tmp_path, evaluation={"wer": 0.5})
    after = Bundle.load(tmp_path).info
    assert after.evaluation == {"wer": 0.5}
    assert before.version != after.version


def test_load_errors_name_what_was_asked(exported: Path, tmp_path: Path) -> None:
    """Unknown bundle, precision, device and thread count each raise their typed error."""
    with pytest.raises(BundleError, match="no model bundle 'absent'"):
        Bundle.load("absent")
    with pytest.raises(BundleError, match="has no 'fp16' model; it has int8, fp32"):
        Bundle.load(exported / "toy", precision="fp16")
    with pytest.raises(OptionError, match="device is 'tpu'"):
        Bundle.load(exported / "toy", device="tpu")
    with pytest.raises(OptionError, match="threads is 0"):
        Bundle.load(exported / "toy", threads=0)
    (tmp_path / "bundle.json").write_text("{not json")
    with pytest.raises(BundleError, match="is not JSON"):
        Bundle.load(tmp_path)


def test_cuda_without_cuda_says_so(exported: Path) -> None:
    """Asking for CUDA where ONNX Runtime has none raises DeviceError with what to install."""
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this machine has CUDA")
    with pytest.raises(DeviceError, match="Install onnxruntime-gpu, or use device cpu"):
        Bundle.load(exported / "toy", device="cuda")
