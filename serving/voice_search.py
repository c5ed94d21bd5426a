"""Search by voice and by typing: ``POST /v1/search`` and ``POST /v1/search/text``, with the same results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field

from asr.transcript import Reading, Transcript
from monitoring.record import Transport
from serving import clips
from serving.access_log import annotate
from serving.auth import Principal, require
from serving.documented import refusals
from serving.errors import InvalidParameterError, NotFoundError
from serving.jobs import Hearing
from serving.keys import Scope
from serving.openai.document import PROPERTIES
from serving.recording import Ledger
from serving.services import LONGEST_SESSION, Services, Shared
from serving.uploads import Upload, UploadLimits, read_model

router = APIRouter(tags=["search"])

DEFAULT_RESULTS, MOST_RESULTS = 10, 50
LONGEST_QUERY = 500  # characters; longer is no query
BODY = UploadLimits(total_bytes=16 << 10)

SPOKEN_QUERY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": PROPERTIES["file"],
                        "k": {
                            "type": "integer",
                            "minimum": 1,
                            "maximum": MOST_RESULTS,
                            "default": DEFAULT_RESULTS,
                        },
                        "session": {"type": "string", "maxLength": LONGEST_SESSION},
                    },
                }
            }
        },
    }
}


class Item(BaseModel):
    """One result. ``score`` in [0, 1] compares results of one query, not of two."""

    id: str
    title: str
    score: float
    aliases: list[str] = []
    facets: dict[str, Any] = {}


class HeardWord(BaseModel):
    """A word, when it was said (seconds of the clip), and the probability that it is right."""

    word: str
    start: float
    end: float
    confidence: float


class HeardText(BaseModel):
    """What was understood. Without text, ``null_reason`` says why."""

    text: str
    confidence: float
    words: list[HeardWord]
    null_reason: str | None


class Results(BaseModel):
    """What was found for a typed query."""

    query_id: str = Field(description="events about these results name it")
    results: list[Item]
    model: str


class VoiceResults(Results):
    """What was understood, and what was found for it."""

    transcript: HeardText


class TypedQuery(BaseModel):
    """A query as somebody typed it."""

    model_config = ConfigDict(extra="forbid")

    query: str = Field(min_length=1, max_length=LONGEST_QUERY)
    k: int = Field(DEFAULT_RESULTS, ge=1, le=MOST_RESULTS, description="how many results")
    session: str | None = Field(
        None, max_length=LONGEST_SESSION, description="opaque name of a sitting, the client's own"
    )


@router.post(
    "/v1/search",
    responses=refusals(400, 401, 403, 404, 408, 413, 415, 422, 429, 503),
    openapi_extra=SPOKEN_QUERY,
)
async def by_voice(
    request: Request, services: Shared, principal: Annotated[Principal, Depends(require(Scope.SEARCH))]
) -> VoiceResults:
    """A spoken query answered with items of the catalogue."""
    with services.ledger(Transport.SEARCH, request) as ledger:
        services.engine.scheduler.check()
        _need_catalog(services)
        upload = await clips.received(request, services, ledger)
        count = _count(upload)
        ledger.session = _session(upload) or ledger.session
        ledger.missing()
        transcript = await clips.heard(request, upload, Hearing(catalog=True), services, ledger)
        _open_query(services, ledger, principal)
        results = await _found(services, ledger, transcript.readings, count)
        annotate(
            request,
            query_id=ledger.query_id,
            model=services.model,
            audio_s=round(transcript.clip.duration_s, 3),
            null_reason=transcript.null_reason,
            n_results=len(results),
        )
        return VoiceResults(
            query_id=ledger.query_id or "",
            transcript=heard_text(transcript),
            results=results,
            model=services.model,
        )


@router.post(
    "/v1/search/text",
    responses=refusals(400, 401, 403, 404, 408, 413, 415, 429, 503),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": TypedQuery.model_json_schema()}},
        }
    },
)
async def by_text(
    request: Request, services: Shared, principal: Annotated[Principal, Depends(require(Scope.SEARCH))]
) -> Results:
    """A typed query answered with items of the catalogue."""
    with services.ledger(Transport.TEXT, request) as ledger:
        _need_catalog(services)
        clips.admit(ledger, services)
        asked = await read_model(request, TypedQuery, BODY)
        ledger.session = asked.session or ledger.session
        ledger.text = asked.query
        clips.charge(ledger, services, 0.0)  # as the shortest clip
        _open_query(services, ledger, principal)
        results = await _found(services, ledger, (Reading(asked.query, 1.0),), asked.k)
        annotate(request, query_id=ledger.query_id, n_results=len(results))
        return Results(query_id=ledger.query_id or "", results=results, model=services.model)


def heard_text(transcript: Transcript) -> HeardText:
    """The public form of a transcript."""
    return HeardText(
        text=transcript.text,
        confidence=round(transcript.confidence, 4),
        words=[HeardWord(**word.as_dict()) for word in transcript.words],
        null_reason=transcript.null_reason,
    )


def _session(upload: Upload) -> str | None:
    """An opaque name of a sitting, as long as it is one."""
    session = upload.value("session")
    if session is not None and len(session) > LONGEST_SESSION:
        raise InvalidParameterError(
            f"session has {len(session)} characters; at most {LONGEST_SESSION}", param="session"
        )
    return session


def _count(upload: Upload) -> int:
    text = upload.value("k")
    if text is None:
        return DEFAULT_RESULTS
    # Few digits before any number is made of them: Python refuses to make one of thousands.
    if not (text.isascii() and text.isdecimal() and len(text) <= 4 and 1 <= int(text) <= MOST_RESULTS):
        raise InvalidParameterError(f"k must be a whole number from 1 to {MOST_RESULTS}", param="k")
    return int(text)


def _need_catalog(services: Services) -> None:
    if services.index is None:
        raise NotFoundError(
            "this server has no catalogue to search: start it with --catalog", code="no_catalog"
        )


def _open_query(services: Services, ledger: Ledger, principal: Principal) -> None:
    ledger.query_id = services.queries.open(principal.key_id, services.model, ledger.session).id


async def _found(services: Services, ledger: Ledger, readings: Sequence[Reading], count: int) -> list[Item]:
    """Items for what was read, best first; the ledger learns which."""
    found = await services.find(readings, count)
    ledger.took({"search": found.took_s})
    ledger.found(found.results)
    return [Item(**result) for result in found.results]
