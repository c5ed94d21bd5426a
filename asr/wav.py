"""What a WAV header promises, compared with what the file holds.

In: a seekable stream that starts with ``RIFF....WAVE``. Out: the same stream, or a mended copy where the
writer could not know the length, or ``CorruptAudioError`` where the file was cut short. libsndfile reads a
cut file as if it were whole, so a truncated upload would otherwise be transcribed without a word of warning.
"""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from typing import BinaryIO

from asr.errors import CorruptAudioError

# Writers to a pipe cannot come back to fill in the length: ffmpeg leaves 0xFFFFFFFF, sox 0x7FFFF000 or a
# little less, arecord 0x7FFFFFxx or 0x80000000. All are just under, or over, 2 GiB = 0x80000000 bytes.
PLACEHOLDER_BYTES = 0x7F00_0000
MAX_CHUNKS = 1000  # real files have a dozen; a file of empty chunks would keep us here for minutes


@dataclass(frozen=True, slots=True)
class DataChunk:
    """The ``data`` chunk: where its samples start, the bytes stated, the bytes that are there."""

    offset: int
    stated: int
    present: int


def find_data(stream: BinaryIO, size: int, name: str) -> DataChunk | None:
    """The ``data`` chunk of a stream of ``size`` bytes, or None if it has none that we can see."""
    offset = 12  # after "RIFF", length, "WAVE"
    for _ in range(MAX_CHUNKS):
        stream.seek(offset)
        header = stream.read(8)
        if len(header) < 8:
            return None
        identifier, stated = struct.unpack("<4sI", header)
        offset += 8
        if identifier == b"data":
            return DataChunk(offset, stated, size - offset)
        offset += stated + stated % 2  # chunks are padded to an even length
    raise CorruptAudioError(
        f"{name}: more than {MAX_CHUNKS} WAV chunks before the samples; write the file again"
    )


def with_true_length(stream: BinaryIO, size: int, name: str) -> BinaryIO:
    """A stream whose header states the length that the samples have.

    ``CorruptAudioError`` if the header states more than is there. A placeholder length is left to
    libsndfile, which reads to the end. A length of 0 with samples after it, and a RIFF length that does not
    cover them, is a recording that was never closed: the copy returned states what is there.
    """
    stream.seek(4)
    (riff_bytes,) = struct.unpack("<I", stream.read(4))
    data = find_data(stream, size, name)
    if data is None or data.stated >= PLACEHOLDER_BYTES:
        return stream
    if data.stated > data.present:
        raise CorruptAudioError(
            f"{name}: the WAV header states {data.stated} bytes of samples, {data.present} are there: "
            "the file was cut short; copy or record it again"
        )
    if data.stated == 0 and data.present > 0 and riff_bytes + 8 < size:
        stream.seek(0)
        content = bytearray(stream.read())
        content[data.offset - 4 : data.offset] = struct.pack("<I", data.present)
        return io.BytesIO(content)
    return stream
