"""``/monitor``: the page that shows how the service does, and the three questions that it asks.

The page is for everyone, what it shows is not: with API keys its questions want one with the scope review, as
``/metrics`` does. They are answered from the event store, off the event loop, once for all who ask at about the same
time (`serving.answers`). Nothing in them is what anybody said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Query, Request
from starlette.responses import Response

from monitoring.alarms import rules
from monitoring.counts.stretch import plan
from monitoring.errors import StoreUnavailableError, WindowError
from monitoring.storage.journal import Kind
from monitoring.views.journal import ALARM_KINDS, CHANGE_KINDS, WINDOWS, alarms_view, drift_view
from monitoring.views.page import Asked, view
from serving import keys, pages
from serving.answers import RETRY_S, Answers
from serving.auth import require
from serving.disconnect import unless_gone
from serving.documented import refusals
from serving.errors import InvalidParameterError, OverloadedError
from serving.services import Shared

PAGE = "monitor/index.html"
MOST_ENTRIES = 1_000  # of the journal, of each kind of question

page = APIRouter(include_in_schema=False)
router = APIRouter(prefix="/monitor", tags=["monitor"], dependencies=[Depends(require(keys.Scope.REVIEW))])


def _answers(what: str, *statuses: int) -> dict[int | str, dict[str, Any]]:
    """What a question may be answered with: an object, or that it did not change."""
    content = {"application/json": {"schema": {"type": "object", "description": what}}}
    return {
        200: {"description": what, "content": content},
        304: {"description": "As it was when it had the ETag in If-None-Match."},
        **refusals(401, 403, 503, *statuses),
    }


@page.api_route("/monitor", methods=["GET", "HEAD"])
async def front(request: Request) -> Response:
    """The page itself."""
    return pages.files()[PAGE].response(request)


@router.get("/data", response_class=Response, responses=_answers("Columns beside one column of times", 400))
async def data(
    request: Request,
    services: Shared,
    since: Annotated[
        str, Query(max_length=40, description="A time, or how long before the end: 90m, 6h, 7d")
    ] = "24h",
    until: Annotated[str | None, Query(max_length=40, description="A time; absent: now")] = None,
    step: Annotated[
        int | None, Query(ge=60, le=86_400, description="Seconds; longer where counts are kept coarser")
    ] = None,
    model: Annotated[str | None, Query(max_length=200, description="Only what this one served")] = None,
) -> Response:
    """Traffic, latency, stages, features, outcomes and versions of a stretch of time."""
    try:
        stretch = plan(_now(request), since, until, None if step is None else timedelta(seconds=step))
    except WindowError as error:
        raise InvalidParameterError(f"{error}.", param="since") from error
    asked = Asked(stretch, model, services.settings.latency_budget_ms / 1000)

    def make() -> Mapping[str, Any]:
        rows = services.store.rollups(stretch.since, stretch.until, stretch.step)
        return view(rows, asked)

    return await _respond(request, asked, make)


@router.get(
    "/alarms", response_class=Response, responses=_answers("Alarms now and before, and changes of thresholds")
)
async def alarms(request: Request, services: Shared) -> Response:
    """Which alarms fire, which did, and every change of what they are judged by, with its reason."""

    def make() -> Mapping[str, Any]:
        entries = [
            entry
            for kinds in (ALARM_KINDS, CHANGE_KINDS)
            for entry in services.store.journal(kinds=kinds, newest=MOST_ENTRIES)
        ]
        if (watch := services.watch) is None:
            return alarms_view(entries, rules.load())
        return alarms_view(entries, watch.rules, watch.alarms)

    return await _respond(request, "alarms", make)


@router.get(
    "/drift", response_class=Response, responses=_answers("The last windows against the frozen reference")
)
async def drift(request: Request, services: Shared) -> Response:
    """Each feature against the frozen reference: histograms, distances, and a verdict in words."""

    def make() -> Mapping[str, Any]:
        return drift_view(services.store.journal(kinds=(Kind.DRIFT,), newest=2 * WINDOWS))

    return await _respond(request, "drift", make)


async def _respond(request: Request, key: Any, make: Callable[[], Mapping[str, Any]]) -> Response:
    answers: Answers = request.app.state.monitor_answers
    try:
        answer = await unless_gone(request, answers.get(key, make))
    except StoreUnavailableError as error:
        raise OverloadedError("The event store cannot be asked now; try again.", RETRY_S) from error
    return answer.response(request)


def _now(request: Request) -> datetime:
    now: Callable[[], datetime] = request.app.state.monitor_now
    return now()


def install(app: FastAPI, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
    """Add the page and its questions to ``app``."""
    app.state.monitor_answers = Answers()
    app.state.monitor_now = now
    app.include_router(page)
    app.include_router(router)
