"""``serving.headers`` and ``serving.linger``: what every answer carries, and that it arrives."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from urllib.parse import urlsplit

import httpx
import openai
import pytest
import websockets.sync.client
from fastapi import FastAPI, Request, WebSocket
from fastapi.responses import PlainTextResponse, Response

from asr.errors import OptionError
from serving import headers, problems
from serving.errors import TooLargeError
from serving.headers import SECURITY, check_origins
from serving.linger import LingerMiddleware

MADE = re.compile(r"[0-9a-f]{32}")


def app(origins: tuple[str, ...] = (), linger_s: float = 2.0) -> FastAPI:
    """Routes that answer, fail, and refuse without reading."""
    made = FastAPI()
    problems.install(made)
    made.add_middleware(LingerMiddleware, linger_s=linger_s)
    headers.install(made, origins)

    @made.get("/")
    async def page() -> PlainTextResponse:
        return PlainTextResponse("page", headers={"Referrer-Policy": "same-origin"})

    @made.get("/v1/models")
    async def models(request: Request) -> dict[str, object]:
        return {"object": "list", "data": [], "seen": request.state.request_id}

    @made.get("/fails")
    async def fails() -> None:
        raise RuntimeError

    @made.post("/refuses")
    async def refuses() -> Response:
        raise TooLargeError("too large")

    @made.post("/reads")
    async def reads(request: Request) -> int:
        return len(await request.body())

    @made.websocket("/stream")
    async def stream(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.close()

    return made


@pytest.mark.parametrize(("path", "status"), [("/v1/models", 200), ("/nowhere", 404), ("/fails", 500)])
def test_every_answer_has_the_security_headers_and_an_id(
    serve: Callable[..., str], path: str, status: int
) -> None:
    """Also those that no route gave, and the 500 of an exception that nobody foresaw."""
    answer = httpx.get(serve(app()) + path)
    assert answer.status_code == status
    assert {name: answer.headers.get(name) for name, _ in SECURITY} == dict(SECURITY)
    assert MADE.fullmatch(answer.headers["X-Request-Id"])
    assert ("error" in answer.json()) is (status != 200)


def test_a_route_may_say_otherwise(serve: Callable[..., str]) -> None:
    """What it set itself is left alone, and only answers of the API are kept from caches."""
    address = serve(app())
    page = httpx.get(address)
    assert page.headers["Referrer-Policy"] == "same-origin"
    assert "Cache-Control" not in page.headers
    assert httpx.get(f"{address}/v1/models").headers["Cache-Control"] == "no-store"


def test_the_page_may_run_nothing_inline_and_nothing_from_elsewhere() -> None:
    """Scripts, styles, worklets and connections fall back to 'self'; no source is weaker."""
    policy = dict(SECURITY)["Content-Security-Policy"]
    directives = {name: sources for name, *sources in (part.split() for part in policy.split("; "))}
    assert directives["default-src"] == ["'self'"]
    assert directives.keys().isdisjoint({"script-src", "style-src", "connect-src", "worker-src"})
    assert {source for sources in directives.values() for source in sources} == {
        "'self'",
        "'none'",
        "data:",
        "blob:",
    }


@pytest.mark.parametrize("given", ["a", "Az09._-", "x" * 64])
def test_a_well_formed_request_id_is_kept(serve: Callable[..., str], given: str) -> None:
    """So that one id follows a request through several services."""
    answer = httpx.get(f"{serve(app())}/v1/models", headers={"X-Request-Id": given})
    assert (answer.headers["X-Request-Id"], answer.json()["seen"]) == (given, given)


@pytest.mark.parametrize("given", ["", "x" * 65, "two words", "a/b", "<script>", "a\tb", "é"])
def test_any_other_request_id_is_replaced(serve: Callable[..., str], given: str) -> None:
    """It is written into logs: nothing else than an id may come in by it."""
    answer = httpx.get(f"{serve(app())}/v1/models", headers=[(b"X-Request-Id", given.encode())])
    assert MADE.fullmatch(answer.headers["X-Request-Id"])


def test_two_request_ids_are_none(serve: Callable[..., str]) -> None:
    """Which of the two would be meant?"""
    answer = httpx.get(f"{serve(app())}/v1/models", headers=[("X-Request-Id", "a"), ("X-Request-Id", "b")])
    assert MADE.fullmatch(answer.headers["X-Request-Id"])


def test_openai_client_shows_the_id(serve: Callable[..., str]) -> None:
    """Under the name that its users report."""
    with openai.OpenAI(api_key="any", base_url=f"{serve(app())}/v1", max_retries=0) as client:
        shown = client.models.with_raw_response.list().headers["x-request-id"]
    assert MADE.fullmatch(shown)


def test_a_stream_has_an_id_too(serve: Callable[..., str]) -> None:
    """In the answer that accepts it."""
    with websockets.sync.client.connect(serve(app()).replace("http", "ws") + "/stream") as stream:
        assert stream.response is not None
        assert MADE.fullmatch(stream.response.headers["X-Request-Id"])


def test_no_origin_is_allowed_by_default(serve: Callable[..., str]) -> None:
    """Neither asked beforehand nor after."""
    address = serve(app())
    asked = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
    assert httpx.options(f"{address}/v1/models", headers=asked).status_code == 405
    assert "Access-Control-Allow-Origin" not in httpx.get(f"{address}/v1/models", headers=asked).headers


@pytest.mark.parametrize("path", ["/v1/models", "/fails", "/nowhere"])
def test_a_named_origin_may_read_every_answer(serve: Callable[..., str], path: str) -> None:
    """Also errors, with the headers that say when to come again; another origin may not; nobody sends cookies."""
    address = serve(app(("https://shop.example",)))
    answer = httpx.get(address + path, headers={"Origin": "https://shop.example"})
    assert answer.headers["Access-Control-Allow-Origin"] == "https://shop.example"
    assert "Retry-After" in answer.headers["Access-Control-Expose-Headers"]
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert MADE.fullmatch(answer.headers["X-Request-Id"])
    other = httpx.get(address + path, headers={"Origin": "https://evil.example"})
    assert "Access-Control-Allow-Origin" not in other.headers


def test_a_browser_that_asks_beforehand(serve: Callable[..., str]) -> None:
    """The key's header is allowed to the named origin."""
    asked = {
        "Origin": "https://shop.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    address = serve(app(("https://shop.example",)))
    assert httpx.options(f"{address}/reads", headers=asked).status_code == 200
    assert (
        httpx.options(f"{address}/reads", headers=asked | {"Origin": "https://evil.example"}).status_code
        == 400
    )


@pytest.mark.parametrize(
    "origin",
    [
        "*",
        "null",
        "",
        "shop.example",
        "https://shop.example/",
        "https://shop.example/a",
        "ftp://a.example",
        "https://",
    ],
)
def test_origins_that_are_none(origin: str) -> None:
    """Refused when the server starts, with what an origin looks like."""
    with pytest.raises(OptionError, match="no origin"):
        check_origins([origin])


def test_origins_are_compared_as_browsers_write_them() -> None:
    """In lower case, with the port."""
    assert check_origins(["https://Shop.Example:8443"]) == ("https://shop.example:8443",)


def raw(address: str, request: bytes) -> socket.socket:
    """A connection on which ``request`` has been sent."""
    parts = urlsplit(address)
    assert parts.hostname is not None
    connection = socket.create_connection((parts.hostname, parts.port or 80), timeout=10)
    connection.sendall(request)
    return connection


@pytest.mark.parametrize("http", ["h11", "httptools"])
def test_a_refusal_arrives_at_a_client_that_sends_before_it_reads(
    serve: Callable[..., str], http: str
) -> None:
    """8 MiB that nobody wants: without the moment of grace the answer is lost to a reset."""
    address = serve(app(), http=http)
    answer = httpx.post(f"{address}/refuses", content=bytes(8 << 20))
    assert (answer.status_code, answer.headers["Connection"]) == (413, "close")
    assert answer.json()["error"]["code"] == "request_too_large"


@pytest.mark.parametrize("http", ["h11", "httptools"])
def test_a_refused_client_that_never_ends_is_cut_off(serve: Callable[..., str], http: str) -> None:
    """The answer comes at once and whole; a byte now and then does not hold the connection open."""
    head = b"POST /refuses HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nfew bytes"
    with raw(serve(app(linger_s=0.2), http=http), head) as connection:
        answer = b""
        while not answer.endswith(b'"code":"request_too_large"}}'):
            more = connection.recv(65_536)
            assert more, f"closed after {answer!r}"
            answer += more
        assert answer.startswith(b"HTTP/1.1 413 ")
        connection.settimeout(0.05)
        for _ in range(400):
            try:
                connection.sendall(b"a")
                assert connection.recv(65_536) == b""
                break
            except TimeoutError:
                continue
            except (BrokenPipeError, ConnectionResetError):
                break
        else:
            pytest.fail("20 seconds on, the connection is still open")


@pytest.mark.parametrize("http", ["h11", "httptools"])
def test_a_body_that_was_read_keeps_the_connection(serve: Callable[..., str], http: str) -> None:
    """Two requests on one: the grace is for refusals alone."""
    with httpx.Client(base_url=serve(app(), http=http)) as client:
        for _ in range(2):
            answer = client.post("/reads", content=b"123")
            assert answer.json() == 3
            assert answer.headers.get("Connection") != "close"
