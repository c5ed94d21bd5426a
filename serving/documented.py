"""What OpenAPI says of every route's refusals: one envelope, OpenAI's, and the statuses that it comes with."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

MEANINGS = {
    400: "A parameter is missing, malformed, or out of range.",
    401: "No API key, or one that is unknown, expired or revoked.",
    403: "The API key lacks the scope; or a web page of another origin.",
    404: "No such model, query, or address.",
    405: "Another method is meant.",
    408: "The body came too slowly.",
    413: "The body, or the clip in it, is over a limit.",
    415: "The body, or what is in it, is of a kind that is not read.",
    422: "The clip looks like audio and cannot be decoded.",
    429: "The key has spent its seconds of audio. Retry-After says when it has some again.",
    503: "Too much to do. Retry-After says when to come back.",
}


class ErrorDetail(BaseModel):
    """Why a request was refused."""

    message: str
    type: str
    param: str | None
    code: str | None


class Refusal(BaseModel):
    """The form of every error."""

    error: ErrorDetail


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """For the ``responses`` of a route that may answer with these."""
    return {status: {"model": Refusal, "description": MEANINGS[status]} for status in statuses}
