"""The clip of a request becomes samples: its body read within limits, decoded off the event loop, charged to its key.

What every route that takes a clip shares.
"""

from __future__ import annotations

import time
from functools import partial

from anyio import to_thread
from starlette.requests import Request

from asr import audio
from asr.audio import AudioLimits
from asr.errors import UnsupportedAudioError
from asr.transcript import SAMPLE_RATE_HZ
from serving.clip_format import MATROSKA, is_mp4
from serving.errors import OverloadedError
from serving.jobs import Samples
from serving.recording import Ledger
from serving.sandbox import Sandbox
from serving.services import Services
from serving.settings import Settings
from serving.uploads import Upload, UploadLimits, read_upload

MAX_CHANNELS = 8
MAX_RATE_HZ = 192_000
MAX_WAITING = 64  # clips that wait to be decoded, each with its body in memory
PARTS = 600  # as many phrases as hotwords may be, each a part of its own, and the rest


def upload_limits(settings: Settings) -> UploadLimits:
    """What a body may cost."""
    return UploadLimits(
        total_bytes=settings.max_upload_bytes,
        parts=PARTS,
        stall_s=settings.upload_stall_s,
        total_s=settings.upload_timeout_s,
    )


def audio_limits(settings: Settings) -> AudioLimits:
    """What a clip may cost."""
    return AudioLimits(
        max_duration_s=settings.max_clip_s,
        max_bytes=settings.max_upload_bytes,
        max_channels=MAX_CHANNELS,
        max_sample_rate_hz=MAX_RATE_HZ,
    )


async def received(request: Request, services: Services, ledger: Ledger) -> Upload:
    """The body. Raises 400, 408, 413, 415 and 429 of `serving.errors`."""
    if ledger.key_id is not None:
        services.rates.admit(ledger.key_id)  # before the body is read
    upload = await read_upload(request, upload_limits(services.settings))
    ledger.bytes_received = len(upload.file)
    return upload


async def decoded(upload: Upload, services: Services, ledger: Ledger) -> Samples:
    """Its clip. Raises AudioError, OverloadedError, and RateLimitedError where the key cannot pay for it.

    Without keys nothing is charged: everybody would share one purse, and the queue is bounded anyway.
    """
    if services.decoders.statistics().tasks_waiting >= MAX_WAITING:
        raise OverloadedError(f"{MAX_WAITING} clips wait to be decoded; try again later", 1.0)
    started = time.perf_counter()
    limits = audio_limits(services.settings)
    decode = partial(decode_clip, upload.file, limits, services.containers)
    samples = await to_thread.run_sync(decode, limiter=services.decoders)
    ledger.took({"decode": time.perf_counter() - started})
    if ledger.key_id is not None:
        services.rates.charge(ledger.key_id, len(samples) / SAMPLE_RATE_HZ)
    return samples


def decode_clip(content: bytes, limits: AudioLimits, containers: Sandbox) -> Samples:
    """A clip in any format: `asr.audio`'s, or in ``containers`` what that does not read. Raises AudioError."""
    if is_mp4(content):
        return containers.decode(content, limits)
    try:
        return audio.decode(content, limits)
    except UnsupportedAudioError:
        if not content.startswith(MATROSKA):
            raise
    return containers.decode(content, limits)
