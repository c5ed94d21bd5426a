"""Training: corpora, augmentation, batches, the loop and its resumption, on a toy corpus."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs voicesearch[train]")
pytest.importorskip("scipy", reason="needs voicesearch[train]")

from asr.train.augment import (  # noqa: E402  # after the skips
    AugmentOptions,
    augment,
    change_pitch,
    change_speed,
    change_tempo,
    mix,
    pad_edges,
    reverberate,
    spec_augment,
)
from asr.train.batches import BatchOptions, BatchStream, Source, collate  # noqa: E402
from asr.train.corpus import Corpus, CorpusWriter, Entry  # noqa: E402
from asr.train.fit import FitOptions, ctc_losses, fit, learning_rate  # noqa: E402
from asr.train.model import ModelOptions  # noqa: E402
from asr.train.validate import phone_error_rates  # noqa: E402

RATE = 16_000
TINY = ModelOptions(
    width=32, heads=2, feed_forward=64, blocks_half_rate=1, blocks_before=1, dropout=0.0, tokens=4
)
TONES = {"low": (1, 300.0), "middle": (2, 900.0), "high": (3, 2700.0)}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Three 'phones', each a tone of its own pitch: a language that a tiny network can learn in seconds."""
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(0)
    with CorpusWriter(folder) as writer:
        for index in range(60):
            words = [list(TONES)[int(i)] for i in rng.integers(3, size=int(rng.integers(1, 4)))]
            pieces = []
            for word in words:
                time = np.arange(int(0.2 * RATE)) / RATE
                pieces += [np.zeros(1600), 0.1 * np.sin(2 * np.pi * TONES[word][1] * time)]
            samples = np.concatenate([*pieces, np.zeros(1600)]) + rng.standard_normal() * 1e-4
            writer.add(
                (samples * 32767).astype(np.int16),
                text=" ".join(words),
                speaker="s",
                set="toy",
                audio=str(index),
            )
    return Corpus(folder)


def targets(entry: Entry) -> list[int]:
    return [TONES[word][0] for word in entry.text.split()]


def test_corpus_round_trip(tmp_path: Path) -> None:
    """Clips come back sample by sample, with their text and phones."""
    first, second = np.arange(5, dtype=np.int16), np.arange(-3, 0, dtype=np.int16)
    with CorpusWriter(tmp_path) as writer:
        writer.add(first, text="a b", speaker="x", set="one", audio="1", phones=["AH", "B"])
        writer.add(second, text="c", speaker="y", set="two", audio="2")
    corpus = Corpus(tmp_path)
    assert corpus.samples(corpus.entries[0]).tolist() == first.tolist()
    assert corpus.samples(corpus.entries[1]).tolist() == second.tolist()
    assert corpus.entries[0].phones == ("AH", "B")
    assert corpus.entries[1].phones is None


def test_mixing_reaches_the_ratio() -> None:
    """Noise is added at the ratio asked for, from a stretch shorter than the clip too."""
    rng = np.random.default_rng(0)
    speech, noise = np.full(RATE, 0.1, dtype=np.float32), rng.standard_normal(5000).astype(np.float32)
    added = mix(speech, noise, 10.0, rng) - speech
    assert 20 * np.log10(0.1 / np.sqrt(np.mean(added**2))) == pytest.approx(10.0, abs=0.3)


def test_speed_changes_the_duration() -> None:
    """Played 1.25 times faster, a clip lasts 0.8 times as long within a millisecond."""
    assert len(change_speed(np.zeros(RATE, dtype=np.float32), 1.25)) == pytest.approx(12_800, abs=16)


def test_tempo_and_pitch_move_alone() -> None:
    """A higher pitch keeps the duration and moves a tone; a higher tempo does the opposite."""
    time = np.arange(RATE) / RATE
    tone = (0.1 * np.sin(2 * np.pi * 500 * time)).astype(np.float32)

    def peak_hz(samples: np.ndarray) -> float:
        return float(np.abs(np.fft.rfft(samples)).argmax() * RATE / len(samples))

    raised, faster = change_pitch(tone, 1.2), change_tempo(tone, 1.25)
    assert len(raised) == pytest.approx(RATE, abs=64)
    assert peak_hz(raised) == pytest.approx(600, abs=8)
    assert len(faster) == pytest.approx(12_800, abs=64)
    assert peak_hz(faster) == pytest.approx(500, abs=8)


def test_reverberation_keeps_level_and_onset() -> None:
    """A room does not move the start of a clip nor its level."""
    rng = np.random.default_rng(0)
    samples = np.zeros(RATE, dtype=np.float32)
    samples[4000:8000] = rng.standard_normal(4000) * 0.1
    wet = reverberate(samples, 0.5, rng)
    assert len(wet) == len(samples)
    assert np.abs(wet[:3990]).max() < 1e-4
    assert np.sqrt(np.mean(wet**2)) == pytest.approx(np.sqrt(np.mean(samples**2)), rel=1e-3)


def test_augmented_clips_are_finite_float32(corpus: Corpus) -> None:
    """Whatever is drawn, a clip stays finite, float32 and about as long."""
    noises = [np.random.default_rng(1).standard_normal(RATE).astype(np.float32)]
    clip = corpus.samples(corpus.entries[0]).astype(np.float32) / 32768
    for seed in range(40):
        augmented = augment(clip, noises, AugmentOptions(), np.random.default_rng(seed))
        assert augmented.dtype == np.float32
        assert np.isfinite(augmented).all()
        assert 0.8 * len(clip) < len(augmented) < 1.3 * len(clip) + 2 * 4000


def test_a_share_of_clips_has_long_edges() -> None:
    """Up to a quarter of a second on either side, and for the share asked for up to two and a half."""
    clip = np.full(RATE, 0.1, dtype=np.float32)
    short, long = AugmentOptions(), replace(AugmentOptions(), long_edge=0.5)
    added = [
        [len(pad_edges(clip, options, np.random.default_rng(seed))) - RATE for seed in range(200)]
        for options in (short, long)
    ]
    assert max(added[0]) <= 2 * 0.25 * RATE
    assert max(added[1]) <= 2 * 2.5 * RATE
    assert 0.3 < np.mean(np.array(added[1]) > 0.5 * RATE) < 0.6


def test_background_is_mixed_in_and_never_alone(corpus: Corpus) -> None:
    """Sounds in which people may talk are heard under clips; clips without speech are made of noises alone."""
    noise, talk = np.zeros(RATE, dtype=np.float32), np.full(RATE, 1.0, dtype=np.float32)
    only_noise = replace(AugmentOptions().scaled(0.0), noise=1.0, band=0, clip=0)
    under = BatchOptions(batch_s=8.0, join=0.0, no_speech=0.0, augment=only_noise)
    alone = BatchOptions(batch_s=8.0, no_speech=1.0, augment=only_noise)
    sources = [Source(corpus, 1.0, targets)]

    def heard(options: BatchOptions) -> float:
        """The largest mean of a clip: of the sounds here ``talk`` alone has one that is not about zero."""
        stream = iter(BatchStream(sources, [noise], options, 1, [talk] * 9))
        return max(float(next(stream).audio.mean(dim=1).abs().max()) for _ in range(3))

    assert heard(under) > 1e-3
    assert heard(alone) < 1e-4


def test_strength_scales_the_surroundings_and_spares_devices() -> None:
    """At strength 0 no clip is changed in speed, room, noise or masks; telephone and clipping stay as likely."""
    full, none, half = AugmentOptions(), AugmentOptions().scaled(0.0), AugmentOptions().scaled(0.5)
    assert (none.speed, none.reverb, none.noise, none.stretch, none.time_mask_share) == (0, 0, 0, 0, 0)
    assert (none.frequency_mask_bins, half.speed, half.noise) == (0, full.speed / 2, full.noise / 2)
    assert (none.band, none.clip) == (full.band, full.clip)
    assert full.scaled(1.0) == full


def test_spec_augment_zeroes_and_leaves_its_input() -> None:
    """Masked regions are zero, the rest and the input untouched."""
    features = torch.ones(3, 80, 200)
    masked = spec_augment(features, torch.tensor([200, 200, 100]), AugmentOptions(), np.random.default_rng(0))
    assert set(masked.unique().tolist()) == {0.0, 1.0}
    assert features.min() == 1.0


def test_batches_hold_the_seconds_asked_for(corpus: Corpus) -> None:
    """No batch is padded beyond batch_s; clips and targets belong together; the seed decides everything."""
    plain = AugmentOptions(
        speed=0, stretch=0, reverb=0, noise=0, band=0, clip=0, level_db=(0, 0), edge_ms=(0, 0)
    )
    options = BatchOptions(batch_s=5.0, join=0.0, no_speech=0.0, augment=plain)
    stream = BatchStream([Source(corpus, 1.0, targets)], [], options, seed=1)
    batches = [batch for batch, _ in zip(stream, range(20), strict=False)]
    for batch in batches:
        assert batch.audio.numel() <= 5.0 * RATE
        assert len(batch.lengths) == len(batch.target_lengths)
        assert batch.target_lengths.sum() == len(batch.targets)
        # 0.3 s a tone and 0.1 s at the end
        assert batch.lengths.tolist() == [4800 * n + 1600 for n in batch.target_lengths.tolist()]
    again = [
        batch
        for batch, _ in zip(
            BatchStream([Source(corpus, 1.0, targets)], [], options, 1), range(20), strict=False
        )
    ]
    assert all(torch.equal(a.audio, b.audio) for a, b in zip(batches, again, strict=True))


def test_learning_rate_rises_holds_and_reaches_zero() -> None:
    """Linear up, level, linear down to a thousandth of the peak."""
    options = FitOptions(minutes=1, peak_learning_rate=1.0, warm_up=0.1, hold_until=0.5)
    rates = [learning_rate(progress, options) for progress in (0.05, 0.1, 0.5, 0.75, 1.0)]
    assert rates == pytest.approx([0.5, 1.0, 1.0, 0.5, 0.001])


def test_clips_without_words_count_as_blank() -> None:
    """A clip of noise has an empty target: its loss is that of blanks alone, and it is finite."""
    batch = collate([(np.zeros(RATE, dtype=np.float32), ())])
    logits = torch.zeros(1, 25, 4)
    loss = ctc_losses(logits, logits, torch.tensor([25]), batch, 0.0)
    assert float(loss) == pytest.approx(25 * np.log(4), rel=1e-5)


def test_training_learns_and_resumes(corpus: Corpus, tmp_path: Path) -> None:
    """The loop lowers the phone error rate on the toy language, and a second call goes on where it stopped."""
    plain = AugmentOptions(
        speed=0, stretch=0, reverb=0, noise=0, band=0, clip=0, time_masks=0, frequency_masks=0
    )
    options = FitOptions(
        minutes=10,
        steps=200,
        muon=False,  # either optimiser learns this; AdamW does in fewer steps on so small a network
        peak_learning_rate=5e-3,
        short_until=0.0,
        checkpoint_every_s=2.0,
        model=TINY,
        batches=BatchOptions(batch_s=8.0, join=0.0, no_speech=0.0, augment=plain),
    )

    def validate(model: object) -> dict[str, float]:
        return phone_error_rates(model, corpus, targets, clips_per_set=20)  # type: ignore[arg-type]

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        sources = [Source(corpus, 1.0, targets)]
        fit(replace(options, steps=20), sources, [], validate, tmp_path, device=torch.device("cpu"))
        stopped = torch.load(tmp_path / "last.pt", weights_only=True)["state"]
        fit(options, sources, [], validate, tmp_path, device=torch.device("cpu"))
    finally:
        torch.set_num_threads(threads)
    ended = torch.load(tmp_path / "last.pt", weights_only=True)["state"]
    assert (stopped["step"], ended["step"]) == (20, 200)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["toy"] for row in rows if row.get("final")][-1] < 0.2
