"""``asr.mp3``: frame lengths, and files that vary their bit rate without stating their length."""

from __future__ import annotations

import io

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]  # publishes no stubs

from asr.audio import decode
from asr.mp3 import frame_bytes, with_frame_count


@pytest.mark.parametrize(
    ("header", "length"),
    [
        (b"\xff\xfb\x90\x00", 417),  # MPEG 1, 128 kbit/s, 44.1 kHz
        (b"\xff\xfb\x92\x00", 418),  # the same, padded
        (b"\xff\xfb\x14\x00", 96),  # 32 kbit/s, 48 kHz
        (b"\xff\xf3\x18\x00", 36),  # MPEG 2, 8 kbit/s, 16 kHz
        (b"\xff\xe3\x18\x00", 72),  # MPEG 2.5, 8 kbit/s, 8 kHz
        (b"\xff\xfd\x90\x00", 0),  # layer II
        (b"\xff\xfb\x00\x00", 0),  # free format
        (b"\xff\xfb\x9c\x00", 0),  # reserved rate
        (b"\xff\xeb\x90\x00", 0),  # reserved version
        (b"\xff\xfb", 0),
        (b"RIFF", 0),
    ],
)
def test_frame_length(header: bytes, length: int) -> None:
    """The four bytes of a header tell how long its frame is."""
    assert frame_bytes(header) == length


def varying(rate_hz: int, channels: int) -> bytes:
    """An MP3 file of 3 s, noise first and a tone then, with a varying bit rate and no Xing header."""
    samples = np.zeros((3 * rate_hz, channels))
    samples[:rate_hz] = np.random.default_rng(0).uniform(-0.5, 0.5, (rate_hz, channels))
    samples[rate_hz:] = 0.1 * np.sin(2 * np.pi * 440 * np.arange(2 * rate_hz) / rate_hz)[:, None]
    stream = io.BytesIO()
    with soundfile.SoundFile(
        stream, "w", rate_hz, channels, "MPEG_LAYER_III", format="MP3", bitrate_mode="VARIABLE"
    ) as sound:
        sound.write(samples)
    content = stream.getvalue()
    for _ in range(4):  # the Xing header, and the encoder's start, before the bit rate rises
        first = next(place for place in range(len(content)) if frame_bytes(content[place : place + 4]))
        content = content[first + frame_bytes(content[first : first + 4]) :]
    return content


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate_hz", [8_000, 22_050, 48_000])
def test_varying_bit_rate_is_read_to_the_end(rate_hz: int, channels: int) -> None:
    """Three seconds come out as three seconds, give or take the encoder's padding, with or without a tag."""
    content = varying(rate_hz, channels)
    tag = b"ID3\x04\x00\x00\x00\x00\x00\x05hello"
    frames = 5 * 1152 / rate_hz * 16_000  # three that were taken away, and up to five of padding
    for clip in (decode(content), decode(tag + content)):
        assert abs(len(clip) - 48_000) <= frames
        assert 0.06 < clip[24_000:40_000].std() < 0.08  # 0.1 over the square root of 2


def test_stated_length_and_constant_bit_rate_are_left_alone() -> None:
    """A stream that libsndfile measures rightly is handed back itself."""
    for mode in ("CONSTANT", "VARIABLE"):
        stream = io.BytesIO()
        options = {"format": "MP3", "bitrate_mode": mode}
        with soundfile.SoundFile(stream, "w", 16_000, 1, "MPEG_LAYER_III", **options) as sound:
            sound.write(np.random.default_rng(0).uniform(-0.5, 0.5, 16_000))
        assert with_frame_count(stream) is stream
