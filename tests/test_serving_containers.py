"""Clips from phones and browsers, made here with FFmpeg's encoders; and what happens to files that mean harm."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import struct
from collections.abc import Iterator
from dataclasses import replace

import httpx
import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

av = pytest.importorskip("av", reason="needs the extra serve")

from serving_app import Running, clip  # noqa: E402  # after the skip

from asr import audio  # noqa: E402
from asr.audio import AudioLimits  # noqa: E402
from asr.errors import AsrError, AudioLimitError, CorruptAudioError, UnsupportedAudioError  # noqa: E402
from serving import containers  # noqa: E402
from serving.clip_format import extension  # noqa: E402
from serving.decoding import WAITING_CONTAINERS, decoders  # noqa: E402
from serving.errors import OverloadedError  # noqa: E402
from serving.sandbox import STATISTICS, Sandbox  # noqa: E402

LIMITS = AudioLimits(max_duration_s=10.0, max_bytes=1 << 20)
WAV = clip()[1]
# Container, codec, sample rate; as iPhones, Android phones, Firefox, old cameras and OBS record.
FORMS = [
    ("mp4", "aac", 44_100),
    ("ipod", "aac", 16_000),  # M4A
    ("ipod", "alac", 48_000),
    ("mov", "pcm_s16le", 48_000),
    ("mp4", "libopus", 48_000),
    ("mp4", "libmp3lame", 44_100),
    ("matroska", "aac", 48_000),
    ("matroska", "pcm_s16le", 16_000),
    ("matroska", "libmp3lame", 44_100),
    ("webm", "libopus", 48_000),
]


def encoded(
    container: str, codec: str, rate_hz: int, samples: NDArray[np.float32], layout: str = "mono"
) -> bytes:
    """Samples at 16 kHz, ``(n,)``, in a container; the same in each channel."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream = output.add_stream(codec, rate=rate_hz, layout=layout)
        resampler = av.AudioResampler(stream.codec_context.format, layout, rate_hz, stream.frame_size or None)
        channels = np.repeat(samples[None, :], stream.channels, axis=0)
        frame = av.AudioFrame.from_ndarray(channels, format="fltp", layout=layout)
        frame.sample_rate = 16_000
        for piece in (frame, None):
            for block in resampler.resample(piece):
                output.mux(stream.encode(block))
        output.mux(stream.encode(None))
    return file.getvalue()


@pytest.fixture(scope="module")
def speech() -> NDArray[np.float32]:
    """The sample, as everything decodes it."""
    return audio.decode(WAV)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """FFmpeg in its process."""
    made = Sandbox()
    yield made
    made.close()


def decoded(content: bytes, sandbox: Sandbox) -> NDArray[np.float32]:
    """A clip, by one thread."""

    async def decode() -> NDArray[np.float32]:
        return await decoders(1, sandbox).decode(content, LIMITS)

    return asyncio.run(decode())


@pytest.mark.parametrize(("container", "codec", "rate_hz"), FORMS)
def test_each_form_gives_the_same_text(
    server: Running, speech: NDArray[np.float32], container: str, codec: str, rate_hz: int
) -> None:
    """Over HTTP, whatever the file is called."""
    answer = httpx.post(
        f"{server.base_url}/v1/audio/transcriptions",
        data={"model": "en-small"},
        files={"file": ("blob", encoded(container, codec, rate_hz, speech))},
        timeout=60,
    )
    assert (answer.status_code, answer.json().get("text")) == (200, "play some jazz music"), answer.text
    assert answer.json()["usage"]["seconds"] == pytest.approx(len(speech) / 16_000, abs=0.15)  # AAC pads


@pytest.mark.parametrize(
    ("name", "subtype"),
    [
        ("WAV", "PCM_16"),
        ("WAV", "FLOAT"),
        ("FLAC", "PCM_24"),
        ("OGG", "VORBIS"),
        ("OGG", "OPUS"),
        ("MP3", None),
    ],
)
def test_the_formats_of_the_runtime_give_the_same_text(
    server: Running, speech: NDArray[np.float32], name: str, subtype: str | None
) -> None:
    """Over HTTP; in stereo, and at 48 kHz."""
    file = io.BytesIO()
    louder = np.repeat(speech, 3)[:, None].repeat(2, axis=1)  # holds each sample: 48 kHz without a resampler
    soundfile.write(file, louder, 48_000, format=name, subtype=subtype)
    answer = httpx.post(
        f"{server.base_url}/v1/audio/transcriptions",
        data={"model": "en-small"},
        files={"file": ("clip.bin", file.getvalue())},
        timeout=60,
    )
    assert (answer.status_code, answer.json().get("text")) == (200, "play some jazz music"), answer.text


@pytest.mark.parametrize(("container", "codec", "rate_hz"), [FORMS[0], FORMS[8]])
def test_samples_are_the_waveform(
    speech: NDArray[np.float32], container: str, codec: str, rate_hz: int
) -> None:
    """Stereo is averaged, the rate is ours, and the sound is that of the WAV: same level, same length."""
    decoded = containers.decode(encoded(container, codec, rate_hz, speech, "stereo"), LIMITS)
    assert decoded.dtype == np.float32
    assert abs(len(decoded) - len(speech)) < 0.1 * 16_000
    assert np.sqrt(np.mean(decoded**2)) == pytest.approx(np.sqrt(np.mean(speech**2)), rel=0.15)


def test_the_runtime_keeps_what_it_reads(sandbox: Sandbox, speech: NDArray[np.float32]) -> None:
    """WAV and WebM with Opus never reach FFmpeg: its process is not even started."""
    for content in (WAV, encoded("webm", "libopus", 48_000, speech)):
        assert len(decoded(content, sandbox)) == pytest.approx(len(speech), abs=1_600)
    with pytest.raises(UnsupportedAudioError):
        decoded(b"just text, no clip", sandbox)
    assert sandbox.pid is None


def test_limits_hold(speech: NDArray[np.float32]) -> None:
    """Seconds, bytes, channels and rates: refused with the value and the limit."""
    clip = encoded("ipod", "aac", 44_100, speech, "stereo")
    for limits, named in [
        (replace(LIMITS, max_duration_s=1.0), "1 s"),
        (replace(LIMITS, max_bytes=1_000), "1000 bytes"),
        (replace(LIMITS, max_channels=1), "2 channels"),
        (replace(LIMITS, max_sample_rate_hz=16_000), "44100 Hz"),
    ]:
        with pytest.raises(AudioLimitError, match=named):
            containers.decode(clip, limits)


def test_a_film_without_sound_is_no_clip() -> None:
    """A container without audio, and one whose audio is of a codec that nobody needs."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as output:
        stream = output.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 16
        output.mux(stream.encode(av.VideoFrame(16, 16, "yuv420p")))
        output.mux(stream.encode(None))
    with pytest.raises(UnsupportedAudioError, match="no audio"):
        containers.decode(file.getvalue(), LIMITS)
    with pytest.raises(UnsupportedAudioError, match="codec"):
        containers.decode(encoded("matroska", "ac3", 48_000, np.zeros(16_000, np.float32)), LIMITS)


@pytest.mark.parametrize(("container", "codec", "rate_hz"), [FORMS[0], FORMS[3], FORMS[6], FORMS[8]])
def test_damaged_files_are_refused_or_read_as_far_as_they_go(
    speech: NDArray[np.float32], container: str, codec: str, rate_hz: int
) -> None:
    """Cut anywhere, or with bytes changed anywhere: an error of the clip, or at most as much audio as there was."""
    whole = encoded(container, codec, rate_hz, speech)
    rng = np.random.default_rng(0)
    damaged = [whole[: int(len(whole) * share)] for share in (0.01, 0.1, 0.5, 0.9, 0.999)]
    for _ in range(40):
        content = bytearray(whole)
        for at in rng.integers(8, len(whole), 20):
            content[at] = rng.integers(256)
        damaged.append(bytes(content))
    for content in damaged:
        try:
            found = containers.decode(content, LIMITS)
        except AsrError:
            continue
        assert len(found) <= LIMITS.max_duration_s * 16_000
        assert np.isfinite(found).all()


def test_a_claim_of_a_hundred_million_packets_costs_one_clip(
    sandbox: Sandbox, speech: NDArray[np.float32]
) -> None:
    """Tables of an M4A file that lie about how many packets there are: a typed error, and the next clip is heard."""
    clip = encoded("ipod", "aac", 44_100, speech)
    lying = bytearray(clip)
    struct.pack_into(">II", lying, clip.index(b"stsz") + 8, 1_000, 100_000_000)  # all of 1,000 bytes
    struct.pack_into(">IIII", lying, clip.index(b"stsc") + 8, 1, 1, 100_000_000, 1)  # all in one chunk
    with pytest.raises((CorruptAudioError, AudioLimitError)):
        sandbox.decode(bytes(lying), LIMITS)
    assert len(sandbox.decode(clip, LIMITS)) > 16_000


@pytest.mark.skipif(not STATISTICS.exists(), reason="no /proc here to tell the size of a process")
def test_memory_is_bounded(speech: NDArray[np.float32]) -> None:
    """A clip that needs more memory than there is for it is refused, and a small one is heard."""
    narrow = Sandbox(memory_bytes=24 << 20)
    minute = encoded("mov", "pcm_s16le", 96_000, np.zeros(60 * 16_000, np.float32))
    generous = AudioLimits(max_duration_s=100.0)
    # 60 s * 96 kHz * 4 bytes = 23 MB, and as much again to join the blocks.
    with pytest.raises(CorruptAudioError):
        narrow.decode(minute, generous)
    assert len(narrow.decode(encoded("mov", "pcm_s16le", 16_000, speech), generous)) == len(speech)
    narrow.close()


def test_a_lost_process_costs_one_clip(sandbox: Sandbox, speech: NDArray[np.float32]) -> None:
    """Killed between two clips, as by a crash: that clip is refused, the next has a new process."""
    clip = encoded("ipod", "aac", 44_100, speech)
    first = sandbox.decode(clip, LIMITS)
    pid = sandbox.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(CorruptAudioError, match="FFmpeg"):
        sandbox.decode(clip, LIMITS)
    assert np.array_equal(sandbox.decode(clip, LIMITS), first)
    assert sandbox.pid not in (None, pid)


def test_a_clip_that_takes_too_long_is_given_up(speech: NDArray[np.float32]) -> None:
    """After the time that it may take its process is ended."""
    hasty = Sandbox(timeout_s=0.0)
    with pytest.raises(CorruptAudioError, match="longer than 0 s"):
        hasty.decode(encoded("ipod", "aac", 44_100, speech), LIMITS)
    assert hasty.pid is None


def stopped(sandbox: Sandbox, clip: bytes) -> None:
    """Have the process there, and stop it: it neither reads nor answers any more."""
    sandbox.decode(clip, LIMITS)
    assert sandbox.pid is not None
    os.kill(sandbox.pid, signal.SIGSTOP)


def test_a_process_that_does_not_read_is_given_up(speech: NDArray[np.float32]) -> None:
    """More bytes than a pipe holds, for a stopped process: the time that a clip may take covers sending it."""
    clip = encoded("ipod", "aac", 44_100, speech)
    hasty = Sandbox(timeout_s=600.0)
    stopped(hasty, clip)
    hasty._timeout_s = 0.1  # not before it has started, which may take any time on a busy machine
    with pytest.raises(CorruptAudioError, match=r"longer than 0\.1 s"):
        hasty.decode(clip + bytes(8 << 20), LIMITS)
    assert hasty.pid is None


def test_a_slow_container_holds_up_no_other_clip(speech: NDArray[np.float32]) -> None:
    """While FFmpeg hangs at one, a WAV file is decoded, by the one thread; one container more than may wait is 503."""
    clip = encoded("ipod", "aac", 44_100, speech)
    sandbox = Sandbox(timeout_s=600.0)
    stopped(sandbox, clip)

    async def decode() -> None:
        one = decoders(1, sandbox)
        hanging = [asyncio.create_task(one.decode(clip, LIMITS)) for _ in range(WAITING_CONTAINERS + 1)]
        await asyncio.sleep(0)  # one is at it, all others wait
        assert np.array_equal(await asyncio.wait_for(one.decode(WAV, LIMITS), 60), speech)
        with pytest.raises(OverloadedError, match=f"{WAITING_CONTAINERS} clips in containers"):
            await one.decode(clip, LIMITS)
        await asyncio.to_thread(sandbox.close)  # does not wait for the clip that hangs
        ends = await asyncio.gather(*hanging, return_exceptions=True)
        assert {type(end) for end in ends} == {CorruptAudioError, OverloadedError}

    asyncio.run(decode())
    assert sandbox.pid is None


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"RIFF....WAVE", "wav"),
        (b"fLaC", "flac"),
        (b"OggS", "ogg"),
        (b"\x1a\x45\xdf\xa3", "webm"),
        (b"....ftypM4A ", "mp4"),
        (b"FORM....AIFF", "aiff"),
        (b"ID3", "mp3"),
        (b"\xff\xfb", "mp3"),
    ],
)
def test_a_clip_is_named_for_its_content(content: bytes, expected: str) -> None:
    """Never for the name that the client gave it."""
    assert extension(content) == expected
