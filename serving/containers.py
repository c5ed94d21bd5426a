"""Clips in any format that clients send: what `asr.audio` reads, and through FFmpeg (PyAV) what phones record into.

In: the bytes of a file. Out: float32 mono samples at 16 kHz. MP4, M4A, MOV and 3GP, and WebM or Matroska with another
codec than Opus, are FFmpeg's; it may use no other demuxer and no codec but the `CODECS`. All else is
`asr.audio`'s, which reads untrusted files with fewer parsers.
"""

from __future__ import annotations

import io
from collections.abc import Iterator

import av
import numpy as np
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream

from asr import audio
from asr.audio import AudioLimits, Samples
from asr.errors import AudioLimitError, CorruptAudioError, UnsupportedAudioError

MATROSKA = b"\x1a\x45\xdf\xa3"  # EBML
ATOMS = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")  # how MP4 and older QuickTime files begin
PCM = ("s16le", "s16be", "s24le", "s24be", "f32le", "f32be", "mulaw", "alaw")
COMPRESSED = ("aac", "alac", "amrnb", "amrwb", "flac", "mp3", "mp3float", "opus", "vorbis")
CODECS = frozenset((*COMPRESSED, *(f"pcm_{form}" for form in PCM)))
SHORTEST_PACKET_S = 0.0025  # of Opus; those of others are longer
SPARE_PACKETS = 1_000
# Only what the file itself says: no references to other files, and little time spent on guessing.
OPTIONS = {"enable_drefs": "0", "use_absolute_path": "0"}


def decode(content: bytes, limits: AudioLimits) -> Samples:
    """A clip, decoded whole. Raises AudioError as `asr.audio.decode` does."""
    if content[4:8] in ATOMS:
        return _decode(content, "mp4", limits)
    try:
        return audio.decode(content, limits)
    except UnsupportedAudioError:
        if not content.startswith(MATROSKA):
            raise
    return _decode(content, "matroska", limits)


def _decode(content: bytes, demuxer: str, limits: AudioLimits) -> Samples:
    name = f"clip of {len(content)} bytes ({demuxer})"
    if len(content) > limits.max_bytes:
        raise AudioLimitError(f"{name}: the limit is {limits.max_bytes} bytes; cut or compress it")
    try:
        options = OPTIONS if demuxer == "mp4" else {}
        with av.open(io.BytesIO(content), "r", format=demuxer, options=options) as container:
            if not container.streams.audio:
                raise UnsupportedAudioError(f"{name}: no audio in it")
            stream = container.streams.audio[0]
            if stream.codec_context is None or stream.codec_context.name not in CODECS:
                raise UnsupportedAudioError(
                    f"{name}: its audio is of a codec that we do not read; convert it: "
                    "ffmpeg -i FILE -ar 16000 clip.wav"
                )
            rate_hz = stream.codec_context.sample_rate
            _check_form(rate_hz, stream.codec_context.channels, name, limits)
            parts = list(_mono(container, stream, name, limits))
    except av.error.FFmpegError as error:
        raise CorruptAudioError(
            f"{name}: cannot be decoded ({type(error).__name__}); record it again"
        ) from None
    if not parts:
        raise CorruptAudioError(f"{name}: headers without any audio behind them; record it again")
    return audio.from_samples(np.concatenate(parts), rate_hz, limits)


def _mono(
    container: av.container.InputContainer, stream: AudioStream, name: str, limits: AudioLimits
) -> Iterator[Samples]:
    """Blocks of the average of the channels, float32, at the stream's own rate."""
    context = stream.codec_context
    form = (context.sample_rate, context.layout.name)
    resampler = AudioResampler(format="fltp", layout=context.layout, rate=context.sample_rate)
    packets = int(limits.max_duration_s / SHORTEST_PACKET_S) + SPARE_PACKETS
    longest = int(limits.max_duration_s * context.sample_rate)
    decoded = 0
    for packet in container.demux(stream):
        packets -= 1
        for frame in packet.decode():
            if (frame.sample_rate, frame.layout.name) != form:
                raise CorruptAudioError(f"{name}: its sample rate or channels change; record it again")
            decoded += frame.samples
            if decoded > longest or packets < 0:
                raise AudioLimitError(
                    f"{name}: over the limit of {limits.max_duration_s:g} s; cut it into shorter clips"
                )
            for block in resampler.resample(frame):
                yield block.to_ndarray().mean(axis=0, dtype=np.float32)


def _check_form(rate_hz: int, channels: int, name: str, limits: AudioLimits) -> None:
    if not limits.min_sample_rate_hz <= rate_hz <= limits.max_sample_rate_hz:
        raise AudioLimitError(
            f"{name}: sample rate {rate_hz} Hz, expected {limits.min_sample_rate_hz} to "
            f"{limits.max_sample_rate_hz} Hz; resample it"
        )
    if not 1 <= channels <= limits.max_channels:
        raise AudioLimitError(
            f"{name}: {channels} channels, expected 1 to {limits.max_channels}; mix it down"
        )
