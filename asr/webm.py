"""WebM, which browsers record into, becomes Ogg, which libsndfile reads: the Opus packets are the same.

In: the bytes of a WebM or Matroska file. Out: the bytes of an ``.opus`` file. The subset of EBML read here is
what MediaRecorder, ffmpeg and GStreamer write: the first Opus track, blocks without lacing, clusters of known
or unknown size. Time stamps are ignored (packets are played one after the other, as decoders do), as are
seeking, tags and video. Sources: RFC 8794 (EBML), RFC 9559 (Matroska).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from asr.errors import CorruptAudioError, UnsupportedAudioError
from asr.ogg import OPUS_RATE_HZ, opus_stream

SEGMENT, CLUSTER, TRACKS, BLOCK_GROUP = 0x18538067, 0x1F43B675, 0x1654AE6B, 0xA0
TRACK_ENTRY, TRACK_NUMBER, CODEC_ID, CODEC_PRIVATE, ENCODINGS = 0xAE, 0xD7, 0x86, 0x63A2, 0x6D80
SIMPLE_BLOCK, BLOCK, DISCARD_PADDING = 0xA3, 0xA1, 0x75A2
# Containers that are walked through, not skipped. None of their children's ids occurs at another level, so
# where one ends does not matter, and an unknown size (a live recording) needs no special care.
ENTERED = frozenset({SEGMENT, CLUSTER, TRACKS, BLOCK_GROUP})
LACING = 0x06
MAX_HEAD_BYTES = 276  # 21 and a byte for each of up to 255 channels (RFC 7845, section 5.1)
# An hour of Opus packets of 5 ms is 720,000 blocks, and nobody records shorter ones than the usual 20 ms.
MAX_ELEMENTS = 1_000_000


@dataclass(frozen=True, slots=True)
class Track:
    """An audio track with Opus in it."""

    number: int
    head: bytes


def opus_as_ogg(content: bytes, name: str) -> bytes:
    """The first Opus track of a WebM file as an Ogg stream.

    A file that ends in the middle of a block loses that block only. ``UnsupportedAudioError`` if there is no
    Opus track, or it is laced, compressed or encrypted; ``CorruptAudioError`` if it makes no sense.
    """
    track: Track | None = None
    codecs: list[str] = []
    packets: list[bytes] = []
    discard = 0
    for identifier, payload in elements(memoryview(content), name):
        if identifier == TRACK_ENTRY and track is None:
            track = _opus_track(payload, codecs, name)
        elif identifier in (SIMPLE_BLOCK, BLOCK) and track is not None:
            packets += _packet(payload, track.number, name)
        elif identifier == DISCARD_PADDING:  # nanoseconds; written for the last block only
            discard = max(0, int.from_bytes(payload, "big", signed=True)) * OPUS_RATE_HZ // 10**9
    if track is None:
        raise UnsupportedAudioError(
            f"{name}: WebM without an Opus track (found: {', '.join(codecs) or 'no track'}); "
            "convert it: ffmpeg -i FILE -ar 16000 clip.wav"
        )
    if not packets:
        raise CorruptAudioError(f"{name}: WebM headers without any audio behind them; record it again")
    return opus_stream(track.head, packets, discard, name)


def elements(content: memoryview, name: str) -> Iterator[tuple[int, memoryview]]:
    """Ids and payloads of the elements in ``content``; those ``ENTERED`` give their children instead."""
    offset = 0
    for _ in range(MAX_ELEMENTS):
        identifier, offset = _number(content, offset, name, keep_marker=True)
        size, offset = _number(content, offset, name)
        if identifier is None or size is None:
            return
        if identifier in ENTERED:
            continue
        if size > len(content) - offset:
            return  # the file was cut short, or says so: what is whole has been seen
        yield identifier, content[offset : offset + size]
        offset += size
    raise CorruptAudioError(f"{name}: more than {MAX_ELEMENTS} WebM elements; record it again")


def _number(content: memoryview, offset: int, name: str, keep_marker: bool = False) -> tuple[int | None, int]:
    """A variable-length number and the offset after it; None where the content ends first.

    The zero bits before the first one count the bytes that follow. Ids keep that marker bit, sizes do not.
    A size of all ones means "unknown" and comes as it is: only ``ENTERED`` elements may have it.
    """
    if offset >= len(content):
        return None, offset
    length = 9 - content[offset].bit_length()
    if length > 8:
        raise CorruptAudioError(f"{name}: byte {offset} starts no EBML number; record the WebM again")
    raw = content[offset : offset + length]
    if len(raw) < length:
        return None, offset
    value = int.from_bytes(raw, "big")
    return value if keep_marker else value & ~(1 << 7 * length), offset + length


def _opus_track(entry: memoryview, codecs: list[str], name: str) -> Track | None:
    """The track if it holds Opus, else None, its codec being added to ``codecs`` for the message."""
    fields = {identifier: bytes(payload) for identifier, payload in elements(entry, name)}
    codec = fields.get(CODEC_ID, b"").decode("ascii", "replace").rstrip("\0")
    if codec != "A_OPUS":
        codecs.append(codec or "a track without a codec")
        return None
    if ENCODINGS in fields:
        raise UnsupportedAudioError(f"{name}: its Opus track is compressed or encrypted once more")
    head = fields.get(CODEC_PRIVATE, b"")
    if not head.startswith(b"OpusHead"):
        raise CorruptAudioError(
            f"{name}: Opus track without its OpusHead, found {head[:8]!r}; record it again"
        )
    if len(head) > MAX_HEAD_BYTES:
        raise CorruptAudioError(
            f"{name}: OpusHead of {len(head)} bytes, expected at most {MAX_HEAD_BYTES}; record it again"
        )
    return Track(int.from_bytes(fields.get(TRACK_NUMBER, b""), "big"), head)


def _packet(block: memoryview, number: int, name: str) -> list[bytes]:
    """The packet in a block of track ``number``; none for another track's block or an empty one."""
    track, offset = _number(block, 0, name)
    packet = bytes(block[offset + 3 :])  # after two bytes of time and one of flags
    if track != number or not packet:
        return []
    if block[offset + 2] & LACING:
        raise UnsupportedAudioError(f"{name}: WebM with laced blocks; convert it: ffmpeg -i FILE clip.wav")
    return [packet]
