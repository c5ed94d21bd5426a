"""The clip of a request becomes samples: its body read within limits, decoded off the event loop, charged to its key.

What every route that takes a clip shares.
"""

from __future__ import annotations

import time

from starlette.requests import Request

from asr.audio import AudioLimits
from asr.errors import AudioError
from asr.transcript import SAMPLE_RATE_HZ, Transcript
from serving.disconnect import unless_gone
from serving.jobs import Hearing, Samples
from serving.recording import Ledger
from serving.services import Services
from serving.settings import Settings
from serving.uploads import Upload, UploadLimits, read_upload

MAX_CHANNELS = 8
MAX_RATE_HZ = 192_000
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
    admit(ledger, services)
    upload = await read_upload(request, upload_limits(services.settings))
    ledger.bytes_received = len(upload.file)
    return upload


async def decoded(upload: Upload, services: Services, ledger: Ledger) -> Samples:
    """Its clip. Raises AudioError, OverloadedError, and RateLimitedError where the key cannot pay for it.

    Without keys nothing is charged: everybody would share one purse, and the queue is bounded anyway.
    """
    started = time.perf_counter()
    try:
        samples = await services.decoders.decode(upload.file, audio_limits(services.settings))
    except AudioError:
        charge(ledger, services, 0.0)  # to find out what a clip is not takes as long as to decode it
        raise
    ledger.took({"decode": time.perf_counter() - started})
    charge(ledger, services, len(samples) / SAMPLE_RATE_HZ)
    return samples


async def heard(
    request: Request, upload: Upload, hearing: Hearing, services: Services, ledger: Ledger
) -> Transcript:
    """What is said in an upload, unless its client hangs up. Raises what `decoded` and `Engine.transcribe` raise."""

    async def work() -> Transcript:
        with services.engine.scheduler.place():
            samples = await decoded(upload, services, ledger)
            transcript = ledger.heard(await services.engine.transcribe(samples, hearing))
        ledger.repeats = await services.repeats.heard(ledger.key_id, ledger.session, samples, transcript.clip)
        return transcript

    return await unless_gone(request, work())


def admit(ledger: Ledger, services: Services) -> None:
    """Refuse a request whose key has nothing left, before its body is read. Raises RateLimitedError."""
    if ledger.key_id is not None:
        services.rates.admit(ledger.key_id)


def charge(ledger: Ledger, services: Services, seconds: float) -> None:
    """Charge the key of a request, if it came with one, at least the minimum. Raises RateLimitedError."""
    if ledger.key_id is not None:
        services.rates.charge(ledger.key_id, seconds)
