"""What OpenAPI says of every route's refusals: one envelope, OpenAI's, and the statuses that it comes with.

FastAPI would add a 422 of its own form to each route with parameters; ours answers 400 to those (`serving.problems`).
"""

from __future__ import annotations

import json
from typing import Any

from fastapi import FastAPI
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
    503: "Too much to do, or the event store is away. Retry-After says when to come back.",
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


def install(app: FastAPI) -> None:
    """Mend the app's document: no 422 of FastAPI's own form, and every reference leads somewhere.

    A schema that a route brings by itself has its definitions inside it, where references from it do not look.
    """

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = FastAPI.openapi(app)
            shared = document.setdefault("components", {}).setdefault("schemas", {})
            for operations in document["paths"].values():
                for operation in operations.values():
                    _without_own_422(operation["responses"])
                    for body in operation.get("requestBody", {}).get("content", {}).values():
                        body["schema"] = _hoisted(body["schema"], shared)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # as FastAPI documents it


def _without_own_422(responses: dict[str, Any]) -> None:
    if "HTTPValidationError" in str(responses.get("422", {}).get("content")):
        del responses["422"]


def _hoisted(schema: dict[str, Any], shared: dict[str, Any]) -> dict[str, Any]:
    """A schema without its definitions, which join the ``shared`` ones."""
    moved = json.loads(json.dumps(schema).replace('"#/$defs/', '"#/components/schemas/'))
    shared.update(moved.pop("$defs", {}))
    hoisted: dict[str, Any] = moved
    return hoisted
