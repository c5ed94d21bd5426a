"""The door of ``serve --engine ray``: whom it lets in, and what it answers by itself. Its replicas are never asked."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from starlette.types import ASGIApp

from serving import keys
from serving.keys import KeyStore
from serving.ray_door import Door
from serving.settings import Settings


class Nobody:
    """The handle of replicas that there are none of: a request that gets as far as here fails."""

    def options(self, **_options: Any) -> Nobody:
        """As a handle's."""
        return self

    def remote(self, _asked: object) -> Any:
        """As a handle's."""
        raise AssertionError("a replica was asked")


@pytest.fixture(autouse=True)
def logging_as_before() -> Any:
    """A door sets the logging of its process up."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


def door(**settings: Any) -> ASGIApp:
    """The ASGI app of a door."""
    return Door(Settings(**settings), Nobody()).__serve_build_asgi_app__()


def post(app: ASGIApp, body: Any, **headers: str) -> httpx.Response:
    """What it answers to a body."""

    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
            return await client.post("/v1/search", content=body, headers=headers)

    return asyncio.run(run())


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    """A file with a key."""
    path = tmp_path / "keys.db"
    KeyStore(path).create("ours", frozenset({keys.Scope.TRANSCRIBE}), None)
    return path


def test_without_a_key_no_body_is_taken(key_file: Path) -> None:
    """401, as the app itself would say, before anything is held."""
    answer = post(door(keys=key_file), b"x" * 100)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


def test_what_the_door_refuses_looks_like_every_other_answer(capfd: pytest.CaptureFixture[str]) -> None:
    """An id, the headers against misuse, CORS, and a line in the log."""
    app = door(max_upload_bytes=1_024, allowed_origins=("https://shop.example",), log_format="json")
    answer = post(app, b"x" * (2 << 20), origin="https://shop.example", **{"x-request-id": "mine"})
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "request_too_large"
    assert answer.headers["x-request-id"] == "mine"
    assert answer.headers["content-security-policy"].startswith("default-src")
    assert answer.headers["access-control-allow-origin"] == "https://shop.example"
    (line,) = [line for line in capfd.readouterr().err.splitlines() if '"request"' in line]
    assert '"status": 413' in line
    assert '"request_id": "mine"' in line


def test_pages_of_others_get_no_further_than_the_door() -> None:
    """A server without keys listens to no web page that is not its own."""
    answer = post(door(), b"x", origin="https://elsewhere.example")
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "origin_not_allowed"


def test_a_fault_of_ours_is_a_bare_500() -> None:
    """Ray would log the message of what the door raises, and show it to the client."""
    answer = post(door(), b"x")
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "internal_error"
    assert "a replica was asked" not in answer.text
