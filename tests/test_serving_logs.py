"""``serving.logs``: one line a request, and nothing that anybody said in it (acceptance.md P4)."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Generator
from typing import Any

import httpx
import pytest
import structlog
import websockets
import websockets.sync.client
from fastapi import APIRouter, FastAPI, Request, WebSocket
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope, Send

from asr.transcript import NullReason
from monitoring.record import Outcome, Transport
from serving import headers, problems
from serving.access_log import AccessLogMiddleware, annotate
from serving.errors import InvalidParameterError, OverloadedError
from serving.log_fields import EVENTS, FIELDS, AllowList
from serving.logs import configure

CANARY = "xylophone of the canary"
WORD = CANARY.split()[0]


UVICORN = ("uvicorn", "uvicorn.error", "uvicorn.access", "uvicorn.asgi")


@pytest.fixture
def stream() -> Generator[io.StringIO, None, None]:
    """Where the logs go; afterwards everything global is as it was."""
    loggers = [logging.getLogger(name) for name in ("", *UVICORN)]
    before = [(logger, logger.handlers[:], logger.level, logger.propagate) for logger in loggers]
    hooks = (sys.excepthook, threading.excepthook, sys.unraisablehook)
    yield io.StringIO()
    structlog.reset_defaults()
    logging.captureWarnings(False)
    sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
    for logger, handlers, level, propagate in before:
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)


def json_logs(stream: io.StringIO) -> AllowList:
    """Logs of every level. Called in the test itself, where pytest's own handlers are there to be replaced."""
    return configure(stream, "debug", "json")


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    """What was logged."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def requests(stream: io.StringIO, n: int) -> list[dict[str, Any]]:
    """The lines of ``n`` requests. A line is written when its answer has gone out: it may take a moment longer."""
    while True:
        found = [line for line in lines(stream) if line["event"] == "request"]
        if len(found) >= n:
            return found
        time.sleep(0.01)


class Typed(BaseModel):
    """A body with text in it."""

    text: str
    limit: int = 0


def app() -> FastAPI:
    """Routes that are told the canary in every way, and complain of it in every way."""
    made = FastAPI()
    router = APIRouter(prefix="/v1")
    problems.install(made)
    made.add_middleware(AccessLogMiddleware)
    headers.install(made)

    @router.post("/models/{name}")
    async def model(request: Request, name: str) -> str:
        await request.body()
        annotate(request, model="en-small@a1b2", transport=Transport.REST, outcome=Outcome.OK, audio_s=1.5)
        annotate(request, text=CANARY, prompt=CANARY, error=CANARY, null_reason=name)
        logging.getLogger("library").warning("heard %s", CANARY)
        logging.getLogger("library").error(f"heard {CANARY}")
        # A format that does not fit prints its arguments to stderr.
        logging.getLogger("library").info("%d", CANARY)
        structlog.get_logger().info(CANARY, text=CANARY)
        warnings.warn(CANARY, stacklevel=1)
        return CANARY

    @router.post("/typed")
    async def typed(typed: Typed) -> None:
        raise InvalidParameterError(f"cannot find {typed.text}")

    @router.post("/fails")
    async def fails(request: Request) -> None:
        heard = (await request.body()).decode()
        try:
            raise KeyError(heard)
        except KeyError as error:
            raise RuntimeError(f"cannot understand {heard}") from error

    @router.post("/full")
    async def full() -> None:
        raise OverloadedError(CANARY, 1.0)

    @router.post("/http")
    async def http() -> None:
        raise HTTPException(502, CANARY)

    @router.post("/task")
    async def task() -> None:
        async def fail() -> None:
            raise RuntimeError(CANARY)

        asyncio.get_running_loop().call_exception_handler(
            {"message": CANARY, "exception": RuntimeError(CANARY)}
        )
        await asyncio.gather(fail(), return_exceptions=True)

    @router.websocket("/stream")
    async def stream(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(await websocket.receive_text())
        raise RuntimeError(CANARY)

    @router.websocket("/denied")
    async def denied(websocket: WebSocket) -> None:
        assert websocket
        raise InvalidParameterError(CANARY)

    made.include_router(router)
    return made


def test_a_canary_said_in_every_way_is_in_no_log(
    serve: Callable[..., str], stream: io.StringIO, capfd: pytest.CaptureFixture[str]
) -> None:
    """In the body, prompt, filename, path, query, headers, messages of exceptions, of libraries and of warnings.

    Neither in the logs nor in what Python or a library prints by itself.
    """
    allow_list = json_logs(stream)
    address = serve(app(), log_level="trace")
    everywhere: dict[str, Any] = {
        "params": {"prompt": CANARY, WORD: "1"},
        "headers": {
            "X-Session-Id": CANARY,
            "User-Agent": CANARY,
            "X-Request-Id": CANARY,
            "Cookie": f"a={CANARY}",
        },
    }
    form = {"files": {"file": (f"{CANARY}.wav", CANARY.encode())}, "data": {"prompt": CANARY}}
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert httpx.post(f"{address}/v1/models/{WORD}", **everywhere, **form).status_code == 200
    said = {"json": {"text": CANARY, "limit": CANARY}}
    assert httpx.post(f"{address}/v1/typed", **everywhere, **said).status_code == 400
    assert httpx.post(f"{address}/v1/typed", **everywhere, json={"text": CANARY}).status_code == 400
    assert httpx.post(f"{address}/v1/fails", **everywhere, content=CANARY).status_code == 500
    assert httpx.post(f"{address}/v1/full", **everywhere).status_code == 503
    assert httpx.post(f"{address}/v1/http", **everywhere).status_code == 502
    assert httpx.post(f"{address}/v1/task", **everywhere).status_code == 200
    assert httpx.post(f"{address}/{WORD}", **everywhere).status_code == 404
    assert httpx.request(WORD.upper(), f"{address}/v1/typed", **everywhere).status_code == 400
    streams = address.replace("http", "ws")
    with websockets.sync.client.connect(f"{streams}/v1/stream?text={WORD}") as spoken:
        spoken.send(CANARY)
        assert spoken.recv() == CANARY
        with pytest.raises(websockets.ConnectionClosed):
            spoken.recv()
    with (
        pytest.raises(websockets.InvalidStatus),
        websockets.sync.client.connect(f"{streams}/v1/denied?text={WORD}"),
    ):
        pass
    thread = threading.Thread(target=lambda: int(CANARY))
    thread.start()
    thread.join()

    assert len(requests(stream, 10)) == 10
    assert {"uncaught", "unhandled", "other"} <= {line["event"] for line in lines(stream)}
    printed = capfd.readouterr()
    for text in (stream.getvalue(), printed.out, printed.err):
        assert WORD not in text.lower()
    assert allow_list.dropped >= 5


def test_one_line_a_request(serve: Callable[..., str], stream: io.StringIO) -> None:
    """The route's template with its prefix, status, time, bytes; and what the route itself knew."""
    allow_list = json_logs(stream)
    address = serve(app())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        httpx.post(f"{address}/v1/models/abc", content=b"12345", headers={"X-Request-Id": "r-1"})
    (line,) = requests(stream, 1)
    assert line.pop("duration_ms") >= 0.0
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "request",
        "level": "info",
        "request_id": "r-1",
        "route": "/v1/models/{name}",
        "method": "POST",
        "status": 200,
        "bytes": 5,
        "model": "en-small@a1b2",
        "transport": "rest",
        "outcome": "ok",
        "audio_s": 1.5,
        "dropped": 4,
        "where": line["where"],
    }
    assert allow_list.dropped >= 4


def test_everything_logged_for_a_request_has_its_id(serve: Callable[..., str], stream: io.StringIO) -> None:
    """Also the traceback, so that a person who reports an id can be helped."""
    json_logs(stream)
    httpx.post(f"{serve(app())}/v1/fails", content=b"a", headers={"X-Request-Id": "r-2"})
    (request,) = requests(stream, 1)
    (unhandled,) = (line for line in lines(stream) if line["event"] == "unhandled")
    assert (unhandled["request_id"], request["request_id"]) == ("r-2", "r-2")
    assert (request["level"], request["status"]) == ("error", 500)
    assert (unhandled["error"], unhandled["causes"]) == ("RuntimeError", ["KeyError"])
    assert unhandled["frames"][-1].startswith("tests/test_serving_logs.py:")
    assert unhandled["frames"][-1].endswith(" fails")


@pytest.mark.parametrize(
    ("path", "status", "level"),
    [("/v1/full", 503, "info"), ("/nowhere", 404, "info"), ("/v1/http", 502, "error")],
)
def test_levels(serve: Callable[..., str], stream: io.StringIO, path: str, status: int, level: str) -> None:
    """A client's mistake and a full server are no errors of the program."""
    json_logs(stream)
    assert httpx.post(serve(app()) + path).status_code == status
    (line,) = requests(stream, 1)
    assert (line["status"], line["level"]) == (status, level)


def test_streams_are_logged_when_they_end(serve: Callable[..., str], stream: io.StringIO) -> None:
    """An accepted one as 101, a denied one with what it was answered."""
    json_logs(stream)
    address = serve(app()).replace("http", "ws")
    with pytest.raises(websockets.InvalidStatus), websockets.sync.client.connect(f"{address}/v1/denied"):
        pass
    (line,) = requests(stream, 1)
    assert (line["route"], line["method"], line["status"]) == ("/v1/denied", "WEBSOCKET", 400)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("text", "hello"),
        ("transcript", "hello"),
        ("prompt", "hello"),
        ("filename", "a.wav"),
        ("path", "/v1/a"),
        ("query", "a=b"),
        ("status", "hello"),
        ("audio_s", "hello"),
        ("confidence", float("nan")),
        ("method", "HELLO"),
        ("model", "two words"),
        ("error", "no such word: hello"),
        ("route", "/v1/a?b=c"),
        ("request_id", "a\nb"),
        ("frames", ["hello there"]),
        ("causes", ["two words"]),
        ("where", "hello"),
        ("key_id", b"bytes"),
        ("outcome", ["ok"]),
        ("outcome", "hello"),
        ("transport", "hello"),
        ("null_reason", "hello"),
    ],
)
def test_what_is_not_listed_is_dropped_and_counted(stream: io.StringIO, field: str, value: object) -> None:
    """An unknown field, and a known one with a value of another shape; the line itself is kept."""
    allow_list = json_logs(stream)
    structlog.get_logger().info("ready", port=1, **{field: value})
    (line,) = lines(stream)
    assert (line["event"], line["port"], line["dropped"]) == ("ready", 1, 1)
    assert line.get(field) != value
    assert line["where"].startswith("tests/test_serving_logs.py:")
    assert allow_list.dropped == 1


@pytest.mark.parametrize("event", ["hello", "request ", "what she said", ""])
def test_an_event_that_is_not_listed_loses_its_name(stream: io.StringIO, event: str) -> None:
    """The message is where transcripts end up by habit. Its place stands instead."""
    allow_list = json_logs(stream)
    structlog.get_logger().warning(event)
    (line,) = lines(stream)
    assert (line["event"], line["level"], line["dropped"]) == ("other", "warning", 1)
    assert line["where"].startswith("tests/test_serving_logs.py:")
    assert allow_list.dropped == 1


def test_other_libraries_keep_level_and_place(stream: io.StringIO) -> None:
    """Of their messages those pass that are listed word for word; arguments never."""
    allow_list = json_logs(stream)
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    logging.getLogger("odd").log(35, "heard %s", "hello")
    first, second = lines(stream)
    assert (first["event"], first["logger"]) == ("Invalid HTTP request received.", "uvicorn.error")
    assert (second["event"], second["logger"], second["level"]) == ("other", "odd", "warning")
    assert second["where"].startswith("tests/test_serving_logs.py:")
    assert allow_list.dropped == 0


def test_groups_and_chains_of_exceptions(stream: io.StringIO) -> None:
    """All types that were involved, once each, and no message; also of a chain that bites its own tail."""
    allow_list = json_logs(stream)
    first, second = ValueError("hello"), KeyError("hello")
    first.__cause__, second.__cause__ = second, first
    structlog.get_logger().error("unhandled", exc_info=ExceptionGroup("hello", [first, OSError("hello")]))
    (line,) = lines(stream)
    assert (line["error"], line["causes"]) == ("ExceptionGroup", ["ValueError", "OSError", "KeyError"])
    assert "hello" not in stream.getvalue()
    assert allow_list.dropped == 0


def test_level_and_form(stream: io.StringIO) -> None:
    """Below the level nothing; for people a line that is no JSON, filtered just the same."""
    configure(stream, "warning", "console")
    structlog.get_logger().info("ready")
    assert stream.getvalue() == ""
    structlog.get_logger().warning("overload", inflight=3, text=CANARY)
    assert "overload" in stream.getvalue()
    assert "inflight" in stream.getvalue()
    assert WORD not in stream.getvalue()
    with pytest.raises(json.JSONDecodeError):
        lines(stream)


def test_auto_writes_json_where_no_person_looks(stream: io.StringIO) -> None:
    """A pipe or a file is read by programs."""
    configure(stream)
    structlog.get_logger().info("ready", port=8_000)
    assert lines(stream)[0]["port"] == 8_000


class Gone(io.StringIO):
    """A pipe that nobody reads any more."""

    def write(self, text: str) -> int:
        """Fails."""
        raise BrokenPipeError(text)


def test_a_log_that_cannot_be_written_ends_no_request(stream: io.StringIO, serve: Callable[..., str]) -> None:
    """Whether the reader has gone or the stream was closed."""
    stream.close()
    for gone in (Gone(), stream):
        configure(gone, "debug", "json")
        assert httpx.post(f"{serve(app())}/v1/full").status_code == 503


def test_importing_changes_nothing() -> None:
    """No handler and no hook before ``configure`` is called."""
    program = (
        "import logging, sys, threading; import serving.logs, structlog\n"
        "assert sys.excepthook is sys.__excepthook__ and threading.excepthook is threading.__excepthook__\n"
        "assert not structlog.is_configured() and not logging.getLogger().handlers"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_duration_ends_with_the_answer(stream: io.StringIO) -> None:
    """What a middleware around it does with a refused body after that is not in it."""
    json_logs(stream)
    now = 100.0

    async def answers(_scope: Scope, _receive: Receive, send: Send) -> None:
        nonlocal now
        now += 0.25
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})

    async def receive() -> Message:
        raise AssertionError("nobody reads")

    async def lingers(message: Message) -> None:
        nonlocal now
        now += 2.0 if message["type"] == "http.response.body" else 0.0

    middleware = AccessLogMiddleware(answers, clock=lambda: now)
    asyncio.run(middleware({"type": "http", "method": "GET", "headers": []}, receive, lingers))
    assert [line["duration_ms"] for line in requests(stream, 1)] == [250.0]


def test_the_lists_hold_what_records_hold() -> None:
    """Every value of the record's enumerations can be logged, and no field is for free text."""
    assert all(map(FIELDS["outcome"], Outcome))
    assert all(map(FIELDS["transport"], Transport))
    assert all(map(FIELDS["null_reason"], NullReason))
    assert FIELDS.keys().isdisjoint({"text", "transcript", "prompt", "query", "path", "filename", "message"})
    assert all(map(FIELDS["event"], EVENTS))
