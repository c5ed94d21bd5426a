"""A request as a value and its answer, metrics of several replicas: what ``serve --engine ray`` has of its own."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from serving.errors import OverloadedError, SlowUploadError, TooLargeError
from serving.ray_metrics import merged
from serving.ray_replica import unprefixed
from serving.ray_request import AROUND_BYTES, AnswerError, Asked, Held, answered
from serving.settings import Settings

SCOPE: dict[str, Any] = {
    "type": "http",
    "method": "POST",
    "path": "/x",
    "headers": [(b"a", b"b")],
    "app": object(),
}
LIMITS = Settings(max_upload_bytes=1_024, upload_timeout_s=0.05)


def receiving(*messages: Message) -> Receive:
    """What a client sends; then nothing for ever."""
    coming = list(messages)

    async def receive() -> Message:
        if coming:
            return coming.pop(0)
        await asyncio.Event().wait()
        raise AssertionError

    return receive


def body(content: bytes, *, more: bool = False) -> Message:
    """A piece of a body."""
    return {"type": "http.request", "body": content, "more_body": more}


async def read(
    scope: Scope, receive: Receive, held: Held | None = None, settings: Settings = LIMITS
) -> Asked:
    """A request as the door reads it."""
    async with Asked.reading(scope, receive, settings, held or Held(1 << 30)) as asked:
        return asked


def test_a_request_is_read_whole_and_only_what_travels_is_kept() -> None:
    """Pieces are put together; objects of this process stay behind."""
    asked = asyncio.run(read(SCOPE, receiving(body(b"on", more=True), body(b"e"))))
    assert asked.body == b"one"
    assert asked.scope == {"method": "POST", "path": "/x", "headers": [(b"a", b"b")]}
    assert "one" not in repr(asked)


@pytest.mark.parametrize(
    ("messages", "error"),
    [
        ([body(b"x" * (AROUND_BYTES + 1_025), more=True)], TooLargeError),
        ([body(b"x", more=True)], SlowUploadError),
        ([body(b"x", more=True), {"type": "http.disconnect"}], ClientDisconnect),
    ],
)
def test_a_request_that_is_no_good_is_not_passed_on(messages: list[Message], error: type[Exception]) -> None:
    """Too large, too slow, or its client has gone; none of it is held any longer."""
    held = Held(1 << 30)
    with pytest.raises(error):
        asyncio.run(read(SCOPE, receiving(*messages), held))
    assert held.bytes == 0


@pytest.mark.parametrize("length", [b"999999999", b"-1", b"9" * 5_000])
def test_a_length_that_is_too_large_is_refused_without_reading(length: bytes) -> None:
    """Nobody sends a body for nothing."""

    async def receive() -> Message:
        raise AssertionError("read")

    scope = {**SCOPE, "headers": [(b"content-length", length)]}
    with pytest.raises(TooLargeError):
        asyncio.run(read(scope, receive))


def test_an_upload_that_stalls_is_given_up_before_its_time_is_over() -> None:
    """After ``upload_stall_s`` without a byte."""
    settings = Settings(upload_stall_s=0.01, upload_timeout_s=1e6)
    with pytest.raises(SlowUploadError, match=r"stalled for 0\.01 s"):
        asyncio.run(read(SCOPE, receiving(body(b"x", more=True)), settings=settings))


def test_all_bodies_together_are_bounded() -> None:
    """What would be too much is told to come again; when one is answered, there is room."""
    held = Held(5)

    async def run() -> None:
        async with Asked.reading(SCOPE, receiving(body(b"1234")), LIMITS, held):
            with pytest.raises(OverloadedError) as refused:
                await read(SCOPE, receiving(body(b"12")), held)
            assert (refused.value.retry_after_s, held.bytes) == (1.0, 4)
        assert (await read(SCOPE, receiving(body(b"12345")), held)).body == b"12345"

    asyncio.run(run())
    assert held.bytes == 0


def gather(app: Callable[..., Any]) -> list[list[Message]]:
    """All that an app answers."""

    async def run() -> list[list[Message]]:
        return [batch async for batch in answered(app, Asked(SCOPE, b"said"))]

    return asyncio.run(run())


def test_an_answer_comes_in_two_pieces_at_once_and_a_stream_as_it_goes() -> None:
    """What the app is asked is the request; its first two messages travel together."""
    seen: list[Any] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append((scope["path"], await receive()))
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"1", "more_body": True})
        await asyncio.sleep(0.01)
        await send({"type": "http.response.body", "body": b"2"})

    assert [[message["type"][14:] for message in batch] for batch in gather(app)] == [
        ["start", "body"],
        ["body"],
    ]
    assert seen == [("/x", body(b"said"))]


def test_an_app_that_fails_or_says_nothing_is_a_bare_error() -> None:
    """Without what it came from, whose message may hold what was said: Ray logs both."""

    async def failing(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        raise LookupError("what was said")

    async def silent(_scope: Scope, _receive: Receive, _send: Send) -> None:
        return

    for app in (failing, silent):
        with pytest.raises(AnswerError) as failed:
            gather(app)
        shown = "".join(traceback.format_exception(failed.value))
        assert "LookupError: " not in shown


def test_who_stops_listening_stops_the_app() -> None:
    """A client that hung up is worked for no longer."""
    stopped: list[bool] = []

    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        try:
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b"1", "more_body": True})
            await asyncio.Event().wait()
        finally:
            stopped.append(True)

    async def run() -> None:
        answer = answered(app, Asked(SCOPE, b""))
        await anext(answer)
        await answer.aclose()  # type: ignore[attr-defined]  # an async generator

    asyncio.run(run())
    assert stopped == [True]


def exposition(count: int) -> bytes:
    """Metrics of one replica."""
    registry = CollectorRegistry()
    Counter("asked", "Requests.", ["route"], registry=registry).labels("/x").inc(count)
    Histogram("took_seconds", "Time.", buckets=(1, 2), registry=registry).observe(count)
    return generate_latest(registry)


def test_metrics_of_several_replicas_stand_together() -> None:
    """One HELP a metric, each sample with the name of its replica, and one that has not answered is missed."""
    lines = merged({"b": exposition(2), "a": exposition(1)}, 3).decode().splitlines()
    assert lines.count("# HELP asked_total Requests.") == 1
    assert [line for line in lines if line.startswith("asked_total{")] == [
        'asked_total{replica="a",route="/x"} 1.0',
        'asked_total{replica="b",route="/x"} 2.0',
    ]
    assert 'took_seconds_bucket{le="1.0",replica="b"} 0.0' in lines
    assert 'took_seconds_count{replica="b"} 1.0' in lines
    assert [line for line in lines if line.startswith("voicesearch_replicas_")] == [
        "voicesearch_replicas_asked 3.0",
        "voicesearch_replicas_answered 2.0",
    ]


@pytest.mark.parametrize("path", ["/v1/stream", ""])
def test_the_prefix_of_an_application_is_part_of_the_path(path: str) -> None:
    """Whether Ray Serve has left it there or not."""
    seen: list[tuple[str, str]] = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        seen.append((scope["root_path"], scope["path"]))

    scope = {"type": "websocket", "root_path": "/v1/stream", "path": path}
    asyncio.run(unprefixed(app)(scope, receiving(), None))  # type: ignore[arg-type]  # nothing is sent
    assert seen == [("", "/v1/stream")]
