"""``asr.webm``: what browsers record, hand-built and from ffmpeg."""

from __future__ import annotations

import io
import shutil
import struct
import subprocess

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]  # publishes no stubs
from hypothesis import given
from hypothesis import strategies as st

from asr.audio import decode, decode_pcm
from asr.errors import AudioError, CorruptAudioError, UnsupportedAudioError
from asr.webm import elements, opus_as_ogg

EBML, INFO, VOID = 0x1A45DFA3, 0x1549A966, 0xEC
SEGMENT, CLUSTER, TRACKS, BLOCK_GROUP, TIME = 0x18538067, 0x1F43B675, 0x1654AE6B, 0xA0, 0xE7
TRACK_ENTRY, TRACK_NUMBER, CODEC_ID, CODEC_PRIVATE, ENCODINGS = 0xAE, 0xD7, 0x86, 0x63A2, 0x6D80
SIMPLE_BLOCK, BLOCK, DISCARD_PADDING = 0xA3, 0xA1, 0x75A2

PRE_SKIP = 312
HEAD = b"OpusHead" + struct.pack("<BBHIhB", 1, 1, PRE_SKIP, 48_000, 0, 0)
SILENCE = b"\xf8\xff\xfe"  # the 20 ms of silence that encoders send (CELT)


def element(identifier: int, *children: bytes) -> bytes:
    """An element with its size in eight bytes."""
    payload = b"".join(children)
    return (
        identifier.to_bytes((identifier.bit_length() + 7) // 8, "big")
        + b"\x01"
        + (len(payload).to_bytes(7, "big") + payload)
    )


def live(identifier: int, *children: bytes) -> bytes:
    """An element of unknown size, as a live recording has."""
    return identifier.to_bytes(4, "big") + b"\x01" + b"\xff" * 7 + b"".join(children)


def track(number: int = 1, codec: bytes = b"A_OPUS", head: bytes = HEAD, *others: bytes) -> bytes:
    """A track entry."""
    fields = element(TRACK_NUMBER, bytes([number])), element(CODEC_ID, codec), element(CODEC_PRIVATE, head)
    return element(TRACK_ENTRY, *fields, *others)


def block(packet: bytes = SILENCE, number: int = 1, flags: int = 0x80) -> bytes:
    """What a block holds: track, time, flags, packet."""
    return bytes([0x80 | number]) + b"\0\0" + bytes([flags]) + packet


def webm(*children: bytes, tracks: bytes | None = None) -> bytes:
    """A recording with these clusters."""
    head = element(EBML, b""), element(INFO, b"x")
    return head[0] + live(SEGMENT, head[1], element(TRACKS, tracks or track()), *children)


def packets(stream: bytes) -> list[bytes]:
    """The audio packets of an Ogg stream whose packets are shorter than 255 bytes."""
    found, offset = [], 0
    while offset < len(stream):
        lacing = stream[offset + 27 : offset + 27 + stream[offset + 26]]
        offset += 27 + len(lacing)
        for length in lacing:
            found.append(stream[offset : offset + length])
            offset += length
    return found[2:]


def frames(content: bytes) -> int:
    """How many samples at 48 kHz libsndfile finds in the remuxed stream."""
    return int(soundfile.info(io.BytesIO(opus_as_ogg(content, "clip"))).frames)


def test_simple_blocks_in_live_clusters() -> None:
    """MediaRecorder's form: everything of unknown size. 10 packets of 20 ms less the pre-skip."""
    cluster = live(CLUSTER, element(TIME, b"\0"), *[element(SIMPLE_BLOCK, block())] * 5)
    content = webm(cluster, cluster)
    assert packets(opus_as_ogg(content, "clip")) == [SILENCE] * 10
    assert frames(content) == 10 * 960 - PRE_SKIP
    clip = decode(content)
    assert clip.shape == (round((10 * 960 - PRE_SKIP) / 3),)
    assert np.abs(clip).max() < 1e-20


def test_block_groups_in_sized_clusters() -> None:
    """A muxer's form: sizes known, the last block in a group that says how much of it to drop (10 ms)."""
    last = element(
        BLOCK_GROUP, element(BLOCK, block()), element(DISCARD_PADDING, struct.pack(">i", 10_000_000))
    )
    content = webm(element(CLUSTER, *[element(SIMPLE_BLOCK, block())] * 4, last))
    assert packets(opus_as_ogg(content, "clip")) == [SILENCE] * 5
    assert frames(content) == 5 * 960 - 480 - PRE_SKIP


def test_other_tracks_are_skipped() -> None:
    """Video beside the sound, unknown elements and empty packets are ignored."""
    tracks = track(2, b"V_VP8") + track(1)
    other, empty = element(SIMPLE_BLOCK, block(b"video", 2)), element(SIMPLE_BLOCK, block(b""))
    content = webm(
        live(CLUSTER, other, element(VOID, b"??"), empty, element(SIMPLE_BLOCK, block())), tracks=tracks
    )
    assert packets(opus_as_ogg(content, "clip")) == [SILENCE]


def test_cut_recording_keeps_whole_blocks() -> None:
    """A file that ends inside a block loses that block only."""
    content = webm(live(CLUSTER, *[element(SIMPLE_BLOCK, block())] * 5))
    assert packets(opus_as_ogg(content[:-1], "clip")) == [SILENCE] * 4


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (
            webm(tracks=track(1, b"A_VORBIS")),
            UnsupportedAudioError,
            r"without an Opus track \(found: A_VORBIS\)",
        ),
        (element(EBML, b""), UnsupportedAudioError, r"without an Opus track \(found: no track\)"),
        (webm(tracks=track(1, b"A_OPUS", HEAD, element(ENCODINGS))), UnsupportedAudioError, "encrypted"),
        (webm(element(SIMPLE_BLOCK, block(flags=0x82))), UnsupportedAudioError, "laced"),
        (webm(tracks=track(head=b"nonsense!")), CorruptAudioError, "without its OpusHead, found b'nonsense'"),
        (webm(tracks=track(head=HEAD + bytes(300))), CorruptAudioError, "OpusHead of 319 bytes"),
        (webm(live(CLUSTER)), CorruptAudioError, "without any audio"),
        (webm(bytes(50)), CorruptAudioError, r"byte \d+ starts no EBML number"),
    ],
)
def test_what_is_not_read(content: bytes, error: type[AudioError], message: str) -> None:
    """Each thing that is not read has its message, with the name of the clip."""
    with pytest.raises(error, match=f"^clip: .*{message}"):
        opus_as_ogg(content, "clip")


def test_endless_elements_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of countless empty elements stops at a stated number."""
    monkeypatch.setattr("asr.webm.MAX_ELEMENTS", 1000)
    assert len(list(elements(memoryview(b"\xec\x80" * 999), "clip"))) == 999
    with pytest.raises(CorruptAudioError, match="clip: more than 1000 WebM elements"):
        list(elements(memoryview(b"\xec\x80" * 1001), "clip"))


WHOLE = webm(live(CLUSTER, *[element(SIMPLE_BLOCK, block())] * 5))


@given(
    st.integers(0, len(WHOLE)),
    st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), max_size=4),
)
def test_damage_gives_samples_or_a_typed_error(length: int, changes: list[tuple[int, int]]) -> None:
    """Cut anywhere and with any bytes changed, a recording decodes or raises an ``AudioError``."""
    damaged = bytearray(WHOLE)
    for place, value in changes:
        damaged[place] = value
    try:
        clip = decode(bytes(damaged[:length]))
    except AudioError:
        return
    assert np.isfinite(clip).all()


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg")
@pytest.mark.parametrize(
    "options",
    [["-b:a", "64k"], ["-live", "1"], ["-b:a", "12k", "-frame_duration", "60"], ["-ac", "2"]],
)
def test_ffmpeg_recording(options: list[str]) -> None:
    """A tone that ffmpeg streams as WebM is decoded as by libopus inside ffmpeg, channels averaged."""
    tone = ["-f", "lavfi", "-i", "sine=440:sample_rate=48000:duration=2"]
    content = ffmpeg([*tone, "-c:a", "libopus", *options, "-f", "webm", "-"])
    raw = ffmpeg(["-c:a", "libopus", "-i", "-", "-f", "f32le", "-"], content)
    channels = 2 if "-ac" in options else 1
    expected = decode_pcm(raw, 48_000, "float32", channels)
    clip = decode(content)
    # ffmpeg writes no trailer to a pipe, so one of the two may keep the padding of the last packet (60 ms).
    length = min(len(clip), len(expected))
    assert 32_000 <= length <= max(len(clip), len(expected)) <= 32_000 + 960
    np.testing.assert_allclose(clip[: length - 100], expected[: length - 100], rtol=0, atol=1e-4)


def ffmpeg(arguments: list[str], content: bytes = b"") -> bytes:
    """What ffmpeg writes to its output pipe."""
    command = ["ffmpeg", "-v", "error", *arguments]
    return subprocess.run(command, input=content, capture_output=True, check=True).stdout
