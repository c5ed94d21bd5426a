"""``asr.audio``: every format gives the same samples at 16 kHz."""

from __future__ import annotations

import io
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]  # publishes no stubs
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from asr.audio import BLOCK_FRAMES, Samples, decode, decode_blocks, decode_pcm, from_samples, kind_of


def tone(duration_s: float = 0.5, rate_hz: int = 16_000, level: float = 0.25) -> Samples:
    """A 440 Hz sine."""
    time_s = np.arange(round(duration_s * rate_hz)) / rate_hz
    return (level * np.sin(2 * np.pi * 440 * time_s)).astype(np.float32)


def encoded(samples: Any, rate_hz: int = 16_000, format: str = "WAV", subtype: str = "PCM_16") -> bytes:
    """The bytes of a file with these samples."""
    stream = io.BytesIO()
    soundfile.write(stream, samples, rate_hz, format=format, subtype=subtype)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("format", "subtype", "step"),
    [
        ("WAV", "PCM_U8", 2**-7),
        ("WAV", "PCM_16", 2**-15),
        ("WAV", "PCM_24", 2**-23),
        ("WAV", "PCM_32", 2**-31),
        ("WAV", "FLOAT", 0),
        ("WAV", "DOUBLE", 0),
        ("WAVEX", "PCM_16", 2**-15),
        ("RF64", "PCM_16", 2**-15),
        ("FLAC", "PCM_16", 2**-15),
        ("FLAC", "PCM_24", 2**-23),
        ("AIFF", "PCM_16", 2**-15),
        ("AU", "PCM_16", 2**-15),
        ("CAF", "PCM_16", 2**-15),
        ("NIST", "PCM_16", 2**-15),
    ],
)
def test_lossless_formats_at_16_khz(format: str, subtype: str, step: float) -> None:
    """What was written comes back to within a quantisation step, and not resampled."""
    clip = decode(encoded(tone(), format=format, subtype=subtype))
    assert clip.dtype == np.float32
    assert clip.shape == (8000,)
    np.testing.assert_allclose(clip, tone(), rtol=0, atol=step)


@pytest.mark.parametrize(
    ("format", "subtype"), [("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")]
)
def test_lossy_formats_keep_the_waveform_in_place(format: str, subtype: str) -> None:
    """A tone comes back at its place: 8 samples late, its shape would differ by more than its level."""
    clip = decode(encoded(tone(), 48_000 if subtype == "OPUS" else 16_000, format, subtype))
    # Opus is written at 48 kHz here: the same 8,000 samples are a third as long.
    expected = from_samples(tone(), 48_000) if subtype == "OPUS" else tone()
    assert abs(len(clip) - len(expected)) <= 1
    middle = slice(800, min(len(clip), len(expected)) - 800)
    assert np.abs(clip[middle] - expected[middle]).max() < 0.05


def test_content_decides_not_the_name(tmp_path: Path) -> None:
    """A FLAC file is read as FLAC whatever it is called, even ``.raw``, by ``Path`` or ``str``."""
    for name in ("clip.wav", "clip.raw", "clip.mp3", "clip"):
        path = tmp_path / name
        path.write_bytes(encoded(tone(), format="FLAC"))
        assert decode(path).shape == (8000,)
        assert decode(str(path)).shape == (8000,)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 48_000])
def test_blocks_are_the_whole(rate_hz: int, tmp_path: Path) -> None:
    """Pieces of a long clip, joined, are the samples of `decode`, and none is longer than some seconds."""
    path = tmp_path / "long.flac"
    path.write_bytes(encoded(tone(40.0, rate_hz), rate_hz, "FLAC"))
    blocks = list(decode_blocks(path))
    assert len(blocks) > 5
    assert max(map(len, blocks)) <= 2 * BLOCK_FRAMES + 1000
    np.testing.assert_array_equal(np.concatenate(blocks), decode(path))


def test_the_first_bytes_tell_the_format() -> None:
    """Of audio that we read, and of nothing else."""
    assert kind_of(encoded(tone())[:64]) == "WAV"
    assert kind_of(encoded(tone(), format="FLAC")[:64]) == "FLAC"
    assert kind_of(b"this is a text about audio") is None
    assert kind_of(b"") is None


def test_pipe_is_read(tmp_path: Path) -> None:
    """A named pipe, which cannot seek, is decoded like a file."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_bytes, args=(encoded(tone()),))
    writer.start()
    assert decode(pipe).shape == (8000,)
    writer.join()


def test_channels_are_averaged() -> None:
    """A quarter and minus half average to minus an eighth."""
    stereo = np.tile(np.array([0.25, -0.5], np.float32), (100, 1))
    np.testing.assert_array_equal(decode(encoded(stereo)), np.full(100, -0.125, np.float32))


def test_values_beyond_full_scale_are_kept() -> None:
    """A float file may be louder than full scale; nothing is clipped here."""
    loud = tone(level=3.0)
    np.testing.assert_array_equal(decode(encoded(loud, subtype="FLOAT")), loud)


def test_no_samples_make_an_empty_clip() -> None:
    """A WAV file without samples is a clip of length 0, at any rate."""
    for rate_hz in (16_000, 44_100):
        assert decode(encoded(np.zeros(0, np.float32), rate_hz)).shape == (0,)
        assert from_samples(np.zeros(0, np.float32), rate_hz).shape == (0,)


def test_block_boundaries_leave_no_trace() -> None:
    """A clip longer than two blocks equals the one that was resampled in one go."""
    long = tone(2.5 * BLOCK_FRAMES / 48_000, 48_000)
    whole = tone(2.5 * BLOCK_FRAMES / 48_000, 16_000)
    clip = decode(encoded(long, 48_000, subtype="FLOAT"))
    assert abs(len(clip) - len(whole)) <= 1
    np.testing.assert_allclose(clip[200:-200], whole[200 : len(clip) - 200], rtol=0, atol=1e-3)


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000])
def test_every_rate_gives_the_same_tone(rate_hz: int) -> None:
    """A tone sampled at any usual rate is the tone sampled at 16 kHz."""
    clip = decode(encoded(tone(rate_hz=rate_hz), rate_hz))
    assert abs(len(clip) - 8000) <= 1  # half a second at 11,025 Hz is 5,512.5 samples
    np.testing.assert_allclose(clip[400:7600], tone()[400:7600], rtol=0, atol=1e-3)


@given(frames=st.integers(0, 60_000), rate_hz=st.integers(4_000, 384_000))
def test_resampling_keeps_the_duration(frames: int, rate_hz: int) -> None:
    """The length at 16 kHz is that of the clip to within one sample."""
    clip = from_samples(np.zeros(frames, np.float32), rate_hz)
    assert abs(len(clip) - frames * 16_000 / rate_hz) <= 1


@given(arrays(np.int16, st.integers(0, 300)))
def test_int16_round_trip(samples: np.ndarray[Any, np.dtype[np.int16]]) -> None:
    """Every 16-bit value survives WAV, raw PCM and an array, as itself over 2^15."""
    expected = (samples / 2**15).astype(np.float32)
    for clip in (
        decode(encoded(samples)),
        decode_pcm(samples.astype("<i2").tobytes(), 16_000, "pcm16"),
        from_samples(samples, 16_000),
        from_samples(samples.astype(">i2"), 16_000),
        from_samples(samples.astype(np.int32) << 16, 16_000),
        decode_pcm(expected.astype("<f4").tobytes(), 16_000, "float32"),
    ):
        np.testing.assert_array_equal((clip * 2**15).astype(np.int16), samples)
        np.testing.assert_array_equal(clip, expected)


@given(
    arrays(np.float32, st.tuples(st.integers(0, 50), st.integers(1, 8)), elements=st.floats(-1, 1, width=32))
)
def test_average_of_any_channels(frames: Samples) -> None:
    """Any number of channels becomes their mean, as exactly as float32 can say it."""
    expected = frames.astype(np.float64).mean(axis=1)
    np.testing.assert_allclose(from_samples(frames, 16_000), expected, rtol=0, atol=2e-7)


def test_raw_pcm_has_channels_and_a_rate() -> None:
    """Interleaved stereo at 48 kHz is averaged and resampled."""
    stereo = np.repeat((tone(rate_hz=48_000) * 2**15).astype("<i2"), 2)
    clip = decode_pcm(stereo.tobytes(), 48_000, "pcm16", channels=2)
    assert clip.shape == (8000,)
    np.testing.assert_allclose(clip[400:-400], tone()[400:-400], rtol=0, atol=1e-3)


def test_argument_is_not_changed() -> None:
    """An array that is given stays as it was."""
    samples = tone(rate_hz=48_000)
    from_samples(samples, 48_000)
    np.testing.assert_array_equal(samples, tone(rate_hz=48_000))
