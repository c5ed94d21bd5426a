"""What a clip is, told by its first bytes; and who decodes it."""

from __future__ import annotations

from asr.audio import MAGIC

MATROSKA = b"\x1a\x45\xdf\xa3"  # EBML: WebM, too
ATOMS = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")  # how MP4 and older QuickTime files begin


def is_mp4(content: bytes) -> bool:
    """MP4, M4A, MOV, 3GP: one family, which `asr.audio` leaves to FFmpeg."""
    return content[4:8] in ATOMS


def extension(content: bytes) -> str:
    """What a clip that could be decoded should be called."""
    if content[:4] == b"RIFF":
        return "wav"
    if content[:4] == b"FORM":
        return "aiff"
    if is_mp4(content):
        return "mp4"
    return next((kind.lower() for magic, kind in MAGIC.items() if content.startswith(magic)), "mp3")
