"""Our own detector: the file that ships, in streams and on whole clips."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from asr import audio, neural
from asr.errors import BundleDigestError, BundleError
from asr.neural import NeuralVad, read_card
from asr.vad import Samples, VadOptions, find_speech

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT / "data" / "samples"
SHIPPED = ROOT / "asr" / "models" / "vad-small"
MAX_BYTES = 300_000
SPOKEN = ("play_jazz.wav", "red_jacket.wav", "news.flac", "timer.flac")


@pytest.fixture(scope="module")
def vad() -> NeuralVad:
    """The detector that ships."""
    return NeuralVad()


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Its folder, to damage."""
    return shutil.copytree(SHIPPED, tmp_path / "vad-small")


def at_level(samples: Samples, dbfs: float) -> Samples:
    """Samples at a root mean square level, on the grid of 16 bits."""
    gain = 10.0 ** (dbfs / 20.0) / np.sqrt(np.mean(np.square(samples)))
    return np.asarray(np.clip(np.round(samples * gain * 32768.0), -32768, 32767) / 32768.0, dtype=np.float32)


def keyboard(seconds: int = 10) -> Samples:
    """Seven strokes a second, each a click that decays within 20 ms, and a softer one as the key comes up."""
    rng = np.random.default_rng(0)
    sound = rng.standard_normal(16_000 * seconds) * 1e-3
    stroke = np.exp(-np.arange(320) / 60.0)
    for start in range(800, len(sound) - 2400, 2286):
        for at, size in ((start, 1.0), (start + int(rng.integers(1000, 1900)), 0.4)):
            sound[at : at + 320] += size * stroke * np.diff(rng.standard_normal(321))
    return at_level(sound.astype(np.float32), -32)


def streamed(vad: NeuralVad, samples: Samples) -> list[float]:
    """Frame by frame through a scorer; the last frame completed with zeros."""
    score, length = vad.open(), vad.frame_length
    whole = np.pad(samples, (0, -len(samples) % length))
    return [float(score(frame[None])[0]) for frame in whole.reshape(-1, length)]


@pytest.mark.parametrize("block", [1, 7, 50, 3000])
def test_a_stream_gives_what_the_whole_clip_gives(
    vad: NeuralVad, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frame by frame or in blocks of any number of frames, probabilities agree to 1e-5."""
    monkeypatch.setattr(neural, "BLOCK", block)
    samples = audio.decode(SAMPLES / "play_jazz.wav")[:-77]  # the last frame is not full
    alone = np.array(streamed(vad, samples))
    whole = vad.probabilities(samples)
    assert whole.shape == alone.shape
    assert np.abs(whole - alone).max() <= 1e-5


def test_a_clip_without_samples_has_no_frames(vad: NeuralVad) -> None:
    """Nothing in, nothing out."""
    assert vad.probabilities(np.zeros(0, dtype=np.float32)).shape == (0,)


def test_streams_of_one_detector_are_independent(vad: NeuralVad) -> None:
    """Two scorers of one detector keep separate states."""
    samples = audio.decode(SAMPLES / "play_jazz.wav")[:24_000]
    alone = streamed(vad, samples)
    first, second = vad.open(), vad.open()
    interleaved = []
    for start in range(0, len(samples), vad.frame_length):
        interleaved += first(samples[None, start : start + vad.frame_length]).tolist()
        second(np.ones((1, vad.frame_length), dtype=np.float32))
    assert interleaved == alone


def test_the_past_alone_decides(vad: NeuralVad) -> None:
    """What comes later does not change a probability: the detector is causal."""
    samples = audio.decode(SAMPLES / "play_jazz.wav")[:24_000]
    changed = samples.copy()
    changed[12_000:] = 0.5  # a whole number of frames, as the clip is
    assert np.array_equal(vad.probabilities(samples)[:25], vad.probabilities(changed)[:25])
    assert not np.array_equal(vad.probabilities(samples)[25:], vad.probabilities(changed)[25:])


@pytest.mark.parametrize("name", SPOKEN)
def test_speech_is_found(vad: NeuralVad, name: str) -> None:
    """In a spoken sample at least half a second is speech."""
    spans = find_speech(vad, audio.decode(SAMPLES / name), VadOptions(speech_pad_ms=0))
    assert sum(len(span) for span in spans) >= 8_000


@pytest.mark.parametrize("name", SPOKEN)
def test_the_level_does_not_matter(vad: NeuralVad, name: str) -> None:
    """From -50 to -20 dBFS the spans are those at -26 dBFS within 50 ms."""
    samples = audio.decode(SAMPLES / name)
    expected = find_speech(vad, at_level(samples, -26), VadOptions())
    for dbfs in (-50, -40, -20):
        found = find_speech(vad, at_level(samples, dbfs), VadOptions())
        assert len(found) == len(expected)
        for span, other in zip(found, expected, strict=True):
            assert max(abs(span.start - other.start), abs(span.end - other.end)) <= 800


@pytest.mark.parametrize("dbfs", [-80, -60, -40, -20, -10])
def test_white_noise_is_no_speech(vad: NeuralVad, dbfs: int) -> None:
    """Under 1 % of the frames of white noise, at any level."""
    noise = at_level(np.random.default_rng(0).standard_normal(160_000).astype(np.float32), dbfs)
    assert (vad.probabilities(noise) >= VadOptions().threshold).mean() < 0.01


def test_digital_silence_is_no_speech(vad: NeuralVad) -> None:
    """No frame of digital silence, at the start of a clip or after speech has ended."""
    silence = np.zeros(160_000, dtype=np.float32)
    assert vad.probabilities(silence).max() < VadOptions().neg_threshold
    after = np.concatenate([audio.decode(SAMPLES / "play_jazz.wav"), silence])
    assert vad.probabilities(after)[-300:].max() < VadOptions().neg_threshold


def test_typing_is_no_speech(vad: NeuralVad) -> None:
    """Under 1 % of the frames of a keyboard, made here and in the shipped sample."""
    assert (vad.probabilities(keyboard()) >= VadOptions().threshold).mean() < 0.01
    assert find_speech(vad, audio.decode(SAMPLES / "keyboard.flac"), VadOptions()) == []


def test_the_card_describes_the_file() -> None:
    """SHA-256 and size are those of the file, which has at most 300 KB; the evaluation is there."""
    card, graph = read_card(SHIPPED), (SHIPPED / "vad.onnx").read_bytes()
    assert card["sha256"] == hashlib.sha256(graph).hexdigest()
    assert card["bytes"] == len(graph) <= MAX_BYTES
    assert {"auc", "missed", "false_alarms"} <= card["evaluation"]["10 dB"].keys()


def test_a_damaged_file_is_refused(copy: Path) -> None:
    """One changed byte raises BundleDigestError naming both digests."""
    graph = bytearray((copy / "vad.onnx").read_bytes())
    graph[1000] ^= 1
    (copy / "vad.onnx").write_bytes(graph)
    with pytest.raises(BundleDigestError, match=f"SHA-256 {hashlib.sha256(graph).hexdigest()}"):
        NeuralVad(copy)


def test_a_file_that_is_no_graph_is_refused(copy: Path) -> None:
    """A file of something else, with its right digest in the card, raises BundleError."""
    (copy / "vad.onnx").write_bytes(b"no graph")
    card = read_card(SHIPPED) | {"sha256": hashlib.sha256(b"no graph").hexdigest()}
    (copy / "vad.json").write_text(json.dumps(card), encoding="utf-8")
    with pytest.raises(BundleError, match="no model that this onnxruntime loads"):
        NeuralVad(copy)


@pytest.mark.parametrize(
    ("card", "named"),
    [
        ("{", "is not JSON"),
        ("[]", "does not describe a detector"),
        ('{"format": 3, "file": "vad.onnx"}', "has format 3"),
        ('{"format": 1, "file": "vad.onnx"}', "this version reads format 2"),
        ('{"format": 2, "frame_ms": 30}', "does not describe a detector: KeyError"),
        ('{"format": 2, "file": "vad.onnx"}', "does not describe a detector: KeyError"),
        ('{"format": 2, "frame_ms": 0, "file": "vad.onnx"}', "frames of 0 ms; expected at least 1"),
        ('{"format": 2, "frame_ms": 30, "file": "../vad.onnx"}', "must lie in the detector's own folder"),
        ('{"format": 2, "frame_ms": 30, "file": "other.onnx"}', "lacks other.onnx"),
    ],
)
def test_a_malformed_card_is_refused(copy: Path, card: str, named: str) -> None:
    """A card that is no card raises BundleError saying what is wrong with it."""
    (copy / "vad.json").write_text(card, encoding="utf-8")
    with pytest.raises(BundleError, match=named):
        NeuralVad(copy)


def test_a_folder_without_a_card_is_refused(tmp_path: Path) -> None:
    """An empty folder raises BundleError naming the file that it lacks."""
    with pytest.raises(BundleError, match=r"it has no vad\.json"):
        NeuralVad(tmp_path)


def test_neither_torch_nor_scipy_is_imported() -> None:
    """Running the detector loads nothing of training."""
    program = (
        "import sys, numpy; from asr.neural import NeuralVad;"
        "vad = NeuralVad(); vad.open()(numpy.zeros((1, vad.frame_length), dtype='float32'));"
        "sys.exit(bool({'torch', 'scipy', 'asr.train'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
