"""``serving.connections``: a connection that never asks, or never ends asking, is closed."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx
import pytest
import websockets.sync.client
from fastapi import FastAPI, Request, WebSocket

from serving.connections import HeadLimits, bounded_protocol

LIMITS = HeadLimits(seconds=0.3, bytes=4_096)


def app() -> FastAPI:
    """Routes that take longer than a head may."""
    made = FastAPI()

    @made.post("/slow")
    async def slow(request: Request) -> int:
        size = len(await request.body())
        await asyncio.sleep(2 * LIMITS.seconds)
        return size

    @made.websocket("/stream")
    async def stream(websocket: WebSocket) -> None:
        await websocket.accept()
        await asyncio.sleep(2 * LIMITS.seconds)
        await websocket.send_text("still there")
        await websocket.close()

    return made


@pytest.fixture
def address(serve: Callable[..., str]) -> str:
    """Of a server that keeps idle connections for as long as it likes."""
    return serve(app(), http=bounded_protocol(LIMITS), timeout_keep_alive=60)


def connected(address: str) -> socket.socket:
    """A connection on which nothing was sent."""
    parts = urlsplit(address)
    assert parts.hostname is not None
    return socket.create_connection((parts.hostname, parts.port or 80), timeout=10)


def closed(connection: socket.socket) -> bool:
    """Waits until the server has closed; a test that waits in vain fails by the connection's own time limit."""
    try:
        return connection.recv(65_536) == b""
    except ConnectionResetError:
        return True


@pytest.mark.parametrize("sent", [b"", b"POST /sl", b"POST /slow HTTP/1.1\r\nHost: a\r\nX-"])
def test_a_head_that_never_ends_is_closed(address: str, sent: bytes) -> None:
    """Also one that never begins."""
    with connected(address) as connection:
        connection.sendall(sent)
        assert closed(connection)


def test_a_head_that_drips_is_closed(address: str) -> None:
    """A byte now and then buys no time."""
    with connected(address) as connection:
        connection.settimeout(0.05)
        connection.sendall(b"POST /slow HTTP/1.1\r\n")
        for _ in range(400):
            try:
                connection.sendall(b"a")
                assert closed(connection)
                break
            except TimeoutError:
                continue
            except (BrokenPipeError, ConnectionResetError):
                break
        else:
            pytest.fail("20 seconds on, the connection is still open")


def test_a_head_without_measure_is_closed(serve: Callable[..., str]) -> None:
    """By its size, long before its time."""
    limits = HeadLimits(seconds=3_600.0, bytes=4_096)
    with connected(serve(app(), http=bounded_protocol(limits))) as connection:
        connection.sendall(b"POST /slow HTTP/1.1\r\nX-Long: " + b"a" * 5_000)
        assert closed(connection)


def test_a_second_request_is_bounded_as_the_first(address: str) -> None:
    """On a connection that was kept open, and so is a body that nobody asked for."""
    with connected(address) as connection:
        connection.sendall(b"POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200")
        connection.sendall(b"POST /slow HT")
        assert closed(connection)


def test_requests_may_take_their_time(address: str) -> None:
    """A large body, a slow answer, a pause between two requests: none is a slow head."""
    with httpx.Client(base_url=address) as client:
        assert client.post("/slow", content=bytes(1 << 20)).json() == 1 << 20
        assert client.post("/slow", content=b"x").json() == 1


def test_streams_may_take_their_time(address: str) -> None:
    """Once it has been accepted, its own limits hold."""
    with websockets.sync.client.connect(address.replace("http", "ws") + "/stream") as stream:
        assert stream.recv() == "still there"
