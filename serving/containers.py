"""What phones and browsers record into, through FFmpeg (PyAV): MP4, M4A, MOV, 3GP; WebM with another codec than Opus.

In: the bytes of a file. Out: float32 mono samples at 16 kHz. FFmpeg may use the demuxer that the first bytes call for
and no codec but the `CODECS`. It is a large parser of untrusted bytes: the server runs this file in `serving.sandbox`.
"""

from __future__ import annotations

import io

import av
import numpy as np
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream

from asr import audio
from asr.audio import AudioLimits, Samples
from asr.errors import AudioLimitError, CorruptAudioError, UnsupportedAudioError
from serving.clip_format import is_mp4

PCM = ("s16le", "s16be", "s24le", "s24be", "f32le", "f32be", "mulaw", "alaw")
COMPRESSED = ("aac", "alac", "amrnb", "amrwb", "flac", "mp3", "mp3float", "opus", "vorbis")
CODECS = frozenset((*COMPRESSED, *(f"pcm_{form}" for form in PCM)))
SHORTEST_PACKET_S = 0.0025  # of Opus; those of others are longer
SPARE_PACKETS = 1_000
# Only what the file itself says: no references to other files, and little time spent on guessing.
OPTIONS = {"enable_drefs": "0", "use_absolute_path": "0"}


def decode(content: bytes, limits: AudioLimits) -> Samples:
    """A clip, decoded whole. Raises AudioError as `asr.audio.decode` does."""
    demuxer = "mp4" if is_mp4(content) else "matroska"
    name = f"clip of {len(content)} bytes ({demuxer})"
    if len(content) > limits.max_bytes:
        raise AudioLimitError(f"{name}: the limit is {limits.max_bytes} bytes; cut or compress it")
    try:
        options = OPTIONS if demuxer == "mp4" else {}
        with av.open(
            io.BytesIO(content), "r", format=demuxer, options=options, metadata_errors="replace"
        ) as container:
            if not container.streams.audio:
                raise UnsupportedAudioError(f"{name}: no audio in it")
            stream = container.streams.audio[0]
            if stream.codec_context is None or stream.codec_context.name not in CODECS:
                raise UnsupportedAudioError(
                    f"{name}: its audio is of a codec that we do not read; convert it: "
                    "ffmpeg -i FILE -ar 16000 clip.wav"
                )
            mono, rate_hz = _mono(container, stream, name, limits)
    except av.error.FFmpegError as error:
        raise CorruptAudioError(
            f"{name}: cannot be decoded ({type(error).__name__}); record it again"
        ) from None
    return audio.from_samples(mono, rate_hz, limits)


def _mono(
    container: av.container.InputContainer, stream: AudioStream, name: str, limits: AudioLimits
) -> tuple[Samples, int]:
    """The average of the channels, float32, at the stream's own rate; and that rate.

    It is the first frame's: what the header says of HE-AAC is half of it.
    """
    resampler = AudioResampler(format="fltp")  # of the samples' type alone
    packets = int(limits.max_duration_s / SHORTEST_PACKET_S) + SPARE_PACKETS
    form: tuple[int, int] | None = None
    blocks: list[Samples] = []
    decoded = 0
    for packet in container.demux(stream):
        packets -= 1
        for frame in packet.decode():
            if form is None:
                form = (frame.sample_rate, frame.layout.nb_channels)
                _check_form(*form, name, limits)
            if (frame.sample_rate, frame.layout.nb_channels) != form:
                raise CorruptAudioError(f"{name}: its sample rate or channels change; record it again")
            decoded += frame.samples
            blocks += [
                block.to_ndarray().mean(axis=0, dtype=np.float32) for block in resampler.resample(frame)
            ]
        if packets < 0 or (form is not None and decoded > limits.max_duration_s * form[0]):
            raise AudioLimitError(
                f"{name}: over the limit of {limits.max_duration_s:g} s; cut it into shorter clips"
            )
    if form is None:
        raise CorruptAudioError(f"{name}: headers without any audio behind them; record it again")
    return np.concatenate(blocks), form[0]


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
