"""The network: padding and company must not change what an utterance gives."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="needs voicesearch[train]")

from asr.train import checkpoint  # noqa: E402  # after the skip
from asr.train.model import AcousticModel, ModelOptions, rotary, rotate, valid  # noqa: E402

TINY = ModelOptions(width=32, heads=2, feed_forward=64, blocks_half_rate=1, blocks_before=1, tokens=7)


@pytest.fixture
def model() -> AcousticModel:
    torch.manual_seed(0)
    return AcousticModel(TINY).eval()


@torch.inference_mode()
def test_batched_equals_single(model: AcousticModel) -> None:
    """Each utterance of a batch gets the log-probabilities that it gets alone, within 1e-5."""
    lengths = [16_000, 9_999, 1_600, 30_401]
    clips = [torch.randn(length) * 0.05 for length in lengths]
    batch = torch.nn.utils.rnn.pad_sequence(clips, batch_first=True)
    together, counts = model(batch, torch.tensor(lengths))
    for row, clip in enumerate(clips):
        alone, (count,) = model(clip[None], torch.tensor([len(clip)]))
        assert count == counts[row]
        assert torch.allclose(together[row, :count], alone[0, :count], atol=1e-5)


@torch.inference_mode()
def test_output_is_a_distribution_every_40_ms(model: AcousticModel) -> None:
    """One second gives 25 frames (98 feature frames, a quarter of them), each summing to one."""
    log_probs, counts = model(torch.randn(1, 16_000) * 0.1, torch.tensor([16_000]))
    assert log_probs.shape == (1, 25, 7)
    assert counts.tolist() == [25]
    assert torch.allclose(log_probs.exp().sum(-1), torch.ones(1, 25), atol=1e-5)


def test_dropout_takes_whole_channels() -> None:
    """A dropped channel is zero in every frame; in evaluation nothing is dropped."""
    block = AcousticModel(TINY).before[0].dropout.train()
    dropped = block(torch.ones(64, 10, 32))
    assert ((dropped == 0).all(dim=1) == (dropped == 0).any(dim=1)).all()
    assert (dropped == 0).any()
    assert torch.equal(block.eval()(torch.ones(2, 10, 32)), torch.ones(2, 10, 32))


def test_rotation_depends_on_distance_alone() -> None:
    """The product of rotated query and key is the same for all pairs of frames equally far apart."""
    query, key = torch.randn(8), torch.randn(8)
    cosine, sine = rotary(20, 8, torch.device("cpu"))
    queries = rotate(query.expand(20, 8), cosine, sine)
    keys = rotate(key.expand(20, 8), cosine, sine)
    products = (queries[:-3] * keys[3:]).sum(dim=1)
    assert torch.allclose(products, products[0].expand(17), atol=1e-4)


def test_valid_marks_each_utterances_frames() -> None:
    """The mask is true exactly on an utterance's own frames."""
    assert valid(torch.tensor([0, 2]), 3).tolist() == [[False, False, False], [True, True, False]]


def test_checkpoint_round_trip(model: AcousticModel, tmp_path: Path) -> None:
    """A model built from its checkpoint is the model; the half-precision one is within its precision."""
    checkpoint.save(tmp_path / "last.pt", model, state={"step": 3})
    saved = checkpoint.load(tmp_path / "last.pt")
    assert saved["state"] == {"step": 3}
    for name, value in checkpoint.build(saved).state_dict().items():
        assert torch.equal(value, model.state_dict()[name])
    checkpoint.save_half(tmp_path / "half.pt", model)
    half = checkpoint.build(checkpoint.load(tmp_path / "half.pt")).state_dict()
    assert all(
        torch.allclose(half[name], value, rtol=1e-3, atol=1e-4) for name, value in model.state_dict().items()
    )
