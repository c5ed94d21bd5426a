"""Opus packets become an Ogg stream in memory: the only wrapping in which libsndfile reads them.

In: the ``OpusHead`` block and the packets. Out: the bytes of an ``.opus`` file with that one stream.
Sources: RFC 3533 (Ogg pages), RFC 7845 (Opus in Ogg), RFC 6716 section 3.1 (a packet's first byte).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable

from asr.errors import CorruptAudioError

OPUS_RATE_HZ = 48_000  # granule positions always count at this rate
MAX_SEGMENTS = 255  # of up to 255 bytes in a page
SERIAL = 1  # any number: there is one stream
BEGIN, END = 2, 4  # page flags: first and last page of the stream
TAGS = b"OpusTags" + struct.pack("<I", 3) + b"asr" + struct.pack("<I", 0)

# Samples of one frame at 48 kHz, by the upper five bits of a packet's first byte.
SILK, HYBRID, CELT = (480, 960, 1920, 2880), (480, 960), (120, 240, 480, 960)
FRAME_SAMPLES = SILK * 3 + HYBRID * 2 + CELT * 4

REVERSED_BITS = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def crc(page: bytes) -> int:
    """Ogg's CRC-32: zlib's polynomial, but most significant bit first, starting at 0, not inverted.

    Reversing the bits of what goes in and of what comes out lets zlib's C loop do it.
    """
    reflected = zlib.crc32(page.translate(REVERSED_BITS), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int.from_bytes(reflected.to_bytes(4, "big").translate(REVERSED_BITS), "little")


def packet_samples(packet: bytes) -> int:
    """How many samples at 48 kHz a packet decodes to; 0 for one without its count."""
    count_code = packet[0] & 3
    if count_code == 3:
        return FRAME_SAMPLES[packet[0] >> 3] * (packet[1] & 63) if len(packet) > 1 else 0
    return FRAME_SAMPLES[packet[0] >> 3] * (1, 2, 2)[count_code]


def page(packets: list[bytes], granule: int, number: int, flags: int) -> bytes:
    """One page of whole packets; ``granule`` counts the samples up to its end, pre-skip included."""
    lacing = b"".join(b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255]) for packet in packets)
    header = struct.pack("<4sBBqII", b"OggS", 0, flags, granule, SERIAL, number)
    body = bytes([len(lacing)]) + lacing + b"".join(packets)
    return header + struct.pack("<I", crc(header + bytes(4) + body)) + body


def opus_stream(head: bytes, packets: Iterable[bytes], discard: int, name: str) -> bytes:
    """A whole Ogg/Opus stream. ``discard`` samples (48 kHz) are cut from its end.

    ``CorruptAudioError`` for a packet that no page can hold: Opus stops at 7,650 bytes a stream.
    """
    pages = [page([head], 0, 0, BEGIN), page([TAGS], 0, 1, 0)]
    waiting: list[bytes] = []
    segments = granule = 0
    for packet in packets:
        needed = len(packet) // 255 + 1
        if needed > MAX_SEGMENTS:
            raise CorruptAudioError(f"{name}: Opus packet of {len(packet)} bytes; record it again")
        if segments + needed > MAX_SEGMENTS:
            pages.append(page(waiting, granule, len(pages), 0))
            waiting, segments = [], 0
        waiting.append(packet)
        segments += needed
        granule += packet_samples(packet)
    pages.append(page(waiting, max(0, granule - discard), len(pages), END))
    return b"".join(pages)
