"""The log-mel inside the graph is Kaldi's fbank."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs voicesearch[train]")
knf = pytest.importorskip("kaldi_native_fbank", reason="needs kaldi-native-fbank")

from asr.train.features import MEL_BINS, LogMel, frame_count  # noqa: E402  # after the skips


def kaldi_fbank(samples: np.ndarray) -> np.ndarray:
    options = knf.FbankOptions()
    options.frame_opts.dither = 0.0
    options.mel_opts.num_bins = MEL_BINS
    options.mel_opts.high_freq = 0.0
    fbank = knf.OnlineFbank(options)
    fbank.accept_waveform(16_000, (samples * 32768.0).tolist())
    fbank.input_finished()
    return np.stack([fbank.get_frame(index) for index in range(fbank.num_frames_ready)])


@pytest.mark.parametrize("level", [1e-4, 0.01, 0.5])
def test_log_mel_equals_kaldi(level: float) -> None:
    """Every bin of every frame agrees with kaldi-native-fbank within 1e-3, quiet or loud."""
    rng = np.random.default_rng(1)
    time = np.arange(24_321) / 16_000
    samples = (level * (rng.standard_normal(len(time)) + 0.3 + np.sin(2 * np.pi * 700 * time))).astype(
        np.float32
    )
    ours = LogMel().log_mel(torch.from_numpy(samples)[None])[0].T.numpy()
    expected = kaldi_fbank(samples)
    assert ours.shape == expected.shape
    assert np.abs(ours - expected).max() < 1e-3


def test_digital_silence_is_finite() -> None:
    """Zeros give Kaldi's floor, not minus infinity."""
    assert LogMel().log_mel(torch.zeros(1, 1600)).unique().tolist() == pytest.approx([np.log(1.1920929e-07)])


def test_normalisation_ignores_padding() -> None:
    """An utterance's features do not change when it is padded; frames beyond its end are zero."""
    features = LogMel()
    audio = torch.randn(1, 16_000) * 0.1
    alone, counts = features(audio, torch.tensor([16_000]))
    padded, _ = features(torch.nn.functional.pad(audio, (0, 8000)), torch.tensor([16_000]))
    assert torch.allclose(padded[:, :, : counts[0]], alone, atol=1e-5)
    assert padded[:, :, counts[0] :].abs().max() == 0.0


def test_frame_count_is_kaldis() -> None:
    """25 ms frames every 10 ms, only whole ones, at least one."""
    assert frame_count(torch.tensor([100, 400, 559, 560, 16_000])).tolist() == [1, 1, 1, 2, 98]
