"""What people do next with an answer: ``POST /v1/events``. Acknowledged when durable; the same one twice is one."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from monitoring.errors import StoreUnavailableError, UnstorableError
from monitoring.record import Event, EventType
from serving.auth import Principal, require
from serving.documented import refusals
from serving.errors import InvalidParameterError, NotFoundError, OverloadedError
from serving.keys import Scope
from serving.services import Services, Shared
from serving.uploads import UploadLimits, read_model

router = APIRouter(tags=["search"])

BODY = UploadLimits(total_bytes=16 << 10)
AHEAD = timedelta(minutes=5)  # how far a client's clock may be ahead of ours
# People act on an answer within minutes; a day is enough for a phone that was offline. What claims to be older is a
# wrong clock, and would change days that reports have counted and retention has purged.
BEHIND = timedelta(days=1)
RETRY_S = 2.0
WRITTEN_S = 0.5  # from an answer to its record in the store, with a margin: writers gather for 20 ms


class Happened(BaseModel):
    """A click on a result, the same query said again, typed instead, or dismissed."""

    model_config = ConfigDict(extra="forbid")

    query_id: str = Field(min_length=1, max_length=64, description="of the answer that this is about")
    event_id: str = Field(
        min_length=1,
        max_length=64,
        pattern=r"^[A-Za-z0-9._-]+$",
        description="chosen by the client, once an event",
    )
    type: EventType
    item_id: str | None = Field(None, max_length=256, description="what was clicked")
    text: str | None = Field(None, max_length=500, description="what was typed instead")
    at: AwareDatetime | None = Field(None, description="when, by the client's clock; now, if absent")

    @model_validator(mode="after")
    def _complete(self) -> Happened:
        if self.type is EventType.CLICK and not self.item_id:
            raise ValueError("a click needs item_id")
        if self.type is EventType.TYPED and not self.text:
            raise ValueError("a typed event needs text")
        return self


class Acknowledged(BaseModel):
    """The event is stored. ``new`` is false where it had been before."""

    event_id: str
    stored: bool = True
    new: bool


@router.post(
    "/v1/events",
    responses=refusals(400, 401, 403, 404, 408, 413, 415, 503),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": Happened.model_json_schema()}},
        }
    },
)
async def happened(
    request: Request, services: Shared, principal: Annotated[Principal, Depends(require(Scope.EVENTS))]
) -> Acknowledged:
    """Tell what a person did with the results of a query of one's own."""
    said = await read_model(request, Happened, BODY)
    session = await _session(services, said.query_id, principal)
    event = Event(
        event_id=f"{said.query_id}.{said.event_id}",  # two clients may choose alike
        query_id=said.query_id,
        type=said.type,
        at=_at(said.at),
        item_id=said.item_id,
        text=said.text or "",
        session=session,
        key_id=principal.key_id,
    )
    return Acknowledged(event_id=said.event_id, new=await _keep(services, event))


async def _session(services: Services, query_id: str, principal: Principal) -> str | None:
    """The session of a query of this key's: lately answered here, or before a restart, or by another replica.

    Raises NotFoundError, the same for a query of somebody else as for none.
    """
    query = services.queries.find(query_id, principal.key_id)
    if query is not None:
        return query.session
    try:
        owner = await asyncio.to_thread(services.store.owner_of, query_id)
        if owner is None and services.settings.engine == "ray":  # another replica may be about to write it
            await asyncio.sleep(WRITTEN_S)
            owner = await asyncio.to_thread(services.store.owner_of, query_id)
    except StoreUnavailableError as error:
        raise OverloadedError("The event store cannot be asked; send the event again.", RETRY_S) from error
    if owner is None or owner.key_id != principal.key_id:
        raise NotFoundError("There is no such query.", param="query_id", code="query_not_found")
    return owner.session


async def _keep(services: Services, event: Event) -> bool:
    try:
        new = await asyncio.wrap_future(services.store.submit(event))
    except StoreUnavailableError as error:
        raise OverloadedError("The event could not be stored; send it again.", RETRY_S) from error
    except UnstorableError as error:
        raise InvalidParameterError("The event store refuses this event, and always will.") from error
    if new:
        for observe in services.observers:
            observe(event)
    return new


def _at(said: datetime | None) -> datetime:
    now = datetime.now(UTC)
    if said is None:
        return now
    if said > now + AHEAD:
        raise InvalidParameterError(f"at is {said.isoformat()}, which has not come yet", param="at")
    if said < now - BEHIND:
        raise InvalidParameterError(
            f"at is {said.isoformat()}, more than {BEHIND.days} day ago; set the clock, or leave at out",
            param="at",
        )
    return said.astimezone(UTC)  # cannot overflow: only the first and last hours of the calendar would
