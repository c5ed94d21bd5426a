"""Training our detector: labels, mixtures, features, measures, and the exported graph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs voicesearch[train]")

import torch

from asr.train.corpus import Corpus, CorpusWriter, Entry
from asr.train.vad import VadFitOptions, fit, make_set
from asr.train.vad_evaluate import detection, false_alarms, frame_scores, plain_mixtures, roc_auc
from asr.train.vad_export import export, parity, state_length
from asr.train.vad_features import FLOOR_DBFS, features, mel_filters, window
from asr.train.vad_labels import FRAME, away_from_edges, bridge, choose, read_labels, runs, speech_frames
from asr.train.vad_mixtures import Material, MixtureOptions, mixture, recording, split_noise
from asr.train.vad_model import VadModel, VadModelOptions
from asr.transcript import Span
from asr.vad import NoVad, Samples, Scorer, VadOptions


def bursts(*loud: tuple[int, int], frames: int = 300, floor: float = 1e-3) -> Samples:
    """Faint noise, and loud noise in the given frames."""
    rng = np.random.default_rng(0)
    size = np.full(frames, floor)
    for start, end in loud:
        size[start:end] = 0.1
    return (rng.standard_normal(frames * FRAME) * np.repeat(size, FRAME)).astype(np.float32)


def material(seed: int = 0) -> Material:
    """Eight clips of two seconds, half of each speech, and two noises."""
    rng = np.random.default_rng(seed)
    truth = np.arange(200) % 100 >= 50
    clips = [
        (rng.standard_normal(200 * FRAME) * 3000 * np.repeat(truth, FRAME)).astype(np.int16) for _ in range(8)
    ]
    noises = [(rng.standard_normal(40_000) * 500).astype(np.int16) for _ in range(2)]
    return Material([(clip, truth) for clip in clips], noises)


def entry(label: str, name: str, *, length: int = 16_000) -> Entry:
    """A clip of a corpus."""
    return Entry(0, length, "", None, "", label, name)


def test_labels_reach_from_the_first_phone_to_the_last_and_then_to_the_edges_of_the_sound() -> None:
    """Two peaks 250 ms apart inside loud frames 100 to 160: all of these are speech, with 20 ms of smoothing."""
    truth = speech_frames(bursts((100, 160)), np.array([110, 135]))
    (span,) = runs(truth)
    assert abs(span.start - 100) <= 3
    assert abs(span.end - 160) <= 3


def test_a_pause_between_words_is_no_speech() -> None:
    """Two loud stretches with a second between them are two runs, though one text was aligned over both."""
    spans = list(runs(speech_frames(bursts((50, 100), (200, 250)), np.array([60, 75, 90, 210, 225, 240]))))
    assert len(spans) == 2
    assert not any(span.start < 150 < span.end for span in spans)


def test_an_edge_does_not_move_without_end() -> None:
    """Loud sound that the alignment does not cover is speech for at most a quarter of a second."""
    (span,) = runs(speech_frames(bursts((0, 300)), np.array([150])))
    assert span == Span(125, 176)


def test_without_an_alignment_nothing_is_speech() -> None:
    """No peaks, no speech."""
    assert not speech_frames(bursts((100, 160)), np.zeros(0, dtype=np.int64)).any()


def test_runs_and_bridges() -> None:
    """Runs are the stretches of True; a bridge fills the gaps up to a length, but not the ends."""
    truth = np.array([0, 1, 0, 0, 1, 1, 0, 0, 0, 1, 0], dtype=np.bool_)
    assert list(runs(truth)) == [Span(1, 2), Span(4, 6), Span(9, 10)]
    assert list(runs(bridge(truth, 2))) == [Span(1, 6), Span(9, 10)]
    assert away_from_edges(np.array([0, 0, 0, 1, 1, 1], dtype=np.bool_), 1).tolist() == [1, 1, 0, 0, 1, 1]


def test_labels_are_read_for_the_clips_that_they_were_made_for(tmp_path: Path) -> None:
    """A file of labels gives entries with their truth; with another corpus it is refused."""
    for name in ("a", "b"):
        with CorpusWriter(tmp_path / name) as writer:
            writer.add(np.zeros(800, dtype=np.int16), text="x", speaker="", set="s", audio=name)
    (tmp_path / "labels").write_text('{"offset": 0, "audio": "a", "spans": [[1, 3]]}\n', encoding="utf-8")
    ((found, truth),) = read_labels(Corpus(tmp_path / "a"), tmp_path / "labels")
    assert (found.audio, truth.tolist()) == ("a", [False, True, True, False, False])
    with pytest.raises(AssertionError, match="another corpus"):
        list(read_labels(Corpus(tmp_path / "b"), tmp_path / "labels"))


def test_no_set_gets_more_than_its_hours() -> None:
    """Of ten clips of 36 s each in two sets, 0.02 hours are two clips a set."""
    entries = [entry(label, f"{number}", length=36 * 16_000) for label in "ab" for number in range(10)]
    assert sorted(chosen.set for chosen in choose(entries, 0.02, 0)) == ["a", "a", "b", "b"]


def test_no_recording_of_noise_is_on_both_sides() -> None:
    """Takes of one recording stay together; each label has a third of its recordings held back, single ones too."""
    entries = [
        entry("dog", f"esc10_1-{number}-{take}.ogg") for number in range(100, 106) for take in "AB"
    ] + [entry(name, f"sc_{name}.ogg") for name in ("tap", "dishes", "bike")]
    train, held = split_noise(entries)
    assert {recording(clip) for clip in train}.isdisjoint(recording(clip) for clip in held)
    assert [clip.audio for clip in held] == [
        *(f"esc10_1-{number}-{take}.ogg" for number in (104, 105) for take in "AB"),
        "sc_tap.ogg",
    ]
    assert len(train) + len(held) == len(entries)


def test_a_mixture_has_the_ratio_and_level_asked_for() -> None:
    """Speech at -26 dBFS, noise 10 dB under it, in every frame that is not speech."""
    for made in plain_mixtures(material(), 10.0, 3):
        power = np.square(made.samples).reshape(-1, FRAME).mean(axis=1)
        assert 10 * np.log10(power[made.truth].mean()) == pytest.approx(-26.0, abs=0.1)
        # 0.4 dB of it is noise.
        assert 10 * np.log10(power[~made.truth].mean()) == pytest.approx(-36.4, abs=1.0)


def plain_mixtures_of_all_kinds_are_sound() -> None:
    """Whatever is drawn: the right length, finite, within full scale, on the grid of 16 bits; some speechless."""
    rng, options = np.random.default_rng(0), MixtureOptions(frames=300)
    drawn = [mixture(material(), options, rng) for _ in range(60)]
    for made in drawn:
        assert made.samples.shape == (300 * FRAME,)
        assert made.samples.dtype == np.float32
        assert np.abs(made.samples).max() <= 1.0
        assert np.array_equal(made.samples * 32768.0, np.round(made.samples * 32768.0))
    assert 3 <= sum(not made.truth.any() for made in drawn) <= 25
    assert any((made.samples.reshape(-1, FRAME) == 0.0).all(axis=1).any() for made in drawn)


def test_the_level_cancels_in_the_features() -> None:
    """30 dB softer gives the same features to 0.01, as long as that is well above the floor."""
    samples = bursts((100, 160), floor=1e-2)
    assert features(samples).shape == (300, 32)
    assert np.abs(features(samples) - features(samples * np.float32(10**-1.5)))[5:].max() < 0.01


def test_features_look_only_back() -> None:
    """Changing a sample changes no frame before its own."""
    samples = bursts((100, 160))
    changed = samples.copy()
    changed[50 * FRAME] += 0.5
    same = (features(samples) == features(changed)).all(axis=1)
    assert same[:50].all()
    assert not same[50]


def test_the_power_of_noise_is_that_of_its_bands() -> None:
    """The mean band power of white noise is its power, which `FLOOR_DBFS` is compared with."""
    noise = np.random.default_rng(0).standard_normal((500, 320)) * 0.1
    power = np.square(np.abs(np.fft.rfft(noise * window(), axis=1)[:, 1:])) @ mel_filters().T
    assert power.mean() == pytest.approx(0.01, rel=0.05)
    assert FLOOR_DBFS == -90.0


def test_digital_silence_has_constant_features() -> None:
    """Zeros give the least value of every band, and nothing infinite."""
    assert features(np.zeros(1600, dtype=np.float32)) == pytest.approx(np.log(1e-5) * 0.25 + 1.0, abs=1e-5)


def test_training_lowers_the_loss(capsys: pytest.CaptureFixture[str]) -> None:
    """On loud bursts the network learns in a few steps, the same from the same seed."""
    options = VadFitOptions(mixtures=8, epochs=6, batch=4, piece=99, mixture=MixtureOptions(frames=201))
    made = make_set(material(), options, print)
    assert made.features.shape == (8, 201, 32)
    models = [fit(made, options, print) for _ in range(2)]
    losses = [float(line.split("loss ")[1].split(",")[0]) for line in capsys.readouterr().out.splitlines()]
    assert losses[5] < 0.8 * losses[0]
    assert losses[:6] == losses[6:]
    first, second = (model.state_dict() for model in models)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_graph_computes_what_torch_computes(tmp_path: Path) -> None:
    """Whole and in pieces, for two sizes of network, within 1e-5."""
    for options in (VadModelOptions(), VadModelOptions(context=5, stride=2, channels=16, hidden=24)):
        torch.manual_seed(0)
        model = VadModel(options).eval()
        export(model, tmp_path / "vad.onnx")
        assert parity(model, tmp_path / "vad.onnx") <= 1e-5
        assert state_length(options) == 162 + 32 * options.before + options.hidden


def test_the_area_under_the_curve() -> None:
    """1 for a perfect order, 0 for its reverse, a half for ties, and by hand for one exchange."""
    truth = np.array([False, False, True, True])
    assert roc_auc(np.array([0.1, 0.2, 0.3, 0.4]), truth) == 1.0
    assert roc_auc(np.array([0.4, 0.3, 0.2, 0.1]), truth) == 0.0
    assert roc_auc(np.full(4, 0.7), truth) == 0.5
    assert roc_auc(np.array([0.1, 0.3, 0.2, 0.4]), truth) == 0.75


class Loudness:
    """A detector for tests: frames of 20 ms, speech where the power exceeds -40 dBFS."""

    frame_length = 2 * FRAME

    def open(self) -> Scorer:
        """A scorer without state."""
        return lambda frames: (np.square(frames).mean(axis=1) > 1e-4).astype(np.float64)


def test_frames_of_any_length_are_judged_on_ten_milliseconds() -> None:
    """Each 10 ms has the answer of the detector's frame around its middle."""
    assert frame_scores(Loudness(), bursts((2, 4), frames=7)).tolist() == [0, 0, 1, 1, 0, 0, 0]


def test_detection_counts_misses_and_alarms() -> None:
    """A detector of loudness is right about bursts; one that always says yes misses nothing and alarms always."""
    mixtures = plain_mixtures(material(), None, 2)
    right = detection(Loudness(), mixtures, VadOptions())
    assert right.auc > 0.98
    assert right.missed < 0.02
    always = detection(NoVad(), mixtures, VadOptions())
    assert (always.auc, always.missed, always.false_alarms, always.missed_by_spans) == (0.5, 0.0, 1.0, 0.0)
    assert false_alarms(NoVad(), [bursts((0, 5), frames=10)], 0.5) == 1.0
    assert false_alarms(Loudness(), [bursts((0, 5), frames=10)], 0.5) == pytest.approx(0.6)


def test_every_default_is_within_its_bounds() -> None:
    """Pairs of bounds are in order, shares are shares."""
    for name, value in vars_of(MixtureOptions()).items():
        if isinstance(value, tuple):
            assert value[0] <= value[1], name
        elif name not in ("frames", "uneven_db"):
            assert 0.0 <= value <= 1.0, name


def vars_of(options: MixtureOptions) -> dict[str, float | tuple[float, float]]:
    """Fields of slotted options by name."""
    return {name: getattr(options, name) for name in options.__slots__}
