"""A clip, in any of the usual formats, becomes float32 mono samples at 16 kHz.

In: bytes, a path, raw PCM or an array. Out: ``Samples``, shape ``(n,)``. The format is told by the content,
never by the file name. WAV, FLAC, OGG (Vorbis, Opus), MP3, AIFF, AU, CAF and SPHERE are decoded by
libsndfile; WebM (what browsers record) is re-wrapped by ``asr.webm`` first.

Limits are checked on the header, before memory is spent, and again while reading block by block, because
headers lie. What the operating system says about a path (``FileNotFoundError``, ``PermissionError``,
``IsADirectoryError`` ...) passes through unchanged: an ``AudioError`` is about content only.
Level is left alone: float files may hold values beyond 1.0, and do so here too.
"""

from __future__ import annotations

import io
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, TypeAlias

import numpy as np
import soundfile  # publishes no stubs
import soxr  # ships no py.typed marker
from numpy.typing import NDArray

from asr.errors import AudioLimitError, CorruptAudioError, OptionError, UnsupportedAudioError
from asr.mp3 import with_frame_count
from asr.transcript import SAMPLE_RATE_HZ
from asr.wav import with_true_length
from asr.webm import opus_as_ogg

Samples: TypeAlias = NDArray[np.float32]  # (n,), mono, SAMPLE_RATE_HZ

BLOCK_FRAMES = 1 << 16  # 1.4 s at 48 kHz: 2 MiB at 8 channels of float32
PCM_DTYPES: dict[str, np.dtype[Any]] = {"pcm16": np.dtype("<i2"), "float32": np.dtype("<f4")}
FULL_SCALE = {np.dtype(np.int16): 2.0**15, np.dtype(np.int32): 2.0**31}
LOUDEST = 1e10  # 32-bit integers left unscaled in a float file reach 2.1e9; squares of 1e19 overflow float32

# The first bytes of what we read. libsndfile would also try rare formats, with parsers nobody has looked at.
MAGIC = {
    b"fLaC": "FLAC",
    b"OggS": "OGG",
    b"ID3": "MP3",
    b"RF64": "RF64",
    b".snd": "AU",
    b"caff": "CAF",
    b"NIST_1A": "SPHERE",
    b"\x1a\x45\xdf\xa3": "WebM",  # EBML: also Matroska
}
STREAMED = frozenset({"OGG", "MP3", "WebM"})  # no exact length up front: cut short is still a clip


@dataclass(frozen=True, slots=True)
class AudioLimits:
    """What a clip may cost. A server sets lower values than these, which suit files on one's own disk."""

    max_duration_s: float = 3600.0
    max_bytes: int = 1 << 30  # 3600 s * 48 kHz * 2 channels * 3 bytes = 1.04e9, just below 2^30
    max_channels: int = 8
    min_sample_rate_hz: int = 4_000
    max_sample_rate_hz: int = 384_000


DEFAULT_LIMITS = AudioLimits()


def decode(source: bytes | Path | str, limits: AudioLimits = DEFAULT_LIMITS) -> Samples:
    """Decode a whole clip: ``bytes`` are its content, ``Path`` and ``str`` are a file's path.

    Channels are averaged and the result resampled to 16 kHz. A clip without samples gives an empty array.
    Raises ``UnsupportedAudioError`` (not audio that we read), ``CorruptAudioError`` (damaged, or with NaN or
    infinite samples), ``AudioLimitError`` (over ``limits``), or ``OSError`` for the path itself.
    A WAV or FLAC file that holds less than its header states is corrupt; OGG, MP3 and WebM have no such
    statement, so what is there is decoded.
    """
    return _joined(decode_blocks(source, limits))


def decode_blocks(
    source: bytes | Path | str, limits: AudioLimits = DEFAULT_LIMITS
) -> Generator[Samples, None, None]:
    """`decode` in pieces ``(n,)`` of a few seconds, for what is too long to hold: joined, they are the same samples.

    An error is raised where it is met, so what was cut short is known only at its end. Of MP3 and WebM the
    compressed file is held, of the others nothing. Close the iterator where it is not read to its end.
    """
    if isinstance(source, bytes):
        yield from _decode_stream(io.BytesIO(source), f"clip of {len(source)} bytes", limits)
        return
    with _Unnamed(io.FileIO(source)) as stream:
        if stream.seekable():
            yield from _decode_stream(stream, str(source), limits)
            return
        content = stream.read(limits.max_bytes + 1)  # a pipe: as much as it takes to see that it is too much
    yield from _decode_stream(io.BytesIO(content), str(source), limits)


def kind_of(head: bytes) -> str | None:
    """The format that the first 64 bytes of a file announce; None if it is none that we read."""
    if head[:4] == b"RIFF" and head[8:12] == b"WAVE":
        return "WAV"
    if head[:4] == b"FORM" and head[8:11] == b"AIF":
        return "AIFF"
    for magic, kind in MAGIC.items():
        if head.startswith(magic):
            return kind
    # MPEG frame: 11 bits of sync, then two of version, two of layer (01 = III, 10 = II; 00 would be AAC).
    if len(head) > 1 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0 and head[1] >> 1 & 3 in (1, 2):
        return "MP3"
    return None


def decode_pcm(
    data: bytes,
    sample_rate_hz: int,
    encoding: Literal["pcm16", "float32"],
    channels: int = 1,
    limits: AudioLimits = DEFAULT_LIMITS,
) -> Samples:
    """Raw little-endian samples, channels interleaved, as ``Samples``.

    Raises as ``decode`` does, and ``OptionError`` for an unknown ``encoding``.
    """
    if encoding not in PCM_DTYPES:
        raise OptionError(f"encoding {encoding!r} is not one of {', '.join(PCM_DTYPES)}")
    dtype = PCM_DTYPES[encoding]
    name = f"raw {encoding} of {len(data)} bytes"
    _check_bytes(len(data), name, limits)
    _check_form(sample_rate_hz, channels, name, limits)
    if len(data) % (dtype.itemsize * channels):
        raise CorruptAudioError(
            f"{name}: not a whole number of frames of {dtype.itemsize * channels} bytes "
            f"({channels} channel(s)); send whole frames"
        )
    return from_samples(np.frombuffer(data, dtype).reshape(-1, channels), sample_rate_hz, limits)


def from_samples(samples: NDArray[Any], sample_rate_hz: int, limits: AudioLimits = DEFAULT_LIMITS) -> Samples:
    """An array of shape ``(n,)`` or ``(n, channels)`` as ``Samples``.

    Floats (16, 32, 64 bit) are taken as they are, int16 and int32 are divided by their full scale. The
    result may share memory with the argument. Raises as ``decode`` does.
    """
    name = f"array of shape {samples.shape}"
    if samples.ndim not in (1, 2):
        raise UnsupportedAudioError(f"{name}: expected (n,) or (n, channels)")
    if samples.dtype.kind != "f" and samples.dtype.newbyteorder("=") not in FULL_SCALE:
        raise UnsupportedAudioError(f"{name}: dtype {samples.dtype}, expected float, int16 or int32")
    frames = samples[:, None] if samples.ndim == 1 else samples
    _check_form(sample_rate_hz, frames.shape[1], name, limits)
    _check_duration(len(frames), sample_rate_hz, name, limits)
    blocks = (frames[start : start + BLOCK_FRAMES] for start in range(0, len(frames), BLOCK_FRAMES))
    return _joined(_at_16_khz(map(_as_float, blocks), sample_rate_hz, name, limits))


class _Unnamed(io.BufferedReader):
    """A file whose name soundfile cannot see: it takes ``*.raw`` for headerless, whatever is inside."""

    name = ""


def _decode_stream(stream: BinaryIO, name: str, limits: AudioLimits) -> Iterator[Samples]:
    size = stream.seek(0, io.SEEK_END)
    _check_bytes(size, name, limits)
    stream.seek(0)
    kind = _kind(stream.read(64), name, size)
    stream.seek(0)
    if kind == "WebM":
        stream = io.BytesIO(opus_as_ogg(stream.read(), name))
    elif kind == "WAV":
        stream = with_true_length(stream, size, name)
    elif kind == "MP3":
        stream = with_frame_count(stream)
    stream.seek(0)
    try:
        with soundfile.SoundFile(stream) as sound:
            yield from _read(sound, kind, name, limits)
    except soundfile.LibsndfileError as error:
        raise CorruptAudioError(
            f"{name}: starts like {kind} but cannot be decoded: {error.error_string}"
        ) from error


def _kind(head: bytes, name: str, size: int) -> str:
    """The format that the first bytes announce, or ``UnsupportedAudioError``."""
    kind = kind_of(head)
    if kind is not None:
        return kind
    found = "MP4" if head[4:8] == b"ftyp" else f"{size} bytes that start with {head[:8]!r}"
    raise UnsupportedAudioError(
        f"{name}: {found}, not audio that we read (WAV, FLAC, OGG, MP3, WebM with Opus, AIFF, AU, CAF, "
        "SPHERE); convert it first: ffmpeg -i FILE -ar 16000 clip.wav"
    )


def _read(sound: Any, kind: str, name: str, limits: AudioLimits) -> Iterator[Samples]:
    stated = sound.frames
    _check_form(sound.samplerate, sound.channels, name, limits)
    _check_duration(stated, sound.samplerate, name, limits)
    if sound.seekable():
        sound.seek(0)  # libsndfile 1.2.2 skips Opus' pre-skip (6.5 ms of warm-up) after a seek only
    decoded = 0

    def blocks() -> Iterator[Samples]:
        nonlocal decoded
        while len(block := sound.read(BLOCK_FRAMES, dtype="float32", always_2d=True)):
            decoded += len(block)
            yield block

    yield from _at_16_khz(blocks(), sound.samplerate, name, limits)
    if kind in STREAMED and decoded == 0:
        raise CorruptAudioError(f"{name}: {kind} headers without any audio behind them; record it again")
    if kind not in STREAMED and decoded < stated:
        raise CorruptAudioError(
            f"{name}: the {kind} header states {stated} frames, {decoded} could be decoded; copy it again"
        )


def _at_16_khz(blocks: Iterable[Samples], rate_hz: int, name: str, limits: AudioLimits) -> Iterator[Samples]:
    """Blocks ``(frames, channels)`` at ``rate_hz`` -> blocks ``(n,)`` at 16 kHz."""
    resampler = soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ")
    frames = 0
    for block in blocks:
        mono = _mono(block)
        sound = np.abs(mono) <= LOUDEST  # neither NaN nor infinite either
        if not sound.all():
            first = int(np.argmin(sound))
            raise CorruptAudioError(
                f"{name}: sample {frames + first} is {mono[first]}, expected finite values up to {LOUDEST:g}; "
                "look for a division by zero or an overflow in what wrote it"
            )
        frames += len(mono)
        _check_duration(frames, rate_hz, name, limits)
        yield mono if rate_hz == SAMPLE_RATE_HZ else resampler.resample_chunk(mono)
    if rate_hz != SAMPLE_RATE_HZ:
        yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)


def _joined(blocks: Iterable[Samples]) -> Samples:
    return np.concatenate([np.zeros(0, np.float32), *blocks])


def _mono(block: Samples) -> Samples:
    """Average of the channels, ``(frames, channels)`` -> ``(frames,)``."""
    if block.shape[1] == 1:
        return np.ascontiguousarray(block[:, 0])
    with np.errstate(over="ignore", invalid="ignore"):  # inf - inf: the caller refuses what is not finite
        # Channel by channel in memory first: numpy averages long rows 50 times as fast as pairs.
        average: Samples = np.ascontiguousarray(block.T).mean(axis=0, dtype=np.float32)
    return average


def _as_float(block: NDArray[Any]) -> Samples:
    if block.dtype.kind == "f":
        with np.errstate(over="ignore"):  # beyond float32 becomes infinite, which the caller refuses
            return block.astype(np.float32, copy=False)
    return block.astype(np.float32) / np.float32(FULL_SCALE[block.dtype.newbyteorder("=")])


def _check_bytes(size: int, name: str, limits: AudioLimits) -> None:
    if size > limits.max_bytes:
        raise AudioLimitError(
            f"{name}: {size} bytes or more, the limit is {limits.max_bytes}; cut or compress it"
        )


def _check_form(sample_rate_hz: int, channels: int, name: str, limits: AudioLimits) -> None:
    if not limits.min_sample_rate_hz <= sample_rate_hz <= limits.max_sample_rate_hz:
        raise AudioLimitError(
            f"{name}: sample rate {sample_rate_hz} Hz, expected {limits.min_sample_rate_hz} to "
            f"{limits.max_sample_rate_hz} Hz; resample it"
        )
    if not 1 <= channels <= limits.max_channels:
        raise AudioLimitError(
            f"{name}: {channels} channels, expected 1 to {limits.max_channels}; mix it down"
        )


def _check_duration(frames: int, sample_rate_hz: int, name: str, limits: AudioLimits) -> None:
    if frames > limits.max_duration_s * sample_rate_hz:
        raise AudioLimitError(
            f"{name}: {frames / sample_rate_hz:.1f} s or more, the limit is {limits.max_duration_s:g} s; "
            "cut it into shorter clips"
        )
