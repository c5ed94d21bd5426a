"""``asr.wav``: the length that a header states against the length that is there."""

from __future__ import annotations

import io
import struct

import pytest

from asr.errors import CorruptAudioError
from asr.wav import MAX_CHUNKS, find_data, with_true_length


def wav(data: bytes, stated: int | None = None, riff: int | None = None, tail: bytes = b"") -> bytes:
    """A mono 16-bit 16 kHz WAV file whose header may lie."""
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 16_000, 32_000, 2, 16)
    stated = len(data) if stated is None else stated
    body = b"WAVE" + form + struct.pack("<4sI", b"data", stated) + data + tail
    return struct.pack("<4sI", b"RIFF", len(body) if riff is None else riff) + body


def mended(content: bytes) -> bytes:
    """What ``with_true_length`` makes of a file."""
    stream = with_true_length(io.BytesIO(content), len(content), "clip.wav")
    stream.seek(0)
    return stream.read()


def test_whole_file_is_returned_unchanged() -> None:
    """A header that tells the truth is left alone."""
    assert mended(wav(bytes(200))) == wav(bytes(200))


def test_cut_file_is_refused_with_both_numbers() -> None:
    """A header that states more than is there names what it states and what is there."""
    with pytest.raises(CorruptAudioError, match=r"clip\.wav: .* 200 bytes of samples, 120 are there"):
        mended(wav(bytes(120), stated=200))


@pytest.mark.parametrize("stated", [0xFFFF_FFFF, 0x7FFF_F000, 0x8000_0000])
def test_placeholder_length_is_accepted(stated: int) -> None:
    """The lengths that ffmpeg, sox and arecord write to a pipe mean "until the end"."""
    content = wav(bytes(200), stated=stated, riff=0xFFFF_FFFF)
    assert mended(content) == content


def test_unclosed_file_gets_its_length() -> None:
    """A length of 0 that was never filled in is replaced by what is there."""
    assert mended(wav(bytes(200), stated=0, riff=0)) == wav(bytes(200), riff=0)


def test_empty_data_before_another_chunk_stays_empty() -> None:
    """A length of 0 is true when the RIFF length covers what follows the samples."""
    content = wav(b"", tail=struct.pack("<4sI", b"LIST", 4) + b"INFO")
    assert mended(content) == content


def test_odd_chunks_are_padded() -> None:
    """The samples are found behind a chunk of odd length and its padding byte."""
    content = b"RIFF\0\0\0\0WAVE" + struct.pack("<4sI", b"note", 3) + b"abc\0" + b"data\2\0\0\0xy"
    data = find_data(io.BytesIO(content), len(content), "clip.wav")
    assert data is not None
    assert (data.offset, data.stated, data.present) == (32, 2, 2)


def test_endless_chunks_are_refused() -> None:
    """The search for the samples ends after a stated number of chunks."""
    content = b"RIFF\0\0\0\0WAVE" + struct.pack("<4sI", b"note", 0) * (MAX_CHUNKS + 1)
    with pytest.raises(CorruptAudioError, match="more than 1000 WAV chunks"):
        find_data(io.BytesIO(content), len(content), "clip.wav")
