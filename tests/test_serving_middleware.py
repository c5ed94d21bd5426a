"""``serving.middleware``: all of it around one app, as it is served."""

from __future__ import annotations

import io
import logging
import sys
import threading
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Annotated

import httpx
import pytest
import structlog
import websockets
import websockets.sync.client
from fastapi import Depends, FastAPI, Request, WebSocket
from prometheus_client import CollectorRegistry

from monitoring.metrics import Metrics
from serving import middleware
from serving.auth import Access, Principal, require, subprotocol
from serving.connections import HeadLimits, bounded_protocol
from serving.keys import KeyStore, Scope
from serving.logs import configure
from serving.uploads import UploadLimits, read_upload

DAY_S = 86_400
ORIGIN = "https://shop.example"
Caller = Annotated[Principal, Depends(require(Scope.TRANSCRIBE))]


@pytest.fixture
def logged() -> Generator[Callable[[], str], None, None]:
    """All that was logged so far; afterwards everything global is as it was."""
    root, access = logging.getLogger(), logging.getLogger("uvicorn.access")
    before = (root.handlers[:], root.level, access.handlers[:], access.propagate)
    hooks = (sys.excepthook, threading.excepthook, sys.unraisablehook)
    stream = io.StringIO()
    configure(stream, "debug", "json")
    yield stream.getvalue
    structlog.reset_defaults()
    logging.captureWarnings(False)
    root.handlers, access.handlers, access.propagate = before[0], before[2], before[3]
    root.setLevel(before[1])
    sys.excepthook, threading.excepthook, sys.unraisablehook = hooks


def app(access: Access) -> FastAPI:
    """One route and one stream that want a key."""
    made = FastAPI()
    middleware.install(made, access, Metrics(CollectorRegistry()), (ORIGIN,))

    @made.post("/v1/audio/transcriptions")
    async def transcriptions(request: Request, principal: Caller) -> int:
        assert principal
        return len((await read_upload(request, UploadLimits(total_bytes=1 << 20))).file)

    @made.websocket("/v1/stream")
    async def stream(websocket: WebSocket, principal: Caller) -> None:
        assert principal
        await websocket.accept(subprotocol(websocket))
        await websocket.close()

    return made


def test_every_refusal_is_complete_and_no_secret_is_logged(
    serve: Callable[..., str], tmp_path: Path, logged: Callable[[], str]
) -> None:
    """Bad uploads of every kind with every kind of key: an id, the headers, the envelope, the line in the log."""
    store = KeyStore(tmp_path / "keys.db")
    good = store.create("good", frozenset({Scope.TRANSCRIBE}), DAY_S).secret
    other = store.create("other", frozenset({Scope.SEARCH}), DAY_S).secret
    revoked = store.create("revoked", frozenset({Scope.TRANSCRIBE}), DAY_S)
    store.revoke(revoked.key.id)
    server = serve(
        app(Access.decide(store.path, "0.0.0.0", insecure=False)), http=bounded_protocol(HeadLimits())
    )
    address = f"{server}/v1/audio/transcriptions"
    small, large = {"file": ("a.wav", b"RIFF")}, {"file": ("a.wav", bytes(2 << 20))}
    asked = [
        (good, small, 200),
        (good, large, 413),
        (other, large, 403),
        (revoked.secret, large, 401),
        ("vs_" + "A" * 43, small, 401),
        (None, large, 401),
    ]
    for secret, files, status in asked:
        given = {} if secret is None else {"Authorization": f"Bearer {secret}"}
        answer = httpx.post(address, files=files, headers=given | {"Origin": ORIGIN})
        assert answer.status_code == status
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert ("error" in answer.text) is (status != 200)
        while answer.headers["X-Request-Id"] not in logged():
            time.sleep(0.01)
    stream = server.replace("http", "ws") + "/v1/stream"
    with websockets.sync.client.connect(stream, subprotocols=["voicesearch", f"key.{good}"]) as opened:
        assert opened.subprotocol == "voicesearch"
    with (
        pytest.raises(websockets.InvalidStatus),
        websockets.sync.client.connect(stream, subprotocols=["voicesearch", f"key.{other}"]),
    ):
        pass
    for secret in (good, other, revoked.secret):
        assert secret not in logged()
    assert store.keys()[0].id in logged()


def test_a_guarded_local_server_answers_an_allowed_page(serve: Callable[..., str]) -> None:
    """CORS and the guard against other pages agree on who may call: beforehand, and then."""
    address = serve(app(Access.decide(None, "127.0.0.1", insecure=False))) + "/v1/audio/transcriptions"
    files = {"file": ("a.wav", b"RIFF")}
    beforehand = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    for origin, asked, status in ((ORIGIN, 200, 200), ("https://evil.example", 400, 403)):
        assert httpx.options(address, headers={"Origin": origin, **beforehand}).status_code == asked
        assert httpx.post(address, files=files, headers={"Origin": origin}).status_code == status
