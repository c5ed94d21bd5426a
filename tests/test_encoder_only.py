"""``voicesearch export --encoder-only``: Kaldi's features from elsewhere give what the whole graph gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs voicesearch[train]")
pytest.importorskip("onnx", reason="needs voicesearch[train]")
knf = pytest.importorskip("kaldi_native_fbank", reason="needs voicesearch[test]")

import onnxruntime  # noqa: E402  # after the skips

from asr import audio  # noqa: E402
from asr.cli import main  # noqa: E402
from asr.decode import greedy  # noqa: E402
from asr.train import checkpoint  # noqa: E402
from asr.train.features import KALDI_SCALE, MEL_BINS  # noqa: E402
from asr.train.lexicon import TOKENS  # noqa: E402
from asr.train.model import AcousticModel, ModelOptions  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

CLIP = Path(__file__).parents[1] / "data" / "samples" / "timer.flac"


@pytest.fixture(scope="module")
def model() -> AcousticModel:
    torch.manual_seed(0)
    options = ModelOptions(width=32, heads=2, feed_forward=64, blocks_half_rate=1, blocks_before=1)
    return AcousticModel(options).eval()


@pytest.fixture(scope="module")
def folder(model: AcousticModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Exported by the command, from a checkpoint."""
    place = tmp_path_factory.mktemp("encoder")
    checkpoint.save_half(place / "model.pt", model)
    command = ["export", str(place / "model.pt"), str(place / "out"), "--encoder-only"]
    assert main([*command, "--precision", "fp32", "int8"]) == 0
    return place / "out"


def kaldi(samples: np.ndarray) -> np.ndarray:
    """Log-mel ``(frames, 80)`` as the runtimes of others make it."""
    options = knf.FbankOptions()
    options.frame_opts.dither = 0.0
    options.frame_opts.samp_freq = 16_000
    options.mel_opts.num_bins = MEL_BINS
    options.mel_opts.high_freq = 8000.0
    computer = knf.OnlineFbank(options)
    computer.accept_waveform(16_000, (samples * KALDI_SCALE).tolist())
    computer.input_finished()
    return np.stack([computer.get_frame(at) for at in range(computer.num_frames_ready)])


def test_features_from_elsewhere_give_the_same(folder: Path) -> None:
    """Within 1e-3 of the whole network, whose weights went through half precision like the checkpoint's."""
    samples = audio.decode(CLIP)
    halved = checkpoint.build(checkpoint.load(folder.parent / "model.pt"))
    with torch.inference_mode():
        expected, counts = halved(torch.from_numpy(samples)[None], torch.tensor([len(samples)]))
    x = kaldi(samples)[None]
    session = onnxruntime.InferenceSession(str(folder / "encoder.onnx"), providers=["CPUExecutionProvider"])
    found, frames = session.run(["log_probs", "log_probs_len"], {"x": x, "x_lens": np.array([x.shape[1]])})
    assert frames.tolist() == counts.tolist()
    assert np.abs(found - expected.numpy()).max() < 1e-3


def test_the_files_are_those_that_others_expect(folder: Path) -> None:
    """Tokens with their numbers, the blank under its usual name, and the metadata."""
    assert sorted(path.name for path in folder.iterdir()) == [
        "encoder.int8.onnx",
        "encoder.onnx",
        "tokens.txt",
    ]
    lines = (folder / "tokens.txt").read_text(encoding="utf-8").splitlines()
    assert lines[:2] == ["<blk> 0", f"{TOKENS[1]} 1"]
    for name in ("encoder.onnx", "encoder.int8.onnx"):
        session = onnxruntime.InferenceSession(str(folder / name), providers=["CPUExecutionProvider"])
        assert session.get_modelmeta().custom_metadata_map["subsampling_factor"] == "4"


def test_sherpa_onnx_reads_the_same_tokens(folder: Path) -> None:
    """Its own features, batching and search around our encoder."""
    sherpa = pytest.importorskip("sherpa_onnx", reason="needs voicesearch[test]").lib._sherpa_onnx
    samples = audio.decode(CLIP)
    recogniser = sherpa.OfflineRecognizer(
        sherpa.OfflineRecognizerConfig(
            feat_config=sherpa.FeatureExtractorConfig(
                high_freq=8000.0, normalize_samples=False, snip_edges=True
            ),
            model_config=sherpa.OfflineModelConfig(
                zipformer_ctc=sherpa.OfflineZipformerCtcModelConfig(model=str(folder / "encoder.onnx")),
                tokens=str(folder / "tokens.txt"),
            ),
        )
    )
    stream = recogniser.create_stream()
    stream.accept_waveform(16_000, samples)
    recogniser.decode_stream(stream)
    session = onnxruntime.InferenceSession(str(folder / "encoder.onnx"), providers=["CPUExecutionProvider"])
    x = kaldi(samples)[None]
    log_probs = session.run(["log_probs"], {"x": x, "x_lens": np.array([x.shape[1]])})[0][0]
    assert stream.result.tokens == [TOKENS[phone.token] for phone in greedy(log_probs)]
