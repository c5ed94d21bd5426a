"""A clip comes in: read within limits, decoded in a thread, charged to its key. A request in, samples out."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from starlette.requests import Request

from asr import audio
from asr.audio import AudioLimits
from asr.stages import Stages
from asr.transcript import SAMPLE_RATE_HZ
from serving.errors import InvalidParameterError
from serving.jobs import Samples
from serving.recording import Ledger
from serving.services import Services
from serving.settings import Settings
from serving.uploads import Upload, UploadLimits, read_upload

LONGEST_SESSION = 64

UPLOADED_CLIP = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {
                            "type": "string",
                            "format": "binary",
                            "description": "WAV, FLAC, OGG, MP3, WebM, MP4",
                        },
                        "k": {
                            "type": "integer",
                            "minimum": 1,
                            "maximum": 50,
                            "description": "how many results",
                        },
                        "session": {
                            "type": "string",
                            "maxLength": LONGEST_SESSION,
                            "description": "opaque name of a sitting",
                        },
                    },
                }
            }
        },
    }
}


@dataclass(frozen=True, slots=True)
class Clip:
    """What was uploaded, and its sound: float32, ``(n,)``, 16 kHz."""

    upload: Upload
    samples: Samples

    @property
    def audio_s(self) -> float:
        """How long it is."""
        return len(self.samples) / SAMPLE_RATE_HZ


async def receive_clip(request: Request, services: Services, ledger: Ledger) -> Clip:
    """The clip of a multipart request. Raises what `serving.uploads`, `asr.audio.decode` and `serving.rates` raise."""
    settings = services.settings
    services.rates.admit(ledger.key_id)
    upload = await read_upload(
        request,
        UploadLimits(
            total_bytes=settings.max_upload_bytes,
            total_s=settings.upload_timeout_s,
            stall_s=settings.upload_stall_s,
        ),
    )
    ledger.bytes_received = len(upload.file)
    ledger.session = checked_session(upload.value("session")) or ledger.session
    stages = Stages()
    with stages("decode"):
        samples = await asyncio.to_thread(audio.decode, upload.file, limits(settings))
    ledger.took(stages.seconds)
    services.rates.charge(ledger.key_id, len(samples) / SAMPLE_RATE_HZ)
    return Clip(upload, samples)


def checked_session(session: str | None) -> str | None:
    """An opaque name of a sitting, as long as it is one. Raises InvalidParameterError."""
    if session is not None and len(session) > LONGEST_SESSION:
        raise InvalidParameterError(
            f"session has {len(session)} characters; at most {LONGEST_SESSION}", param="session"
        )
    return session


def limits(settings: Settings) -> AudioLimits:
    """What one clip may be."""
    return AudioLimits(max_duration_s=settings.max_clip_s, max_bytes=settings.max_upload_bytes)
