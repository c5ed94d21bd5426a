"""Erasing what is kept of a session, for good: ``DELETE /v1/sessions/{session}`` and ``voicesearch erase``.

Its records, events and what became of its queries, its retained clips, and what this server remembers of it. A session
is the client's own name, and two API keys may choose the same: all of a name are erased unless a key is named. What is
being answered at this moment is recorded afterwards, so end the session first; erasing again does no harm.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated

import structlog
from fastapi import Depends, FastAPI, Path, Query
from pydantic import BaseModel, Field
from starlette.convertors import Convertor, register_url_convertor

from monitoring.errors import StoreUnavailableError
from monitoring.store import EventStore
from serving.auth import require
from serving.documented import refusals
from serving.errors import OverloadedError
from serving.keys import Scope
from serving.retention import AudioStore
from serving.services import LONGEST_SESSION, Shared

RETRY_S = 5.0


class Erased(BaseModel):
    """How much there was; all 0 where there was nothing, or nothing any more."""

    records: int = Field(description="requests: what was heard or typed, and the answers' measures")
    events: int = Field(description="what was done with the answers")
    followed: int = Field(description="what became of queries")
    clips: int = Field(description="files of retained audio")


def erase(
    store: EventStore, audio: AudioStore | None, sessions: Sequence[str], key_id: str | None = None
) -> Erased:
    """Erase sessions, of every API key or of one; how much there was. Blocks, for as long as the store is rebuilt.

    Raises StoreUnavailableError where some of it may be left: then erase again.
    """
    clips = 0

    def erase_clips(request_ids: Sequence[str]) -> None:
        nonlocal clips
        if audio is not None:
            try:
                clips = audio.erase(*request_ids)
            except OSError as error:
                raise StoreUnavailableError(
                    f"a retained clip cannot be deleted ({error.strerror}), so its record is kept, too: mend the "
                    "folder of audio and erase again"
                ) from error

    names = [name for session in sessions for name in spellings(session)]
    deleted = store.erase(*names, key_id=key_id, also=erase_clips)
    return Erased(records=deleted.records, events=deleted.events, followed=deleted.followed, clips=clips)


def spellings(session: str) -> tuple[str, ...]:
    """As it may have been recorded: cut, and, where it came in a header, its bytes read as Latin-1."""
    as_header = session.encode(errors="replace").decode("latin-1")
    return tuple(dict.fromkeys(name[:LONGEST_SESSION] for name in (session, as_header)))


async def erase_session(
    services: Shared,
    session: Annotated[str, Path(min_length=1, max_length=256, description="as the client named it")],
    key_id: Annotated[
        str | None,
        Query(min_length=1, max_length=64, description="only that of this API key; absent: of every key"),
    ] = None,
) -> Erased:
    """Erase all that is kept of a session: texts, events, outcomes, audio. Counts of many stay. Twice is no error.

    It takes as long as it takes to rewrite the event store. After 503 some of it may be left: send it again.
    """
    try:
        erased = await asyncio.to_thread(erase, services.store, services.audio, [session], key_id)
    except StoreUnavailableError as error:
        raise OverloadedError("The session is not erased altogether; erase it again.", RETRY_S) from error
    structlog.get_logger().info("erased", **erased.model_dump())
    return erased


class _Anything(Convertor[str]):
    """The rest of a path. Clients may name a session as they like; ``path`` stops at a line break.

    Only ``.`` and ``..`` are no part of any address that arrives: for them there is the command.
    """

    regex = r"[\s\S]*"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


def install(app: FastAPI) -> None:
    """Add the route to ``app``."""
    register_url_convertor("anything", _Anything())
    app.add_api_route(
        "/v1/sessions/{session:anything}",
        erase_session,
        methods=["DELETE"],
        tags=["sessions"],
        dependencies=[Depends(require(Scope.ADMIN))],
        responses=refusals(400, 401, 403, 503),
    )
