"""``serving.errors`` and ``serving.problems``: what a client is told, in HTTP and in its own exceptions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import httpx
import openai
import pytest
import websockets
import websockets.sync.client
from fastapi import FastAPI, WebSocket
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from asr.errors import (
    AudioLimitError,
    BundleError,
    CorruptAudioError,
    MissingPackageError,
    OptionError,
    UnsupportedAudioError,
)
from serving import errors, problems
from serving.errors import (
    ExposureError,
    ForbiddenError,
    InvalidParameterError,
    KeysFileError,
    NotFoundError,
    OverloadedError,
    RateLimitedError,
    ServiceError,
    SlowUploadError,
    TooLargeError,
    UnauthorizedError,
    UndecodableError,
    UnsupportedMediaError,
    WorkerError,
)
from serving.problems import INTERNAL, Problem, problem

CANARY = "xylophone of the canary"


class Query(BaseModel):
    """A body that FastAPI validates."""

    text: str
    limit: int


def app_raising(error: Exception) -> FastAPI:
    """Every route raises ``error``, but the one that validates."""
    app = FastAPI()
    problems.install(app)

    @app.post("/v1/audio/transcriptions")
    async def transcriptions() -> None:
        raise error

    @app.post("/v1/search/text")
    async def search(query: Query) -> None:
        assert query

    @app.websocket("/before")
    async def before(websocket: WebSocket) -> None:
        assert websocket
        raise error

    @app.websocket("/after")
    async def after(websocket: WebSocket) -> None:
        await websocket.accept()
        raise error

    return app


def asked(app: FastAPI, method: str, path: str, **request: object) -> httpx.Response:
    """One request without a socket."""

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
            return await client.request(method, path, **request)  # type: ignore[arg-type]  # httpx's own options

    return asyncio.run(ask())


OUR_ERRORS: list[tuple[Exception, int, str, type[openai.APIStatusError]]] = [
    (InvalidParameterError("m", param="p"), 400, "invalid_value", openai.BadRequestError),
    (UnauthorizedError("m"), 401, "invalid_api_key", openai.AuthenticationError),
    (ForbiddenError("m"), 403, "insufficient_permissions", openai.PermissionDeniedError),
    (NotFoundError("m", code="model_not_found"), 404, "model_not_found", openai.NotFoundError),
    (NotFoundError("m", code="query_not_found"), 404, "query_not_found", openai.NotFoundError),
    (SlowUploadError("m"), 408, "upload_too_slow", openai.APIStatusError),
    (TooLargeError("m"), 413, "request_too_large", openai.APIStatusError),
    (UnsupportedMediaError("m"), 415, "unsupported_media_type", openai.APIStatusError),
    (UndecodableError("m"), 422, "undecodable_audio", openai.UnprocessableEntityError),
    (RateLimitedError("m", 2.5), 429, "rate_limit_exceeded", openai.RateLimitError),
    (WorkerError("m"), 500, "internal_error", openai.InternalServerError),
    (OverloadedError("m", 0.2), 503, "overloaded", openai.InternalServerError),
    (UnsupportedAudioError("m"), 415, "unsupported_audio", openai.APIStatusError),
    (CorruptAudioError("m"), 422, "undecodable_audio", openai.UnprocessableEntityError),
    (AudioLimitError("m"), 413, "audio_limit_exceeded", openai.APIStatusError),
    (OptionError("m"), 400, "invalid_value", openai.BadRequestError),
    (RuntimeError("m"), 500, "internal_error", openai.InternalServerError),
]


@pytest.mark.parametrize(
    ("error", "status", "code", "exception"), OUR_ERRORS, ids=lambda value: str(value)[:40]
)
def test_openai_client_raises_its_own(
    serve: Callable[..., str],
    error: Exception,
    status: int,
    code: str,
    exception: type[openai.APIStatusError],
) -> None:
    """Each error of ours reaches a program that uses the real client as the exception it knows, with its code."""
    address = serve(app_raising(error))
    client = openai.OpenAI(api_key="any", base_url=f"{address}/v1", max_retries=0)
    with client, pytest.raises(exception) as caught:
        client.audio.transcriptions.create(model="en-small", file=("a.wav", b"RIFF"))
    assert (type(caught.value), caught.value.status_code, caught.value.code) == (exception, status, code)


def test_every_error_is_in_the_table() -> None:
    """No class of the tree was forgotten above."""
    assert {type(row[0]) for row in OUR_ERRORS} >= set(ServiceError.__subclasses__())


def test_envelope_has_openais_four_fields() -> None:
    """Also those that are null: clients look for all of them."""
    answer = asked(
        app_raising(InvalidParameterError("beam must be 1 to 64, not 0", param="beam")),
        "POST",
        "/v1/audio/transcriptions",
    )
    assert answer.json() == {
        "error": {
            "message": "beam must be 1 to 64, not 0",
            "type": "invalid_request_error",
            "param": "beam",
            "code": "invalid_value",
        }
    }


@pytest.mark.parametrize(
    ("error", "name", "value"),
    [
        (RateLimitedError("m", 2.1), "Retry-After", "3"),
        (OverloadedError("m", 0.0), "Retry-After", "1"),
        (UnauthorizedError("m"), "WWW-Authenticate", "Bearer"),
        (
            RateLimitedError("m", 1.0, {"x-ratelimit-limit-audio-seconds": "60"}),
            "X-RateLimit-Limit-Audio-Seconds",
            "60",
        ),
        (HTTPException(405, headers={"Allow": "GET"}), "Allow", "GET"),
    ],
)
def test_headers_that_belong_to_a_status(error: Exception, name: str, value: str) -> None:
    """When to come again in whole seconds and never at once; how to say who one is."""
    assert asked(app_raising(error), "POST", "/v1/audio/transcriptions").headers[name] == value


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        (
            b'{"text": "' + CANARY.encode() + b'", "limit": "' + CANARY.encode() + b'"}',
            "limit",
            "invalid_value",
        ),
        (b'{"limit": 3}', "text", "missing_required_parameter"),
        (b'{"text": ' + CANARY.encode(), None, "invalid_json"),
    ],
)
def test_validation_is_400_and_quotes_nothing(body: bytes, param: str | None, code: str) -> None:
    """FastAPI's 422 becomes OpenAI's 400 with the parameter named, without the text that was typed."""
    answer = asked(
        app_raising(RuntimeError()),
        "POST",
        "/v1/search/text",
        content=body,
        headers={"Content-Type": "application/json"},
    )
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["code"]) == (400, param, code)
    assert CANARY not in answer.text


def test_what_is_not_installed_is_nobodys_parameter(serve: Callable[..., str]) -> None:
    """Hotwords where the beam search has no wheel: 400, without the message, which may name places on the server."""
    address = serve(app_raising(MissingPackageError(CANARY)))
    answer = httpx.post(f"{address}/v1/audio/transcriptions")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "not_available_here")
    assert CANARY not in answer.text


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError(CANARY),
        WorkerError(CANARY),
        BundleError(CANARY),
        ExposureError(CANARY),
        KeysFileError(CANARY),
        ServiceError(CANARY),
        HTTPException(500, CANARY),
        KeyError(CANARY),
    ],
    ids=lambda error: type(error).__name__,
)
def test_our_own_failures_tell_nothing(error: Exception) -> None:
    """A 500 has no message of the exception in it, whatever was raised."""
    answer = asked(app_raising(error), "POST", "/v1/audio/transcriptions")
    assert (answer.status_code, answer.json()["error"]["type"]) == (500, "server_error")
    assert CANARY not in answer.text


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [("GET", "/nowhere", 404, "not_found"), ("GET", "/v1/search/text", 405, "method_not_allowed")],
)
def test_addresses_that_do_not_exist(method: str, path: str, status: int, code: str) -> None:
    """Starlette's own errors have the form of all others."""
    answer = asked(app_raising(RuntimeError()), method, path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


def test_client_that_left_is_nobodys_failure() -> None:
    """Its number is for the logs alone."""
    assert problem(ClientDisconnect()).status == 499


def test_internal_is_one_value() -> None:
    """Every unknown exception is told in the same words: nothing distinguishes them from outside."""
    assert problem(ValueError("a")) is problem(OSError("b")) is INTERNAL


@pytest.mark.parametrize(
    ("error", "status"),
    [(UnauthorizedError("m"), 401), (OverloadedError("m", 1.0), 503), (CorruptAudioError("m"), 422)],
)
def test_websocket_denied_before_it_was_accepted(
    serve: Callable[..., str], error: Exception, status: int
) -> None:
    """A stream is refused with the same status and body as a request."""
    address = serve(app_raising(error)).replace("http", "ws")
    with (
        pytest.raises(websockets.InvalidStatus) as caught,
        websockets.sync.client.connect(f"{address}/before"),
    ):
        pass
    assert caught.value.response.status_code == status
    assert json.loads(caught.value.response.body or b"")["error"] == problem(error).body()["error"]


@pytest.mark.parametrize(
    ("error", "close_code"),
    [
        (InvalidParameterError("m"), 1008),
        (AudioLimitError("m"), 1009),
        (OverloadedError("m", 1.0), 1013),
        (RateLimitedError("m", 1.0), 1013),
        (WorkerError("m"), 1011),
    ],
    ids=lambda value: type(value).__name__,
)
def test_websocket_closed_after_it_was_accepted(
    serve: Callable[..., str], error: Exception, close_code: int
) -> None:
    """The error is the last message, and the code tells the kind to programs that read no message."""
    address = serve(app_raising(error)).replace("http", "ws")
    with websockets.sync.client.connect(f"{address}/after") as stream:
        assert json.loads(stream.recv()) == {"type": "error", **problem(error).body()}
        with pytest.raises(websockets.ConnectionClosed) as caught:
            stream.recv()
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == close_code


def test_errors_inherit_the_fitting_builtin() -> None:
    """``except ValueError`` and its like work, as with the runtime's errors."""
    assert issubclass(errors.NotFoundError, LookupError)
    assert issubclass(errors.SlowUploadError, TimeoutError)
    assert isinstance(Problem(400, "m").body(), dict)
