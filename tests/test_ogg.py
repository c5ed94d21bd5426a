"""``asr.ogg``: pages, their checksum, and how long a packet is."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asr.errors import CorruptAudioError
from asr.ogg import crc, opus_stream, packet_samples


def slow_crc(content: bytes) -> int:
    """RFC 3533's checksum, bit by bit: polynomial 0x04c11db7, from 0, most significant bit first."""
    register = 0
    for byte in content:
        register ^= byte << 24
        for _ in range(8):
            register = (register << 1 ^ (0x04C11DB7 if register & 0x80000000 else 0)) & 0xFFFFFFFF
    return register


@given(st.binary(max_size=600))
def test_crc_is_that_of_the_standard(content: bytes) -> None:
    """The fast checksum equals the bitwise definition."""
    assert crc(content) == slow_crc(content)


@pytest.mark.parametrize(
    ("packet", "samples"),
    [
        (b"\x00", 480),  # SILK, 10 ms, one frame
        (b"\x18", 2880),  # SILK, 60 ms
        (b"\x60", 480),  # hybrid, 10 ms
        (b"\xf8", 960),  # CELT, 20 ms: what browsers send
        (b"\x80", 120),  # CELT, 2.5 ms
        (b"\xf9", 1920),  # two frames of one size
        (b"\xfa\x01", 1920),  # two frames of two sizes
        (b"\xfb\x03", 2880),  # three frames, counted in the second byte
        (b"\xfb", 0),  # the count is missing
    ],
)
def test_packet_length(packet: bytes, samples: int) -> None:
    """The first byte of a packet tells its length (RFC 6716, table 2)."""
    assert packet_samples(packet) == samples


def pages(stream: bytes) -> list[tuple[int, int, int, int]]:
    """(flags, granule, number, segments) of every page; fails where one does not follow another."""
    found, offset = [], 0
    while offset < len(stream):
        magic, version, flags, granule, _, number, _, segments = struct.unpack_from(
            "<4sBBqIIIB", stream, offset
        )
        assert (magic, version) == (b"OggS", 0)
        found.append((flags, granule, number, segments))
        offset += 27 + segments + sum(stream[offset + 27 : offset + 27 + segments])
    assert offset == len(stream)
    return found


def test_stream_counts_its_samples() -> None:
    """Pages are numbered, flagged at both ends, and count samples up to their end, less what is cut."""
    packet = b"\xf8" + bytes(254)  # 255 bytes: two segments, so 127 fit in a page
    assert pages(opus_stream(b"OpusHead" + bytes(11), [packet] * 130, 500, "clip")) == [
        (2, 0, 0, 1),
        (0, 0, 1, 1),
        (0, 127 * 960, 2, 254),
        (4, 130 * 960 - 500, 3, 6),
    ]


def test_giant_packet_is_refused() -> None:
    """A packet that fits in no page is named with its size."""
    with pytest.raises(CorruptAudioError, match="clip: Opus packet of 65025 bytes"):
        opus_stream(b"OpusHead", [bytes(65025)], 0, "clip")
