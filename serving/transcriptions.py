"""``POST /v1/audio/transcriptions``: a clip in, its text out, as OpenAI's clients expect it."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from anyio import to_thread
from fastapi import APIRouter, Depends, Request, Response

from asr.formats import srt, txt, vtt
from asr.transcript import Transcript
from monitoring.record import Transport
from serving import clips
from serving.access_log import annotate
from serving.auth import require
from serving.documented import refusals
from serving.keys import Scope
from serving.models import names
from serving.openai.answers import Transcription, VerboseTranscription, plain, verbose
from serving.openai.document import ANSWERS, FORM
from serving.openai.events import MEDIA_TYPE, events, without_unasked
from serving.openai.form import Form
from serving.openai.parameters import Format, Wanted, wanted
from serving.services import Services, Shared
from serving.uploads import Upload

LOG = logging.getLogger(__name__)

TEXTS = {
    Format.TEXT: (txt, "text/plain"),
    Format.SRT: (srt, "application/x-subrip"),
    Format.VTT: (vtt, "text/vtt"),
}
PLAIN_NAME = re.compile(r"[\w.\[\]-]{1,64}", re.ASCII)
LISTED = 20  # ignored parameters, at most

router = APIRouter(tags=["transcriptions"], dependencies=[Depends(require(Scope.TRANSCRIBE))])


@router.post(
    "/v1/audio/transcriptions",
    response_model=Transcription | VerboseTranscription,
    responses=ANSWERS | refusals(400, 401, 403, 404, 408, 413, 415, 422, 429, 503),
    openapi_extra=FORM,
)
async def transcribe(request: Request, services: Shared) -> Response:
    """Turn a clip into text."""
    with services.ledger(Transport.REST, request) as ledger:
        services.engine.scheduler.check()
        upload = await clips.received(request, services, ledger)
        form = Form(upload.fields)
        asked = wanted(form, services.engine.info, names(services))
        ledger.missing(*(() if form.text("language") else ("language",)))
        transcript = await clips.heard(request, upload, asked.hearing, services, ledger)
        annotate(
            request,
            model=transcript.model,
            audio_s=round(transcript.clip.duration_s, 3),
            null_reason=transcript.null_reason,
        )
        answer = _written(transcript, asked)
        answer.headers.update(_labels(transcript, [*asked.ignored, *request.query_params]))
        if ledger.key_id is not None:
            answer.headers.update(services.rates.allowance(ledger.key_id).headers())
        answer.headers.update(await _kept(upload, asked, services, ledger.request_id))
        return answer


async def _kept(upload: Upload, asked: Wanted, services: Services, request_id: str) -> Mapping[str, str]:
    """Keep the audio, if both agree; headers that say whether it is."""
    until = None
    if asked.retain and services.audio is not None:
        try:
            until = await to_thread.run_sync(services.audio.keep, request_id, upload.file, datetime.now(UTC))
        except OSError as error:  # who asked has an answer all the same
            LOG.error("audio was not kept", exc_info=error)
    if until is None:
        return {"X-Audio-Retained": "false"}
    return {"X-Audio-Retained": "true", "X-Audio-Retained-Until": until.isoformat(timespec="seconds")}


def _labels(transcript: Transcript, ignored: Sequence[str]) -> Mapping[str, str]:
    """Headers that say what every format should. Clients choose the names of parameters: they may be anything."""
    labels = {"X-Model": transcript.model}
    if transcript.null_reason is not None:
        labels["X-Null-Reason"] = transcript.null_reason
    if ignored:
        named = [name if PLAIN_NAME.fullmatch(name) else "?" for name in ignored[:LISTED]]
        labels["X-Ignored-Parameters"] = ", ".join(dict.fromkeys(named))
    return labels


def _written(transcript: Transcript, asked: Wanted) -> Response:
    if asked.stream:
        return Response(events(transcript, logprobs=asked.logprobs), media_type=MEDIA_TYPE)
    if asked.format in TEXTS:
        write, media_type = TEXTS[asked.format]
        return Response(write(transcript), media_type=f"{media_type}; charset=utf-8")
    answer = (
        verbose(transcript, words=asked.words, segments=asked.segments)
        if asked.format is Format.VERBOSE_JSON
        else plain(transcript, logprobs=asked.logprobs)
    )
    return Response(without_unasked(answer), media_type="application/json")
