"""``asr.train.encoder``: the encoder alone behind Kaldi's own filter bank says what the whole model says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from asr import bundle
from asr.audio import decode

pytest.importorskip("torch", reason="needs the extra train")
fbank = pytest.importorskip("kaldi_native_fbank", reason="needs the extra test")

SAMPLES = Path(__file__).parents[1] / "data" / "samples"


def test_behind_kaldis_features_it_is_the_whole_model(tmp_path: Path) -> None:
    """Two clips in a batch: the same log-probabilities within the noise of int8, and the same best tokens."""
    from asr.train.encoder import export_encoder

    if bundle.DEFAULT_MODEL not in bundle.available():
        pytest.skip("needs the shipped model")
    folder = bundle.find(bundle.DEFAULT_MODEL)
    (first, *_) = bundle.read(folder).models.values()
    path, tokens = export_encoder(folder / first, folder / "tokens.txt", tmp_path)
    assert tokens.read_text().splitlines()[0] == "<blk> 0"
    assert len(tokens.read_text().splitlines()) == len((folder / "tokens.txt").read_text().split())
    clips = [decode(SAMPLES / name) for name in ("play_jazz.wav", "timer.flac")]
    features = [log_mel(clip) for clip in clips]
    frames = np.array([len(each) for each in features])
    x = np.zeros((2, frames.max(), 80), np.float32)
    audio = np.zeros((2, max(map(len, clips))), np.float32)
    for row, (each, clip) in enumerate(zip(features, clips, strict=True)):
        x[row, : len(each)] = each
        audio[row, : len(clip)] = clip
    found, counts = onnxruntime.InferenceSession(path).run(None, {"x": x, "x_lens": frames})
    whole = onnxruntime.InferenceSession(folder / first)
    expected, expected_counts = whole.run(
        None, {"audio": audio, "audio_lengths": np.array([len(clip) for clip in clips])}
    )
    assert counts.tolist() == expected_counts.tolist()
    for row, count in enumerate(counts):
        best = expected[row, :count].argmax(axis=1)
        assert np.mean(found[row, :count].argmax(axis=1) == best) > 0.98
        assert np.abs(np.exp(found[row, :count]) - np.exp(expected[row, :count])).mean() < 2e-3


def log_mel(samples: np.ndarray) -> np.ndarray:
    """Kaldi's fbank of 16-bit samples as those in [-1, 1] would have it if its floor were lower: ``(frames, 80)``."""
    options = fbank.FbankOptions()
    options.frame_opts.dither = 0.0
    options.frame_opts.snip_edges = True
    options.mel_opts.num_bins = 80
    computer = fbank.OnlineFbank(options)
    computer.accept_waveform(16_000, (samples * 32768.0).tolist())
    computer.input_finished()
    frames = np.stack([computer.get_frame(at) for at in range(computer.num_frames_ready)])
    return np.asarray(frames - 2.0 * np.log(32768.0), np.float32)
