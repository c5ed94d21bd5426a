"""``asr.audio``: bad input gets a typed error that names the clip, the value seen and the limit (C6)."""

from __future__ import annotations

import gzip
import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]  # publishes no stubs
from hypothesis import given
from hypothesis import strategies as st

from asr.audio import BLOCK_FRAMES, AudioLimits, decode, decode_pcm, from_samples
from asr.errors import AudioError, AudioLimitError, CorruptAudioError, OptionError, UnsupportedAudioError


def wav(
    data: bytes = bytes(200), rate_hz: int = 16_000, channels: int = 1, code: int = 1, bits: int = 16
) -> bytes:
    """A WAV file with the header fields given, sensible or not."""
    width = channels * bits // 8
    form = struct.pack("<HHIIHH", code, channels, rate_hz, rate_hz * width & 0xFFFFFFFF, width, bits)
    body = b"WAVE" + struct.pack("<4sI", b"fmt ", 16) + form + struct.pack("<4sI", b"data", len(data)) + data
    return struct.pack("<4sI", b"RIFF", len(body)) + body


def encoded(samples: Any, rate_hz: int = 16_000, format: str = "FLAC", subtype: str | None = None) -> bytes:
    """The bytes of a file with these samples."""
    stream = io.BytesIO()
    soundfile.write(stream, samples, rate_hz, format=format, subtype=subtype)
    return stream.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"just some text\n", id="text"),
        pytest.param("text".encode("utf-16"), id="utf-16 text"),
        pytest.param(gzip.compress(bytes(10_000_000)), id="compressed zeros"),
        pytest.param(b"PK\x03\x04" + bytes(100), id="zip"),
        pytest.param(b"RIFF\x10\0\0\0WEBPVP8 ", id="another RIFF"),
        pytest.param(b"\xff\xf1" + bytes(100), id="AAC"),
        pytest.param(b"\0\0\0\x20ftypM4A ", id="MP4"),
    ],
)
def test_not_audio(tmp_path: Path, content: bytes) -> None:
    """What is not audio is refused by its first bytes, whatever the name says."""
    path = tmp_path / "clip.wav"
    path.write_bytes(content)
    with pytest.raises(UnsupportedAudioError, match=r"clip\.wav: .* not audio that we read"):
        decode(path)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(wav()[:12], id="WAV, first 12 bytes"),
        pytest.param(wav()[:30], id="WAV, half a header"),
        pytest.param(wav(channels=0), id="WAV, no channels"),
        pytest.param(wav(channels=2000), id="WAV, 2000 channels"),
        pytest.param(wav(rate_hz=0), id="WAV, 0 Hz"),
        pytest.param(wav(rate_hz=0xFFFFFFFF), id="WAV, 2^32 - 1 Hz"),
        pytest.param(wav(bits=0), id="WAV, 0 bits"),
        pytest.param(wav(code=0x1234), id="WAV, unknown code"),
        pytest.param(b"RF64" + bytes(100), id="RF64"),
        pytest.param(b"fLaC" + bytes(100), id="FLAC"),
        pytest.param(b"OggS" + bytes(100), id="OGG"),
        pytest.param(b"ID3" + bytes(1000), id="MP3 tag"),
        pytest.param(b"\xff\xfb" + bytes(1000), id="MP3 frame"),
        pytest.param(b"FORM\0\0\0\0AIFF", id="AIFF"),
        pytest.param(b".snd" + bytes(50), id="AU"),
        pytest.param(b"caff" + bytes(50), id="CAF"),
        pytest.param(b"NIST_1A\n   1024\n", id="SPHERE"),
    ],
)
def test_broken_headers(content: bytes) -> None:
    """What starts like audio and cannot be decoded is corrupt."""
    with pytest.raises(CorruptAudioError, match=f"^clip of {len(content)} bytes: starts like"):
        decode(content)


def test_truncated_wav_names_both_lengths(tmp_path: Path) -> None:
    """A WAV file that was cut short is not transcribed as if it were whole."""
    path = tmp_path / "cut.wav"
    path.write_bytes(wav(bytes(32_000))[:20_044])
    with pytest.raises(
        CorruptAudioError, match=r"cut\.wav: .* states 32000 bytes of samples, 20000 are there"
    ):
        decode(path)


def test_truncated_flac_is_corrupt() -> None:
    """A FLAC file states its length too."""
    content = encoded(np.random.default_rng(0).uniform(-0.5, 0.5, 16_000))
    with pytest.raises(CorruptAudioError, match="FLAC"):
        decode(content[: len(content) * 6 // 10])


@pytest.mark.parametrize(
    ("format", "subtype"), [("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III")]
)
def test_truncated_stream_formats_give_what_is_there(format: str, subtype: str) -> None:
    """OGG and MP3 are made to be cut: what was received is decoded, and is shorter than the whole."""
    content = encoded(np.random.default_rng(0).uniform(-0.5, 0.5, 64_000), 16_000, format, subtype)
    assert 8_000 < len(decode(content[: len(content) * 6 // 10])) < 56_000


@pytest.mark.parametrize("stated", [0xFFFF_FFFF, 0x7FFF_F000, 0])
def test_recording_to_a_pipe_has_no_length(stated: int) -> None:
    """A length that the writer could not know is no error: the clip goes to the end of the file."""
    content = wav(bytes(32_000))
    content = (
        content[:4] + struct.pack("<I", stated) + content[8:40] + struct.pack("<I", stated) + content[44:]
    )
    assert decode(content).shape == (16_000,)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (wav(rate_hz=1), "sample rate 1 Hz, expected 4000 to 384000 Hz"),
        (wav(rate_hz=1_000_000), "sample rate 1000000 Hz, expected 4000 to 384000 Hz"),
        (wav(channels=64, data=bytes(1280)), "64 channels, expected 1 to 8"),
    ],
)
def test_header_over_a_limit(content: bytes, message: str) -> None:
    """Absurd rates and channel counts name the value and the limit."""
    with pytest.raises(AudioLimitError, match=message):
        decode(content)


class Unread(soundfile.SoundFile):  # type: ignore[misc]  # Any: no stubs
    """A sound file that must not be decoded."""

    def read(self, *_args: Any, **_options: Any) -> Any:
        """Refuse."""
        raise AssertionError("samples were read although the header is over the limit")


def test_two_hours_are_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file of two silent hours (a decompression bomb) is refused by its header."""
    bomb = encoded(np.zeros(2 * 3600 * 4000, np.int8).astype(np.int16), 4000)
    assert len(bomb) < 200_000
    monkeypatch.setattr(soundfile, "SoundFile", Unread)
    with pytest.raises(AudioLimitError, match=r"7200\.0 s or more, the limit is 3600 s"):
        decode(bomb)


class Understating(soundfile.SoundFile):  # type: ignore[misc]  # Any: no stubs
    """A sound file that states no frames and never ends."""

    blocks = 0
    frames = 0

    def seekable(self) -> bool:
        """As a pipe."""
        return False

    def read(self, frames: int, **_options: Any) -> Any:
        """Another block of silence."""
        Understating.blocks += 1
        return np.zeros((frames, 1), np.float32)


def test_endless_audio_stops_at_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the header states too little, reading stops with the first block beyond the limit."""
    monkeypatch.setattr(soundfile, "SoundFile", Understating)
    with pytest.raises(AudioLimitError, match="the limit is 10 s"):
        decode(wav(), AudioLimits(max_duration_s=10))
    assert Understating.blocks == 160_000 // BLOCK_FRAMES + 1


def test_bytes_over_the_limit_are_not_opened(tmp_path: Path) -> None:
    """A large file is refused by its size."""
    path = tmp_path / "large.wav"
    path.write_bytes(wav(bytes(2000)))
    with pytest.raises(AudioLimitError, match=r"large\.wav: 2044 bytes or more, the limit is 1000"):
        decode(path, AudioLimits(max_bytes=1000))
    with pytest.raises(AudioLimitError, match=r"raw pcm16 of 2000 bytes: .* the limit is 1000"):
        decode_pcm(bytes(2000), 16_000, "pcm16", limits=AudioLimits(max_bytes=1000))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("rate_hz", [16_000, 48_000])
def test_not_finite_samples(value: float, rate_hz: int) -> None:
    """NaN and infinity are refused with their place, also when another channel is fine."""
    samples = np.zeros((70_000, 2), np.float32)
    samples[66_000, 1] = value
    content = encoded(samples, rate_hz, "WAV", "FLOAT")
    with pytest.raises(CorruptAudioError, match=f"sample 66000 is {value}, expected finite"):
        decode(content)
    with pytest.raises(CorruptAudioError, match=f"sample 66000 is {value}, expected finite"):
        from_samples(samples, rate_hz)


def test_overflow_is_not_finite() -> None:
    """Values too large for float32, alone or added up, are refused without a warning."""
    for samples in (np.full(10, 1e300), np.full((10, 2), 3e38, np.float32)):
        with pytest.raises(CorruptAudioError, match="sample 0 is inf"):
            from_samples(samples, 16_000)


@pytest.mark.parametrize("value", [1e20, -3e38])
def test_absurd_values_are_refused(value: float) -> None:
    """Finite values whose squares are not would give statistics that JSON cannot hold."""
    with pytest.raises(CorruptAudioError, match=r"sample 7 is .*, expected finite values up to 1e"):
        from_samples(np.where(np.arange(1600) == 7, value, 0.0).astype(np.float32), 16_000)


def test_system_errors_pass_through(tmp_path: Path) -> None:
    """A missing file and a folder are the operating system's to name."""
    with pytest.raises(FileNotFoundError, match=r"absent\.wav"):
        decode(tmp_path / "absent.wav")
    with pytest.raises(IsADirectoryError):
        decode(tmp_path)


def test_raw_pcm_must_make_sense() -> None:
    """Half a frame, an unknown encoding, no channels and an absurd rate are each named."""
    with pytest.raises(
        CorruptAudioError, match="raw pcm16 of 6 bytes: not a whole number of frames of 4 bytes"
    ):
        decode_pcm(bytes(6), 16_000, "pcm16", channels=2)
    with pytest.raises(OptionError, match="encoding 'mulaw' is not one of pcm16, float32"):
        decode_pcm(bytes(4), 16_000, "mulaw")  # type: ignore[arg-type]  # what a client may send
    with pytest.raises(AudioLimitError, match="0 channels, expected 1 to 8"):
        decode_pcm(bytes(4), 16_000, "pcm16", channels=0)
    with pytest.raises(AudioLimitError, match="sample rate 0 Hz"):
        decode_pcm(bytes(4), 0, "pcm16")


def test_arrays_must_make_sense() -> None:
    """Wrong shapes, wrong types and channels-first arrays are each named."""
    with pytest.raises(UnsupportedAudioError, match=r"shape \(2, 2, 2\): expected \(n,\) or \(n, channels\)"):
        from_samples(np.zeros((2, 2, 2), np.float32), 16_000)
    with pytest.raises(UnsupportedAudioError, match="dtype complex64, expected float, int16 or int32"):
        from_samples(np.zeros(2, np.complex64), 16_000)
    with pytest.raises(AudioLimitError, match="16000 channels, expected 1 to 8"):
        from_samples(np.zeros((2, 16_000), np.float32), 16_000)


WHOLE = [
    wav(bytes(range(256)) * 4),
    encoded(np.random.default_rng(0).uniform(-0.5, 0.5, 4000)),
    encoded(np.random.default_rng(0).uniform(-0.5, 0.5, 4000), 16_000, "OGG", "OPUS"),
    encoded(np.random.default_rng(0).uniform(-0.5, 0.5, 4000), 16_000, "OGG", "VORBIS"),
    encoded(np.random.default_rng(0).uniform(-0.5, 0.5, 4000), 16_000, "MP3", "MPEG_LAYER_III"),
]


@given(st.sampled_from(WHOLE), st.data())
def test_damage_gives_samples_or_a_typed_error(content: bytes, data: st.DataObject) -> None:
    """Cut anywhere and with any bytes changed, a file gives finite samples or an ``AudioError``."""
    damaged = bytearray(content[: data.draw(st.integers(0, len(content)))])
    for place in data.draw(st.lists(st.integers(0, max(0, len(damaged) - 1)), max_size=4)):
        if damaged:
            damaged[place] = data.draw(st.integers(0, 255))
    try:
        clip = decode(bytes(damaged), AudioLimits(max_duration_s=60))
    except AudioError:
        return
    assert clip.dtype == np.float32
    assert np.isfinite(clip).all()
