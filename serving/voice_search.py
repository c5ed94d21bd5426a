"""Search by voice and by typing: ``POST /v1/search`` and ``POST /v1/search/text``, with the same results."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field

from asr.transcript import Reading, Transcript
from monitoring.record import Transport
from serving.auth import Principal, require
from serving.errors import InvalidParameterError, NotFoundError
from serving.intake import UPLOADED_CLIP, Clip, receive_clip
from serving.jobs import Hearing
from serving.keys import Scope
from serving.openapi import documented
from serving.recording import Ledger
from serving.services import Services, Shared
from serving.uploads import UploadLimits, read_model

router = APIRouter(tags=["search"])

DEFAULT_RESULTS, MOST_RESULTS = 10, 50
LONGEST_QUERY = 500  # characters; longer is no query
BODY = UploadLimits(total_bytes=16 << 10)


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
    session: str | None = Field(None, max_length=64, description="opaque name of a sitting, the client's own")


@router.post(
    "/v1/search",
    responses=documented(400, 401, 403, 404, 408, 413, 415, 422, 429, 503),
    openapi_extra=UPLOADED_CLIP,
)
async def by_voice(
    request: Request, services: Shared, principal: Annotated[Principal, Depends(require(Scope.SEARCH))]
) -> VoiceResults:
    """A spoken query (multipart: ``file``; optional ``k``, ``session``) answered with items of the catalogue."""
    with services.ledger(Transport.SEARCH, request) as ledger:
        _need_catalog(services)
        clip = await receive_clip(request, services, ledger)
        count = _count(clip)
        transcript = ledger.heard(await services.engine.transcribe(clip.samples, Hearing(catalog=True)))
        _open_query(services, ledger, principal)
        results = await _found(services, ledger, transcript.readings, count)
        return VoiceResults(
            query_id=ledger.query_id or "",
            transcript=heard_text(transcript),
            results=results,
            model=services.model,
        )


@router.post(
    "/v1/search/text",
    responses=documented(400, 401, 403, 404, 408, 413, 415),
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
        asked = await read_model(request, TypedQuery, BODY)
        ledger.session = asked.session or ledger.session
        ledger.text = asked.query
        _open_query(services, ledger, principal)
        results = await _found(services, ledger, (Reading(asked.query, 1.0),), asked.k)
        return Results(query_id=ledger.query_id or "", results=results, model=services.model)


def heard_text(transcript: Transcript) -> HeardText:
    """The public form of a transcript."""
    return HeardText(
        text=transcript.text,
        confidence=round(transcript.confidence, 4),
        words=[HeardWord(**word.as_dict()) for word in transcript.words],
        null_reason=transcript.null_reason,
    )


def _count(clip: Clip) -> int:
    text = clip.upload.value("k")
    if text is None:
        return DEFAULT_RESULTS
    if not text.isdecimal() or not 1 <= int(text[:4]) <= MOST_RESULTS:
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
    ledger.results = tuple(result.item.id for result in found.results)
    return [
        Item(
            score=round(result.score, 4),
            **{name: value for name, value in result.item.as_dict().items() if name in Item.model_fields},
        )
        for result in found.results
    ]
