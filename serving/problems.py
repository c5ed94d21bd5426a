"""Any exception, as a client sees it: OpenAI's ``{"error": {message, type, param, code}}``, a status and headers.

Those of `serving.errors` and the clip's own faults say what is wrong. Everything else is a 500 that tells nothing:
its message may hold a path, a query, or what somebody said.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError, WebSocketRequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketState

from asr.errors import (
    AsrError,
    AudioLimitError,
    CorruptAudioError,
    MissingPackageError,
    OptionError,
    UnsupportedAudioError,
)
from serving.errors import (
    INVALID_REQUEST,
    NOTHING,
    SERVER_ERROR,
    ExposureError,
    InvalidParameterError,
    KeysFileError,
    ServiceError,
)

LOG = logging.getLogger(__name__)

CLIENT_CLOSED = 499  # nobody reads it: nginx's number, for our own logs
BODY_PLACES = frozenset({"body", "query", "path", "header", "cookie"})  # how pydantic's locations begin

# The clip's faults, by the exception of the runtime: status, code, and whether its message is for the client.
RUNTIME_FAULTS: tuple[tuple[type[AsrError], int, str, str | None], ...] = (
    (UnsupportedAudioError, 415, "unsupported_audio", "file"),
    (CorruptAudioError, 422, "undecodable_audio", "file"),
    (AudioLimitError, 413, "audio_limit_exceeded", "file"),
)

# RFC 6455, section 7.4.1, and 1013 of IANA's registry: how a stream that has been accepted ends.
CLOSE_POLICY, CLOSE_TOO_BIG, CLOSE_INTERNAL, CLOSE_TRY_LATER = 1008, 1009, 1011, 1013


@dataclass(frozen=True, slots=True)
class Problem:
    """What a client is told of an error."""

    status: int
    message: str
    type: str = INVALID_REQUEST
    param: str | None = None
    code: str | None = None
    headers: Mapping[str, str] = field(default_factory=lambda: NOTHING)

    def body(self) -> dict[str, dict[str, str | None]]:
        """The envelope that OpenAI's clients read."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}

    def response(self) -> JSONResponse:
        """The HTTP answer; on a WebSocket that was not accepted yet, its denial."""
        return JSONResponse(self.body(), self.status, dict(self.headers))

    @property
    def close_code(self) -> int:
        """The code that closes a WebSocket which had been accepted."""
        if self.status in (429, 503):
            return CLOSE_TRY_LATER
        if self.status == 413:
            return CLOSE_TOO_BIG
        return CLOSE_INTERNAL if self.status >= 500 else CLOSE_POLICY


INTERNAL = Problem(
    500,
    "The server failed at this request. Its log has the reason under the id in the X-Request-Id header.",
    SERVER_ERROR,
    code="internal_error",
)


def problem(error: BaseException) -> Problem:
    """What to tell a client of ``error``."""
    if isinstance(error, ServiceError):
        return _of_service(error) if type(error).status != 500 else INTERNAL
    if isinstance(error, RequestValidationError | WebSocketRequestValidationError):
        return _of_service(invalid(error.errors()))
    if isinstance(error, HTTPException):
        return _of_http(error)
    if isinstance(error, ClientDisconnect):
        return Problem(CLIENT_CLOSED, "The client left before its request had come in.", code="client_closed")
    for kind, status, code, param in RUNTIME_FAULTS:
        if isinstance(error, kind):
            return Problem(status, str(error), param=param, code=code)
    if isinstance(error, MissingPackageError):  # hotwords, where the beam search has no wheel
        return Problem(400, "This server lacks an optional package for that.", code="not_available_here")
    if isinstance(error, OptionError) and not isinstance(error, ExposureError | KeysFileError):
        return Problem(400, str(error), code="invalid_value")
    return INTERNAL


def status_of(error: BaseException) -> int:
    """HTTP status of an error."""
    return problem(error).status


def invalid(errors: Sequence[Any]) -> InvalidParameterError:
    """The first of pydantic's complaints, without the value that it is about: that may be what somebody typed."""
    first: Mapping[str, Any] = errors[0]
    if first["type"] == "json_invalid":
        return InvalidParameterError("the body is not JSON", code="invalid_json")
    where = list(first["loc"])
    # A field may itself be called query.
    if where == ["body"] or (len(where) > 1 and where[0] in BODY_PLACES):
        where = where[1:]
    param = ".".join(map(str, where)) or None
    codes = {"missing": "missing_required_parameter", "extra_forbidden": "unknown_parameter"}
    return InvalidParameterError(
        f"{param or 'request'}: {first['msg']}", param=param, code=codes.get(first["type"], "invalid_value")
    )


def _of_service(error: ServiceError) -> Problem:
    headers = dict(error.headers)
    if error.retry_after_s is not None:
        # Whole seconds: RFC 9110, 10.2.3.
        headers["Retry-After"] = str(max(1, math.ceil(error.retry_after_s)))
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Problem(
        error.status, error.message, error.type, error.param, error.code, MappingProxyType(headers)
    )


def _of_http(error: HTTPException) -> Problem:
    """Of Starlette: an address or a method that does not exist, mostly."""
    status = HTTPStatus(error.status_code)
    headers = MappingProxyType(dict(error.headers or {}))
    code = status.name.lower()
    if status >= 500:
        return Problem(status, f"{status.phrase}.", SERVER_ERROR, code=code, headers=headers)
    return Problem(status, f"{error.detail}".rstrip(".") + ".", code=code, headers=headers)


async def _answer(connection: Request | WebSocket, error: Exception) -> JSONResponse | None:
    found = problem(error)
    if found is INTERNAL:
        LOG.error("unhandled", exc_info=error)
    if isinstance(connection, WebSocket) and connection.application_state is WebSocketState.CONNECTED:
        await connection.send_json({"type": "error", **found.body()})
        await connection.close(found.close_code)
        return None
    return found.response()


class CatchMiddleware:
    """Answers an exception that nothing else has answered.

    Starlette does this too, but outside of every other middleware: its 500 would have neither a request id nor
    the security headers, and a browser of an allowed origin could not read it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def watch(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, watch)
        except Exception as error:
            # Too late to answer: the server cuts the connection, so that nobody takes a half for a whole.
            if started:
                raise
            LOG.error("unhandled", exc_info=error)
            await INTERNAL.response()(scope, receive, send)


def install(app: FastAPI) -> None:
    """Answer every error in the one form. To be called before other middleware is added, which then wraps it."""
    for kind in (
        ServiceError,
        AsrError,
        RequestValidationError,
        WebSocketRequestValidationError,
        HTTPException,
        ClientDisconnect,
    ):
        app.add_exception_handler(kind, _answer)  # type: ignore[arg-type]  # one for both kinds of connection
    app.add_middleware(CatchMiddleware)
